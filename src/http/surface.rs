//! The surfaces a path can belong to, and how each says what went wrong before or around its handlers.

use std::borrow::Cow;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{self, HeaderName},
};
use serde_json::{Value, json};

use super::{
    notes::{request_id, wants_text_codes},
    problem::{Problem, report},
};
use crate::error::Error;

/// A part of the API with a wire of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// `/auth/v1`
    Auth,
    /// `/rest/v1`
    Records,
    /// `/storage/v1`
    Storage,
    /// `/admin/v1`
    Admin,
    /// Health, metrics, the document.
    Other,
}

impl Surface {
    pub(super) const ALL: [Self; 5] = [Self::Auth, Self::Records, Self::Storage, Self::Admin, Self::Other];

    /// The surface that a path, without the tenant's prefix, belongs to.
    pub fn of(path: &str) -> Self {
        let is_in = |surface: Self| path.strip_prefix(surface.prefix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        [Self::Records, Self::Auth, Self::Storage, Self::Admin].into_iter().find(|surface| is_in(*surface)).unwrap_or(Self::Other)
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Auth => "/auth/v1",
            Self::Records => "/rest/v1",
            Self::Storage => "/storage/v1",
            Self::Admin => "/admin/v1",
            Self::Other => "",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Records => "records",
            Self::Storage => "storage",
            Self::Admin => "admin",
            Self::Other => "other",
        }
    }

    /// Whether the request carries a file, which may take its time; the pace of the transfer bounds it instead.
    pub(super) fn is_transfer(self, method: &Method, path: &str) -> bool {
        let sends = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        let rest = path.strip_prefix(self.prefix()).unwrap_or_default();
        match self {
            Self::Storage => sends && ["/object/", "/upload/", "/s3/"].iter().any(|room| rest.starts_with(room)),
            Self::Records => *method == Method::POST && rest.ends_with("/_load"),
            _ => false,
        }
    }
}

/// What went wrong before or around a handler, in the shape of the surface that was asked. Inside a room its own error type serves.
#[derive(Debug)]
pub struct SurfaceError {
    surface: Surface,
    trouble: Trouble,
    message: Cow<'static, str>,
}

/// The kinds of it, each with its code on every surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    WrongMethod,
    Conflict,
    Overloaded,
    TooSlow,
    Internal,
}

/// Status, then the code of auth, of records, of storage.
type Codes = (StatusCode, &'static str, &'static str, &'static str);

impl Trouble {
    fn codes(self) -> Codes {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "validation_failed", "PGRST100", "InvalidRequest"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "no_authorization", "PGRST301", "AccessDenied"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "not_admin", "42501", "AccessDenied"),
            Self::NotFound => (StatusCode::NOT_FOUND, "validation_failed", "PGRST125", "NoSuchKey"),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "validation_failed", "PGRST117", "MethodNotAllowed"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "23505", "ResourceAlreadyExists"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "unexpected_failure", "PGRST000", "SlowDown"),
            Self::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "request_timeout", "PGRST003", "DatabaseTimeout"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "unexpected_failure", "XX000", "InternalError"),
        }
    }
}

impl SurfaceError {
    /// The request has no key or token that is known.
    pub fn unauthorized(surface: Surface, why: impl Into<Cow<'static, str>>) -> Self {
        Self { surface, trouble: Trouble::Unauthorized, message: why.into() }
    }

    /// The caller may not do this.
    pub fn forbidden(surface: Surface, why: impl Into<Cow<'static, str>>) -> Self {
        Self { surface, trouble: Trouble::Forbidden, message: why.into() }
    }

    /// The request can't be understood.
    pub fn bad_request(surface: Surface, why: impl Into<Cow<'static, str>>) -> Self {
        Self { surface, trouble: Trouble::BadRequest, message: why.into() }
    }

