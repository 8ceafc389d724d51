//! Bytes on their way in.
//!
//! The order is what makes it safe to stop anywhere: ask the rules and limits; note the blob's id; write the bytes until they are durable;
//! then one transaction asks the rules again, makes or replaces the row, takes the note back and notes the blob that was replaced.
//! A row thus always has its bytes, and bytes without a row always have a note, by which the sweeper finds them.

use std::borrow::Cow;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, header},
};
use base64::Engine as _;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future::Either, stream};
use multer::{Constraints, Multipart};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    digest::Digests,
    error::{Code, ErrorBody, StorageError},
    extract::ObjectPath,
    model::{Bucket, ContentType, Object, ObjectKey, is_placeholder},
    quota::{self, Quotas},
    rules::{self, Action, Content, Rights, Subject},
    sql::{self, usage},
};
use crate::{
    app::App,
    auth::Caller,
    blobs::{BlobId, Stored},
    db::{Json as JsonColumn, Timestamp, Tx},
    error::{Error, Result as GroundResult},
    tenants::TenantId,
};

/// The most bytes of a text field in a form, and of `x-metadata`.
const MOST_METADATA: usize = 1024 * 1024;
/// Fields of a form, with the file.
const MOST_FIELDS: usize = 11;
/// What a form may have around its file.
const FORM_SLACK: u64 = 4 * 1024 * 1024;

/// What was uploaded.
#[derive(Serialize, ToSchema)]
pub(super) struct Uploaded {
    #[serde(rename = "Id")]
    pub(super) id: Uuid,
    /// `bucket/key`
    #[serde(rename = "Key")]
    #[schema(example = "avatars/folder/me.png")]
    pub(super) key: String,
}

/// Makes an object of the body, or of the file in a form. With `x-upsert: true` it may be there already.
#[utoipa::path(post, path = "/storage/v1/object/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"),
        ("x-upsert" = Option<bool>, Header, description = "Replace an object that is there"),
        ("cache-control" = Option<String>, Header, description = "Sent with the file; no-cache when absent"),
        ("x-metadata" = Option<String>, Header, description = "The user's metadata: a JSON object in base64")),
    request_body(content((Vec<u8> = "*/*"))), security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Uploaded), (status = 400, body = ErrorBody)))]
pub(super) async fn upload_object(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    request: Request,
) -> Result<Json<Uploaded>, StorageError> {
    let upsert = wants_upsert(request.headers());
    let rights = rules::rights(&caller, path.bucket.as_str());
    upload(&app, caller.tenant.id, rights, path, request, upsert).await
}

/// Makes an object of the body, or replaces it.
#[utoipa::path(put, path = "/storage/v1/object/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"),
        ("cache-control" = Option<String>, Header, description = "Sent with the file; no-cache when absent"),
        ("x-metadata" = Option<String>, Header, description = "The user's metadata: a JSON object in base64")),
    request_body(content((Vec<u8> = "*/*"))), security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Uploaded), (status = 400, body = ErrorBody)))]
pub(super) async fn update_object(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    request: Request,
) -> Result<Json<Uploaded>, StorageError> {
    let rights = rules::rights(&caller, path.bucket.as_str());
    upload(&app, caller.tenant.id, rights, path, request, true).await
}

