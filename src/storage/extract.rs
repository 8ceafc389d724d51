//! What handlers of storage take from a request, refused in the shape of this wire.

use axum::{
    extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request},
    http::{Method, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use super::{
    error::{Code, StorageError},
    model::{BucketName, ObjectKey},
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant, Principal},
    http::body,
};

/// `{bucket}/{*key}` of the path.
pub(super) struct ObjectPath {
    pub(super) bucket: BucketName,
    pub(super) key: ObjectKey,
}

impl FromRequestParts<App> for ObjectPath {
    type Rejection = StorageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, StorageError> {
        let Path((bucket, key)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| StorageError::new(Code::InvalidKey, "Invalid key: the path is not UTF-8"))?;
        if is_in_bucket_public(parts) {
            return Ok(Self { bucket: BucketName::read("public")?, key: ObjectKey::read(&format!("{bucket}/{key}"))? });
        }
        Ok(Self { bucket: BucketName::read(&bucket)?, key: ObjectKey::read(&key)? })
    }
}

/// Many apps have a bucket called `public`. Reading `/object/public/a/b` is reading `b` from the public bucket `a`; but writing there
/// can only mean the key `a/b` of that bucket.
fn is_in_bucket_public(parts: &Parts) -> bool {
    let matched = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    matched == PUBLIC_OBJECTS && !matches!(parts.method, Method::GET | Method::HEAD)
}

/// The route of what everybody may read.
pub(super) const PUBLIC_OBJECTS: &str = "/storage/v1/object/public/{bucket}/{*key}";

/// `{bucket}` of the path.
pub(super) struct BucketPath(pub(super) BucketName);

impl FromRequestParts<App> for BucketPath {
    type Rejection = StorageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, StorageError> {
        let invalid = || StorageError::new(Code::InvalidBucketName, "Bucket name invalid");
        let Path(bucket) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| invalid())?;
        BucketName::read(&bucket).map(Self)
    }
}

/// The query of a request.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = StorageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, StorageError> {
        let Query(asked) = Query::from_request_parts(parts, app).await.map_err(|error| StorageError::invalid(error.body_text()))?;
        Ok(Self(asked))
    }
}

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = StorageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, StorageError> {
        Ok(Self(body::read_json(request, app.config.http.max_json_bytes).await?))
    }
}

/// A caller, or nobody in particular where the request has neither key nor token: public files need none.
pub(super) struct AnyCaller(pub(super) Caller);

impl FromRequestParts<App> for AnyCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let has_key = parts.headers.contains_key("apikey") || parts.headers.contains_key(header::AUTHORIZATION);
        if has_key || parts.uri.query().is_some_and(|query| query.contains("apikey=")) {
            return Caller::from_request_parts(parts, app).await.map(Self);
        }
        let CurrentTenant(tenant) = CurrentTenant::from_request_parts(parts, app).await?;
        Ok(Self(Caller { tenant, principal: Principal::Anon }))
    }
}

impl From<StorageError> for Response {
    fn from(error: StorageError) -> Self {
        error.into_response()
    }
}
