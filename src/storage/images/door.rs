//! The three ways to a picture: of a public bucket, as somebody who may see it, and by a signed URL.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Transform,
    cache::Key,
    picture::{self, Made},
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant},
    blobs::BlobId,
    error::Result as GroundResult,
    storage::{
        download::{self, Access, Download, describe, find, find_public, is_unchanged},
        error::{Code, ErrorBody, StorageError},
        extract::{Asked, ObjectPath},
        model::{Object, essence},
        rules::Action,
        sign::open_signed,
    },
};

/// What a picture is, to those who ask for one.
const NO_PICTURE: &str = "The source image is invalid or unsupported for rendering";

/// A picture of an object in a public bucket.
#[utoipa::path(get, path = "/storage/v1/render/image/public/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), Download, Transform),
    security(()), responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 304), (status = 400, body = ErrorBody)))]
pub(super) async fn render_public_image(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<Download>,
    Asked(transform): Asked<Transform>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    transform.check()?;
    let object = find_public(&app, &tenant, &path).await?;
    Wanted { object, access: Access::Public, asked, transform }.answer(&app, &method, &headers).await
}

/// A picture of an object that the caller may see.
#[utoipa::path(get, path = "/storage/v1/render/image/authenticated/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), Download, Transform),
    security(("apikey" = []), ("user" = [])),
    responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 304), (status = 400, body = ErrorBody)))]
pub(super) async fn render_authenticated_image(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<Download>,
    Asked(transform): Asked<Transform>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    transform.check()?;
    let (_, object) = find(&app, &caller, Action::Get, &path, false).await?;
    Wanted { object, access: Access::Private, asked, transform }.answer(&app, &method, &headers).await
}

/// The token of a signed URL.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SignedPicture {
    token: Option<String>,
    /// To be saved, under this name unless it is empty.
    download: Option<String>,
}

/// A picture by a signed URL, which says what is made of it.
#[utoipa::path(get, path = "/storage/v1/render/image/sign/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), SignedPicture),
    security(()), responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 304), (status = 400, body = ErrorBody)))]
pub(super) async fn render_signed_image(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
    Asked(signed): Asked<SignedPicture>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    let (object, access, transform) = open_signed(&app, &tenant, &path, signed.token).await?;
    let transform = transform.ok_or_else(|| StorageError::new(Code::InvalidSignature, "Invalid signature"))?;
    let asked = Download { download: signed.download };
    Wanted { object, access, asked, transform }.answer(&app, &method, &headers).await
}

/// A picture that somebody may have.
struct Wanted {
    object: Object,
    access: Access,
    asked: Download,
    transform: Transform,
}

impl Wanted {
    async fn answer(self, app: &App, method: &Method, headers: &HeaderMap) -> Result<Response, StorageError> {
        let Self { object, access, asked, transform } = self;
        if essence(&object.content_type).eq_ignore_ascii_case("image/svg+xml") {
            return download::answer(app, &object, access, &asked, method, headers).await;
        }
        let mut response = Response::new(Body::empty());
        describe(&object, access, &asked, response.headers_mut());
        response.headers_mut().remove(header::ACCEPT_RANGES);
        if transform.is_open() {
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        }
        if is_unchanged(&object, headers) {
            *response.status_mut() = axum::http::StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let webp = transform.wants_webp(accepts_webp(headers));
        let told = transform.told();
        let made = make(app, &object, transform, webp).await?;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(made.format.media_type()));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(made.bytes.len()));
        if let Ok(told) = HeaderValue::from_str(&told) {
            headers.insert("x-transformations", told);
        }
        *response.body_mut() = Body::from(made.bytes);
        Ok(response)
    }
}

fn accepts_webp(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|kinds| kinds.split(','));
    kinds.into_iter().any(|kind| essence(kind).eq_ignore_ascii_case("image/webp") && !kind.replace(' ', "").ends_with(";q=0"))
}

/// The picture, as it was made before or made now.
async fn make(app: &App, object: &Object, transform: Transform, webp: bool) -> Result<Made, StorageError> {
    let done = serde_json::to_string(&(&transform, webp)).map_err(crate::error::Error::from)?;
    let key = || Key::new(object.blob_id, &done);
    if let Some(made) = app.images.cache.find(key()).await {
        return Ok(made);
    }
    let (most, max_pixels) = (app.images.max_source_bytes, app.images.max_pixels);
    if object.length() > most {
        return Err(StorageError::invalid(format!("The source image is larger than the {most} bytes that are rendered")));
    }
    let source = read(app, object);
    let made = app.images.pool.run(source, move |source| source.map(|source| picture::make(&source, &transform, webp, max_pixels))).await?;
    let made = made.ok_or_else(StorageError::missing_bytes)?.ok_or_else(|| StorageError::invalid(NO_PICTURE))?;
    app.images.cache.keep(key(), made.clone()).await;
    Ok(made)
}

async fn read(app: &App, object: &Object) -> GroundResult<Option<Vec<u8>>> {
    let Some(mut reader) = app.blobs.read(BlobId::from(object.blob_id), 0..object.length()).await? else { return Ok(None) };
    let mut source = Vec::with_capacity(usize::try_from(object.length()).unwrap_or_default());
    while let Some(piece) = reader.next().await {
        source.extend_from_slice(&piece?);
    }
    Ok(Some(source))
}
