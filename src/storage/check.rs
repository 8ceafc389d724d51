//! Whether the bytes and the rows that name them fit together, and mending what does not.
//!
//! It may run beside a server. The blobs are listed first and the rows read after them: a blob that was there before the rows were read is
//! named by one, or was removed since. What seems wrong is looked at once more before it is told.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{
    model::Object,
    sql::{
        self,
        check::{self as rows, Counts, Named},
        uploads, versions,
    },
};
use crate::{
    app::App,
    blobs::{BlobId, Listed, SHELVES},
    crypto::hex,
    db::Tx,
    error::{Error, Result},
    tenants::{TenantId, TenantRow, list_tenants},
};

/// Rows in one look.
const PAGE: i64 = 1000;
/// Bytes that nobody names are left alone for so long: whoever put them there may be about to say so.
const GRACE: Duration = Duration::from_hours(1);

/// What is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Read all bytes and compare their hashes.
    pub deep: bool,
    /// Mend what is wrong.
    pub repair: bool,
    /// Take bytes that nobody names for stray however new they are: no server is running.
    pub offline: bool,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// Objects that were looked at.
    pub objects: u64,
    /// Versions that are kept besides them.
    pub versions: u64,
    /// Blobs that are there.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong, or was.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// How many problems are left.
    pub fn left(&self) -> usize {
        self.problems.iter().filter(|problem| !problem.repaired).count()
    }
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// What it is.
    pub kind: ProblemKind,
    /// Whose it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The object, upload or count: `bucket/key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<Uuid>,
    /// What should be and what is.
    pub detail: String,
    /// Whether it was mended.
    pub repaired: bool,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// An object, a version or a part of an upload has no bytes. Mended by removing the row.
    MissingBytes,
    /// Bytes belong to nothing. Mended by removing them.
    StrayBytes,
    /// There are more or fewer bytes than there should be. Mended by saying how many there are.
    WrongSize,
    /// They are others. Mended by taking them as they are.
    WrongHash,
    /// What is counted for quotas is not what there is. Mended by counting anew.
    WrongCount,
}

/// Compares rows and bytes of all tenants.
pub async fn check(app: &App, options: CheckOptions) -> Result<CheckReport> {
    let mut check = Check { app, options, there: HashMap::new(), report: CheckReport::default() };
    for shelf in SHELVES {
        for listed in app.blobs.list(shelf).await? {
            check.report.blobs += 1;
            check.report.bytes += listed.size;
            check.there.insert(listed.id.uuid(), Seen { listed, is_named: false });
        }
    }
    let tenants = all_tenants(app).await?;
    for tenant in &tenants {
        check.tenant(tenant).await?;
    }
    check.stray(&tenants).await?;
    Ok(check.report)
}

