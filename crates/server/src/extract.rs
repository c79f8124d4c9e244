//! Bodies, path parameters and queries, with every refusal as a problem that names the field.

use std::str::FromStr;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use http::{HeaderMap, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    name::{DatasetName, HostName, Label},
    pattern::DatasetPattern,
};

use crate::error::{Answer, ApiError};

/// Bytes a body may have.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// Bytes a report may have: 100 000 snapshots with their names are about 23 MB.
pub(crate) const REPORT_LIMIT: usize = 64 * 1024 * 1024;
/// Levels a body may be nested. Ours need eight; a parser that recurses deeper could be made to use up its stack.
const DEEPEST: usize = 32;

/// A body that must be there.
#[derive(Debug)]
pub(crate) struct Body<T, const LIMIT: usize = BODY_LIMIT>(pub(crate) T);

/// A body that may be missing or empty.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub(crate) Option<T>);

/// A body as it came, known to be JSON.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned, S: Send + Sync, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        json_content(request.headers())?;
        parse(&read(request, LIMIT).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        let content = json_content(request.headers());
        let bytes = read(request, BODY_LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        content?;
        parse(&bytes).map(|value| Self(Some(value)))
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        json_content(request.headers())?;
        read(request, BODY_LIMIT).await.map(Self)
    }
}

fn json_content(headers: &HeaderMap) -> Answer<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let detail = match kind.as_str() {
        "" => "the request says nothing about its body's type".to_owned(),
        other => format!("the body is said to be {}", other.chars().take(64).collect::<String>()),
    };
    Err(ApiError::new(ErrorCode::MediaType, detail).hint("send `Content-Type: application/json`"))
}

async fn read(request: Request, limit: usize) -> Answer<Bytes> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes, the most that this address takes");
        ApiError::new(ErrorCode::BodyTooLarge, detail)
    };
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(next) = cause {
            if next.to_string().contains("length limit exceeded") {
                return too_large();
            }
            cause = next.source();
        }
        ApiError::new(ErrorCode::BodyInvalid, "the body ended before it was complete")
    })
}

/// The value in a JSON text.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    if depth(bytes) > DEEPEST {
        let detail = format!("the body is nested more than {DEEPEST} levels");
        return Err(ApiError::new(ErrorCode::BodyTooDeep, detail));
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut *deserializer).map_err(|error| wrong(bytes, &error))?;
    match deserializer.end() {
        Ok(()) => Ok(value),
        Err(error) => Err(syntax(&error)),
    }
}

/// Brackets that are open at once, at most; those within strings are text.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

fn syntax(error: &serde_json::Error) -> ApiError {
    let detail = format!("the body is not JSON: {error}");
    ApiError::new(ErrorCode::BodyInvalid, detail).hint("the line and column count from 1")
}

/// A step of a JSON pointer (RFC 6901).
fn pointer_part(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment::{Enum, Map, Seq, Unknown};
    match segment {
        Seq { index } => format!("/{index}"),
        Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Enum { .. } | Unknown => String::new(),
    }
}

/// A text that is JSON, but not what is asked for.
fn wrong(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if matches!(inner.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return syntax(inner);
    }
    let pointer: String = error.path().iter().map(pointer_part).collect();
    let text = inner.to_string();
    let message = text.split(" at line ").next().unwrap_or_default().to_owned();
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let detail = format!("`{field}` is missing");
        return ApiError::new(ErrorCode::BodyInvalid, detail).field(
            format!("{pointer}/{field}"),
            ErrorCode::FieldRequired,
            "this field is required",
        );
    }
    if let Some(code) = named(bytes, &pointer, &message) {
        return ApiError::at(pointer, code, message);
    }
    let shown = if pointer.is_empty() { "the body" } else { &pointer };
    let detail = format!("{shown}: {message}");
    let is_range = message.starts_with("invalid value: integer");
    let code = if is_range { ErrorCode::ValueRange } else { ErrorCode::ValueInvalid };
    ApiError::new(ErrorCode::BodyInvalid, detail).field(pointer, code, message)
}

/// True when parsing the text as a `T` fails with this message.
fn says<T: FromStr<Err: ToString>>(text: &str, message: &str) -> bool {
    text.parse::<T>().is_err_and(|error| error.to_string() == message)
}

/// The code for a text that a type of names refused with this message.
fn named(bytes: &[u8], pointer: &str, message: &str) -> Option<ErrorCode> {
    // As a tree a text takes many times its size: of a whole report that could be a gigabyte, for a code that is only more precise.
    if bytes.len() > BODY_LIMIT {
        return None;
    }
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let text = body.pointer(pointer)?.as_str()?;
    if says::<DatasetName>(text, message) || says::<Label>(text, message) {
        Some(ErrorCode::NameInvalid)
    } else if says::<DatasetPattern>(text, message) {
        Some(ErrorCode::PatternInvalid)
    } else if says::<HostName>(text, message) {
        Some(ErrorCode::HostInvalid)
    } else {
        None
    }
}

