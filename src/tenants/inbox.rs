//! What became of a tenant's mails: the inbox where they are kept when no mail server is set, and the jobs that were given up.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{manage, operator::Operator};
use crate::{
    app::App,
    error::Error,
    http::Problem,
    jobs::{self, FailedJob},
    mail::{self, InboxMail},
};

/// The routes of mails and jobs.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_inbox_mails)).routes(routes!(list_failed_jobs)).routes(routes!(retry_failed_job))
}

/// Which mails to show.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InboxQuery {
    /// The tenant; the default one if none is named.
    tenant: Option<String>,
    /// Only mails to this address.
    to: Option<String>,
    /// How many, 1 to 200; 50 if nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Mails, newest first.
#[derive(Serialize, ToSchema)]
struct Inbox {
    mails: Vec<InboxMail>,
}

/// Mails that were kept because no mail server is set (`mail.smtp_host`), newest first.
#[utoipa::path(get, path = "/admin/v1/inbox", tag = "admin", params(InboxQuery), security(("operator" = [])), responses(
    (status = 200, body = Inbox), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_inbox_mails(
    _: Operator,
    State(app): State<App>,
    asked: Result<Query<InboxQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Inbox>, Problem> {
    let Query(asked) = asked.map_err(|error| Error::invalid("query", error.body_text()))?;
    let limit = asked.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Error::invalid("limit", format!("{limit} is out of range; take 1 to 200")).into());
    }
    let reference = asked.tenant.as_deref().unwrap_or(&app.config.default_tenant);
    let tenant = manage::get_tenant(&app, reference).await?;
    let to = asked.to.map(|to| to.to_lowercase());
    Ok(Json(Inbox { mails: mail::read_inbox(&app, tenant.id, to.as_deref(), limit).await? }))
}

/// Jobs shown at most.
const MOST_JOBS: i64 = 200;

/// Jobs of a tenant that were given up.
#[derive(Serialize, ToSchema)]
struct FailedJobs {
    jobs: Vec<FailedJob>,
}

/// Jobs that were tried until it made no sense any more, newest first: mails that were not sent, above all.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/jobs", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = FailedJobs), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn list_failed_jobs(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<FailedJobs>, Problem> {
    let tenant = manage::get_tenant(&app, &reference).await?;
    Ok(Json(FailedJobs { jobs: jobs::failed_jobs(&app.db.read().await?, tenant.id, MOST_JOBS).await? }))
}

/// Tries a job again that was given up.
#[utoipa::path(post, path = "/admin/v1/tenants/{ref}/jobs/{id}/retry", tag = "admin", params(("ref" = String, Path), ("id" = Uuid, Path)), security(("operator" = [])), responses(
    (status = 202), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn retry_failed_job(_: Operator, State(app): State<App>, Path((reference, id)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    let not_there = || Error::not_found(format!("failed job {id}"));
    let job: Uuid = id.parse().map_err(|_| not_there())?;
    let (tenant, now) = (manage::get_tenant(&app, &reference).await?.id, app.clock.now());
    let retried = app.db.write(move |tx| async move { jobs::retry_failed(&tx, tenant, now, job).await }).await?;
    if !retried {
        return Err(not_there().into());
    }
    app.jobs.wake();
    Ok(StatusCode::ACCEPTED)
}
