//! The objects whose names begin alike, a page at a time by a cursor: all of them, or folded into folders at the next slash.
//!
//! By name a page is found by skipping: a folder is one entry, and the search goes on behind it, however much is in it.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::{ErrorBody, StorageError},
    extract::{BucketPath, JsonBody},
    list::EntryMetadata,
    model::{self, Object},
    rules::{self, Action},
    sql::{
        self, SortColumn, end_of_prefix,
        pages::{self, Edge, Scope},
    },
};
use crate::{
    app::App,
    auth::Caller,
    crypto::{base64url, from_base64url},
    db::{Conn, Timestamp},
    error::Result as GroundResult,
};

/// Entries on a page at most, and when nothing is said.
const MOST: i64 = 1000;
/// Objects that are looked at between two jumps over a folder.
const STRIDE: i64 = 100;

/// Which page of which objects.
#[derive(Deserialize, ToSchema)]
pub(super) struct PageRequest {
    /// What the names begin with.
    #[serde(default)]
    prefix: String,
    /// 1 to 1,000, which is also the default.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Whether names are folded at the next slash after the prefix.
    #[serde(default)]
    with_delimiter: bool,
    #[serde(rename = "sortBy")]
    sort_by: Option<PageOrder>,
}

/// The order of a page.
#[derive(Deserialize, ToSchema)]
struct PageOrder {
    #[schema(value_type = String, example = "name")]
    column: OrderColumn,
    #[serde(default)]
    #[schema(value_type = String, example = "asc")]
    order: Direction,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum OrderColumn {
    Name,
    CreatedAt,
    UpdatedAt,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    #[default]
    Asc,
    Desc,
}

/// Where a page ended: the order that it had, and its last entry. Opaque to clients.
#[derive(Deserialize, Serialize)]
struct Cursor {
    column: OrderColumn,
    order: Direction,
    /// The name of the last entry; a folder's ends in a slash.
    name: String,
    /// The time of the last entry in microseconds, where times are what is sorted by.
    moment: Option<i64>,
}

/// A page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Whether there is more.
    has_next: bool,
    /// To be sent with the next request.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The last name of this page, if there is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor_key: Option<String>,
    folders: Vec<FolderEntry>,
    objects: Vec<ObjectEntry>,
}

/// What names have in common up to a slash.
#[derive(Serialize, ToSchema)]
struct FolderEntry {
    /// The whole name with the slash at its end.
    #[schema(example = "2000/01/")]
    name: String,
    /// Its last part, without slashes.
    #[schema(example = "01")]
    key: String,
}

/// An object of a page.
#[derive(Serialize, ToSchema)]
struct ObjectEntry {
    id: uuid::Uuid,
    /// The whole name.
    name: String,
    /// Its last part, where names are folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_accessed_at: String,
    metadata: EntryMetadata,
}

/// Lists objects by what their names begin with, as far as the caller may see them.
#[utoipa::path(post, path = "/storage/v1/object/list-v2/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = PageRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Page), (status = 400, body = ErrorBody)))]
pub(super) async fn list_page(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    JsonBody(asked): JsonBody<PageRequest>,
) -> Result<Json<Page>, StorageError> {
    let limit = asked.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(StorageError::invalid(format!("body/limit must be 1 to {MOST}")));
    }
    let cursor = asked.cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| Cursor::read(&cursor)).transpose()?;
    let (column, order) = match (&cursor, asked.sort_by) {
        (Some(cursor), _) => (cursor.column, cursor.order),
        (None, Some(sort)) => (sort.column, sort.order),
        (None, None) => (OrderColumn::Name, Direction::Asc),
    };
    let filter = rules::rights(&caller, bucket.as_str()).filter(Action::List);
    let prefix = model::beginning("prefix", &asked.prefix)?;
    let scope = Scope { tenant: caller.tenant.id, bucket: bucket.as_str(), beginning: &prefix, filter: &filter };
    let folding = Folding { prefix: &prefix, is_on: asked.with_delimiter };
    let conn = app.db.read().await?;
    // One more than asked for tells whether there is more.
    let (descending, wanted) = (order == Direction::Desc, limit + 1);
    let mut entries = match column {
        OrderColumn::Name => by_name(&conn, scope, folding, cursor.as_ref(), descending, wanted).await?,
        OrderColumn::CreatedAt => by_time(&conn, scope, folding, cursor.as_ref(), (SortColumn::CreatedAt, descending), wanted).await?,
        OrderColumn::UpdatedAt => by_time(&conn, scope, folding, cursor.as_ref(), (SortColumn::UpdatedAt, descending), wanted).await?,
    };
    let has_next = entries.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = entries.last().filter(|_| has_next);
    let next_cursor =
        last.map(|last| Cursor { column, order, name: last.name.clone(), moment: last.moment.map(Timestamp::micros) }.write()).transpose()?;
    let next_cursor_key = last.map(|last| last.name.clone());
    Ok(Json(Page::new(has_next, next_cursor, next_cursor_key, entries, folding)))
}

