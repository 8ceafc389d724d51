//! What is removed by itself: objects that have grown old, and versions that nobody will ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::StorageError,
    model::{Bucket, ObjectKey},
    rules::Filter,
    sql::{self, versions},
};
use crate::{
    app::App,
    db::{Timestamp, Tx},
    error::Result,
    tenants::{TenantId, list_tenants},
};

/// How often it is looked what has grown old.
pub const LIFECYCLE_EVERY: Duration = Duration::from_hours(1);
/// Removed in one transaction.
const BATCH: i64 = 250;
/// Rules of a bucket at most.
const MOST_RULES: usize = 100;
/// A hundred years.
const MOST_DAYS: u32 = 36_525;

/// What is removed by itself, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lifecycle {
    /// Objects that have not changed for so long. Where versions are kept, they become versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expire: Vec<Expiry>,
    /// How many versions of an object are kept besides what it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    keep_versions: Option<u32>,
    /// How long versions are kept after they were replaced or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    keep_version_days: Option<u32>,
}

/// Objects that are removed when they have not changed for some days.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Expiry {
    /// What their names begin with; all of the bucket when empty.
    #[serde(default)]
    #[schema(example = "tmp/")]
    prefix: String,
    #[schema(minimum = 1)]
    days: u32,
}

impl Lifecycle {
    /// Refuses what can't be meant.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        if self.expire.len() > MOST_RULES {
            return Err(StorageError::invalid(format!("body/lifecycle/expire must have at most {MOST_RULES} items")));
        }
        for rule in &self.expire {
            check_days("expire/days", rule.days)?;
            if !rule.prefix.is_empty() {
                ObjectKey::read(rule.prefix.strip_suffix('/').unwrap_or(&rule.prefix))?;
            }
        }
        self.keep_version_days.map_or(Ok(()), |days| check_days("keep_version_days", days))
    }
}

fn check_days(field: &str, days: u32) -> Result<(), StorageError> {
    if (1..=MOST_DAYS).contains(&days) { Ok(()) } else { Err(StorageError::invalid(format!("body/lifecycle/{field} must be 1 to {MOST_DAYS}"))) }
}

/// Looks through all buckets, and says what was removed.
pub async fn keep_lifecycles(app: App) -> Result<()> {
    let removed = apply_lifecycles(&app).await?;
    if removed > 0 {
        tracing::info!(removed, "removed files and versions whose time was over");
    }
    Ok(())
}

/// Removes what the lifecycles of all buckets say. Tells how many objects and versions that were. It may run on several nodes at once.
pub async fn apply_lifecycles(app: &App) -> Result<u64> {
    let (mut removed, mut after) = (0, String::new());
    loop {
        let tenants = list_tenants(&app.db, &after, 1000).await?;
        let Some(last) = tenants.last() else { return Ok(removed) };
        after.clone_from(&last.reference);
        for tenant in tenants {
            let buckets = sql::list_buckets(&app.db.read().await?, tenant.id).await?;
            for bucket in buckets.into_iter().filter(|bucket| bucket.lifecycle.is_some()) {
                removed += apply(app, tenant.id, &bucket).await?;
            }
        }
    }
}

async fn apply(app: &App, tenant: TenantId, bucket: &Bucket) -> Result<u64> {
    let now = app.clock.now();
    let before = |days: u32| now.plus_seconds(-i64::from(days) * 86_400);
    let lifecycle = bucket.lifecycle.clone().map(|json| serde_json::from_value::<Lifecycle>(json.0)).transpose()?.unwrap_or_default();
    let mut removed = 0;
    for Expiry { prefix, days } in lifecycle.expire {
        removed += in_batches(app, tenant, &bucket.id, now, &What::Unchanged { prefix, since: before(days) }).await?;
    }
    if let Some(days) = lifecycle.keep_version_days {
        removed += in_batches(app, tenant, &bucket.id, now, &What::Ended(before(days))).await?;
    }
    if let Some(most) = lifecycle.keep_versions {
        removed += in_batches(app, tenant, &bucket.id, now, &What::Beyond(i64::from(most))).await?;
    }
    Ok(removed)
}

/// What is to go.
#[derive(Clone, Debug)]
enum What {
    /// Objects.
    Unchanged { prefix: String, since: Timestamp },
    /// Versions that ended before.
    Ended(Timestamp),
    /// Versions beyond that many.
    Beyond(i64),
}

async fn in_batches(app: &App, tenant: TenantId, bucket: &str, now: Timestamp, what: &What) -> Result<u64> {
    let mut all = 0;
    loop {
        let (bucket, what) = (bucket.to_owned(), what.clone());
        let removed = app.db.write(move |tx| async move { what.remove(&tx, tenant, &bucket, now).await }).await?;
        all += removed;
        if removed < BATCH.unsigned_abs() {
            return Ok(all);
        }
    }
}

impl What {
    /// Removes some in one transaction with the look for them: what is changed meanwhile stays.
    async fn remove(&self, tx: &Tx, tenant: TenantId, bucket: &str, now: Timestamp) -> Result<u64> {
        sql::usage::lock(tx, tenant).await?;
        let versions = match self {
            Self::Unchanged { prefix, since } => {
                let names = versions::unchanged(tx, tenant, (bucket, prefix), *since, BATCH).await?;
                let names: Vec<String> = names.into_iter().map(|(name,)| name).collect();
                return Ok(sql::delete_objects(tx, tenant, now, bucket, &names, &Filter::All).await?.len() as u64);
            }
            Self::Ended(deadline) => versions::ended(tx, tenant, bucket, *deadline, BATCH).await?,
            Self::Beyond(most) => versions::surplus(tx, tenant, bucket, *most, BATCH).await?,
        };
        for version in &versions {
            versions::discard(tx, tenant, now, bucket, &version.object).await?;
        }
        Ok(versions.len() as u64)
    }
}
