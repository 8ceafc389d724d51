//! Bytes on their way out: whole or a range, or only the news that they have not changed.

use std::fmt::Write as _;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chrono::DateTime;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    error::{Code, ErrorBody, StorageError},
    extract::{AnyCaller, Asked, ObjectPath},
    model::{Bucket, Object, essence, is_token},
    range::{self, Wanted},
    rules::{self, Action},
    sql, versions,
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant},
    blobs::BlobId,
    db::Timestamp,
    tenants::Tenant,
};

/// How a file is to be sent.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Download {
    /// To be saved, under this name unless it is empty.
    pub(super) download: Option<String>,
}

/// Which version of an object is meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichVersion {
    /// What the object was before, in place of what it is.
    version: Option<Uuid>,
}

/// Reads an object that the caller may see; in a public bucket also without a key.
#[utoipa::path(get, path = "/storage/v1/object/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), Download),
    security((), ("apikey" = []), ("user" = [])), responses(
    (status = 200, content_type = "*/*", body = Vec<u8>), (status = 206, content_type = "*/*", body = Vec<u8>), (status = 304),
    (status = 400, body = ErrorBody), (status = 416, body = ErrorBody)))]
pub(super) async fn get_object(
    AnyCaller(caller): AnyCaller,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<Download>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    let (bucket, object) = find(&app, &caller, Action::Get, &path, true).await?;
    let access = if is_open(&caller.tenant, &bucket) { Access::Public } else { Access::Private };
    answer(&app, &object, access, &asked, &method, &headers).await
}

/// Reads an object that the caller may see.
#[utoipa::path(get, path = "/storage/v1/object/authenticated/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), Download, WhichVersion),
    security(("apikey" = []), ("user" = [])), responses(
    (status = 200, content_type = "*/*", body = Vec<u8>), (status = 206, content_type = "*/*", body = Vec<u8>), (status = 304),
    (status = 400, body = ErrorBody), (status = 416, body = ErrorBody)))]
pub(super) async fn get_authenticated_object(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<Download>,
    Asked(which): Asked<WhichVersion>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    let object = match which.version {
        Some(version) => versions::read(&app, &caller, &path, version).await?,
        None => find(&app, &caller, Action::Get, &path, false).await?.1,
    };
    answer(&app, &object, Access::Private, &asked, &method, &headers).await
}

/// Reads an object of a public bucket.
#[utoipa::path(get, path = "/storage/v1/object/public/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), Download),
    security(()), responses(
    (status = 200, content_type = "*/*", body = Vec<u8>), (status = 206, content_type = "*/*", body = Vec<u8>), (status = 304),
    (status = 400, body = ErrorBody), (status = 416, body = ErrorBody)))]
pub(super) async fn get_public_object(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
    Asked(asked): Asked<Download>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, StorageError> {
    let object = find_public(&app, &tenant, &path).await?;
    answer(&app, &object, Access::Public, &asked, &method, &headers).await
}

/// Whether everybody may read what is in a bucket.
fn is_open(tenant: &Tenant, bucket: &Bucket) -> bool {
    bucket.public && !tenant.settings.storage.sealed_buckets.contains(&bucket.id)
}

/// An object of a public bucket; a private bucket looks as if it were not there.
pub(super) async fn find_public(app: &App, tenant: &Tenant, path: &ObjectPath) -> Result<Object, StorageError> {
    let conn = app.db.read().await?;
    let bucket = sql::find_bucket(&conn, tenant.id, path.bucket.as_str()).await?;
    bucket.filter(|bucket| is_open(tenant, bucket)).ok_or_else(StorageError::no_bucket)?;
    sql::find_object(&conn, tenant.id, path.bucket.as_str(), path.key.as_str()).await?.ok_or_else(StorageError::no_object)
}

/// An object on which the caller may do this; what it may not see looks as if it were not there.
pub(super) async fn find(app: &App, caller: &Caller, action: Action, path: &ObjectPath, public_too: bool) -> Result<(Bucket, Object), StorageError> {
    let conn = app.db.read().await?;
    let bucket = sql::find_bucket(&conn, caller.tenant.id, path.bucket.as_str()).await?.ok_or_else(StorageError::no_bucket)?;
    let object = sql::find_object(&conn, caller.tenant.id, &bucket.id, path.key.as_str()).await?.ok_or_else(StorageError::no_object)?;
    let rights = rules::rights(caller, &bucket.id);
    let is_free = public_too && is_open(&caller.tenant, &bucket);
    if is_free || rights.allow(action, &(&object).into()) { Ok((bucket, object)) } else { Err(StorageError::no_object()) }
}

/// By which door a file is read; caches must know.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Public,
    Private,
    /// By a URL that is good until then.
    Signed(Timestamp),
}