async fn all_tenants(app: &App) -> Result<Vec<TenantRow>> {
    let mut all: Vec<TenantRow> = Vec::new();
    loop {
        let page = list_tenants(&app.db, all.last().map_or("", |last| &last.reference), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

struct Check<'a> {
    app: &'a App,
    options: CheckOptions,
    there: HashMap<Uuid, Seen>,
    report: CheckReport,
}

#[derive(Clone, Copy)]
struct Seen {
    listed: Listed,
    is_named: bool,
}

/// Where a row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Version,
}

impl Check<'_> {
    async fn tenant(&mut self, tenant: &TenantRow) -> Result<()> {
        // In the order that bytes go: what leaves one place while it is read is found in the next.
        for (blob,) in rows::loose(&self.app.db.read().await?, tenant.id).await? {
            self.is_there(blob);
        }
        for (upload, blob, size) in rows::parts(&self.app.db.read().await?, tenant.id).await? {
            self.part(tenant, upload, blob, size).await?;
        }
        let (mut bucket, mut name) = (String::new(), String::new());
        loop {
            let page = rows::objects(&self.app.db.read().await?, tenant.id, (&bucket, &name), PAGE).await?;
            let Some(last) = page.last() else { break };
            bucket.clone_from(&last.bucket_id);
            name.clone_from(&last.name);
            for row in page {
                self.report.objects += 1;
                self.row(tenant, Kind::Object, row).await?;
            }
        }
        let (mut bucket, mut name, mut version) = (String::new(), String::new(), Uuid::nil());
        loop {
            let page = rows::versions(&self.app.db.read().await?, tenant.id, (&bucket, &name, version), PAGE).await?;
            let Some(last) = page.last() else { break };
            bucket.clone_from(&last.bucket_id);
            name.clone_from(&last.name);
            version = last.blob_id;
            for row in page {
                self.report.versions += 1;
                self.row(tenant, Kind::Version, row).await?;
            }
        }
        self.count(tenant).await
    }

    /// The blob, noted to be named by something.
    fn is_there(&mut self, blob: Uuid) -> Option<Listed> {
        let seen = self.there.get_mut(&blob)?;
        seen.is_named = true;
        Some(seen.listed)
    }

    /// How many bytes the blob has, whether it was there from the beginning or came since.
    async fn size(&mut self, blob: Uuid) -> Result<Option<u64>> {
        match self.is_there(blob) {
            Some(listed) => Ok(Some(listed.size)),
            None => self.app.blobs.size(BlobId::from(blob)).await,
        }
    }

    async fn part(&mut self, tenant: &TenantRow, upload: Uuid, blob: Uuid, size: i64) -> Result<()> {
        let is = self.size(blob).await?;
        let should = u64::try_from(size).unwrap_or_default();
        if is == Some(should) || uploads::find(&self.app.db.read().await?, tenant.id, upload).await?.is_none() {
            return Ok(());
        }
        let kind = if is.is_some() { ProblemKind::WrongSize } else { ProblemKind::MissingBytes };
        let repaired = self.options.repair && {
            let (id, now) = (tenant.id, self.app.clock.now());
            self.app.db.write(move |tx| async move { uploads::remove(&tx, id, now, upload).await }).await?
        };
        self.found(kind, Some(tenant), Some(format!("upload {upload}")), Some(blob), sizes(should, is), repaired);
        Ok(())
    }

    async fn row(&mut self, tenant: &TenantRow, kind: Kind, row: Named) -> Result<()> {
        let (blob, should) = (BlobId::from(row.blob_id), u64::try_from(row.size).unwrap_or_default());
        let is = self.size(row.blob_id).await?;
        if is == Some(should) && !self.options.deep {
            return Ok(());
        }
        let stored = self.app.blobs.inspect(blob).await?;
        let problem = match &stored {
            None => ProblemKind::MissingBytes,
            Some(stored) if stored.size != should => ProblemKind::WrongSize,
            Some(stored) if stored.sha256.as_slice() != row.sha256 => ProblemKind::WrongHash,
            Some(_) => return Ok(()),
        };
        let Some(object) = current(self.app, tenant.id, kind, &row).await? else { return Ok(()) };
        let detail = match (&stored, problem) {
            (Some(stored), ProblemKind::WrongHash) => format!("SHA-256 should be {} and is {}", hex(&row.sha256), hex(&stored.sha256)),
            (stored, _) => sizes(should, stored.as_ref().map(|stored| stored.size)),
        };
        let (bucket, name) = (row.bucket_id.clone(), format!("{}/{}", row.bucket_id, row.name));
        let repaired = self.options.repair && {
            let id = tenant.id;
            let known = stored.map(|stored| Ok::<_, Error>((i64::try_from(stored.size).map_err(Error::internal)?, stored.sha256))).transpose()?;
            self.app.db.write(move |tx| async move { mend(&tx, id, kind, &bucket, &object, known).await }).await?
        };
        self.found(problem, Some(tenant), Some(name), Some(row.blob_id), detail, repaired);
        Ok(())
    }

    async fn count(&mut self, tenant: &TenantRow) -> Result<()> {
        let conn = self.app.db.read().await?;
        let differs = rows::sums(&conn, tenant.id).await? != rows::counts(&conn, tenant.id).await?;
        drop(conn);
        if !differs {
            return Ok(());
        }
        // Nobody changes anything while it is counted again.
        let (id, repair) = (tenant.id, self.options.repair);
        let wrong = move |tx: Tx| async move {
            sql::usage::lock(&tx, id).await?;
            let (sums, counts) = (rows::sums(&tx, id).await?, rows::counts(&tx, id).await?);
            if repair && sums != counts {
                rows::recount(&tx, id).await?;
            }
            Ok((sums != counts).then(|| (total(&sums), total(&counts))))
        };
        if let Some((sum, count)) = self.app.db.write(wrong).await? {
            let detail = format!("the tenant has {} bytes in {} files; {} bytes in {} are counted", sum.0, sum.1, count.0, count.1);
            self.found(ProblemKind::WrongCount, Some(tenant), None, None, detail, repair);
        }
        Ok(())
    }

    /// Bytes that nobody names, also when it is asked once more.
    async fn stray(&mut self, tenants: &[TenantRow]) -> Result<()> {
        let is_old = |seen: &Seen| self.options.offline || seen.listed.age.is_some_and(|age| age >= GRACE);
        let mut stray: HashMap<Uuid, Listed> =
            self.there.iter().filter(|(_, seen)| !seen.is_named && is_old(seen)).map(|(blob, seen)| (*blob, seen.listed)).collect();
        for tenant in tenants {
            if stray.is_empty() {
                return Ok(());
            }
            for blob in named(self.app, tenant.id).await? {
                stray.remove(&blob);
            }
        }
        for (blob, listed) in stray {
            // The sweeper may have been here.
            if self.app.blobs.size(listed.id).await?.is_none() {
                continue;
            }
            if self.options.repair {
                self.app.blobs.delete(vec![listed.id]).await?;
            }
            self.found(ProblemKind::StrayBytes, None, None, Some(blob), format!("{} bytes belong to nothing", listed.size), self.options.repair);
        }
        Ok(())
    }

    fn found(&mut self, kind: ProblemKind, tenant: Option<&TenantRow>, name: Option<String>, blob: Option<Uuid>, detail: String, repaired: bool) {
        let tenant = tenant.map(|tenant| tenant.reference.clone());
        self.report.problems.push(Problem { kind, tenant, name, blob, detail, repaired });
    }
}

