//! The errors of the storage wire: four strings, and for most of them HTTP 400, whatever the error is. A tenant can have the true status.

use std::borrow::Cow;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    blobs::PutError,
    error::{ConstraintKind, Error},
    http::{Surface, SurfaceError, body::BodyError, wants_true_status},
};

/// The codes of this wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoSuchBucket,
    NoSuchKey,
    /// The row is there and its bytes are not.
    MissingBytes,
    AccessDenied,
    /// Refused for the caller's role, with a true status.
    InvalidRole,
    KeyAlreadyExists,
    BucketAlreadyExists,
    InvalidMimeType,
    EntityTooLarge,
    /// The bytes are others than the client said.
    BadDigest,
    /// There is no room for it under the tenant's, the bucket's or the user's limit.
    QuotaExceeded,
    ResourceNotEmpty,
    InvalidKey,
    InvalidBucketName,
    InvalidJwt,
    InvalidSignature,
    InvalidRequest,
    MissingPart,
    InvalidRange,
    /// The body's own type, not the file's.
    UnsupportedMediaType,
}

impl Code {
    /// The code, the status that is told, the label older clients know, and the status that is meant for HTTP.
    fn row(self) -> (&'static str, u16, &'static str, u16) {
        match self {
            Self::NoSuchBucket => ("NoSuchBucket", 404, "Bucket not found", 400),
            Self::NoSuchKey => ("NoSuchKey", 404, "not_found", 400),
            Self::MissingBytes => ("NoSuchKey", 404, "Not found", 400),
            Self::AccessDenied => ("AccessDenied", 403, "Unauthorized", 400),
            Self::InvalidRole => ("AccessDenied", 403, "Unauthorized", 403),
            Self::KeyAlreadyExists => ("KeyAlreadyExists", 409, "Duplicate", 400),
            Self::BucketAlreadyExists => ("BucketAlreadyExists", 409, "Duplicate", 400),
            Self::InvalidMimeType => ("InvalidMimeType", 415, "invalid_mime_type", 400),
            Self::EntityTooLarge => ("EntityTooLarge", 413, "Payload too large", 400),
            Self::BadDigest => ("BadDigest", 400, "BadDigest", 400),
            Self::QuotaExceeded => ("QuotaExceeded", 413, "QuotaExceeded", 400),
            Self::ResourceNotEmpty => ("ResourceNotEmpty", 409, "ResourceNotEmpty", 400),
            Self::InvalidKey => ("InvalidKey", 400, "InvalidKey", 400),
            Self::InvalidBucketName => ("InvalidBucketName", 400, "Invalid Input", 400),
            Self::InvalidJwt => ("InvalidJWT", 400, "InvalidJWT", 400),
            Self::InvalidSignature => ("InvalidSignature", 400, "InvalidSignature", 400),
            Self::InvalidRequest => ("InvalidRequest", 400, "Error", 400),
            Self::MissingPart => ("MissingPart", 400, "MissingPart", 400),
            Self::InvalidRange => ("InvalidRange", 416, "InvalidRange", 416),
            Self::UnsupportedMediaType => ("InvalidRequest", 415, "Error", 400),
        }
    }

    /// The status that it means.
    pub(super) fn true_status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

/// What went wrong, on the storage wire.
#[derive(Debug)]
pub(super) enum StorageError {
    Told(Code, Cow<'static, str>),
    /// Denied for want of a permission, in the words that clients know, and by its name.
    Denied {
        message: &'static str,
        missing: &'static str,
    },
    /// From below; told in the shape of this wire.
    Ground(Error),
}

/// The body of every error of storage.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What the HTTP status would be if this wire used it.
    #[serde(rename = "statusCode")]
    #[schema(example = "404")]
    status_code: String,
    /// The label that older clients know.
    #[schema(example = "not_found")]
    error: String,
    /// For the person who must act.
    #[schema(example = "Object not found")]
    message: String,
    /// What went wrong, for programs.
    #[schema(example = "NoSuchKey")]
    code: String,
    /// What would help: the permission that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "missing permission: update")]
    hint: Option<String>,
}

impl StorageError {
    pub(super) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Told(code, message.into())
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    pub(super) fn no_bucket() -> Self {
        Self::new(Code::NoSuchBucket, "Bucket not found")
    }

    pub(super) fn no_object() -> Self {
        Self::new(Code::NoSuchKey, "Object not found")
    }

    pub(super) fn missing_bytes() -> Self {
        Self::new(Code::MissingBytes, "The resource was not found")
    }

    /// The words that clients know from a server with the rules of `PostgreSQL`.
    pub(super) fn refused_row(missing: &'static str) -> Self {
        Self::Denied { message: "new row violates row-level security policy", missing }
    }

    pub(super) fn denied(missing: &'static str) -> Self {
        Self::Denied { message: "Access denied", missing }
    }

    pub(super) fn object_exists() -> Self {
        Self::new(Code::KeyAlreadyExists, "The resource already exists")
    }

    pub(super) fn bucket_exists() -> Self {
        Self::new(Code::BucketAlreadyExists, "The resource already exists")
    }

    pub(super) fn too_large() -> Self {
        Self::new(Code::EntityTooLarge, "The object exceeded the maximum allowed size")
    }

    pub(super) fn wrong_type(kind: &str) -> Self {
        Self::new(Code::InvalidMimeType, format!("mime type {kind} is not supported"))
    }

    /// A write that names a bucket which is gone by now.
    pub(super) fn or_no_bucket(error: Error) -> Self {
        match &error {
            Error::Constraint(constraint) if constraint.kind == ConstraintKind::ForeignKey => Self::no_bucket(),
            _ => error.into(),
        }
    }
}

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        Self::Ground(error)
    }
}

impl From<BodyError> for StorageError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge { .. } => Code::EntityTooLarge,
            BodyError::WrongType(_) => Code::UnsupportedMediaType,
            BodyError::BadJson(_) | BodyError::Interrupted => Code::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

impl<E: Into<StorageError>> From<PutError<E>> for StorageError {
    fn from(error: PutError<E>) -> Self {
        match error {
            PutError::TooLarge => Self::too_large(),
            PutError::Body(error) => error.into(),
            PutError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for StorageError {
    fn into_response(self) -> Response {
        let (code, message, missing) = match self {
            Self::Told(code, message) => (code, message, None),
            Self::Denied { message, missing } => (Code::AccessDenied, message.into(), Some(missing)),
            Self::Ground(error) => return SurfaceError::from_error(Surface::Storage, &error).into_response(),
        };
        let (name, told, label, status) = code.row();
        let hint = missing.map(|missing| format!("missing permission: {missing}"));
        let body = ErrorBody { status_code: told.to_string(), error: label.to_owned(), message: message.into_owned(), code: name.to_owned(), hint };
        let status = if wants_true_status() { code.true_status() } else { StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST) };
        (status, Json(body)).into_response()
    }
}
