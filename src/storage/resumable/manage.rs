//! Where an upload is, giving it up, and what can be asked for.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};

use super::{
    append::append_to_upload,
    checksum::ALGORITHMS,
    error::TusError,
    request::{TUS_RESUMABLE, UploadId, Uploader, VERSION, describe, text},
};
use crate::{app::App, storage::sql};

/// Tells how many bytes of a resumable upload are durable.
#[utoipa::path(head, path = "/storage/v1/upload/resumable/{id}", tag = "storage",
    params(("id" = Uuid, Path, description = "The upload"), ("tus-resumable" = String, Header, description = "1.0.0")),
    security(("apikey" = []), ("user" = [])), responses(
    (status = 200, headers(("upload-offset" = i64, description = "How many bytes the upload has"))), (status = 404), (status = 410)))]
pub(in crate::storage) async fn get_offset(uploader: Uploader, State(app): State<App>, UploadId(id): UploadId) -> Result<Response, TusError> {
    let upload = uploader.find(&app, id).await?;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    describe(headers, Some(upload.received), upload.expires_at, upload.finished_at.is_some());
    match upload.length {
        Some(length) => headers.insert("upload-length", HeaderValue::from(length)),
        None => headers.insert("upload-defer-length", HeaderValue::from_static("1")),
    };
    if let Ok(told) = HeaderValue::from_str(&upload.told) {
        headers.insert("upload-metadata", told);
    }
    Ok(response)
}

/// Gives a resumable upload up. What it became, if it was whole, stays.
#[utoipa::path(delete, path = "/storage/v1/upload/resumable/{id}", tag = "storage",
    params(("id" = Uuid, Path, description = "The upload"), ("tus-resumable" = String, Header, description = "1.0.0")),
    security(("apikey" = []), ("user" = [])), responses(
    (status = 204), (status = 400, content_type = "text/plain", body = String), (status = 404, content_type = "text/plain", body = String)))]
pub(in crate::storage) async fn remove_upload(uploader: Uploader, State(app): State<App>, UploadId(id): UploadId) -> Result<Response, TusError> {
    let upload = uploader.find(&app, id).await?;
    if upload.finished_at.is_some() {
        return Err(TusError::bad_request("The upload is whole; remove the object that it became"));
    }
    let (tenant, now) = (uploader.tenant.id, app.clock.now());
    if !app.db.write(move |tx| async move { sql::uploads::remove(&tx, tenant, now, id).await }).await? {
        return Err(TusError::not_found());
    }
    Ok((StatusCode::NO_CONTENT, [(TUS_RESUMABLE, VERSION)]).into_response())
}

/// What resumable uploads can do here.
#[utoipa::path(options, path = "/storage/v1/upload/resumable", tag = "storage", security(()), responses((status = 204)))]
pub(in crate::storage) async fn get_abilities(State(app): State<App>) -> Response {
    let headers = [
        (TUS_RESUMABLE, VERSION),
        ("tus-version", VERSION),
        ("tus-extension", "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum"),
        ("tus-checksum-algorithm", ALGORITHMS),
        ("tus-max-size", &app.config.storage.max_upload_bytes.to_string()),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// PATCH, HEAD or DELETE for who can send only POST: the method is in `X-HTTP-Method-Override`.
#[utoipa::path(post, path = "/storage/v1/upload/resumable/{id}", tag = "storage",
    params(("id" = Uuid, Path, description = "The upload"), ("x-http-method-override" = String, Header, description = "PATCH, HEAD or DELETE")),
    request_body(content((Vec<u8> = "application/offset+octet-stream"))), security(("apikey" = []), ("user" = [])), responses(
    (status = 204), (status = 400, content_type = "text/plain", body = String)))]
pub(in crate::storage) async fn override_method(
    uploader: Uploader,
    state: State<App>,
    id: UploadId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TusError> {
    match text(&headers, "x-http-method-override") {
        Some("PATCH") => append_to_upload(uploader, state, id, headers, body).await,
        Some("HEAD") => get_offset(uploader, state, id).await,
        Some("DELETE") => remove_upload(uploader, state, id).await,
        _ => Err(TusError::bad_request("X-HTTP-Method-Override should be PATCH, HEAD or DELETE")),
    }
}