pub(super) fn wants_upsert(headers: &HeaderMap) -> bool {
    headers.get("x-upsert").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Takes the body for an object, for who has these rights in its bucket.
pub(super) async fn upload(
    app: &App,
    tenant: TenantId,
    rights: Rights,
    path: ObjectPath,
    request: Request,
    upsert: bool,
) -> Result<Json<Uploaded>, StorageError> {
    let ObjectPath { bucket: name, key } = path;
    let bucket = admit(app, tenant, name.as_str(), &rights.new_subject(key.as_str(), None), &rights, upsert).await?;

    let limit = bucket.size_limit(app.config.storage.max_upload_bytes);
    let incoming = Incoming::read(request, limit, key.is_folder_placeholder()).await?;
    if !key.is_folder_placeholder() {
        bucket.takes(&incoming.attributes.content_type)?;
    }
    let Incoming { attributes, size, body } = incoming;
    if !rights.allow(Action::Insert, &rights.new_subject(key.as_str(), Some(attributes.content(size)))) {
        return Err(StorageError::refused_row(Action::Insert.as_str()));
    }
    quota::admit(app, tenant, &bucket, key.as_str(), rights.owner.as_deref(), size).await?;
    let writing = Writing { app: app.clone(), tenant, bucket: bucket.id.clone(), key, rights, upsert };
    let (blob, stored) = writing.store(body, limit).await?;
    let id = writing.commit(blob, stored, attributes).await?;
    Ok(Json(Uploaded { id, key: format!("{}/{}", bucket.id, writing.key) }))
}

/// Asks the rules before any byte is taken, and tells at once that a name is taken.
pub(super) async fn admit(app: &App, tenant: TenantId, name: &str, new: &Subject<'_>, rights: &Rights, upsert: bool) -> Result<Bucket, StorageError> {
    let conn = app.db.read().await?;
    let bucket = sql::find_bucket(&conn, tenant, name).await?.ok_or_else(StorageError::no_bucket)?;
    let there = sql::find_object(&conn, tenant, name, new.name).await?;
    may_write(rights, new, there.as_ref(), upsert)?;
    Ok(bucket)
}

/// Whether an object may be made, or the one that is there replaced by it.
pub(super) fn may_write(rights: &Rights, new: &Subject<'_>, there: Option<&Object>, upsert: bool) -> Result<(), StorageError> {
    if !rights.allow(Action::Insert, new) {
        return Err(StorageError::refused_row(Action::Insert.as_str()));
    }
    match there {
        None => Ok(()),
        Some(_) if !upsert => Err(StorageError::object_exists()),
        Some(object) if rights.allow(Action::Update, &object.into()) => Ok(()),
        Some(_) => Err(StorageError::refused_row(Action::Update.as_str())),
    }
}

/// What a file is sent with, besides its bytes.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub(super) content_type: ContentType,
    pub(super) cache_control: String,
    pub(super) robots_tag: Option<String>,
    pub(super) user_metadata: Option<JsonColumn>,
}

impl Attributes {
    /// What the rules see of a file with these, of so many bytes.
    pub(super) fn content(&self, size: Option<i64>) -> Content<'_> {
        Content { kind: self.content_type.as_str(), size, user_metadata: self.user_metadata.as_ref().map(|json| &json.0) }
    }
}

/// A file that is about to come in.
struct Incoming<S> {
    attributes: Attributes,
    /// How many bytes it says it has.
    size: Option<i64>,
    body: S,
}