/// Answers with an object's bytes, as the request's headers ask for them.
pub(super) async fn answer(
    app: &App,
    object: &Object,
    access: Access,
    asked: &Download,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, StorageError> {
    let mut response = Response::new(Body::empty());
    describe(object, access, asked, response.headers_mut());
    if is_unchanged(object, headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let length = object.length();
    // RFC 9110, 14.2: a range is for GET only.
    let wanted = if *method == Method::GET { wanted(object, headers) } else { Wanted::Whole };
    let range = match wanted {
        Wanted::Whole => 0..length,
        Wanted::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            response.headers_mut().insert(header::CONTENT_RANGE, value(&text));
            range
        }
        Wanted::Unsatisfiable => return Ok(unsatisfiable(length)),
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if *method == Method::HEAD {
        return Ok(response);
    }
    let Some(reader) = app.blobs.read(BlobId::from(object.blob_id), range).await? else {
        tracing::error!(object = %object.id, blob = %object.blob_id, "the bytes of an object are missing");
        return Err(StorageError::missing_bytes());
    };
    *response.body_mut() = match reader.into_whole() {
        Ok(bytes) => Body::from(bytes),
        Err(stream) => Body::from_stream(stream),
    };
    Ok(response)
}

fn wanted(object: &Object, headers: &HeaderMap) -> Wanted {
    let Some(asked) = headers.get(header::RANGE) else { return Wanted::Whole };
    // RFC 9110, 13.1.5: the range counts only while the file is the one that the client has a part of.
    if let Some(condition) = headers.get(header::IF_RANGE) {
        let condition = condition.to_str().unwrap_or_default();
        let is_same = condition == object.etag() || http_date(condition).is_some_and(|date| date == object.updated_at.seconds());
        if !is_same {
            return Wanted::Whole;
        }
    }
    range::read(asked.to_str().unwrap_or_default(), object.length())
}

fn unsatisfiable(length: u64) -> Response {
    use axum::response::IntoResponse as _;

    let mut response = StorageError::new(Code::InvalidRange, "The requested range cannot be satisfied").into_response();
    response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{length}")));
    response
}

/// RFC 9110, 13.2.2: the entity tag decides where there is one, the date only where there is none.
pub(super) fn is_unchanged(object: &Object, headers: &HeaderMap) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let etag = object.etag();
        let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|tags| tags.split(','));
        return tags.any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag);
    }
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|value| http_date(value.to_str().ok()?));
    since.is_some_and(|since| object.updated_at.seconds() <= since)
}

fn http_date(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp())
}

pub(super) fn to_http_date(moment: Timestamp) -> String {
    moment.date_time().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The headers that tell about an object, whatever is sent of it.
pub(super) fn describe(object: &Object, access: Access, asked: &Download, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, value(served_type(&object.content_type)));
    headers.insert(header::ETAG, value(&object.etag()));
    headers.insert(header::LAST_MODIFIED, value(&to_http_date(object.updated_at)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert("x-robots-tag", value(object.robots_tag.as_deref().unwrap_or("none")));
    headers.insert(header::CACHE_CONTROL, value(&cache_control(object, access)));
    if let Access::Signed(end) = access {
        headers.insert(header::EXPIRES, value(&to_http_date(end)));
    }
    if let Some(name) = &asked.download {
        headers.insert(header::CONTENT_DISPOSITION, value(&attachment(name)));
    }
    if !is_inert(&object.content_type) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"),
        );
    }
}

