//! Brings entries of the search up to date that an older version wrote.

use super::sql;
use crate::{
    app::App,
    error::Result,
    tenants::{TenantId, list_tenants},
};

/// Entries in one transaction, and tenants in one look.
const SOME: i64 = 500;

/// Writes entries of an older form anew, in all tenants, a few at a time.
pub async fn keep_search_current(app: App) -> Result<()> {
    let mut after = String::new();
    loop {
        let tenants = list_tenants(&app.db, &after, SOME).await?;
        let Some(last) = tenants.last() else { return Ok(()) };
        after.clone_from(&last.reference);
        for tenant in &tenants {
            while renew(&app, tenant.id).await? {}
        }
    }
}

/// Writes some entries anew, and says whether there were any.
async fn renew(app: &App, tenant: TenantId) -> Result<bool> {
    app.db
        .write(move |tx| async move {
            let ids = sql::outdated_entries(&tx, tenant, SOME).await?;
            sql::index_employees(&tx, tenant, &ids, false).await?;
            Ok(!ids.is_empty())
        })
        .await
}
