//! Spells plans for an engine. Nothing is decided here: names come from the catalog, values are bound, and every table that is named is
//! held to the tenant in the same breath.
//!
//! Start with [`select`]; `expr.rs` spells conditions and values, `write.rs` what changes rows.

mod expr;
mod read;
mod search;
mod write;

pub(super) use self::{
    expr::as_json,
    read::{Beside, count, count_up_to, estimate, select},
    search::{beginnings, hits},
    write::{delete, insert, select_targets, update},
};
use crate::{
    db::{Dialect, SqlBuf},
    tenants::TenantId,
};

/// A statement in the making for one tenant.
pub(super) struct Renderer {
    buf: SqlBuf,
    tenant: TenantId,
    aliases: i64,
}

/// The name of a table inside a statement: `t0`, `t1`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Alias(i64);

impl Renderer {
    fn new(dialect: Dialect, tenant: TenantId) -> Self {
        Self { buf: SqlBuf::new(dialect), tenant, aliases: 0 }
    }

    fn alias(&mut self) -> Alias {
        self.aliases += 1;
        Alias(self.aliases - 1)
    }

    fn is_sqlite(&self) -> bool {
        self.buf.dialect() == Dialect::Sqlite
    }

    fn name(&mut self, alias: Alias) {
        self.buf.push("t").push_number(alias.0);
    }

    fn column(&mut self, alias: Alias, name: &str) {
        self.name(alias);
        self.buf.push(".").push_ident(name);
    }

    /// `"table" AS t0 WHERE t0.tenant_id = $1`, so that no table is ever named without its tenant.
    fn tenants_rows(&mut self, table: &str, alias: Alias) {
        self.buf.push(" FROM ").push_ident(table).push(" AS ");
        self.name(alias);
        self.buf.push(" WHERE ");
        self.of_tenant(alias);
    }

    fn of_tenant(&mut self, alias: Alias) {
        self.column(alias, "tenant_id");
        self.buf.push(" = ").push_value(self.tenant);
    }
}
