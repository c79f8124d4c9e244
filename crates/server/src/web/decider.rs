//! Who may decide something from the dashboard: somebody with an operator's session, and from the dashboard's own pages only.
//!
//! The cookie is `SameSite=Strict`, but for a browser another port of the same host is the same site. So what changes something also
//! needs the browser's word that one of our own pages asked.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use zfs_sync_api::{codes::ErrorCode, v1::key::Role};

use super::{problem::Failure, session::Viewer};
use crate::{
    auth::{Actor, Caller, access},
    error::ApiError,
    request::Origin,
    state::AppState,
};

/// A session that may decide; what it does goes to the audit log under its key's name, as with the API.
#[derive(Clone, Debug)]
pub(super) struct Decider(pub(super) Actor);

impl FromRequestParts<AppState> for Decider {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Viewer { key, key_name, role } = Viewer::from_request_parts(parts, state).await?;
        let caller = Caller { key, name: key_name, role, system: None };
        if role < Role::Operator {
            let needed = "a key with the role operator or higher";
            return Err(Failure::from(access::forbidden(&caller, needed)).into_response());
        }
        if !is_from_own_page(&parts.headers) {
            let detail = "this was asked for by a page that is not of this dashboard; nothing was done";
            let error = ApiError::new(ErrorCode::Forbidden, detail);
            return Err(Failure::from(error.hint("open the dashboard and ask there")).into_response());
        }
        Ok(Self(Actor { caller: Some(caller), origin: Origin::of(&parts.extensions) }))
    }
}

/// Browsers say so in `Sec-Fetch-Site` over TLS and on the loopback, and in `Origin` everywhere. Who says neither is no browser; the
/// API with a key is for them.
fn is_from_own_page(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[("sec-fetch-site", "same-origin"), ("host", "proxied:8000"), ("origin", "https://witness")], true)]
    #[case(&[("sec-fetch-site", "same-site"), ("host", "nas1:8000"), ("origin", "http://nas1:8000")], false)]
    #[case(&[("sec-fetch-site", "cross-site")], false)]
    #[case(&[("host", "nas1:8000"), ("origin", "http://nas1:8000")], true)]
    #[case(&[("host", "nas1:8000"), ("origin", "http://nas1:9000")], false)]
    #[case(&[("host", "nas1:8000"), ("origin", "null")], false)]
    #[case(&[("host", "nas1:8000")], false)]
    #[case(&[], false)]
    fn only_our_own_pages_may_ask(#[case] headers: &[(&'static str, &'static str)], #[case] expected: bool) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(is_from_own_page(&headers.collect()), expected);
    }
}
