//! The errors of resumable uploads: a true status, and why in plain text.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::request::{TUS_RESUMABLE, VERSION};
use crate::{
    blobs::PutError,
    error::Error,
    http::{Surface, SurfaceError},
    storage::error::StorageError,
};

/// What went wrong.
#[derive(Debug)]
pub(in crate::storage) struct TusError(Trouble);

#[derive(Debug)]
enum Trouble {
    Told(StatusCode, Cow<'static, str>),
    /// What the rest of storage says, with the status that it means.
    Storage(StorageError),
}

impl TusError {
    pub(super) fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Trouble::Told(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), message.into()))
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "The upload is not there")
    }

    pub(super) fn wrong_offset() -> Self {
        Self::new(409, "Upload-Offset is not where the upload is; ask for it with HEAD")
    }

    /// Another request has written since.
    pub(super) fn lost_lease() -> Self {
        Self::new(409, "Another request has taken the upload over; ask for its offset with HEAD")
    }

    pub(super) fn locked() -> Self {
        Self::new(423, "Another request is writing to the upload; try again in some seconds")
    }

    pub(super) fn too_large() -> Self {
        Self::new(413, "Maximum size exceeded")
    }
}

impl From<StorageError> for TusError {
    fn from(error: StorageError) -> Self {
        Self(Trouble::Storage(error))
    }
}

impl From<Error> for TusError {
    fn from(error: Error) -> Self {
        Self(Trouble::Storage(error.into()))
    }
}

impl From<std::convert::Infallible> for TusError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl<E: Into<TusError>> From<PutError<E>> for TusError {
    fn from(error: PutError<E>) -> Self {
        match error {
            PutError::TooLarge => Self::too_large(),
            PutError::Body(error) => error.into(),
            PutError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for TusError {
    fn into_response(self) -> Response {
        let (status, message) = match self.0 {
            Trouble::Told(status, message) => (status, message),
            Trouble::Storage(StorageError::Told(code, message)) => (code.true_status(), message),
            Trouble::Storage(StorageError::Denied { message, missing }) => {
                (StatusCode::FORBIDDEN, format!("{message} (missing permission: {missing})").into())
            }
            Trouble::Storage(StorageError::Ground(error)) => {
                // It is logged and given its status where every room's is.
                let response = SurfaceError::from_error(Surface::Storage, &error).into_response();
                let message = if response.status().is_server_error() { "something went wrong on our side".into() } else { error.to_string().into() };
                (response.status(), message)
            }
        };
        let mut response = (status, message.into_owned()).into_response();
        let headers = response.headers_mut();
        headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::PRECONDITION_FAILED => drop(headers.insert("tus-version", HeaderValue::from_static(VERSION))),
            StatusCode::LOCKED | StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3"))),
            _ => {}
        }
        response
    }
}
