//! How much a tenant, a bucket and a user may have.
//!
//! Whether a file fits is asked before its bytes are taken, where its size is known, so that nobody sends gigabytes for nothing; and it is
//! decided in the transaction that makes its row, where nobody else changes the counts.

use super::{
    error::{Code, StorageError},
    model::{Bucket, Object},
    sql::{self, usage},
};
use crate::{app::App, db::Conn, error::Result as GroundResult, tenants::TenantId};

/// The most bytes of a tenant and of each of its users; none is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quotas {
    tenant: Option<i64>,
    user: Option<i64>,
}

impl Quotas {
    /// What the tenant has chosen.
    pub(super) async fn of(app: &App, tenant: TenantId) -> GroundResult<Self> {
        let Some(tenant) = app.tenants.active_by_id(tenant).await? else { return Ok(Self::default()) };
        let settings = &tenant.settings.storage;
        let bytes = |most: Option<u64>| most.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        Ok(Self { tenant: bytes(settings.quota_bytes), user: bytes(settings.user_quota_bytes) })
    }

    /// Whether there is room for that much more in a bucket, for a user or for nobody.
    pub(super) async fn check(
        self,
        conn: &Conn,
        tenant: TenantId,
        bucket: &Bucket,
        owner: Option<&str>,
        growth: Growth,
    ) -> GroundResult<Result<(), StorageError>> {
        let limits = [
            ("tenant", "", self.tenant, growth.all),
            ("bucket", bucket.id.as_str(), bucket.quota_bytes, growth.all),
            ("user", owner.unwrap_or_default(), self.user.filter(|_| owner.is_some()), growth.own),
        ];
        for (kind, name, most, growth) in limits {
            let Some(most) = most.filter(|_| growth > 0) else { continue };
            let used = usage::find(conn, tenant, kind, name).await?.bytes;
            if used.saturating_add(growth) > most {
                let message = format!("the {kind}'s files may have {most} bytes together and have {used}: there is no room for {growth} more");
                return Ok(Err(StorageError::new(Code::QuotaExceeded, message)));
            }
        }
        Ok(Ok(()))
    }
}

/// Refuses a file of this size at once that will not fit, if no other goes meanwhile.
pub(super) async fn admit(
    app: &App,
    tenant: TenantId,
    bucket: &Bucket,
    name: &str,
    owner: Option<&str>,
    size: Option<i64>,
) -> Result<(), StorageError> {
    let Some(size) = size else { return Ok(()) };
    let quotas = Quotas::of(app, tenant).await?;
    let conn = app.db.read().await?;
    let there = sql::find_object(&conn, tenant, &bucket.id, name).await?;
    quotas.check(&conn, tenant, bucket, owner, Growth::new(bucket, size, owner, there.as_ref())).await?
}

/// Whether a bucket has room for an object that comes from another; the tenant and the user have it already.
pub(super) async fn check_move(conn: &Conn, tenant: TenantId, from: &str, to: &str, object: &Object) -> GroundResult<Result<(), StorageError>> {
    if from == to {
        return Ok(Ok(()));
    }
    usage::lock(conn, tenant).await?;
    let Some(bucket) = sql::find_bucket(conn, tenant, to).await? else { return Ok(Err(StorageError::no_bucket())) };
    Quotas::default().check(conn, tenant, &bucket, None, Growth { all: object.size, own: 0 }).await
}

/// How much more there will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// In the bucket, and so of the tenant.
    all: i64,
    /// Of the user.
    own: i64,
}

impl Growth {
    /// When a file of this size takes the place of what is there, which makes room for its owner unless the bucket keeps it.
    pub(super) fn new(bucket: &Bucket, size: i64, owner: Option<&str>, there: Option<&Object>) -> Self {
        let there = there.filter(|_| !bucket.versioning);
        let replaced = there.map_or(0, |there| there.size);
        let own = there.filter(|there| there.owner_id.as_deref() == owner).map_or(0, |there| there.size);
        Self { all: size - replaced, own: size - own }
    }
}
