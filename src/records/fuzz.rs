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
    auth::{Principal, Roles, SignedIn},
    crypto::MasterKey,
    db::{Dialect, TenantId, Timestamp},
    tenants::RecordSettings,
};

/// Reads a query string, and spells what it asks for.
pub fn query(text: &str) {
    let _ = Prefer::parse([text].into_iter());
    let Ok((query, _)) = QueryString::parse(text, &["q"]) else { return };
    let key = Arc::new(MasterKey::new(&[7; 32]));
    let catalog = Catalog::built_in();
    let app_metadata = serde_json::json!({ "roles": ["hr", "manager"] });
    let user = SignedIn {
        user_id: uuid::Uuid::from_u128(8),
        session_id: uuid::Uuid::nil(),
        email: None,
        aal: "aal1".to_owned(),
        roles: Roles::of(&app_metadata),
        employee_id: Some(uuid::Uuid::from_u128(7)),
        is_anonymous: false,
        app_metadata,
    };
    let some = Asker::of(&Principal::User(user), &RecordSettings::default());
    for asker in [Asker::service(), some] {
        let now = Timestamp::from_seconds(1_700_000_000);
        let resolver = Resolver { catalog, asker: &asker, tenant: 7, now, aggregates: true, key: &key, custom_schema: None, max_rows: 1000 };
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
