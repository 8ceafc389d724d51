//! URLs that open one object for a while, to whoever has them.
//!
//! The token in such a URL is signed with the tenant's key, is good for nothing else, and names the object's id as well as its key: an
//! object that is removed takes its URLs with it, also when another is made under its name.

use std::collections::HashMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    download::{self, Access, Download, find},
    error::{Code, ErrorBody, StorageError},
    extract::{Asked, BucketPath, JsonBody, ObjectPath},
    images::Transform,
    model::{Object, ObjectKey},
    objects::check_count,
    rules::{self, Action},
    sql,
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant},
    db::Timestamp,
    tenants::{Tenant, TokenKind},
};

/// What a signed URL says.
#[derive(Debug, Deserialize, Serialize)]
struct UrlClaims {
    /// `bucket/key`
    url: String,
    scope: String,
    /// The object's id.
    object: Uuid,
    /// What is made of a picture; such a URL opens nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transformations: Option<Transform>,
    /// By which the tenant is known where the URL names none.
    iss: String,
    iat: i64,
    exp: i64,
}

const SCOPE: &str = "download";

/// How long a URL is to be good.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignRequest {
    /// Seconds.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "number_or_its_text")]
    expires_in: i64,
    /// What is to be made of a picture.
    transform: Option<Transform>,
}

/// A signed URL, below the base of storage.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedUrl {
    #[serde(rename = "signedURL")]
    #[schema(example = "/object/sign/slips/2000-01/1.pdf?token=…")]
    signed_url: String,
}

/// Makes a URL by which everybody can read an object for a while.
#[utoipa::path(post, path = "/storage/v1/object/sign/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    request_body = SignRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = SignedUrl), (status = 400, body = ErrorBody)))]
pub(super) async fn sign_object(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    JsonBody(asked): JsonBody<SignRequest>,
) -> Result<Json<SignedUrl>, StorageError> {
    let expires = expiry(&app, asked.expires_in)?;
    let transform = asked.transform.filter(|transform| !transform.is_empty());
    transform.as_ref().map_or(Ok(()), Transform::check)?;
    // Also in a public bucket only who may select: the URL would outlive the bucket's being public.
    let (bucket, object) = find(&app, &caller, Action::Sign, &path, false).await?;
    let signed_url = sign(&app, &caller, &bucket.id, &object, expires, transform)?;
    Ok(Json(SignedUrl { signed_url }))
}

/// supabase-py writes the number as a text, and the servers it knows take it.
fn number_or_its_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number")]
    enum Seconds {
        Number(i64),
        Text(String),
    }
    match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Ok(seconds),
        Seconds::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn expiry(app: &App, seconds: i64) -> Result<Timestamp, StorageError> {
    /// Ten years.
    const LONGEST: i64 = 10 * 366 * 86_400;
    if (1..=LONGEST).contains(&seconds) {
        Ok(app.clock.now().plus_seconds(seconds))
    } else {
        Err(StorageError::invalid(format!("body/expiresIn must be 1 to {LONGEST}")))
    }
}

/// The key goes in as it is: clients encode the URL themselves.
fn sign(app: &App, caller: &Caller, bucket: &str, object: &Object, expires: Timestamp, transform: Option<Transform>) -> Result<String, StorageError> {
    let door = if transform.is_some() { "render/image" } else { "object" };
    let claims = UrlClaims {
        url: format!("{bucket}/{}", object.name),
        scope: SCOPE.to_owned(),
        object: object.id,
        transformations: transform,
        iss: caller.tenant.issuer.clone(),
        iat: app.clock.now().seconds(),
        exp: expires.seconds(),
    };
    let token = caller.tenant.keys.sign(TokenKind::StorageUrl, &claims)?;
    Ok(format!("/{door}/sign/{}?token={token}", claims.url))
}

/// What URLs are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignManyRequest {
    /// Seconds.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "number_or_its_text")]
    expires_in: i64,
    /// Keys, 1,000 at the most.
    paths: Vec<String>,
}

