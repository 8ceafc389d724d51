//! What requests of resumable uploads bring along.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, MatchedPath, Path},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use uuid::Uuid;

use super::error::TusError;
use crate::{
    app::App,
    auth::{Caller, CurrentTenant, Principal},
    crypto::{base64url, sha256},
    db::Timestamp,
    storage::{
        download::to_http_date,
        model::{Bucket, ObjectKey},
        rules::{self, Rights},
        sql::uploads::Upload,
        tasks,
        upload_url::UploadClaims,
    },
    tenants::Tenant,
};

pub(super) const VERSION: &str = "1.0.0";
pub(super) const TUS_RESUMABLE: &str = "tus-resumable";

/// Where uploads begin for who has the token of a signed URL.
pub(super) const SIGNED: &str = "/storage/v1/upload/resumable/sign";
pub(super) const SIGNED_ONE: &str = "/storage/v1/upload/resumable/sign/{id}";

/// Who uploads: somebody with a key or a session, or with the token of a signed URL.
pub(in crate::storage) struct Uploader {
    pub(super) tenant: Arc<Tenant>,
    /// As it is noted with an upload.
    pub(super) creator: String,
    by: By,
}

enum By {
    Caller(Caller),
    Url(UploadClaims),
}

impl FromRequestParts<App> for Uploader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let is_signed = parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str().starts_with(SIGNED));
        let uploader = if is_signed {
            let CurrentTenant(tenant) = CurrentTenant::from_request_parts(parts, app).await.map_err(refused)?;
            Self::by_url(app, tenant, &parts.headers).map_err(IntoResponse::into_response)?
        } else {
            let caller = Caller::from_request_parts(parts, app).await.map_err(refused)?;
            Self { tenant: Arc::clone(&caller.tenant), creator: tasks::creator(&caller), by: By::Caller(caller) }
        };
        check_version(&parts.headers).map_err(IntoResponse::into_response)?;
        Ok(uploader)
    }
}

impl Uploader {
    fn by_url(app: &App, tenant: Arc<Tenant>, headers: &HeaderMap) -> Result<Self, TusError> {
        let token = text(headers, "x-signature").ok_or_else(|| TusError::bad_request("x-signature should be the token of a signed upload URL"))?;
        let claims = UploadClaims::read(&tenant, token, app.clock.now())?;
        Ok(Self { tenant, creator: format!("url:{}", base64url(&sha256(token.as_bytes()))), by: By::Url(claims) })
    }

    /// What it may do with this object.
    pub(super) fn rights(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Rights, TusError> {
        match &self.by {
            By::Caller(caller) => Ok(rules::rights(caller, &bucket.id)),
            By::Url(claims) => Ok(claims.rights(bucket, key)?),
        }
    }

    /// Whether an object that is there may be replaced.
    pub(super) fn upsert(&self, headers: &HeaderMap) -> bool {
        match &self.by {
            By::Caller(_) => crate::storage::upload::wants_upsert(headers),
            By::Url(claims) => claims.upsert(),
        }
    }

    /// An upload that this one began, or that a secret key asks for.
    pub(super) async fn find(&self, app: &App, id: Uuid) -> Result<Upload, TusError> {
        let sees_all = matches!(&self.by, By::Caller(caller) if matches!(caller.principal, Principal::Service));
        let upload = crate::storage::sql::uploads::find(&app.db.read().await?, self.tenant.id, id).await?;
        let upload = upload.filter(|upload| sees_all || upload.creator == self.creator).ok_or_else(TusError::not_found)?;
        if app.clock.now() < upload.expires_at { Ok(upload) } else { Err(TusError::new(410, "The time of the upload is over")) }
    }

    /// Where an upload is, from the settings.
    pub(super) fn location(&self, id: Uuid) -> String {
        let base = self.tenant.issuer.strip_suffix("/auth/v1").unwrap_or(&self.tenant.issuer);
        let door = match self.by {
            By::Caller(_) => "",
            By::Url(_) => "/sign",
        };
        format!("{base}/storage/v1/upload/resumable{door}/{id}")
    }
}

/// The rest of storage says 400 to who is not known; this wire says what it means.
fn refused(mut response: Response) -> Response {
    if response.status() == StatusCode::BAD_REQUEST {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}

fn check_version(headers: &HeaderMap) -> Result<(), TusError> {
    if text(headers, TUS_RESUMABLE) == Some(VERSION) { Ok(()) } else { Err(TusError::new(412, "Tus-Resumable Required: 1.0.0")) }
}

/// `{id}` of the path; what is no id names nothing.
pub(in crate::storage) struct UploadId(pub(super) Uuid);

impl FromRequestParts<App> for UploadId {
    type Rejection = TusError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, TusError> {
        let Path(id) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| TusError::not_found())?;
        Uuid::parse_str(&id).map(Self).map_err(|_| TusError::not_found())
    }
}

pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// A header that is a number of bytes, if it is there.
pub(super) fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<i64>, TusError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| TusError::bad_request(format!("{name} should be a number of bytes")))
}

/// Whether the request has bytes of an upload as its body.
pub(super) fn has_bytes(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.eq_ignore_ascii_case("application/offset+octet-stream"))
}

/// What a client tells of its file in `Upload-Metadata`: names with their values in base64, divided by commas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) bucket: Option<String>,
    pub(super) object: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: Option<String>,
}

impl Told {
    pub(super) fn read(header: &str) -> Result<Self, TusError> {
        let mut told = Self::default();
        for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let place = match name {
                "bucketName" => &mut told.bucket,
                "objectName" => &mut told.object,
                "contentType" => &mut told.content_type,
                "cacheControl" => &mut told.cache_control,
                "metadata" => &mut told.metadata,
                _ => continue,
            };
            let bytes = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| TusError::bad_request(format!("Upload-Metadata: {name} should be text in base64")))?;
            if place.replace(text).is_some() {
                return Err(TusError::bad_request(format!("Upload-Metadata: {name} is there twice")));
            }
        }
        Ok(told)
    }
}

/// The headers that tell where an upload is.
pub(super) fn describe(headers: &mut HeaderMap, offset: Option<i64>, expires_at: Timestamp, is_complete: bool) {
    let mut set = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(TUS_RESUMABLE, VERSION);
    set("cache-control", "no-store");
    if let Some(offset) = offset {
        set("upload-offset", &offset.to_string());
    }
    if is_complete {
        set("tus-complete", "1");
    } else {
        set("upload-expires", &to_http_date(expires_at));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_told_is_read_by_its_names() {
        let told = Told::read("bucketName ZmlsZXM=,objectName YS9iLnR4dA==, contentType dGV4dC9wbGFpbg== ,is_confidential,filetype eA==").unwrap();
        assert_eq!(told.bucket.as_deref(), Some("files"));
        assert_eq!(told.object.as_deref(), Some("a/b.txt"));
        assert_eq!(told.content_type.as_deref(), Some("text/plain"));
        assert_eq!((told.cache_control, told.metadata), (None, None));
        assert_eq!(Told::read("").unwrap(), Told::default());
        for wrong in ["bucketName !", "bucketName /w==", "objectName YQ==,objectName YQ=="] {
            assert!(Told::read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn reading_what_is_told_never_panics(header in "\\PC{0,60}|(bucketName|objectName|metadata)( [A-Za-z0-9+/=]{0,8})?(,| ){0,3}") {
            let _ = Told::read(&header);
        }
    }
}
