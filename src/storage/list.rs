//! The folders and files in a folder. Folders are only what keys have in common up to a slash; they come first.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::{ErrorBody, StorageError},
    extract::{BucketPath, JsonBody},
    model,
    rules::{self, Action},
    sql::{self, FileEntry, Folder, SortColumn},
};
use crate::{app::App, auth::Caller, crypto::hex};

/// Which page of which folder.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListRequest {
    /// The folder; empty for the bucket itself.
    prefix: String,
    /// 1 to 1,500; 100 when absent.
    limit: Option<i64>,
    offset: Option<i64>,
    sort_by: Option<SortBy>,
    /// Only entries whose name begins with this, in any case.
    search: Option<String>,
}

/// The order of files.
#[derive(Deserialize, ToSchema)]
struct SortBy {
    /// `name`, `created_at`, `updated_at` or `last_accessed_at`.
    column: Option<String>,
    /// `asc` or `desc`.
    order: Option<String>,
}

/// A file, or a folder with nothing but its name.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// Without the folder's own.
    name: String,
    id: Option<uuid::Uuid>,
    updated_at: Option<String>,
    created_at: Option<String>,
    last_accessed_at: Option<String>,
    metadata: Option<EntryMetadata>,
}

/// What is known of a file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryMetadata {
    e_tag: String,
    size: i64,
    mimetype: String,
    cache_control: String,
    last_modified: String,
    content_length: i64,
    http_status_code: u16,
}

impl EntryMetadata {
    pub(super) fn new(etag: String, size: i64, mimetype: &str, cache_control: &str, last_modified: String) -> Self {
        Self {
            e_tag: etag,
            size,
            mimetype: mimetype.to_owned(),
            cache_control: cache_control.to_owned(),
            last_modified,
            content_length: size,
            http_status_code: 200,
        }
    }
}

impl From<FileEntry> for Entry {
    fn from(file: FileEntry) -> Self {
        let updated_at = file.updated_at.rfc3339_millis();
        let etag = format!("\"{}\"", hex(file.sha256.get(..16).unwrap_or_default()));
        let metadata = EntryMetadata::new(etag, file.size, &file.content_type, &file.cache_control, updated_at.clone());
        Self {
            name: file.name,
            id: Some(file.id),
            last_accessed_at: Some(updated_at.clone()),
            updated_at: Some(updated_at),
            created_at: Some(file.created_at.rfc3339_millis()),
            metadata: Some(metadata),
        }
    }
}

impl Entry {
    fn folder(name: String) -> Self {
        Self { name, id: None, updated_at: None, created_at: None, last_accessed_at: None, metadata: None }
    }
}

/// Lists a folder, as far as the caller may see it.
#[utoipa::path(post, path = "/storage/v1/object/list/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = ListRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Vec<Entry>), (status = 400, body = ErrorBody)))]
pub(super) async fn list_objects(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    JsonBody(asked): JsonBody<ListRequest>,
) -> Result<Json<Vec<Entry>>, StorageError> {
    let limit = asked.limit.unwrap_or(100);
    let offset = asked.offset.unwrap_or(0);
    if !(1..=1500).contains(&limit) || offset < 0 {
        return Err(StorageError::invalid("body/limit must be 1 to 1500, and body/offset not below 0"));
    }
    let (column, descending) = order(asked.sort_by.as_ref())?;
    let filter = rules::rights(&caller, bucket.as_str()).filter(Action::List);
    if filter.is_nothing() {
        return Ok(Json(Vec::new()));
    }
    let prefix = match model::beginning("prefix", &asked.prefix)?.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let search = model::beginning("search", asked.search.as_deref().unwrap_or_default())?.to_ascii_lowercase();
    let folder = Folder { tenant: caller.tenant.id, bucket: bucket.as_str(), prefix: &prefix, search: &search, filter: &filter, column, descending };
    let conn = app.db.read().await?;
    let folders = sql::list_folders(&conn, &folder, limit, offset).await?;
    let found = i64::try_from(folders.len()).unwrap_or(i64::MAX);
    let mut entries: Vec<Entry> = folders.into_iter().map(|(name,)| Entry::folder(name)).collect();
    if found < limit {
        let before = match (found, offset) {
            (0, 0) => 0,
            (0, _) => sql::count_folders(&conn, &folder).await?,
            _ => offset + found,
        };
        let files = sql::list_files(&conn, &folder, limit - found, (offset - before).max(0)).await?;
        entries.extend(files.into_iter().map(Entry::from));
    }
    Ok(Json(entries))
}

fn order(sort_by: Option<&SortBy>) -> Result<(SortColumn, bool), StorageError> {
    let column = match sort_by.and_then(|sort| sort.column.as_deref()) {
        None | Some("" | "name") => SortColumn::Name,
        Some("created_at") => SortColumn::CreatedAt,
        // Reading writes nothing, so the last access that is known is the last write.
        Some("updated_at" | "last_accessed_at") => SortColumn::UpdatedAt,
        Some(other) => return Err(StorageError::invalid(format!("\"{other}\" is no column to sort by"))),
    };
    let descending = match sort_by.and_then(|sort| sort.order.as_deref()) {
        None => false,
        Some(order) if order.is_empty() || order.eq_ignore_ascii_case("asc") => false,
        Some(order) if order.eq_ignore_ascii_case("desc") => true,
        Some(order) => return Err(StorageError::invalid(format!("\"{order}\" is no order; write asc or desc"))),
    };
    Ok((column, descending))
}
