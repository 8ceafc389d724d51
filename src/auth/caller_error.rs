//! Why nobody is believed to be behind a request, in the words of the surface that was asked.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::error::{AuthCode, AuthError};
use crate::{
    error::Error,
    http::{Surface, SurfaceError},
    tenants::TokenError,
};

/// Why nobody is believed to be behind a request.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// There is neither key nor token.
    #[error("No API key found in request")]
    NoKey,
    /// There is a key, and no user's token where one is needed.
    #[error("This endpoint requires a valid Bearer token")]
    NoBearer,
    /// Key, token, path and host do not agree, or the key is not known.
    #[error("{0}")]
    Refused(String),
    /// The token is not good.
    #[error("invalid JWT: {0}")]
    BadToken(#[from] TokenError),
    /// The token is good and names no user.
    #[error("invalid claim: missing sub claim")]
    NoSubject,
    /// The session was ended.
    #[error("Session from session_id claim in JWT does not exist")]
    SessionGone,
    /// The user was deleted.
    #[error("User from sub claim in JWT does not exist")]
    UserGone,
    /// The user is banned.
    #[error("User is banned")]
    Banned,
    /// Our own fault.
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<CallerError> for AuthError {
    fn from(error: CallerError) -> Self {
        error.for_auth()
    }
}

impl CallerError {
    /// The answer of a surface.
    pub(super) fn answer(self, surface: Surface) -> Response {
        match (self, surface) {
            (Self::Internal(error), surface) => SurfaceError::from_error(surface, &error).into_response(),
            (error, Surface::Auth) => error.for_auth().into_response(),
            (error, Surface::Records) => error.for_records(),
            (error, Surface::Storage) => error.for_storage(),
            (error, surface) => SurfaceError::unauthorized(surface, error.to_string()).into_response(),
        }
    }

    pub(super) fn for_auth(self) -> AuthError {
        let (status, code) = match self {
            Self::NoKey | Self::NoBearer | Self::Refused(_) => (StatusCode::UNAUTHORIZED, AuthCode::NoAuthorization),
            Self::BadToken(_) | Self::NoSubject => (StatusCode::FORBIDDEN, AuthCode::BadJwt),
            Self::SessionGone => (StatusCode::FORBIDDEN, AuthCode::SessionNotFound),
            Self::UserGone => (StatusCode::FORBIDDEN, AuthCode::UserNotFound),
            Self::Banned => (StatusCode::FORBIDDEN, AuthCode::UserBanned),
            Self::Internal(error) => return error.into(),
        };
        let message = match &self {
            // In the words that clients of this wire look for.
            Self::BadToken(why) => format!("invalid JWT: unable to parse or verify signature, {why}"),
            error => error.to_string(),
        };
        AuthError::new(status, code, message)
    }

    /// PostgREST: 302 for nobody, 303 for a token whose claims do not hold, 301 for one that is none.
    fn for_records(self) -> Response {
        let code = match &self {
            Self::NoKey | Self::NoBearer => "PGRST302",
            Self::BadToken(TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature) | Self::Refused(_) => "PGRST301",
            _ => "PGRST303",
        };
        let message = match &self {
            Self::BadToken(TokenError::Expired) => "JWT expired".to_owned(),
            error => error.to_string(),
        };
        let challenge = if code == "PGRST302" { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        let mut response = json_answer(StatusCode::UNAUTHORIZED, &json!({ "code": code, "details": null, "hint": null, "message": message }));
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }

    /// Storage: 400 for everything, what it means in `statusCode`.
    fn for_storage(self) -> Response {
        let body = match &self {
            Self::NoKey | Self::NoBearer => json!({
                "statusCode": "403", "error": "Unauthorized", "message": "headers must have required property 'authorization'", "code": "InvalidJWT",
            }),
            Self::BadToken(TokenError::Expired) => json!({
                "statusCode": "403", "error": "Unauthorized", "message": "\"exp\" claim timestamp check failed", "code": "InvalidJWT",
            }),
            error => json!({ "statusCode": "403", "error": "Unauthorized", "message": error.to_string(), "code": "InvalidJWT" }),
        };
        json_answer(StatusCode::BAD_REQUEST, &body)
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
