//! URLs by which one object can be uploaded for a while, by whoever has them.
//!
//! The rules are asked when the URL is made; its token carries what they said, for this one key, and as whom. It ends with its bucket:
//! one that is made again under the name has other URLs.

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderMap,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{Code, ErrorBody, StorageError},
    extract::{Asked, ObjectPath},
    model::{Bucket, ObjectKey},
    rules::{self, Rights},
    sql,
    upload::{self, Uploaded, wants_upsert},
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant},
    db::Timestamp,
    tenants::{Tenant, TokenKind},
};

/// How long such a URL is good.
const LIFE_SECONDS: i64 = 2 * 3600;
const SCOPE: &str = "upload";

/// What the token of such a URL says.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct UploadClaims {
    /// `bucket/key`
    url: String,
    scope: String,
    /// What its maker might do with the object.
    rights: Rights,
    upsert: bool,
    /// When the bucket was made, in microseconds.
    bucket_since: i64,
    /// By which the tenant is known where the URL names none.
    iss: String,
    iat: i64,
    exp: i64,
}

impl UploadClaims {
    /// Reads a token of the tenant that is good now, for whatever object.
    pub(super) fn read(tenant: &Tenant, token: &str, now: Timestamp) -> Result<Self, StorageError> {
        let claims: Self =
            tenant.keys.verify(TokenKind::StorageUrl, token, now).map_err(|error| StorageError::new(Code::InvalidJwt, error.to_string()))?;
        if claims.scope == SCOPE && claims.iss == tenant.issuer { Ok(claims) } else { Err(invalid_signature()) }
    }

    /// What it lets its holder do with this object; nothing with any other.
    pub(super) fn rights(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Rights, StorageError> {
        if self.url != format!("{}/{key}", bucket.id) || self.bucket_since != bucket.created_at.micros() {
            return Err(invalid_signature());
        }
        Ok(self.rights.only_for(key))
    }

    /// Whether an object that is there may be replaced.
    pub(super) fn upsert(&self) -> bool {
        self.upsert
    }
}

fn invalid_signature() -> StorageError {
    StorageError::new(Code::InvalidSignature, "Invalid signature")
}

/// A URL to upload by, below the base of storage.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedUploadUrl {
    #[schema(example = "/object/upload/sign/avatars/me.png?token=…")]
    url: String,
    /// Also good as `x-signature` for a resumable upload.
    token: String,
}

/// Makes a URL by which everybody can upload this object, for two hours. With `x-upsert: true` it may be there already.
#[utoipa::path(post, path = "/storage/v1/object/upload/sign/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"),
        ("x-upsert" = Option<bool>, Header, description = "Whether an object that is there may be replaced")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = SignedUploadUrl), (status = 400, body = ErrorBody)))]
pub(super) async fn sign_upload(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    headers: HeaderMap,
) -> Result<Json<SignedUploadUrl>, StorageError> {
    let (upsert, key) = (wants_upsert(&headers), path.key.as_str());
    let rights = rules::rights(&caller, path.bucket.as_str());
    let new = rights.new_subject(key, None);
    let bucket = upload::admit(&app, caller.tenant.id, path.bucket.as_str(), &new, &rights, upsert).await?;
    let now = app.clock.now();
    let claims = UploadClaims {
        url: format!("{}/{key}", bucket.id),
        scope: SCOPE.to_owned(),
        rights: rights.to_upload(&path.key, upsert),
        upsert,
        bucket_since: bucket.created_at.micros(),
        iss: caller.tenant.issuer.clone(),
        iat: now.seconds(),
        exp: now.seconds() + LIFE_SECONDS,
    };
    let token = caller.tenant.keys.sign(TokenKind::StorageUrl, &claims)?;
    // The key goes in as it is: clients encode the URL themselves.
    Ok(Json(SignedUploadUrl { url: format!("/object/upload/sign/{}?token={token}", claims.url), token }))
}

/// The token of a URL to upload by.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadToken {
    token: Option<String>,
}

/// Uploads an object by a signed URL.
#[utoipa::path(put, path = "/storage/v1/object/upload/sign/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), UploadToken,
        ("cache-control" = Option<String>, Header, description = "Sent with the file; no-cache when absent"),
        ("x-metadata" = Option<String>, Header, description = "The user's metadata: a JSON object in base64")),
    request_body(content((Vec<u8> = "*/*"))), security(()), responses((status = 200, body = Uploaded), (status = 400, body = ErrorBody)))]
pub(super) async fn upload_by_url(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<UploadToken>,
    request: Request,
) -> Result<Json<Uploaded>, StorageError> {
    let token = asked.token.ok_or_else(|| StorageError::invalid("querystring must have required property 'token'"))?;
    let claims = UploadClaims::read(&tenant, &token, app.clock.now())?;
    let bucket = sql::find_bucket(&app.db.read().await?, tenant.id, path.bucket.as_str()).await?.ok_or_else(invalid_signature)?;
    let rights = claims.rights(&bucket, &path.key)?;
    upload::upload(&app, tenant.id, rights, path, request, claims.upsert()).await
}
