//! What a caller of `/rest/v1` is told when something is wrong: PostgREST's four keys, with its codes and PostgreSQL's.
//!
//! One table of statuses for both databases: a code decides its status wherever it was made.

use std::{borrow::Cow, fmt, num::NonZero};

use http::StatusCode;
use serde_json::{Value as Json, json};

use crate::error::{Constraint, ConstraintKind, Error};

/// The result of everything in this room that can be refused.
pub(super) type RestResult<T> = Result<T, RestError>;

/// A refusal on its way to the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct RestError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `PGRST…` or an SQLSTATE.
    pub code: Cow<'static, str>,
    /// What is wrong.
    pub message: String,
    /// More of it: text, or a list for PGRST201.
    pub details: Option<Json>,
    /// What would be right.
    pub hint: Option<String>,
    /// The version that the row has, for who must read it again.
    pub version: Option<NonZero<i64>>,
    /// Which operation of a batch was refused.
    pub operation: Option<u8>,
    /// What only the log may see.
    pub cause: Option<String>,
}

impl RestError {
    /// A refusal whose status follows from its code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: status_of(code),
            code: Cow::Borrowed(code),
            message: message.into(),
            details: None,
            hint: None,
            version: None,
            operation: None,
            cause: None,
        }
    }

    /// Adds the details line.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(Json::String(details.into()));
        self
    }

    /// Adds the hint line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request's grammar is wrong: what was read, where it went wrong, what was found.
    pub fn parse(what: &str, text: &str, column: usize, details: impl Into<String>) -> Self {
        let shown: String = text.chars().take(200).collect();
        Self::new("PGRST100", format!("\"failed to parse {what} ({shown})\" (line 1, column {})", column + 1)).details(details)
    }

    /// The caller may not touch the named thing: 401 when nobody is signed in.
    pub fn denied(anonymous: bool, message: impl Into<String>) -> Self {
        let mut error = Self::new("42501", message);
        if anonymous {
            error.status = StatusCode::UNAUTHORIZED;
        }
        error
    }

    /// The body of the answer.
    pub fn body(&self) -> Json {
        let mut body = json!({ "code": self.code, "details": self.details, "hint": self.hint, "message": self.message });
        if let Some(operation) = self.operation {
            body["operation"] = json!(operation);
        }
        body
    }
}

/// The status that belongs to a code.
fn status_of(code: &str) -> StatusCode {
    let number = match code {
        _ if code.starts_with("PT") => code[2..].parse().unwrap_or(500),
        "PGRST000" | "PGRST001" | "PGRST002" | "57P01" => 503,
        "PGRST003" => 504,
        "PGRST101" | "PGRST105" | "PGRST117" | "25006" => 405,
        "PGRST103" => 416,
        "PGRST106" | "PGRST107" | "PGRST116" => 406,
        "PGRST125" | "PGRST126" | "PGRST202" | "PGRST205" | "42883" | "42P01" => 404,
        "PGRST201" | "PGRST203" => 300,
        "PGRST301" | "PGRST302" | "PGRST303" => 401,
        "PGRST413" => 413,
        "PGRST415" => 415,
        "23503" | "23505" | "23P01" => 409,
        "42501" => 403,
        "42P17" | "53400" | "PGRST111" | "PGRST112" | "PGRST300" | "PGRSTX00" => 500,
        _ => match &code[..2] {
            "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "XX" => 500,
            "08" | "53" => 503,
            "28" | "0L" | "0P" => 403,
            _ => 400,
        },
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl fmt::Display for RestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for RestError {}

/// Inside a transaction only [`Error`] travels; a refusal rides in it and is found again outside.
impl From<RestError> for Error {
    fn from(error: RestError) -> Self {
        Self::internal(error)
    }
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal(source) => match source.downcast::<Self>() {
                Ok(refusal) => *refusal,
                Err(source) => {
                    let mut error = Self::new("PGRSTX00", "something went wrong on our side");
                    error.cause = Some(source.to_string());
                    error
                }
            },
            Error::Constraint(constraint) => Self::from(*constraint),
            Error::NotFound(what) => Self::new("PGRST205", format!("{what} not found")),
            Error::Conflict(why) => {
                let mut error = Self::new("PGRST100", why);
                error.status = StatusCode::CONFLICT;
                error
            }
            Error::Invalid { field, why } => Self::new("22P02", format!("{field}: {why}")),
            Error::Forbidden(why) => Self::new("42501", why),
            Error::Unauthorized(why) => Self::new("PGRST301", why),
            Error::Unavailable(why) => Self::new("PGRST001", why),
            Error::Timeout => Self::new("57014", "canceling statement due to statement timeout"),
        }
    }
}

/// A broken rule in PostgreSQL's words. What the detail line says of `tenant_id` is our own business and left out; the failing row of a
/// check is too, because the caller need not be allowed to read all of it.
impl From<Constraint> for RestError {
    fn from(broken: Constraint) -> Self {
        let code = match broken.kind {
            ConstraintKind::Unique => "23505",
            ConstraintKind::ForeignKey => "23503",
            ConstraintKind::NotNull => "23502",
            ConstraintKind::Check => "23514",
            ConstraintKind::Exclusion => "23P01",
            ConstraintKind::Data(_) => {
                let mut error = Self::new("22P02", broken.message);
                error.code = Cow::Owned(broken.kind.sqlstate().to_owned());
                return error;
            }
        };
        let mut error = Self::new(code, broken.message);
        error.details = broken.detail.and_then(|detail| without_tenant(&detail)).map(Json::String);
        error
    }
}

/// `Key (tenant_id, code)=(1, d001) already exists.` without its first column and value.
fn without_tenant(detail: &str) -> Option<String> {
    let rest = detail.strip_prefix("Key (tenant_id, ")?;
    let (columns, rest) = rest.split_once(")=(")?;
    let (_, values) = rest.split_once(", ")?;
    Some(format!("Key ({columns})=({values}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_do_not_name_the_tenant() {
        let detail = "Key (tenant_id, run_id, employee_id)=(7, a, b) already exists.";
        assert_eq!(without_tenant(detail).as_deref(), Some("Key (run_id, employee_id)=(a, b) already exists."));
        assert_eq!(without_tenant("Failing row contains (1, 777123)."), None);
    }

    #[test]
    fn codes_have_the_statuses_of_the_wire() {
        for (code, status) in
            [("PGRST100", 400), ("PGRST116", 406), ("23505", 409), ("22P02", 400), ("42703", 400), ("PGRST205", 404), ("57014", 500)]
        {
            assert_eq!(RestError::new(code, "").status.as_u16(), status, "{code}");
        }
    }
}
