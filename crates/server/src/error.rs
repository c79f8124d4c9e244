//! Errors as they leave the server: problem+json, with the request's id.
//!
//! A handler returns an [`ApiError`]; the outermost layer ([`crate::request::identify`]) writes the body, so that every problem
//! carries the request's id and every fault is logged once, in one place.

use std::{error::Error as StdError, fmt, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use zfs_sync_api::{
    codes::ErrorCode,
    problem::{FieldProblem, Problem},
};
use zfs_sync_store::Error as StoreError;

/// What a handler answers when it can not do what was asked.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
    /// For the log only: it may name tables and addresses.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Travels from a handler to the layer that writes the body.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Box<Problem>,
    pub(crate) cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The answer of a handler.
pub(crate) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(code, detail)), cause: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn field(
        mut self,
        pointer: impl Into<String>,
        code: ErrorCode,
        detail: impl Into<String>,
    ) -> Self {
        *self.problem = self.problem.field(pointer, code, detail);
        self
    }

    /// One wrong field: its code is the answer's code.
    pub(crate) fn at(pointer: impl Into<String>, code: ErrorCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(code, detail.clone()).field(pointer, code, detail)
    }

    /// Several wrong fields under their common code, or under `otherwise` where they have none. `fields` is not empty.
    pub(crate) fn fields(fields: Vec<FieldProblem>, otherwise: ErrorCode) -> Self {
        let mut codes = fields.iter().map(|field| field.code.as_str());
        let first = codes.next().and_then(ErrorCode::from_code).unwrap_or(otherwise);
        let code = if codes.all(|code| code == first.code()) { first } else { otherwise };
        let detail = match fields.as_slice() {
            [only] => only.detail.clone(),
            many => format!("{} fields are wrong; see the list", many.len()),
        };
        let mut problem = Problem::new(code, detail);
        problem.errors = fields;
        Self { problem: Box::new(problem), cause: None }
    }

    /// A fault of ours; the cause goes to the log, never to the caller.
    pub(crate) fn internal(cause: impl StdError + Send + Sync + 'static) -> Self {
        let detail = "the witness failed to do this; its log says why, under this request id";
        let mut error = Self::new(ErrorCode::Internal, detail);
        error.cause = Some(Arc::new(cause));
        error
    }

    /// The registered code.
    pub(crate) fn code(&self) -> ErrorCode {
        ErrorCode::from_code(&self.problem.code).unwrap_or(ErrorCode::Internal)
    }

    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.problem.code, self.problem.detail_text())
    }
}

impl StdError for ApiError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Refusal { problem: self.problem, cause: self.cause });
        response
    }
}

/// Collects what is wrong with single fields, so that one answer names them all.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldProblem>);

impl Fields {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, code: ErrorCode, detail: impl Into<String>) {
        let (pointer, detail) = (pointer.into(), detail.into());
        self.0.push(FieldProblem { pointer, code: code.code().to_owned(), detail });
    }

    /// The parsed value; where the text is none, the field is noted.
    pub(crate) fn parse<T>(&mut self, pointer: impl Into<String>, code: ErrorCode, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(pointer, code, T::Err::to_string(&error));
                None
            }
        }
    }

    /// An error when a field is wrong.
    pub(crate) fn finish(self, otherwise: ErrorCode) -> Answer<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::fields(self.0, otherwise)) }
    }
}

impl From<StoreError> for ApiError {
    /// For failures that no handler expects. Those that it does expect (a name that is taken) it turns into its own answer first.
    fn from(error: StoreError) -> Self {
        if let StoreError::Unavailable(_) = &error {
            let mut answer =
                Self::new(ErrorCode::DatabaseUnavailable, "the witness's database does not answer")
                    .hint("replication that is under way goes on; try again in a moment");
            answer.cause = Some(Arc::new(error));
            return answer;
        }
        Self::internal(error)
    }
}
