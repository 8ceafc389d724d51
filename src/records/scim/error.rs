//! What went wrong, as SCIM says it (RFC 7644, 3.12).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::records::error::RestError;

/// The form of every answer.
pub(super) const CONTENT_TYPE: &str = "application/scim+json";

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct ScimError {
    status: StatusCode,
    /// The kind of it, where SCIM has a word.
    kind: Option<&'static str>,
    detail: String,
}

impl ScimError {
    /// An error of this status.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into() }
    }

    fn of_kind(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: Some(kind), detail: detail.into() }
    }

    /// The filter can't be read, or asks for what can't be searched.
    pub(super) fn filter(detail: String) -> Self {
        Self::of_kind("invalidFilter", detail)
    }

    /// The path leads nowhere.
    pub(super) fn path(detail: String) -> Self {
        Self::of_kind("invalidPath", detail)
    }

    /// A value is not what it should be.
    pub(super) fn value(detail: impl Into<String>) -> Self {
        Self::of_kind("invalidValue", detail)
    }

    /// The body can't be read.
    pub(super) fn syntax(detail: impl Into<String>) -> Self {
        Self::of_kind("invalidSyntax", detail)
    }

    /// There is no such resource.
    pub(super) fn missing(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Resource {id} not found"))
    }
}

impl From<RestError> for ScimError {
    fn from(error: RestError) -> Self {
        // What is our fault is logged, and told by its number in the log, there.
        if error.status.is_server_error() {
            let status = error.status;
            drop(error.into_response());
            return Self::new(status, "something went wrong on our side");
        }
        let details = error.details.as_ref().and_then(serde_json::Value::as_str).map_or_else(String::new, |details| format!(": {details}"));
        let detail = format!("{}{details}", error.message);
        match error.code.as_ref() {
            "23505" => Self { status: StatusCode::CONFLICT, kind: Some("uniqueness"), detail },
            "PT412" | "PT404" => Self::new(StatusCode::PRECONDITION_FAILED, detail),
            _ if error.status == StatusCode::CONFLICT || error.status == StatusCode::BAD_REQUEST => Self::value(detail),
            _ => Self::new(error.status, detail),
        }
    }
}

impl From<crate::error::Error> for ScimError {
    fn from(error: crate::error::Error) -> Self {
        // A refusal travels through a transaction as an error of the ground floor.
        match error {
            crate::error::Error::Internal(source) => match source.downcast::<Self>() {
                Ok(refusal) => *refusal,
                Err(source) => RestError::from(crate::error::Error::Internal(source)).into(),
            },
            error => RestError::from(error).into(),
        }
    }
}

impl std::fmt::Display for ScimError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ScimError {}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_u16().to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            body["scimType"] = kind.into();
        }
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}
