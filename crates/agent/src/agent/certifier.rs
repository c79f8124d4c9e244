//! Keeps this system's certificate: asks for one where there is none, renews it after two thirds of its life.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use zfs_sync_api::{codes::ErrorCode, v1::certificate::RequestCertificate};

use super::{Shared, backoff::Backoff, log_witness_error};
use crate::tls::{Credentials, credentials::Request};

/// How often is looked whether it is time. The clock may be set meanwhile, so nobody sleeps until a moment weeks away.
const LOOK: Duration = Duration::from_hours(1);

/// A whole fleet that was enrolled on one day shall not come on one day.
const SPREAD: Duration = Duration::from_hours(12);

/// How long a start waits for the witness's first answer; afterwards the loop goes on asking.
const FIRST: Duration = Duration::from_secs(10);

/// Reads what the last run has left, and asks for what is missing, once.
pub(super) async fn begin(shared: &Shared) {
    match Credentials::load(&shared.data_dir, shared.system_id) {
        Ok(Some(credentials)) => {
            shared.credentials.send_replace(Some(Arc::new(credentials)));
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "asking for another certificate: {error}"
            );
        }
    }
    if is_due(shared, Duration::ZERO) {
        let asked = tokio::time::timeout(FIRST, ask(shared)).await;
        if asked.is_err() {
            tracing::warn!("the witness has not yet answered the request for a certificate");
        }
    }
}

/// The loop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(Duration::from_secs(5), LOOK);
    let jitter = SPREAD.mul_f64(rand::rng().random_range(0.0..1.0));
    loop {
        let wait = if is_due(&shared, jitter) {
            match shared.unless_shutdown(ask(&shared)).await {
                None => return,
                Some(true) => {
                    backoff.reset();
                    LOOK
                }
                Some(false) => backoff.delay(),
            }
        } else {
            LOOK
        };
        if !shared.sleep(wait).await {
            return;
        }
    }
}

fn is_due(shared: &Shared, earlier: Duration) -> bool {
    let now = shared.clock.now();
    let credentials = shared.credentials.borrow();
    credentials.as_ref().is_none_or(|credentials| {
        let at = credentials.renew_at();
        at.checked_sub(earlier).unwrap_or(at) <= now
    })
}

/// True when there is a new one.
async fn ask(shared: &Shared) -> bool {
    let request = match Request::new() {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "could not ask for a certificate: {error}"
            );
            return false;
        }
    };
    let body = RequestCertificate { csr: request.csr.clone() };
    let issued = match shared.client.request_certificate(shared.system_id, &body).await {
        Ok(issued) => issued,
        Err(error) if error.code() == ErrorCode::NotFound => {
            // A witness of an earlier version: ssh is all there is.
            tracing::debug!("this witness issues no certificates");
            return false;
        }
        Err(error) => {
            log_witness_error("ask for a certificate", &error);
            return false;
        }
    };
    match request.keep(&shared.data_dir, shared.system_id, &issued) {
        Ok(credentials) => {
            tracing::info!(expires_at = %issued.expires_at, "has a certificate until {}", issued.expires_at);
            shared.credentials.send_replace(Some(Arc::new(credentials)));
            true
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "could not keep a certificate: {error}"
            );
            false
        }
    }
}
