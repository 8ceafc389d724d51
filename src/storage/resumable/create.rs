//! Beginning an upload, with or without its first bytes.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use uuid::Uuid;

use super::{
    append::{LIFE_SECONDS, Way, most_bytes, write},
    checksum::Checksum,
    error::TusError,
    incoming::Incoming,
    request::{Told, Uploader, describe, has_bytes, number, text},
};
use crate::{
    app::App,
    storage::{
        error::StorageError,
        model::{BucketName, ContentType, ObjectKey},
        quota,
        rules::Content,
        sql::{self, uploads::Upload},
        upload::{admit, cache_control, metadata, raw},
    },
};

/// Begins a resumable upload (TUS 1.0.0). The same at `/storage/v1/upload/resumable/sign`, with the token of a signed upload URL in
/// `x-signature` in place of a key.
#[utoipa::path(post, path = "/storage/v1/upload/resumable", tag = "storage",
    params(("tus-resumable" = String, Header, description = "1.0.0"),
        ("upload-length" = Option<i64>, Header, description = "The bytes there will be"),
        ("upload-defer-length" = Option<String>, Header, description = "1 when that is told later"),
        ("upload-metadata" = String, Header, description = "bucketName, objectName, contentType, cacheControl and metadata, each with its value in base64"),
        ("upload-checksum" = Option<String>, Header, description = "The digest of the body, if there is one: sha256 and base64"),
        ("x-upsert" = Option<bool>, Header, description = "Replace an object that is there")),
    request_body(content((Vec<u8> = "application/offset+octet-stream")), description = "The first bytes, if any"),
    security(("apikey" = []), ("user" = [])), responses(
    (status = 201, headers(("location" = String, description = "Where the upload is"))), (status = 400, content_type = "text/plain", body = String)))]
pub(in crate::storage) async fn create_upload(
    uploader: Uploader,
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TusError> {
    let tenant = uploader.tenant.id;
    let (told_text, length) = (text(&headers, "upload-metadata").unwrap_or_default(), length(&headers)?);
    let told = Told::read(told_text)?;
    let (Some(bucket), Some(object)) = (told.bucket, told.object) else {
        return Err(TusError::bad_request("Upload-Metadata should have bucketName and objectName"));
    };
    let (name, key) = (BucketName::read(&bucket)?, ObjectKey::read(&object)?);
    let bucket = sql::find_bucket(&app.db.read().await?, tenant, name.as_str()).await?.ok_or_else(StorageError::no_bucket)?;
    let (rights, upsert) = (uploader.rights(&bucket, &key)?, uploader.upsert(&headers));
    let content_type = ContentType::read(told.content_type.as_deref());
    let user_metadata = told.metadata.filter(|text| !text.is_empty()).map(|text| metadata(text.as_bytes())).transpose()?;
    let content = Content { kind: content_type.as_str(), size: length, user_metadata: user_metadata.as_ref().map(|json| &json.0) };
    let bucket = admit(&app, tenant, &bucket.id, &rights.new_subject(key.as_str(), Some(content)), &rights, upsert).await?;
    bucket.takes(&content_type)?;
    let most = most_bytes(&bucket, &app);
    if length.is_some_and(|length| length > most) {
        return Err(TusError::too_large());
    }
    quota::admit(&app, tenant, &bucket, key.as_str(), rights.owner.as_deref(), length).await?;
    let checksum = Checksum::read(&headers)?;
    let now = app.clock.now();
    let upload = Upload {
        id: Uuid::new_v4(),
        bucket_id: bucket.id,
        name: key.as_str().to_owned(),
        creator: uploader.creator.clone(),
        upsert,
        length,
        received: 0,
        told: told_text.to_owned(),
        content_type: content_type.as_str().to_owned(),
        cache_control: cache_control(told.cache_control.as_deref().unwrap_or_default()),
        user_metadata,
        finished_at: None,
        expires_at: now.plus_seconds(LIFE_SECONDS),
    };
    let (id, expires_at, row) = (upload.id, upload.expires_at, upload.clone());
    app.db.write(move |tx| async move { sql::uploads::insert(&tx, tenant, now, &row).await }).await?;

    let mut response = StatusCode::CREATED.into_response();
    if has_bytes(&headers) || length == Some(0) {
        let left = u64::try_from(length.unwrap_or(most)).unwrap_or_default();
        let incoming = if has_bytes(&headers) { Incoming::new(raw(body), left, checksum) } else { Incoming::new(stream::empty(), 0, None) };
        let written = write(app.clone(), Way { tenant, upload, key, rights, length }, incoming).await;
        let Ok(written) = written else {
            // Its client does not know where it is.
            app.db.write(move |tx| async move { sql::uploads::remove(&tx, tenant, now, id).await }).await?;
            return written.map(|_| response);
        };
        describe(response.headers_mut(), Some(written.offset), written.expires_at, written.is_complete);
    } else {
        describe(response.headers_mut(), None, expires_at, false);
    }
    if let Ok(location) = HeaderValue::from_str(&uploader.location(id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// How long the upload will be; `None` when that is told later.
fn length(headers: &HeaderMap) -> Result<Option<i64>, TusError> {
    if headers.contains_key("upload-concat") {
        return Err(TusError::new(501, "Uploads can't be put together of others: send parts one after the other"));
    }
    match (number(headers, "upload-length")?, text(headers, "upload-defer-length")) {
        (Some(length), None) => Ok(Some(length)),
        (None, Some("1")) => Ok(None),
        _ => Err(TusError::bad_request("One of Upload-Length and Upload-Defer-Length: 1 should be there")),
    }
}
