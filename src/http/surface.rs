//! The surfaces a path can belong to, and how each says what went wrong before or around its handlers.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{notes::RequestId, problem::Problem};

/// A part of the API with a wire of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Auth,
    Records,
    Storage,
    Admin,
    Other,
}

/// Why a request was not answered by its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Overloaded,
    TooSlow,
    Panicked,
    TwoAuthorities,
}

impl Surface {
    pub(super) const ALL: [Self; 5] = [Self::Auth, Self::Records, Self::Storage, Self::Admin, Self::Other];

    pub(super) fn of(path: &str) -> Self {
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
        let rest = path.strip_prefix(Self::Storage.prefix()).unwrap_or_default();
        self == Self::Storage && sends && ["/object/", "/upload/", "/s3/"].iter().any(|room| rest.starts_with(room))
    }

    /// The answer to `trouble` in this surface's own shape.
    pub(super) fn answer(self, trouble: Trouble, id: &RequestId, asked: &HeaderMap) -> Response {
        let (status, message) = match trouble {
            Trouble::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "too many requests are being answered, try again in a second"),
            Trouble::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "the request took too long and was ended"),
            Trouble::TwoAuthorities => (StatusCode::BAD_REQUEST, "the request line and the Host header name different hosts"),
            Trouble::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on our side"),
        };
        let mut response = match self {
            Self::Auth => auth(trouble, status, message, id, asked),
            Self::Records => json_answer(status, &records(trouble, message, id)),
            Self::Storage => json_answer(status, &storage(trouble, status, message)),
            Self::Admin | Self::Other => Problem::new(status, message).into_response(),
        };
        if trouble == Trouble::Overloaded {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) const API_VERSION: &str = "x-supabase-api-version";

fn auth(trouble: Trouble, status: StatusCode, message: &str, id: &RequestId, asked: &HeaderMap) -> Response {
    let code = match trouble {
        Trouble::TooSlow => "request_timeout",
        Trouble::TwoAuthorities => "validation_failed",
        Trouble::Overloaded | Trouble::Panicked => "unexpected_failure",
    };
    // Dates in this spelling sort as text.
    let is_new = asked.get(API_VERSION).is_some_and(|version| version.len() == 10 && version.as_bytes() >= b"2024-01-01".as_slice());
    if !is_new {
        return json_answer(status, &json!({ "code": status.as_u16(), "error_code": code, "msg": message, "error_id": id.as_str() }));
    }
    let mut response = json_answer(status, &json!({ "code": code, "message": message }));
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("2024-01-01"));
    response
}

fn records(trouble: Trouble, message: &str, id: &RequestId) -> Value {
    let code = match trouble {
        Trouble::Overloaded => "PGRST000",
        Trouble::TooSlow => "PGRST003",
        Trouble::Panicked => "XX000",
        Trouble::TwoAuthorities => "PGRST100",
    };
    json!({ "code": code, "details": format!("request {id}"), "hint": null, "message": message })
}

fn storage(trouble: Trouble, status: StatusCode, message: &str) -> Value {
    let code = match trouble {
        Trouble::Overloaded => "SlowDown",
        Trouble::TooSlow => "DatabaseTimeout",
        Trouble::Panicked => "InternalError",
        Trouble::TwoAuthorities => "InvalidRequest",
    };
    json!({ "statusCode": status.as_str(), "error": code, "message": message, "code": code })
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
    }
}
