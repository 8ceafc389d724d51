//! What comes with a request: the body as JSON, and the checks that more than one flow makes.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{
    error::{AuthCode, AuthError},
    model::Metadata,
};
use crate::{app::App, http::body::read_json};

/// Bytes of a body at most.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;
/// Bytes of metadata at most. All of it travels in every access token, and that in a header.
const MOST_USER_METADATA: usize = 8 * 1024;
const MOST_APP_METADATA: usize = 2 * 1024;

/// The body of a request, read as JSON whatever it says it is. An empty one is an empty object.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &App) -> Result<Self, Response> {
        read_json(request, BODY_LIMIT).await.map(Self).map_err(|error| AuthError::from(error).into_response())
    }
}

/// Reads a field that may be left out: stock clients send `null` for what they were not told.
pub(super) fn default_if_null<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Refuses `user_metadata` that is too large or can't be stored.
pub(super) fn check_user_metadata(metadata: &Metadata) -> Result<(), AuthError> {
    check_metadata("user_metadata", metadata, MOST_USER_METADATA)
}

/// Refuses `app_metadata` that is too large or can't be stored.
pub(super) fn check_app_metadata(metadata: &Metadata) -> Result<(), AuthError> {
    check_metadata("app_metadata", metadata, MOST_APP_METADATA)
}

/// An id in the path. What is none names nothing.
pub(super) fn path_id(name: &str, text: &str) -> Result<Uuid, AuthError> {
    let is_hyphenated = text.len() == 36;
    let id = is_hyphenated.then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| AuthError::new(StatusCode::NOT_FOUND, AuthCode::ValidationFailed, format!("{name} must be an UUID")))
}

fn check_metadata(name: &str, metadata: &Metadata, most: usize) -> Result<(), AuthError> {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |text| text.len());
    if size > most {
        return Err(AuthError::validation(format!("{name} has {size} bytes; it can have {most}, since every token carries it")));
    }
    // PostgreSQL keeps no NUL in a text.
    if metadata.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
        return Err(AuthError::validation(format!("{name} has a text with a NUL (\\u0000), which can't be stored")));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