impl Incoming<()> {
    /// Reads all that comes before the bytes.
    async fn read(
        request: Request,
        limit: u64,
        is_placeholder: bool,
    ) -> Result<Incoming<impl Stream<Item = Result<Bytes, StorageError>> + Send>, StorageError> {
        let (parts, body) = request.into_parts();
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = text("content-type");
        let mut attributes = Attributes {
            content_type: ContentType::read(content_type),
            cache_control: cache_control(text("cache-control").unwrap_or_default()),
            robots_tag: text("x-robots-tag").map(str::to_owned),
            user_metadata: text("x-metadata").map(metadata_header).transpose()?,
        };
        let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let boundary = content_type.and_then(|kind| multer::parse_boundary(kind).ok());
        let most = if boundary.is_some() { limit.saturating_add(FORM_SLACK) } else { limit };
        if is_placeholder {
            attributes.content_type = ContentType::read(None);
            return Ok(Incoming { attributes, size: Some(0), body: Either::Left(Either::Left(stream::empty())) });
        }
        if announced.is_some_and(|announced| announced > most) {
            return Err(StorageError::too_large());
        }
        let digests = Digests::read(&parts.headers)?;
        let Some(boundary) = boundary else {
            let size = announced.and_then(|announced| i64::try_from(announced).ok());
            return Ok(Incoming { attributes, size, body: Either::Left(Either::Right(digests.watch(raw(body)))) });
        };
        if !digests.is_empty() {
            return Err(StorageError::invalid("digests are checked of files that are sent raw, and not of forms"));
        }
        let constraints = Constraints::new().size_limit(multer::SizeLimit::new().whole_stream(most));
        let form = Multipart::with_constraints(raw(body).map_err(std::io::Error::other), boundary, constraints);
        let body = file_of_form(form, &mut attributes).await?;
        Ok(Incoming { attributes, size: None, body: Either::Right(body) })
    }
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Told(_, message) => f.write_str(message),
            Self::Denied { message, .. } => f.write_str(message),
            Self::Ground(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StorageError {}

pub(super) fn raw(body: Body) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    body.into_data_stream().map_err(|_| StorageError::invalid("the body ended before its end"))
}

/// Reads the fields before the file; those after it don't count.
async fn file_of_form(
    mut form: Multipart<'static>,
    attributes: &mut Attributes,
) -> Result<impl Stream<Item = Result<Bytes, StorageError>> + Send + use<>, StorageError> {
    let mut content_type = None;
    for _ in 0..MOST_FIELDS {
        let Some(mut field) = form.next_field().await.map_err(bad_form)? else {
            return Err(StorageError::new(Code::MissingPart, "the form has no file"));
        };
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() || name.is_empty() || name == "file" {
            let own = field.content_type().map(ToString::to_string);
            attributes.content_type = ContentType::read(content_type.or(own).as_deref());
            return Ok(file_then_rest(form, field));
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(bad_form)? {
            if text.len() + chunk.len() > MOST_METADATA {
                return Err(StorageError::new(Code::EntityTooLarge, format!("the field \"{name}\" is larger than {MOST_METADATA} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).map_err(|_| StorageError::invalid(format!("the field \"{name}\" is not UTF-8")))?;
        match name.as_str() {
            "cacheControl" => attributes.cache_control = cache_control(&text),
            "metadata" | "userMetadata" => attributes.user_metadata = Some(metadata(text.as_bytes())?),
            "contentType" => content_type = Some(text),
            _ => {}
        }
    }
    Err(StorageError::invalid("the form has too many fields before its file"))
}

/// The file's bytes; then reads the form to its end, so that the connection can be used again.
fn file_then_rest(mut form: Multipart<'static>, field: multer::Field<'static>) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + use<> {
    let rest = async move {
        for _ in 0..MOST_FIELDS {
            if form.next_field().await.map_err(bad_form)?.is_none() {
                break;
            }
        }
        Ok(Bytes::new())
    };
    field.map_err(bad_form).chain(stream::once(rest))
}

fn bad_form(error: multer::Error) -> StorageError {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => StorageError::too_large(),
        error => StorageError::invalid(format!("the form can't be read: {error}")),
    }
}

/// Seconds, as forms and resumable uploads tell them; or a whole header value.
pub(super) fn cache_control(text: &str) -> String {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("max-age={text}");
    }
    let is_header = !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_header { text.to_owned() } else { "no-cache".to_owned() }
}

pub(super) fn metadata_header(text: &str) -> Result<JsonColumn, StorageError> {
    let engine = base64::engine::general_purpose::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let json = engine.decode(text.trim()).map_err(|_| StorageError::invalid("x-metadata should be a JSON object in base64"))?;
    metadata(&json)
}

pub(super) fn metadata(json: &[u8]) -> Result<JsonColumn, StorageError> {
    match serde_json::from_slice(json) {
        // PostgreSQL's jsonb can't hold it.
        Ok(serde_json::Value::Object(_)) if json.windows(6).any(|window| window == b"\\u0000") => {
            Err(StorageError::invalid("the metadata can't hold U+0000"))
        }
        Ok(serde_json::Value::Object(map)) => Ok(JsonColumn(serde_json::Value::Object(map))),
        _ => Err(StorageError::invalid("the metadata should be a JSON object")),
    }
}

/// A write that was admitted, on its way to a row.
pub(super) struct Writing {
    pub(super) app: App,
    pub(super) tenant: TenantId,
    pub(super) bucket: String,
    pub(super) key: ObjectKey,
    pub(super) rights: Rights,
    pub(super) upsert: bool,
}

impl Writing {
    /// Notes a new blob and writes its bytes until they are durable.
    async fn store<S>(&self, body: S, limit: u64) -> Result<(BlobId, Stored), StorageError>
    where
        S: Stream<Item = Result<Bytes, StorageError>> + Send,
    {
        let blob = BlobId::random();
        match self.app.blobs.put(blob, body, limit, note(&self.app, self.tenant, blob)).await {
            Ok(stored) => Ok((blob, stored)),
            Err(error) => {
                give_up(&self.app, self.tenant, blob).await;
                Err(error.into())
            }
        }
    }

    /// Makes or replaces the row, and gives the object's id.
    pub(super) async fn commit(&self, blob: BlobId, stored: Stored, attributes: Attributes) -> Result<Uuid, StorageError> {
        let now = self.app.clock.now();
        let object = new_object(now, &self.key, self.rights.owner.clone(), (blob, stored), attributes)?;
        let tenant = self.tenant;
        let written = async {
            let quotas = Quotas::of(&self.app, tenant).await?;
            let row = NewRow { bucket: self.bucket.clone(), object, rights: self.rights.clone(), upsert: self.upsert, quotas };
            self.app.db.write(move |tx| async move { write_row(&tx, tenant, now, &row).await }).await
        };
        match written.await {
            Ok(outcome) => outcome,
            Err(error) => {
                abandon(&self.app, self.tenant, blob).await;
                Err(StorageError::or_no_bucket(error))
            }
        }
    }
}

/// Notes a blob, by which it is found if nothing follows.
pub(super) fn note(app: &App, tenant: TenantId, blob: BlobId) -> impl Future<Output = GroundResult<()>> + Send + use<> {
    let (app, now) = (app.clone(), app.clock.now());
    async move { app.db.write(move |tx| async move { sql::begin_upload(&tx, tenant, now, blob.uuid()).await }).await }
}

/// Leaves what there is of a blob to the sweeper.
pub(super) async fn give_up(app: &App, tenant: TenantId, blob: BlobId) {
    let now = app.clock.now();
    let noted = app.db.write(move |tx| async move { sql::discard_blob(&tx, tenant, now, blob.uuid()).await }).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "an upload that failed is left to be found when its time is over");
    }
}

