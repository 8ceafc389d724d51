//! What a fuzzer calls: a query string, from its grammar to the statements of both engines, for who may do all and for who may do little.

use std::sync::Arc;

use super::{
    catalog::Catalog,
    parse::{Prefer, QueryString},
    render::{self, Beside},
    resolve::Resolver,
    rights::Asker,
};
use crate::{
    crypto::MasterKey,
    db::{Dialect, TenantId, Timestamp},
};

/// Reads a query string, and spells what it asks for.
pub fn query(text: &str) {
    let _ = Prefer::parse([text].into_iter());
    let Ok((query, _)) = QueryString::parse(text, &["q"]) else { return };
    let key = Arc::new(MasterKey::new(&[7; 32]));
    let catalog = Catalog::built_in();
    let some = Asker::User { roles: vec!["hr".into(), "manager".into()], employee: Some(uuid::Uuid::from_u128(7)) };
    for asker in [Asker::Service, some] {
        let now = Timestamp::from_seconds(1_700_000_000);
        let resolver = Resolver { catalog, asker: &asker, tenant: 7, now, aggregates: true, key: &key };
        for name in ["employees", "payslips", "departments"] {
            let Some(table) = catalog.table(name) else { continue };
            let Ok(read) = resolver.read(table, &query, false) else { continue };
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let tenant = TenantId::made_up(7);
                render::select(dialect, tenant, &read, &Beside::Page);
                render::count(dialect, tenant, table, &read.filter);
                if let Some(ranking) = &read.ranking {
                    render::beginnings(dialect, tenant, ranking, 10);
                    render::hits(dialect, tenant, ranking, &ranking.terms.fts, 10);
                }
            }
        }
    }
}