/// A signed URL, or why there is none.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedPath {
    error: Option<&'static str>,
    path: String,
    #[serde(rename = "signedURL")]
    signed_url: Option<String>,
}

/// Makes URLs for many objects.
#[utoipa::path(post, path = "/storage/v1/object/sign/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = SignManyRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Vec<SignedPath>), (status = 400, body = ErrorBody)))]
pub(super) async fn sign_objects(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    JsonBody(asked): JsonBody<SignManyRequest>,
) -> Result<Json<Vec<SignedPath>>, StorageError> {
    check_count("paths", &asked.paths)?;
    let expires = expiry(&app, asked.expires_in)?;
    let filter = rules::rights(&caller, bucket.as_str()).filter(Action::Sign);
    let keys: Vec<Option<ObjectKey>> = asked.paths.iter().map(|path| ObjectKey::read(path).ok()).collect();
    let names: Vec<String> = keys.iter().flatten().map(|key| key.as_str().to_owned()).collect();
    let conn = app.db.read().await?;
    let objects = sql::find_objects(&conn, caller.tenant.id, bucket.as_str(), &names, &filter).await?;
    let objects: HashMap<&str, &Object> = objects.iter().map(|object| (object.name.as_str(), object)).collect();
    let signed = asked.paths.into_iter().zip(keys).map(|(path, key)| match key.and_then(|key| objects.get(key.as_str())) {
        Some(object) => {
            let signed_url = sign(&app, &caller, bucket.as_str(), object, expires, None)?;
            Ok(SignedPath { error: None, path, signed_url: Some(signed_url) })
        }
        None => Ok(SignedPath { error: Some("Either the object does not exist or you do not have access to it"), path, signed_url: None }),
    });
    signed.collect::<Result<Vec<_>, StorageError>>().map(Json)
}

/// The token of a signed URL.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SignedAccess {
    token: Option<String>,
    /// To be saved, under this name unless it is empty.
    download: Option<String>,
}

/// Reads an object by a signed URL.
#[utoipa::path(get, path = "/storage/v1/object/sign/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), SignedAccess),
    security(()), responses(
    (status = 200, content_type = "*/*", body = Vec<u8>), (status = 206, content_type = "*/*", body = Vec<u8>), (status = 304),
    (status = 400, body = ErrorBody), (status = 416, body = ErrorBody)))]
pub(super) async fn get_signed_object(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<SignedAccess>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    let (object, access, transform) = open_signed(&app, &tenant, &path, asked.token).await?;
    if transform.is_some() {
        return Err(invalid_signature());
    }
    download::answer(&app, &object, access, &Download { download: asked.download }, &method, &headers).await
}

fn invalid_signature() -> StorageError {
    StorageError::new(Code::InvalidSignature, "Invalid signature")
}

/// The object that a signed URL opens, and what is to be made of it where it is a picture.
pub(super) async fn open_signed(
    app: &App,
    tenant: &Tenant,
    path: &ObjectPath,
    token: Option<String>,
) -> Result<(Object, Access, Option<Transform>), StorageError> {
    let token = token.ok_or_else(|| StorageError::invalid("querystring must have required property 'token'"))?;
    let claims: UrlClaims =
        tenant.keys.verify(TokenKind::StorageUrl, &token, app.clock.now()).map_err(|error| StorageError::new(Code::InvalidJwt, error.to_string()))?;
    let (bucket, key) = (path.bucket.as_str(), path.key.as_str());
    if claims.scope != SCOPE || claims.iss != tenant.issuer || claims.url != format!("{bucket}/{key}") {
        return Err(invalid_signature());
    }
    let object = sql::find_object(&app.db.read().await?, tenant.id, bucket, key).await?;
    let object = object.filter(|object| object.id == claims.object).ok_or_else(StorageError::no_object)?;
    Ok((object, Access::Signed(Timestamp::from_seconds(claims.exp)), claims.transformations))
}