/// Leaves a blob to the sweeper whose commit failed, unless the commit was made all the same.
pub(super) async fn abandon(app: &App, tenant: TenantId, blob: BlobId) {
    let now = app.clock.now();
    let noted = app.db.write(move |tx| async move { sql::abandon_upload(&tx, tenant, now, blob.uuid()).await }).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "an upload that failed is left to be found when its time is over");
    }
}

/// The row of an object that is about to be.
pub(super) fn new_object(
    now: Timestamp,
    key: &ObjectKey,
    owner_id: Option<String>,
    (blob, stored): (BlobId, Stored),
    attributes: Attributes,
) -> GroundResult<Object> {
    Ok(Object {
        name: key.as_str().to_owned(),
        id: Uuid::new_v4(),
        blob_id: blob.uuid(),
        owner_id,
        size: i64::try_from(stored.size).map_err(Error::internal)?,
        sha256: stored.sha256.to_vec(),
        content_type: attributes.content_type.as_str().to_owned(),
        cache_control: attributes.cache_control,
        robots_tag: attributes.robots_tag,
        user_metadata: attributes.user_metadata,
        created_at: now,
        updated_at: now,
        found_type: stored.kind.map(Cow::into_owned),
    })
}

/// A row that is about to be written.
pub(super) struct NewRow {
    pub(super) bucket: String,
    pub(super) object: Object,
    pub(super) rights: Rights,
    pub(super) upsert: bool,
    pub(super) quotas: Quotas,
}

