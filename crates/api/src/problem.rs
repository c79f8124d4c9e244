//! Errors on the wire: RFC 9457 problem details, with a code, a hint and the fields of the old service.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::codes::ErrorCode;

/// `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:zfs-sync:error:E_…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The same, as the old service's documents have it.
    pub status_code: u16,
    /// What happened here. For field errors on v1 paths a list in the old service's form.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// `E_…`.
    pub code: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// True when the same request may succeed later.
    pub retryable: bool,
    /// Field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Where the code is explained.
    pub docs: String,
    /// Names this request in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// JSON pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// `E_…`.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem with this code and a sentence about what happened.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:zfs-sync:error:{}", code.code()),
            title: code.title().to_owned(),
            status: code.status(),
            status_code: code.status(),
            detail: Value::String(detail.into()),
            code: code.code().to_owned(),
            hint: None,
            retryable: code.is_retryable(),
            errors: Vec::new(),
            docs: format!("/docs/codes/{}", code.code()),
            request_id: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, code: ErrorCode, detail: impl Into<String>) -> Self {
        self.errors.push(FieldProblem {
            pointer: pointer.into(),
            code: code.code().to_owned(),
            detail: detail.into(),
        });
        self
    }

    /// The detail as text, whatever its form.
    pub fn detail_text(&self) -> String {
        match &self.detail {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}