impl Cursor {
    fn read(text: &str) -> Result<Self, StorageError> {
        let read = from_base64url(text).and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        // PostgreSQL has no NUL in a text.
        read.filter(|cursor| !cursor.name.contains('\0')).ok_or_else(|| StorageError::invalid("body/cursor is not one that a page ended with"))
    }

    fn write(&self) -> Result<String, StorageError> {
        Ok(base64url(&serde_json::to_vec(self).map_err(crate::error::Error::from)?))
    }
}

/// Whether names are folded at the first slash after the prefix.
#[derive(Clone, Copy)]
struct Folding<'a> {
    prefix: &'a str,
    is_on: bool,
}

impl Folding<'_> {
    /// The folder that a name is folded into.
    fn folder_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let start = self.prefix.len();
        let slash = name.get(start..).filter(|_| self.is_on)?.find('/')?;
        name.get(..=start + slash)
    }

    /// The last part of a name.
    fn key_of(name: &str) -> String {
        name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    }
}

/// An object, or a folder.
struct Entry {
    name: String,
    object: Option<Object>,
    moment: Option<Timestamp>,
}

async fn by_name(
    conn: &Conn,
    scope: Scope<'_>,
    folding: Folding<'_>,
    cursor: Option<&Cursor>,
    descending: bool,
    wanted: i64,
) -> GroundResult<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut edge = cursor.map_or(Edge::Start, |cursor| edge_behind(&cursor.name, descending));
    loop {
        let missing = wanted - i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let stride = if folding.is_on { missing.min(STRIDE) } else { missing };
        let objects = pages::by_name(conn, scope, &edge, descending, stride).await?;
        let is_end = i64::try_from(objects.len()).unwrap_or(i64::MAX) < stride;
        for object in objects {
            match folding.folder_of(&object.name) {
                Some(folder) if entries.last().is_some_and(|last| last.name == folder) => {}
                Some(folder) => entries.push(Entry { name: folder.to_owned(), object: None, moment: None }),
                None => entries.push(Entry { name: object.name.clone(), object: Some(object), moment: None }),
            }
        }
        match entries.last() {
            Some(last) if !is_end && i64::try_from(entries.len()).unwrap_or(i64::MAX) < wanted => edge = edge_behind(&last.name, descending),
            _ => return Ok(entries),
        }
    }
}

/// Where to go on behind an entry: behind all that is in it, if it is a folder.
fn edge_behind(name: &str, descending: bool) -> Edge {
    match (descending, name.ends_with('/')) {
        (true, _) => Edge::Before(name.to_owned()),
        (false, true) => end_of_prefix(name).map_or_else(|| Edge::After(name.to_owned()), Edge::From),
        (false, false) => Edge::After(name.to_owned()),
    }
}

async fn by_time(
    conn: &Conn,
    scope: Scope<'_>,
    folding: Folding<'_>,
    cursor: Option<&Cursor>,
    order: (SortColumn, bool),
    wanted: i64,
) -> GroundResult<Vec<Entry>> {
    let after = cursor.map(|cursor| (Timestamp::from_micros(cursor.moment.unwrap_or_default()), cursor.name.as_str()));
    let found = pages::by_time(conn, scope, folding.is_on, order, after, wanted).await?;
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).filter(|name| !name.ends_with('/')).collect();
    let objects = sql::find_objects(conn, scope.tenant, scope.bucket, &names, scope.filter).await?;
    let mut objects: std::collections::HashMap<String, Object> = objects.into_iter().map(|object| (object.name.clone(), object)).collect();
    let entries = found.into_iter().map(|(name, moment)| Entry { object: objects.remove(&name), moment: Some(moment), name });
    // On PostgreSQL an object may go between the two looks.
    Ok(entries.filter(|entry| entry.object.is_some() || entry.name.ends_with('/')).collect())
}

impl Page {
    fn new(has_next: bool, next_cursor: Option<String>, next_cursor_key: Option<String>, entries: Vec<Entry>, folding: Folding<'_>) -> Self {
        let (mut folders, mut objects) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.object {
                None => folders.push(FolderEntry { key: Folding::key_of(&entry.name), name: entry.name }),
                Some(object) => objects.push(ObjectEntry::new(object, folding)),
            }
        }
        Self { has_next, next_cursor, next_cursor_key, folders, objects }
    }
}

impl ObjectEntry {
    fn new(object: Object, folding: Folding<'_>) -> Self {
        let updated_at = object.updated_at.rfc3339_millis();
        Self {
            id: object.id,
            key: folding.is_on.then(|| Folding::key_of(&object.name)),
            last_accessed_at: updated_at.clone(),
            created_at: object.created_at.rfc3339_millis(),
            metadata: EntryMetadata::new(object.etag(), object.size, &object.content_type, &object.cache_control, updated_at.clone()),
            updated_at,
            name: object.name,
        }
    }
}
