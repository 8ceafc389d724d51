//! Removing or moving everything below a prefix: a job that works in batches, and a row that tells how far it is.
//!
//! What the caller may do is written down with the job when it is asked for; objects that it may not touch stay, uncounted. A batch and
//! the news of it are one transaction, so that a job which is done twice counts once.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    error::{Code, ErrorBody, StorageError},
    extract::{BucketPath, JsonBody},
    model::{Bucket, BucketName, Object, ObjectKey},
    quota,
    rules::{self, Action, Filter, Rights, Subject},
    sql::{
        self, Destination,
        pages::{self, Edge, Scope},
        tasks::Task,
    },
};
use crate::{
    app::App,
    auth::{Caller, Principal},
    db::{Timestamp, Tx},
    error::{ConstraintKind, Error, Result as GroundResult},
    jobs::{self, Job, JobError},
    tenants::TenantId,
};

/// Objects in one transaction.
const BATCH: i64 = 250;
/// Batches in one run of the job, which may not take long; the rest is another job's.
const BATCHES: usize = 60;

/// A task and how far it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    id: Uuid,
    /// `delete` or `move`.
    #[schema(example = "delete")]
    kind: String,
    bucket_id: String,
    /// The folder that is worked on, with its slash.
    #[schema(example = "2000/")]
    prefix: String,
    /// Where its objects go, if they are moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_prefix: Option<String>,
    /// `waiting`, `running`, `done` or `failed`.
    #[schema(example = "running")]
    status: String,
    /// The objects there were when the work began; null until then.
    total: Option<i64>,
    /// Objects removed or moved.
    done: i64,
    /// Objects that had to stay: their new names were taken, too long, or not the caller's to make.
    skipped: i64,
    /// Why it failed.
    error: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        let moves = task.kind == MOVE;
        Self {
            id: task.id,
            kind: task.kind,
            bucket_id: task.bucket_id,
            prefix: task.prefix,
            destination_bucket: moves.then_some(task.to_bucket_id),
            destination_prefix: moves.then_some(task.to_prefix),
            status: task.status,
            total: task.total,
            done: task.done,
            skipped: task.skipped,
            error: task.error,
            created_at: task.created_at.rfc3339_millis(),
            updated_at: task.updated_at.rfc3339_millis(),
        }
    }
}

const DELETE: &str = "delete";
const MOVE: &str = "move";

/// The folder to be removed.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeletePrefix {
    /// Everything below it goes; the slash at its end may be left out.
    #[schema(example = "2000/")]
    prefix: String,
}

/// Removes everything below a folder that the caller may remove. Small folders are gone with the answer; of larger ones the task tells how
/// far it is.
#[utoipa::path(post, path = "/storage/v1/object/delete-prefix/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = DeletePrefix, security(("apikey" = []), ("user" = [])), responses((status = 200, body = TaskView), (status = 400, body = ErrorBody)))]
pub(super) async fn delete_prefix(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    JsonBody(asked): JsonBody<DeletePrefix>,
) -> Result<Json<TaskView>, StorageError> {
    let prefix = folder(&asked.prefix, "prefix")?;
    let rights = rules::rights(&caller, bucket.as_str());
    find_bucket(&app, caller.tenant.id, &bucket).await?;
    if rights.filter(Action::Delete).is_nothing() {
        return Err(StorageError::denied(Action::Delete.as_str()));
    }
    let work = Work { task: Uuid::now_v7(), from: rights, to: None };
    let task = new_task(&app, &work, DELETE, (bucket.as_str(), prefix), (bucket.as_str(), String::new()), creator(&caller));
    begin(&app, caller.tenant.id, task, work).await.map(|task| Json(task.into()))
}

/// The folder to be moved.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MovePrefix {
    bucket_id: String,
    /// Everything below it moves; the slash at its end may be left out.
    #[schema(example = "2000/")]
    source_prefix: String,
    /// The same bucket when absent.
    destination_bucket: Option<String>,
    /// The folder it becomes; empty for the bucket itself.
    #[schema(example = "archive/2000/")]
    destination_prefix: String,
}

/// Moves everything below a folder that the caller may move. Objects whose new name is taken stay where they are.
#[utoipa::path(post, path = "/storage/v1/object/move-prefix", tag = "storage", request_body = MovePrefix, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = TaskView), (status = 400, body = ErrorBody)))]
pub(super) async fn move_prefix(
    caller: Caller,
    State(app): State<App>,
    JsonBody(asked): JsonBody<MovePrefix>,
) -> Result<Json<TaskView>, StorageError> {
    let from = BucketName::read(&asked.bucket_id)?;
    let to = BucketName::read(asked.destination_bucket.as_deref().unwrap_or(&asked.bucket_id))?;
    let source = folder(&asked.source_prefix, "sourcePrefix")?;
    let target = match asked.destination_prefix.trim_end_matches('/') {
        "" => String::new(),
        _ => folder(&asked.destination_prefix, "destinationPrefix")?,
    };
    if from == to && target.starts_with(&source) {
        return Err(StorageError::invalid(format!("\"{source}\" can't be moved to \"{target}\": that is itself, or below itself")));
    }
    for bucket in [&from, &to] {
        find_bucket(&app, caller.tenant.id, bucket).await?;
    }
    let (rights, to_rights) = (rules::rights(&caller, from.as_str()), rules::rights(&caller, to.as_str()));
    if rights.filter(Action::Update).is_nothing() {
        return Err(StorageError::denied(Action::Update.as_str()));
    }
    if to_rights.filter(Action::Insert).is_nothing() {
        return Err(StorageError::denied(Action::Insert.as_str()));
    }
    let work = Work { task: Uuid::now_v7(), from: rights, to: Some(to_rights) };
    let task = new_task(&app, &work, MOVE, (from.as_str(), source), (to.as_str(), target), creator(&caller));
    begin(&app, caller.tenant.id, task, work).await.map(|task| Json(task.into()))
}

