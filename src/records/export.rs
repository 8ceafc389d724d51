//! Rows of a table as text, for who takes them out by the command line.

use std::io::Write;

use http::{HeaderMap, HeaderValue, Method, header};

use super::{
    catalog::Catalog,
    error::RestError,
    job::{Ask, Job},
    load::Format,
    parse::Door,
    resolve::Resolver,
    rights::Asker,
};
use crate::{
    app::App,
    error::{Error, Result},
};

/// Writes the rows of a tenant's table that a query names, as `GET /rest/v1/{table}?{query}` would answer them to who may read everything.
/// `progress` hears how many there are, of how many.
pub async fn export_rows(
    app: &App,
    tenant: &str,
    (table, query, format): (&str, &str, Format),
    text: &mut (impl Write + Send),
    mut progress: impl FnMut(u64, i64) + Send,
) -> Result<u64> {
    let tenant = app.tenants.active(tenant).await?;
    let resolver = Resolver {
        catalog: Catalog::built_in(),
        asker: &Asker::service(),
        tenant: tenant.id.number(),
        now: app.clock.now(),
        aggregates: false,
        key: &app.master_key,
        custom_schema: None,
        max_rows: app.config.records.max_rows,
    };
    let mut headers = HeaderMap::new();
    let accept = if format == Format::Csv { "text/csv" } else { "application/x-ndjson" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let ask = Ask { method: &Method::GET, table, door: Door::Table, query, headers: &headers, body: &[], shows_rows: false, may_roll_back: false };
    let told = |error: RestError| if error.status.is_server_error() { error.into() } else { Error::invalid(table.to_owned(), error.to_string()) };
    let Job::Read(job) = ask.plan(&resolver).map_err(told)? else { return Err(Error::internal("a GET does not write")) };
    if !job.is_paged() {
        return Err(Error::invalid("query", "rows can be taken out only in an order of columns of their own, and from the first on"));
    }
    let mut export = job.export(app.db.clone(), tenant.id);
    let total = export.total().await.map_err(told)?;
    while let Some(piece) = export.next().await.map_err(told)? {
        text.write_all(piece.as_bytes())?;
        progress(export.rows(), total);
    }
    text.flush()?;
    Ok(export.rows())
}