/// The one path parameter, as an identifier.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

/// The one path parameter, as text.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Segment(text) = Segment::from_request_parts(parts, state).await?;
        identifier(&text).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(ErrorCode::ValueInvalid, "the address is not valid text"))?;
        Ok(Self(text))
    }
}

/// An identifier out of a path.
pub(crate) fn identifier<T: FromStr>(text: &str) -> Answer<T> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        ApiError::new(ErrorCode::ValueInvalid, format!("`{shown}` is no identifier"))
            .hint("identifiers look like 0193b1c2-7a5e-7cc0-8000-3f2a91d4e601")
    })
}

/// What stands after the question mark.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text =
                    text.rsplit_once("query string: ").map_or(text.as_str(), |(_, rest)| rest).to_owned();
                let field = match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                    Some((field, _)) => field.to_owned(),
                    None => text.split_once(':').map(|(field, _)| field.to_owned()).unwrap_or_default(),
                };
                Err(ApiError::at(format!("?{field}"), ErrorCode::ValueInvalid, text))
            }
        }
    }
}

/// `skip` and `limit` of the v1 contract.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Rows to leave out; none when absent.
    skip: Option<i64>,
    /// Rows to answer; 100 when absent, all when negative.
    limit: Option<i64>,
}

impl Page {
    pub(crate) fn skip(self) -> u64 {
        self.skip.and_then(|skip| u64::try_from(skip).ok()).unwrap_or(0)
    }

    pub(crate) fn limit(self) -> u64 {
        // The largest number that both databases take.
        self.limit.map_or(100, |limit| u64::try_from(limit).unwrap_or(i64::MAX.cast_unsigned()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use zfs_sync_api::v1::{group::CreateGroup, system::CreateSystem};
    use zfs_sync_core::name::DatasetName;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Report {
        #[expect(dead_code, reason = "only parsed")]
        removed: Vec<DatasetName>,
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> (String, Vec<(String, String)>) {
        let error = parse::<T>(text.as_bytes()).unwrap_err();
        let problem = error.problem();
        let fields = problem.errors.iter().map(|field| (field.pointer.clone(), field.code.clone())).collect();
        (problem.code.clone(), fields)
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let error = parse::<Value>(b"{\n \"a\": nonsense}").unwrap_err();
        assert_eq!(error.problem().code, "E_BODY_INVALID");
        assert!(error.problem().detail_text().contains("line 2 column"), "{error}");
        assert!(parse::<Value>(b"{} trailing").is_err());
        assert!(parse::<Value>(b"").is_err());
    }

    #[test]
    fn a_missing_field_and_a_wrong_one_are_named() {
        assert_eq!(
            refused::<CreateSystem>(r#"{"hostname":"a"}"#),
            ("E_BODY_INVALID".into(), vec![("/platform".into(), "E_FIELD_REQUIRED".into())])
        );
        assert_eq!(
            refused::<CreateGroup>(r#"{"name":"a","systems":["x",7]}"#),
            ("E_BODY_INVALID".into(), vec![("/systems/1".into(), "E_VALUE_INVALID".into())])
        );
    }

    #[test]
    fn a_number_out_of_its_range_is_told_as_such() {
        assert_eq!(
            refused::<CreateSystem>(r#"{"hostname":"a","platform":"linux","ssh_port":70000}"#),
            ("E_BODY_INVALID".into(), vec![("/ssh_port".into(), "E_VALUE_RANGE".into())])
        );
    }

    #[rstest]
    #[case(r#"{"removed":["tank/a","tank/$(reboot)"]}"#)]
    #[case(r#"{"removed":["tank/a","tank/.."]}"#)]
    #[case(r#"{"removed":["tank/a","tank/ü"]}"#)]
    fn a_name_that_zfs_refuses_is_told_as_such(#[case] body: &str) {
        let expected = ("E_NAME_INVALID".into(), vec![("/removed/1".into(), "E_NAME_INVALID".into())]);
        assert_eq!(refused::<Report>(body), expected);
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
        let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
        assert_eq!(refused::<Value>(&deep).0, "E_BODY_TOO_DEEP");
        let fits = format!("{}{}", "[".repeat(32), "]".repeat(32));
        assert!(parse::<Value>(fits.as_bytes()).is_ok());
        // Never closed: still counted before a parser recurses into it.
        assert_eq!(refused::<Value>(&"[".repeat(1_000_000)).0, "E_BODY_TOO_DEEP");
    }
}