/// What was stored was checked; what slipped through is left out rather than breaking the answer.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// What not everybody may read is kept out of shared caches. A signed URL's life is told by `Expires`.
fn cache_control(object: &Object, access: Access) -> String {
    let own = &object.cache_control;
    match access {
        Access::Public => own.clone(),
        Access::Signed(_) => "private".to_owned(),
        Access::Private => {
            let kept = own.split(',').map(str::trim).filter(|part| {
                let name = part.split('=').next().unwrap_or_default().to_ascii_lowercase();
                !part.is_empty() && !matches!(name.as_str(), "public" | "private" | "s-maxage")
            });
            std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Pages are served as text: here they would run with the rights of this origin.
fn served_type(kind: &str) -> &str {
    let name = essence(kind);
    if name.eq_ignore_ascii_case("text/html") { "text/plain; charset=utf-8" } else { kind }
}

/// Types in which nothing runs. All others are sent with a policy that lets nothing run.
fn is_inert(kind: &str) -> bool {
    let kind = essence(kind).to_ascii_lowercase();
    let is_media = ["image/", "audio/", "video/", "font/"].iter().any(|start| kind.starts_with(start)) && !kind.contains("xml");
    is_media
        || matches!(
            kind.as_str(),
            "text/plain" | "text/csv" | "application/json" | "application/pdf" | "application/octet-stream" | "application/zip" | "application/gzip"
        )
}

/// RFC 6266 with RFC 8187: a plain name for old clients, the whole one for the others.
fn attachment(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).map(|c| if matches!(c, '/' | '\\') { '_' } else { c }).collect();
    if name.is_empty() {
        return "attachment;".to_owned();
    }
    let plain: String = name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%' | ';') { c } else { '_' }).collect();
    let mut extended = String::with_capacity(name.len());
    for byte in name.bytes() {
        // RFC 8187, 3.2.1
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            extended.push(char::from(byte));
        } else {
            let _ = write!(extended, "%{byte:02X}");
        }
    }
    // What needs no quotes has none: stock clients compare.
    let plain = if is_token(&plain) { plain } else { format!("\"{plain}\"") };
    format!("attachment; filename={plain}; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_to_save_under_are_told_twice() {
        assert_eq!(attachment(""), "attachment;");
        assert_eq!(attachment("a.txt"), "attachment; filename=a.txt; filename*=UTF-8''a.txt");
        assert_eq!(attachment("李 \"x\".pdf"), "attachment; filename=\"_ _x_.pdf\"; filename*=UTF-8''%E6%9D%8E%20%22x%22.pdf");
        assert_eq!(attachment("../a\r\nb"), "attachment; filename=.._ab; filename*=UTF-8''.._ab");
    }

    #[test]
    fn nothing_active_is_served_as_it_is() {
        for kind in ["text/html", "TEXT/HTML; charset=utf-8", "text/html;x", " text/html "] {
            assert_eq!(served_type(kind), "text/plain; charset=utf-8");
        }
        for kind in [
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/xml",
            "message/rfc822",
            "multipart/related",
            "text/javascript",
            "application/javascript",
            "application/x-shockwave-flash",
            "text/css",
            "application/rss+xml",
            "image/svg+xml;x",
            "IMAGE/SVG+XML",
        ] {
            assert!(!is_inert(kind), "{kind}");
        }
        assert!(is_inert("image/png") && is_inert("application/pdf"));
    }

    proptest! {
        #[test]
        fn any_name_makes_one_header(name in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let header = attachment(&name);
            let header = HeaderValue::from_str(&header).unwrap();
            let text = header.to_str().unwrap();
            prop_assert!(text.matches('"').count().is_multiple_of(2));
            prop_assert!(text.starts_with("attachment;"));
        }
    }
}
