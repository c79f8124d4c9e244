//! The HTTP client: one method per operation, with the operation's name.

mod error;
mod operations;

use std::{fmt, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

pub use self::{
    error::ClientError,
    operations::{ConflictQuery, TransferQuery},
};
use crate::problem::Problem;

/// How long a request may take when nothing else is said; the witness's own limit is shorter.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take; a witness that does not answer in that time is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Talks to one witness with one key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the witness at `base` (`http://host:8000`, with or without a path before `/api/v1`).
    pub fn new(base: &Url, key: Option<SecretString>) -> Result<Self, ClientError> {
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(ClientError::Address { address: base.to_string() });
        }
        let mut base = base.clone();
        // A password in the URL would reach logs and errors; keys travel in a header only.
        if base.set_username("").is_err() || base.set_password(None).is_err() {
            return Err(ClientError::Address { address: "(a URL without a host)".into() });
        }
        let path = base.path().trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        base.set_path(&format!("{path}/api/v1/"));
        base.set_query(None);
        base.set_fragment(None);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("zfs-sync/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::build)?;
        Ok(Self { http, base, key })
    }

    /// The address that requests go to.
    pub const fn base(&self) -> &Url {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let url = self.base.join(path).map_err(|_| ClientError::Address { address: path.to_owned() })?;
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key.expose_secret());
        }
        Ok(request)
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::unreachable(&self.base, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => {
                Err(ClientError::NotAWitness { address: self.base.to_string(), status: status.as_u16() })
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.decode(self.send(self.request(Method::GET, path)?).await?).await
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.decode(self.send(self.request(Method::POST, path)?.json(body)).await?).await
    }

    async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.decode(self.send(self.request(Method::PUT, path)?.json(body)).await?).await
    }

    async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let response = self.send(self.request(Method::DELETE, path)?).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        Err(ClientError::NotAWitness { address: self.base.to_string(), status: response.status().as_u16() })
    }

    async fn decode<T: DeserializeOwned>(&self, response: reqwest::Response) -> Result<T, ClientError> {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| ClientError::unreachable(&self.base, error))?;
        serde_json::from_slice(&bytes)
            .map_err(|_| ClientError::NotAWitness { address: self.base.to_string(), status })
    }
}