/// How far a task is. It can be asked for a week after its end, by who asked for it and by secret keys.
#[utoipa::path(get, path = "/storage/v1/task/{id}", tag = "storage", params(("id" = Uuid, Path, description = "The task")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = TaskView), (status = 400, body = ErrorBody)))]
pub(super) async fn get_task(caller: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Json<TaskView>, StorageError> {
    let nothing = || StorageError::new(Code::NoSuchKey, "Task not found");
    let id = Uuid::parse_str(&id).map_err(|_| nothing())?;
    let task = sql::tasks::find(&app.db.read().await?, caller.tenant.id, id).await?;
    let is_its = |task: &Task| matches!(caller.principal, Principal::Service) || task.creator == creator(&caller);
    task.filter(is_its).map(|task| Json(task.into())).ok_or_else(nothing)
}

/// Who is asking, as it is noted.
pub(super) fn creator(caller: &Caller) -> String {
    match &caller.principal {
        Principal::Anon => "anon".to_owned(),
        Principal::User(user) => format!("user:{}", user.user_id),
        Principal::Key(key) => format!("key:{}", key.key_id),
        Principal::Service => "service".to_owned(),
    }
}

/// A folder's name with the slash at its end.
fn folder(text: &str, field: &str) -> Result<String, StorageError> {
    match text.strip_suffix('/').unwrap_or(text) {
        "" => Err(StorageError::invalid(format!("body/{field} must name a folder; POST /bucket/{{bucket}}/empty removes everything"))),
        text => Ok(format!("{}/", ObjectKey::read(text)?)),
    }
}

async fn find_bucket(app: &App, tenant: TenantId, name: &BucketName) -> Result<Bucket, StorageError> {
    sql::find_bucket(&app.db.read().await?, tenant, name.as_str()).await?.ok_or_else(StorageError::no_bucket)
}

/// The removal of everything in a bucket.
pub(super) async fn empty_bucket(app: &App, caller: &Caller, bucket: &BucketName) -> Result<(), StorageError> {
    let work = Work { task: Uuid::now_v7(), from: Rights::all(), to: None };
    let task = new_task(app, &work, DELETE, (bucket.as_str(), String::new()), (bucket.as_str(), String::new()), creator(caller));
    begin(app, caller.tenant.id, task, work).await.map(drop)
}

fn new_task(app: &App, work: &Work, kind: &str, from: (&str, String), to: (&str, String), creator: String) -> Task {
    let now = app.clock.now();
    Task {
        id: work.task,
        kind: kind.to_owned(),
        bucket_id: from.0.to_owned(),
        prefix: from.1,
        to_bucket_id: to.0.to_owned(),
        to_prefix: to.1,
        creator,
        status: "waiting".to_owned(),
        total: None,
        done: 0,
        skipped: 0,
        last_name: String::new(),
        error: None,
        created_at: now,
        updated_at: now,
    }
}

/// Writes the task down with its job, and does the first of it at once: most folders are small, and clients look right after.
async fn begin(app: &App, tenant: TenantId, task: Task, work: Work) -> Result<Task, StorageError> {
    let (id, now) = (task.id, app.clock.now());
    let job = app.jobs.prepare(tenant, &work)?;
    let insert = move |tx: Tx| async move {
        sql::tasks::insert(&tx, tenant, &task).await?;
        jobs::enqueue(&tx, now, &job).await
    };
    app.db.write(insert).await?;
    for _ in 0..AT_ONCE {
        if work.step(app, tenant).await? {
            break;
        }
    }
    app.jobs.wake();
    sql::tasks::find(&app.db.read().await?, tenant, id).await?.ok_or_else(|| Error::internal("a task is gone right after it was made").into())
}

/// Batches that are done before the answer.
const AT_ONCE: usize = 20;

/// A task and what its work may do.
#[derive(Clone, Deserialize, Serialize)]
pub struct Work {
    task: Uuid,
    from: Rights,
    to: Option<Rights>,
}

impl Job for Work {
    const KIND: &'static str = "storage.prefix";

    async fn run(self, app: &App, tenant: TenantId, _: Uuid) -> Result<(), JobError> {
        for _ in 0..BATCHES {
            if self.step(app, tenant).await? {
                return Ok(());
            }
        }
        let (job, now) = (app.jobs.prepare(tenant, &self)?, app.clock.now());
        app.db.write(move |tx| async move { jobs::enqueue(&tx, now, &job).await }).await?;
        app.jobs.wake();
        Ok(())
    }
}

impl Work {
    /// Does one batch; true when nothing is left to do.
    async fn step(&self, app: &App, tenant: TenantId) -> GroundResult<bool> {
        let conn = app.db.read().await?;
        let Some(task) = sql::tasks::find(&conn, tenant, self.task).await?.filter(Task::is_under_way) else { return Ok(true) };
        let filter = self.filter(&task);
        let total = match task.total {
            Some(total) => total,
            None => pages::count(&conn, task.scope(tenant, &filter)).await?,
        };
        let limit = app.config.storage.max_upload_bytes;
        drop(conn);
        let (work, now, id) = (self.clone(), app.clock.now(), self.task);
        let outcome = app.db.write(move |tx| async move { work.batch(&tx, tenant, now, total, limit).await }).await;
        match outcome {
            // The bucket it was all to go to is gone.
            Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::ForeignKey => {
                let fail = move |tx: Tx| async move {
                    let Some(mut task) = sql::tasks::lock(&tx, tenant, id).await? else { return Ok(()) };
                    (task.status, task.error, task.updated_at) = ("failed".to_owned(), Some(BUCKET_GONE.to_owned()), now);
                    sql::tasks::advance(&tx, tenant, &task).await
                };
                app.db.write(fail).await.map(|()| true)
            }
            outcome => outcome,
        }
    }

    fn filter(&self, task: &Task) -> Filter {
        self.from.filter(if task.kind == MOVE { Action::Update } else { Action::Delete })
    }

    async fn batch(&self, tx: &Tx, tenant: TenantId, now: Timestamp, total: i64, limit: u64) -> GroundResult<bool> {
        let Some(mut task) = sql::tasks::lock(tx, tenant, self.task).await?.filter(Task::is_under_way) else { return Ok(true) };
        let filter = self.filter(&task);
        let edge = if task.last_name.is_empty() { Edge::Start } else { Edge::After(task.last_name.clone()) };
        let objects = pages::by_name(tx, task.scope(tenant, &filter), &edge, false, BATCH).await?;
        let worked = match &self.to {
            None => {
                let names: Vec<String> = objects.iter().map(|object| object.name.clone()).collect();
                sql::delete_objects(tx, tenant, now, &task.bucket_id, &names, &filter).await?.len()
            }
            Some(rights) => move_all(tx, tenant, now, &task, &objects, rights, limit).await?,
        };
        let is_last = i64::try_from(objects.len()).unwrap_or(i64::MAX) < BATCH;
        task.total = Some(total);
        task.done += i64::try_from(worked).unwrap_or(i64::MAX);
        task.skipped += i64::try_from(objects.len() - worked).unwrap_or(i64::MAX);
        if is_last { "done" } else { "running" }.clone_into(&mut task.status);
        task.updated_at = now;
        if let Some(last) = objects.last() {
            task.last_name.clone_from(&last.name);
        }
        sql::tasks::advance(tx, tenant, &task).await?;
        Ok(is_last)
    }
}

const BUCKET_GONE: &str = "the bucket to move to is not there any more";

/// Moves what may be moved, and tells how many that were.
async fn move_all(tx: &Tx, tenant: TenantId, now: Timestamp, task: &Task, objects: &[Object], rights: &Rights, limit: u64) -> GroundResult<usize> {
    let bucket = sql::find_bucket(tx, tenant, &task.to_bucket_id).await?;
    let takes = |object: &Object| {
        task.to_bucket_id == task.bucket_id
            || bucket.as_ref().is_none_or(|bucket| bucket.takes_object(object).is_ok() && object.length() <= bucket.size_limit(limit))
    };
    let mut moved = 0;
    for object in objects {
        let rest = object.name.strip_prefix(&task.prefix).unwrap_or(&object.name);
        let Ok(key) = ObjectKey::read(&format!("{}{rest}", task.to_prefix)) else { continue };
        if !takes(object) || !rights.allow(Action::Insert, &Subject { name: key.as_str(), ..Subject::from(object) }) {
            continue;
        }
        if quota::check_move(tx, tenant, &task.bucket_id, &task.to_bucket_id, object).await?.is_err() {
            continue;
        }
        let to = Destination { bucket: &task.to_bucket_id, name: key.as_str() };
        moved += usize::from(sql::tasks::move_if_free(tx, tenant, now, &task.bucket_id, object, to).await?);
    }
    Ok(moved)
}

impl Task {
    fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "waiting" | "running")
    }

    fn scope<'a>(&'a self, tenant: TenantId, filter: &'a Filter) -> Scope<'a> {
        Scope { tenant, bucket: &self.bucket_id, beginning: &self.prefix, filter }
    }
}