    /// What an error of the ground floor means to a client. What is our fault is logged here, and the client sees the request's id only.
    pub fn from_error(surface: Surface, error: &Error) -> Self {
        let trouble = match error {
            Error::NotFound(_) => Trouble::NotFound,
            Error::Conflict(_) | Error::Constraint(_) => Trouble::Conflict,
            Error::Invalid { .. } => Trouble::BadRequest,
            Error::Forbidden(_) => Trouble::Forbidden,
            Error::Unauthorized(_) => Trouble::Unauthorized,
            Error::Unavailable(_) => Trouble::Overloaded,
            Error::Timeout => Trouble::TooSlow,
            Error::Internal(_) => {
                report(error);
                return Self::internal(surface);
            }
        };
        let message = match error {
            Error::Constraint(_) => "the request contradicts what is stored".into(),
            error => error.to_string().into(),
        };
        Self { surface, trouble, message }
    }

    /// There is no such route.
    pub fn no_route(surface: Surface, why: impl Into<Cow<'static, str>>) -> Self {
        Self { surface, trouble: Trouble::NotFound, message: why.into() }
    }

    /// The route is there, for other methods.
    pub fn wrong_method(surface: Surface, why: impl Into<Cow<'static, str>>) -> Self {
        Self { surface, trouble: Trouble::WrongMethod, message: why.into() }
    }

    pub(super) fn internal(surface: Surface) -> Self {
        Self { surface, trouble: Trouble::Internal, message: "something went wrong on our side".into() }
    }

    pub(super) fn overloaded(surface: Surface) -> Self {
        Self { surface, trouble: Trouble::Overloaded, message: "too many requests are being answered, try again in a second".into() }
    }

    pub(super) fn too_slow(surface: Surface) -> Self {
        Self { surface, trouble: Trouble::TooSlow, message: "the request took too long and was ended".into() }
    }
}

impl IntoResponse for SurfaceError {
    fn into_response(self) -> Response {
        let message = &*self.message;
        let (status, auth_code, records_code, storage_code) = self.trouble.codes();
        let mut response = match self.surface {
            Surface::Auth => auth(status, auth_code, message),
            Surface::Records => json_answer(status, &json!({ "code": records_code, "details": null, "hint": hint(status), "message": message })),
            Surface::Storage => {
                let label = if storage_code == "AccessDenied" { "Unauthorized" } else { storage_code };
                json_answer(status, &json!({ "statusCode": status.as_str(), "error": label, "message": message, "code": storage_code }))
            }
            Surface::Admin | Surface::Other => Problem::new(status, message).into_response(),
        };
        if self.trouble == Trouble::Overloaded {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");

fn auth(status: StatusCode, code: &str, message: &str) -> Response {
    let mut response = if wants_text_codes() {
        let mut response = json_answer(status, &json!({ "code": code, "message": message }));
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("2024-01-01"));
        response
    } else {
        let mut body = json!({ "code": status.as_u16(), "error_code": code, "msg": message });
        if status.is_server_error() {
            body["error_id"] = request_id().as_str().into();
        }
        json_answer(status, &body)
    };
    if let Ok(code) = HeaderValue::from_str(code) {
        response.headers_mut().insert("x-sb-error-code", code);
    }
    response
}

/// Where the operator finds what happened.
fn hint(status: StatusCode) -> Option<String> {
    status.is_server_error().then(|| format!("Look for request {} in the server's log", request_id()))
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_surface_of_its_whole_first_words() {
        assert_eq!(Surface::of("/rest/v1/employees"), Surface::Records);
        assert_eq!(Surface::of("/rest/v1"), Surface::Records);
        assert_eq!(Surface::of("/rest/v10"), Surface::Other);
        assert_eq!(Surface::of("/"), Surface::Other);
    }

    #[test]
    fn only_files_on_their_way_in_are_transfers() {
        let is_transfer = |method, path: &str| Surface::of(path).is_transfer(&method, path);
        assert!(is_transfer(Method::POST, "/storage/v1/object/b/k"));
        assert!(is_transfer(Method::PATCH, "/storage/v1/upload/resumable/x"));
        assert!(!is_transfer(Method::GET, "/storage/v1/object/b/k"));
        assert!(!is_transfer(Method::POST, "/storage/v1/bucket"));
        assert!(!is_transfer(Method::POST, "/rest/v1/object/"));
        assert!(is_transfer(Method::POST, "/rest/v1/employees/_load"));
        assert!(!is_transfer(Method::GET, "/rest/v1/employees/_load"));
    }
}
