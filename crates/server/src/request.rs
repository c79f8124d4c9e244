//! What happens around every request: an id, a span in the log, one form for all errors.

use std::{any::Any, net::SocketAddr};

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use tracing::Instrument as _;
use uuid::Uuid;
use zfs_sync_api::codes::ErrorCode;

use crate::error::{ApiError, Refusal};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids would let callers fill the log; proxies send 36.
const LONGEST_ID: usize = 64;

/// Names a request in log, answer and audit.
#[derive(Clone, Debug)]
struct RequestId(String);

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) request_id: String,
    /// IP address, without the port.
    pub(crate) address: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

impl Origin {
    pub(crate) fn of(extensions: &http::Extensions) -> Self {
        let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let address =
            extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_string());
        Self { request_id, address }
    }
}

/// The caller's id where it is harmless in a log, otherwise a new one.
fn request_id(request: &Request) -> String {
    let harmless = |id: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(allowed)
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Outermost layer: gives the request its id and writes the body of refusals.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    // The path only: a query may hold what a person typed.
    let span = tracing::info_span!("request", request_id = %id, method = %request.method(), path = request.uri().path());
    async move {
        let mut response = next.run(request).await;
        if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
            response = refused(response, refusal, &id);
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}

fn refused(response: Response, refusal: Refusal, id: &str) -> Response {
    let Refusal { mut problem, cause } = refusal;
    let status = response.status();
    if status.is_server_error() {
        let error = cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static));
        tracing::error!(code = problem.code, status = status.as_u16(), error, "{}", problem.detail_text());
    } else {
        tracing::debug!(code = problem.code, status = status.as_u16(), "refused: {}", problem.detail_text());
    }
    problem.request_id = Some(id.to_owned());
    let (parts, _) = response.into_parts();
    let mut written = (status, Json(problem)).into_response();
    // What the router said beside the status, `Allow` for example.
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            written.headers_mut().append(name, value.clone());
        }
    }
    let headers = written.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
    }
    written
}

/// A handler's panic is a fault of ours like any other: it is logged with the request's id, and the server goes on.
#[expect(clippy::needless_pass_by_value, reason = "the layer that catches panics passes them so")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    ApiError::internal(Panic(text)).into_response()
}

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panic(String);

/// No route has this path.
pub(crate) async fn not_found(request: Request) -> ApiError {
    let detail = format!("there is nothing at {}", request.uri().path());
    ApiError::new(ErrorCode::NotFound, detail).hint("GET /api/v1/openapi.json lists what there is")
}