/// The switch: from here on the blob is an object, or garbage. A refusal commits as well, with the note that makes it garbage.
pub(super) async fn write_row(tx: &Tx, tenant: TenantId, now: Timestamp, row: &NewRow) -> GroundResult<Result<Uuid, StorageError>> {
    let object = &row.object;
    if !sql::finish_upload(tx, tenant, object.blob_id).await? {
        sql::discard_blob(tx, tenant, now, object.blob_id).await?;
        return Ok(Err(StorageError::invalid("the upload took too long and was given up")));
    }
    usage::lock(tx, tenant).await?;
    let there = sql::find_object(tx, tenant, &row.bucket, &object.name).await?;
    let bucket = match row.fits(tx, tenant, there.as_ref()).await? {
        Ok(bucket) => bucket,
        Err(refusal) => {
            sql::discard_blob(tx, tenant, now, object.blob_id).await?;
            return Ok(Err(refusal));
        }
    };
    let (written, id) = match &there {
        None => (sql::insert_object(tx, tenant, &bucket.id, object).await?, object.id),
        Some(old) => (sql::replace_object(tx, tenant, &bucket.id, object, old).await?, old.id),
    };
    if !written {
        return Err(Error::internal("an object changed while the files of its tenant were locked"));
    }
    if let Some(old) = there {
        sql::retire(tx, tenant, now, &bucket, &old).await?;
    }
    Ok(Ok(id))
}

impl NewRow {
    /// Whether it may be written at this moment: rules, the bucket and what others have may have changed since its bytes were taken.
    async fn fits(&self, tx: &Tx, tenant: TenantId, there: Option<&Object>) -> GroundResult<Result<Bucket, StorageError>> {
        let Some(bucket) = sql::find_bucket(tx, tenant, &self.bucket).await? else { return Ok(Err(StorageError::no_bucket())) };
        if let Err(refusal) = self.fits_in(&bucket, there) {
            return Ok(Err(refusal));
        }
        let owner = self.object.owner_id.as_deref();
        let checked = self.quotas.check(tx, tenant, &bucket, owner, quota::Growth::new(&bucket, self.object.size, owner, there)).await?;
        Ok(checked.map(|()| bucket))
    }

    fn fits_in(&self, bucket: &Bucket, there: Option<&Object>) -> Result<(), StorageError> {
        let object = &self.object;
        may_write(&self.rights, &object.into(), there, self.upsert)?;
        if is_placeholder(&object.name) {
            return Ok(());
        }
        bucket.takes_object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_tells_seconds_or_a_whole_header() {
        assert_eq!(cache_control("3600"), "max-age=3600");
        assert_eq!(cache_control(" public, max-age=1 "), "public, max-age=1");
        assert_eq!(cache_control(""), "no-cache");
        assert_eq!(cache_control("a\r\nset-cookie: b"), "no-cache");
    }

    #[test]
    fn metadata_is_an_object_in_base64_padded_or_not() {
        for text in ["eyJhIjoxfQ==", "eyJhIjoxfQ"] {
            assert_eq!(metadata_header(text).unwrap().0, serde_json::json!({ "a": 1 }));
        }
        for wrong in ["", "{}", "WzFd", "!!"] {
            assert!(metadata_header(wrong).is_err(), "{wrong:?}");
        }
        assert!(metadata(br#"{"a":"\u0000"}"#).is_err());
    }
}
