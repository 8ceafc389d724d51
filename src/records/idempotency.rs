//! Writes that may be sent twice and are done once: `Idempotency-Key`.
//!
//! The key is taken in the transaction that writes, before anything else, and the answer is kept in it: who sends the same again, at the
//! same time or a day later, to this process or another, waits for that transaction and gets its answer. A refusal has no effect and is
//! not kept, so a request that was refused can be tried again. Keys belong to who sends them; rights are looked at before an answer is
//! given again.

use std::sync::Arc;

use http::{HeaderMap, Method};
use uuid::Uuid;

use super::{
    answer::Answer,
    error::{RestError, RestResult},
    sql::{answers, changes},
};
use crate::{
    app::App,
    auth::{Caller, Principal},
    crypto::{MasterKey, sha256},
    db::{Timestamp, Tx},
    error::{Error, Result},
    http::current_actor,
    tenants::TenantId,
};

/// Seconds for which an answer is kept.
const KEPT: i64 = 86_400;
/// Characters in a key, at the most.
const LONGEST: usize = 255;

/// A write that is to be done once.
pub(super) struct Once {
    key: String,
    principal: String,
    request: [u8; 32],
    master_key: Arc<MasterKey>,
}

impl Once {
    /// What the header says of a write; nothing when there is none.
    pub(super) fn of(app: &App, caller: &Caller, (method, target, headers, body): (&Method, &str, &HeaderMap, &[u8])) -> RestResult<Option<Self>> {
        let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
        let key = key.to_str().unwrap_or_default().trim();
        if key.is_empty() || key.len() > LONGEST {
            let message = format!("Idempotency-Key should be 1 to {LONGEST} visible ASCII characters");
            return Err(RestError::new("PGRST100", message));
        }
        let request = fingerprint(method, target, headers, body);
        Ok(Some(Self { key: key.to_owned(), principal: principal(caller), request, master_key: Arc::clone(&app.master_key) }))
    }

    /// The answer that was given already; if there is none, the key is taken.
    pub(super) async fn earlier(&self, tx: &Tx, tenant: TenantId, now: Timestamp) -> RestResult<Option<Answer>> {
        let named = (self.principal.as_str(), self.key.as_str());
        answers::free(tx, tenant, named, now.plus_seconds(-KEPT)).await?;
        if answers::claim(tx, tenant, now, named, &self.request).await? {
            return Ok(None);
        }
        let Some(given) = answers::find(tx, tenant, named).await? else {
            return Err(Error::unavailable("another request with this Idempotency-Key is just being forgotten; try again").into());
        };
        if given.request != self.request {
            return Err(RestError::new("PT422", "Idempotency-Key was used with another request").hint("Take a new key for a new request."));
        }
        let (Some(status), Some(headers), Some(sealed)) = (given.status, given.headers, given.body) else {
            return Err(Error::internal("a kept answer is empty").into());
        };
        let body = String::from_utf8(self.master_key.open(&self.place(tenant), &sealed)?).map_err(Error::internal)?;
        Answer::of_parts(status, &headers.0, body).map(Some)
    }

    /// Keeps the answer, in the transaction that makes it true.
    pub(super) async fn keep(&self, tx: &Tx, tenant: TenantId, answer: &Answer) -> RestResult<()> {
        let sealed = self.master_key.seal(&self.place(tenant), answer.body.as_bytes());
        let parts = (i64::from(answer.status.as_u16()), answer.headers_as_json(), sealed);
        Ok(answers::keep(tx, tenant, (&self.principal, &self.key), parts).await?)
    }

    fn place(&self, tenant: TenantId) -> String {
        format!("record_answers/{}/{}/{}", tenant.number(), self.principal, self.key)
    }
}

fn principal(caller: &Caller) -> String {
    let named = |kind: &str, id: Uuid| format!("{kind}/{id}");
    match &caller.principal {
        Principal::User(user) => named("user", user.user_id),
        Principal::Key(key) => named("key", key.key_id),
        Principal::Service => current_actor().and_then(|actor| actor.id).map_or_else(|| "service".to_owned(), |id| named("key", id)),
        Principal::Anon => "anon".to_owned(),
    }
}

/// What makes two requests the same: all of them that has a say in what is done and answered.
fn fingerprint(method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> [u8; 32] {
    let mut text = format!("{method} {target}\n").into_bytes();
    for name in ["accept", "content-type", "if-match", "prefer"] {
        for value in headers.get_all(name) {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
    }
    text.push(b'\n');
    text.extend_from_slice(body);
    sha256(&text)
}

/// How often what is over is looked for.
pub const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_hours(1);

/// Seconds for which a deleted employee can be brought back.
const UNDELETED: i64 = 90 * 86_400;

/// Forgets answers, and deleted employees, whose time is over, in all tenants.
pub async fn keep_swept(app: App) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |tx| async move {
            answers::forget_before(&tx, now.plus_seconds(-KEPT)).await?;
            changes::forget_deleted_before(&tx, now.plus_seconds(-UNDELETED)).await
        })
        .await
}
