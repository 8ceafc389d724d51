//! What is done for records now and then: assignments that begin today, and indexes that schemas ask for.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value as Json;

use super::{
    execute::{self, Context},
    history::Author,
    sql::upkeep as sql,
};
use crate::{
    app::App,
    error::Result,
    tenants::{self, TenantId, TenantSettings},
};

/// How often it is looked after.
pub const LOOK_EVERY: Duration = Duration::from_mins(10);
/// Tenants looked at together.
const PAGE: i64 = 100;
/// Days after its first that an assignment is looked for: a server may have stood still over a weekend.
const LATE: i64 = 4;
/// Employees written in one transaction.
const CHUNK: usize = 100;
/// Indexes of fields of tenants' own, in one installation, at the most: each is kept for all rows of all tenants.
const INDEXES: usize = 20;

/// Looks after the records of every tenant.
pub async fn keep_up(app: App) -> Result<()> {
    let (mut after, mut fields) = (String::new(), BTreeSet::new());
    loop {
        let page = tenants::list_tenants(&app.db, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.reference);
        for tenant in &page {
            assign_due(&app, tenant.id).await?;
            let settings: TenantSettings = serde_json::from_value(tenant.settings.0.clone())?;
            fields.extend(settings.records.custom_schema.iter().flat_map(indexed));
        }
    }
    for field in fields.into_iter().take(INDEXES) {
        app.db.write(move |tx| async move { sql::index_field(&tx, &field).await }).await?;
    }
    Ok(())
}

/// The fields that a schema wants an index for.
fn indexed(schema: &Json) -> impl Iterator<Item = String> {
    let wants = |(name, field): (&String, &Json)| (field["x-indexed"] == true).then(|| name.clone());
    schema["properties"].as_object().into_iter().flatten().filter_map(wants)
}

/// Copies assignments that have begun since onto their employees.
async fn assign_due(app: &App, tenant: TenantId) -> Result<()> {
    let now = app.clock.now();
    let due = sql::begun_since(&app.db.read().await?, tenant, now.plus_seconds(-LATE * 86_400), now).await?;
    for chunk in due.chunks(CHUNK) {
        let context = Context { tenant, now, author: Some(Author::here()), key: Arc::clone(&app.master_key) };
        let employees = chunk.to_vec();
        app.db.write(move |tx| async move { Ok(execute::assign(&tx, &context, &employees).await?) }).await?;
    }
    Ok(())
}