fn sizes(should: u64, is: Option<u64>) -> String {
    match is {
        Some(is) => format!("there should be {should} bytes and there are {is}"),
        None => format!("there should be {should} bytes and there are none"),
    }
}

fn total(counts: &Counts) -> (i64, i64) {
    counts.get(&("tenant".to_owned(), String::new())).copied().unwrap_or_default()
}

/// The object or version of a row, if it still has these bytes.
async fn current(app: &App, tenant: TenantId, kind: Kind, row: &Named) -> Result<Option<Object>> {
    let conn = app.db.read().await?;
    let object = match kind {
        Kind::Object => sql::find_object(&conn, tenant, &row.bucket_id, &row.name).await?,
        Kind::Version => versions::find(&conn, tenant, &row.bucket_id, &row.name, row.blob_id).await?.map(|version| version.object),
    };
    Ok(object.filter(|object| object.blob_id == row.blob_id))
}

/// Makes the row say what there is.
async fn mend(tx: &Tx, tenant: TenantId, kind: Kind, bucket: &str, object: &Object, known: Option<(i64, [u8; 32])>) -> Result<bool> {
    match (kind, known) {
        (Kind::Object, None) => rows::drop_object(tx, tenant, bucket, object).await,
        (Kind::Object, Some((size, sha256))) => rows::correct_object(tx, tenant, bucket, object, size, &sha256).await,
        (Kind::Version, None) => {
            sql::usage::lock(tx, tenant).await?;
            versions::take(tx, tenant, bucket, object).await
        }
        (Kind::Version, Some((size, sha256))) => rows::correct_version(tx, tenant, bucket, object, size, &sha256).await,
    }
}

/// Every blob that a row of the tenant names.
async fn named(app: &App, tenant: TenantId) -> Result<Vec<Uuid>> {
    let conn = app.db.read().await?;
    rows::named(&conn, tenant).await.map(|blobs| blobs.into_iter().map(|(blob,)| blob).collect())
}
