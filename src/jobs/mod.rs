//! Work that follows a request: mails and calls to others, and what is done now and then.
//!
//! A job is a row written in the transaction that calls for it, so that it is done if and only if that transaction commits; a worker of
//! any node takes it, and whoever is killed while doing it loses it to another after [`queue::LEASE`]. So a job may be done twice, and
//! must bear it. What fails is tried again, later each time, and given up at last: then its row stays, with what went wrong.
//!
//! A kind of job is a struct with [`Job`]; which kinds there are, and what is done now and then, says the [`Registry`] that the server
//! makes. Start with [`Job`], then `queue.rs` (its SQL) and `worker.rs`.

mod queue;
mod worker;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::{
    queue::{FailedJob, delete_rows_of, enqueue, enqueue_all, failed_jobs, retry_failed},
    worker::{run_due, work},
};
use crate::{
    app::App,
    crypto::MasterKey,
    db::TenantId,
    error::{Error, Result},
};

/// Why a job is not done.
#[derive(Debug)]
pub enum JobError {
    /// It may succeed later.
    Retry(String),
    /// It never will.
    GiveUp(String),
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        Self::Retry(error.to_string())
    }
}

/// A kind of work.
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Its name in the table; never changed.
    const KIND: &'static str;

    /// Does it. `id` is the same at every attempt, for receivers that want to know.
    fn run(self, app: &App, tenant: TenantId, id: Uuid) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job on its way into the table.
pub struct NewJob {
    id: Uuid,
    tenant: TenantId,
    kind: &'static str,
    payload: Vec<u8>,
}

impl NewJob {
    /// What it will be called.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

/// Makes jobs, and tells the worker of them.
pub struct Jobs {
    master_key: Arc<MasterKey>,
    woken: Notify,
}

impl Jobs {
    /// Jobs sealed by this key.
    pub fn new(master_key: Arc<MasterKey>) -> Self {
        Self { master_key, woken: Notify::new() }
    }

    /// Writes a job down, to be handed to [`enqueue`] inside a transaction.
    pub fn prepare<J: Job>(&self, tenant: TenantId, job: &J) -> Result<NewJob> {
        let id = Uuid::now_v7();
        let payload = self.master_key.seal(&place(tenant, id), &serde_json::to_vec(job)?);
        Ok(NewJob { id, tenant, kind: J::KIND, payload })
    }

    /// Says that there is work: to be called when its transaction has committed. Forgotten, the work waits for a second.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

fn place(tenant: TenantId, id: Uuid) -> String {
    format!("jobs/{}/{id}", tenant.number())
}

type Running = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;
type RunJob = fn(App, TenantId, Uuid, Vec<u8>) -> Running;
type RunPeriodic = fn(App) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Which kinds of jobs there are, and what is done now and then.
#[derive(Default)]
pub struct Registry {
    jobs: HashMap<&'static str, RunJob>,
    periodic: Vec<Periodic>,
}

/// Something that each node does now and then.
#[derive(Clone, Copy)]
struct Periodic {
    /// What is done, as the log says it.
    name: &'static str,
    every: Duration,
    run: RunPeriodic,
}

impl Registry {
    /// Adds a kind of job.
    #[must_use]
    pub fn job<J: Job>(mut self) -> Self {
        self.jobs.insert(J::KIND, |app, tenant, id, payload| {
            Box::pin(async move {
                let job: J = serde_json::from_slice(&payload).map_err(|error| JobError::GiveUp(format!("it can't be read: {error}")))?;
                job.run(&app, tenant, id).await
            })
        });
        self
    }

    /// Adds something to be done now and then, the first time at once.
    #[must_use]
    pub fn periodic(mut self, name: &'static str, every: Duration, run: RunPeriodic) -> Self {
        self.periodic.push(Periodic { name, every, run });
        self
    }
}
