//! Tenants and API keys, remembered for a moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::{
    model::{ApiKey, KeyGrant, Tenant, TenantStatus},
    signing::SigningKeys,
    sql::{self, TenantRow},
};
use crate::{
    crypto::MasterKey,
    db::{Conn, Db, TenantId, Timestamp},
    error::{Error, Result},
};

/// How long an entry is believed: what another process or node changed is felt after this at the latest.
pub(super) const FRESH: Duration = Duration::from_millis(500);

/// A tenant, or what it is known for instead.
#[derive(Clone, Debug)]
pub enum Known {
    /// It is served.
    Active(Arc<Tenant>),
    /// It is there, and refused.
    Suspended,
}

/// What requests have to look up, kept for [`FRESH`].
pub struct Directory {
    db: Db,
    master_key: Arc<MasterKey>,
    public_url: String,
    by_id: Cache<TenantId, Kept<Option<Known>>>,
    ids: Cache<Name, Kept<Option<TenantId>>>,
    keys: Cache<[u8; 32], Kept<Option<Arc<ApiKey>>>>,
    /// How often everything was forgotten.
    forgotten: AtomicU64,
}

/// Something that was found, and how often everything had been forgotten when the look for it began: what has been forgotten since is not
/// believed, however late it came in.
#[derive(Clone)]
struct Kept<V> {
    value: V,
    forgotten: u64,
}

/// A look-up under way. What it finds may be old by the time it is found: then it is used for the request that asked, and not kept.
struct Lookup {
    began: Instant,
    forgotten: u64,
}

impl Lookup {
    /// Keeps what was found, unless finding it has taken too long.
    fn keep<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>(&self, cache: &Cache<K, Kept<V>>, key: K, value: V) {
        if self.began.elapsed() < FRESH {
            cache.insert(key, Kept { value, forgotten: self.forgotten });
        }
    }
}

/// By what a tenant can be found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Reference(String),
    Domain(String),
}

impl Directory {
    /// An empty directory. `public_url` is what issuers begin with.
    pub fn new(db: Db, master_key: Arc<MasterKey>, public_url: String) -> Self {
        fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
            Cache::builder().max_capacity(100_000).time_to_live(FRESH).build()
        }
        Self { db, master_key, public_url, by_id: cache(), ids: cache(), keys: cache(), forgotten: AtomicU64::new(0) }
    }

    /// The tenant with this id, if it was not deleted.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Known>> {
        if let Some(known) = self.kept(&self.by_id, &id) {
            return Ok(known);
        }
        let lookup = self.look_up();
        let conn = self.db.read().await?;
        let known = match sql::find_tenant(&conn, id).await? {
            Some(row) => self.open(&conn, row).await?,
            None => None,
        };
        lookup.keep(&self.by_id, id, known.clone());
        Ok(known)
    }

    /// The id of the tenant with this name.
    pub(super) async fn find(&self, name: Name) -> Result<Option<TenantId>> {
        if let Some(id) = self.kept(&self.ids, &name) {
            return Ok(id);
        }
        let lookup = self.look_up();
        let conn = self.db.read().await?;
        let row = match &name {
            Name::Reference(reference) => sql::find_tenant_by_reference(&conn, reference).await?,
            Name::Domain(domain) => sql::find_tenant_by_domain(&conn, domain).await?,
        };
        let id = row.map(|row| row.id);
        lookup.keep(&self.ids, name, id);
        Ok(id)
    }

    /// The served tenant with this reference.
    pub async fn by_reference(&self, reference: &str) -> Result<Option<Known>> {
        match self.find(Name::Reference(reference.to_owned())).await? {
            Some(id) => self.tenant(id).await,
            None => Ok(None),
        }
    }

    /// The tenant with this reference, for a command that names it.
    pub async fn active(&self, reference: &str) -> Result<Arc<Tenant>> {
        match self.by_reference(reference).await? {
            Some(Known::Active(tenant)) => Ok(tenant),
            Some(Known::Suspended) => Err(Error::conflict(format!("tenant \"{reference}\" is suspended"))),
            None => Err(Error::not_found(format!("tenant \"{reference}\""))),
        }
    }

    /// The tenant with this id, if it is served.
    pub async fn active_by_id(&self, id: TenantId) -> Result<Option<Arc<Tenant>>> {
        match self.tenant(id).await? {
            Some(Known::Active(tenant)) => Ok(Some(tenant)),
            Some(Known::Suspended) | None => Ok(None),
        }
    }

    /// The key with this hash, if it is in force.
    pub async fn key(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Arc<ApiKey>>> {
        let key = if let Some(key) = self.kept(&self.keys, &hash) {
            key
        } else {
            let lookup = self.look_up();
            let key = self.load_key(&hash).await?;
            lookup.keep(&self.keys, hash, key.clone());
            key
        };
        Ok(key.filter(|key| key.expires_at.is_none_or(|end| now < end)))
    }

    /// Forgets everything, so that what this process changed is felt at once.
    pub fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// What was found not long ago, and not forgotten since.
    fn kept<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>(
        &self,
        cache: &Cache<K, Kept<V>>,
        key: &K,
    ) -> Option<V> {
        let now = self.forgotten.load(Ordering::SeqCst);
        cache.get(key).filter(|kept| kept.forgotten == now).map(|kept| kept.value)
    }

    /// Where the tokens of the tenant with this reference, or this domain of its own, say they come from.
    pub fn issuer(&self, reference: &str, domain: Option<&str>) -> String {
        match domain {
            Some(domain) => format!("https://{domain}/auth/v1"),
            None => format!("{}/t/{reference}/auth/v1", self.public_url),
        }
    }

    /// The reference in an issuer of ours.
    pub(super) fn reference_of_issuer<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        issuer.strip_prefix(&self.public_url)?.strip_prefix("/t/")?.strip_suffix("/auth/v1")
    }

    fn look_up(&self) -> Lookup {
        Lookup { began: Instant::now(), forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    async fn open(&self, conn: &Conn, row: TenantRow) -> Result<Option<Known>> {
        match row.status.parse()? {
            TenantStatus::Deleted => Ok(None),
            TenantStatus::Suspended => Ok(Some(Known::Suspended)),
            TenantStatus::Active => {
                let keys = SigningKeys::open(&self.master_key, &sql::signing_keys_of(conn, row.id).await?)?;
                let issuer = self.issuer(&row.reference, row.domain.as_deref());
                let settings = serde_json::from_value(row.settings.0)?;
                Ok(Some(Known::Active(Arc::new(Tenant { id: row.id, reference: row.reference, issuer, settings, keys }))))
            }
        }
    }

    async fn load_key(&self, hash: &[u8; 32]) -> Result<Option<Arc<ApiKey>>> {
        let conn = self.db.read().await?;
        let Some(row) = sql::find_key(&conn, hash).await? else { return Ok(None) };
        let grant = match (row.kind.as_str(), row.scopes.is_empty()) {
            ("publishable", _) => KeyGrant::Publishable,
            (_, true) => KeyGrant::Service,
            (_, false) => KeyGrant::Scoped(row.scopes.parse()?),
        };
        Ok(Some(Arc::new(ApiKey { id: row.id, tenant: row.tenant, grant, expires_at: row.expires_at })))
    }
}
