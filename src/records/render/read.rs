//! What reads rows: one JSON text for each, with what is embedded inside it.

use super::{Alias, Renderer};
use crate::{
    db::{Dialect, SqlBuf, Type},
    records::{
        catalog::Table,
        plan::{Embed, Expr, Order, OrderBy, Output, Read, Scalar},
    },
    tenants::TenantId,
};

/// The statement that reads rows. Each comes as one JSON text, with one value more beside it when that is asked for.
pub(crate) fn select(dialect: Dialect, tenant: TenantId, read: &Read, beside: Option<&Scalar>) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    if renderer.is_sqlite() {
        renderer.buf.push("SELECT ");
        renderer.object(alias, &read.output);
        if let Some(beside) = beside {
            renderer.buf.push(", ");
            renderer.scalar(alias, beside);
        }
        renderer.rows(alias, read);
    } else {
        renderer.buf.push("SELECT (SELECT row_to_json(x)::text FROM (SELECT ");
        renderer.members(alias, &read.output);
        renderer.buf.push(") AS x)");
        if let Some(beside) = beside {
            renderer.buf.push(", ");
            renderer.scalar(alias, beside);
        }
        renderer.rows(alias, read);
    }
    renderer.buf
}

/// The statement that counts the rows that a read would find without its page.
pub(crate) fn count(dialect: Dialect, tenant: TenantId, table: &Table, filter: &Expr) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    renderer.buf.push("SELECT count(*)");
    renderer.tenants_rows(&table.name, alias);
    renderer.buf.push(" AND ");
    renderer.expr(alias, filter);
    renderer.buf
}

impl Renderer {
    /// From FROM to OFFSET.
    fn rows(&mut self, alias: Alias, read: &Read) {
        self.tenants_rows(&read.table.name, alias);
        self.buf.push(" AND ");
        self.expr(alias, &read.filter);
        self.ordered(alias, read);
    }

    fn ordered(&mut self, alias: Alias, read: &Read) {
        for (index, order) in read.order.iter().enumerate() {
            self.buf.push(if index == 0 { " ORDER BY " } else { ", " });
            self.order(alias, order);
        }
        if let Some(limit) = read.limit {
            self.buf.push(" LIMIT ").push_value(limit);
        }
        if read.offset > 0 {
            // SQLite knows no OFFSET without LIMIT.
            if read.limit.is_none() {
                self.buf.pick(" LIMIT -1", "");
            }
            self.buf.push(" OFFSET ").push_value(read.offset);
        }
    }

    /// Where nulls come is always said on SQLite, whose own defaults are the opposite of PostgreSQL's.
    fn order(&mut self, alias: Alias, order: &Order) {
        match &order.by {
            OrderBy::Value(scalar) => self.scalar(alias, scalar),
            OrderBy::Related(join, table, filter, scalar) => {
                let inner = self.alias();
                self.buf.push("(SELECT ");
                self.scalar(inner, scalar);
                self.joined(alias, inner, &table.name, join, filter);
                self.buf.push(" LIMIT 1)");
            }
            OrderBy::Relevance(terms) => self.relevance(alias, terms),
        }
        if order.descending {
            self.buf.push(" DESC");
        }
        if self.is_sqlite() || order.nulls_first != order.descending {
            self.buf.push(if order.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
    }

    /// SQLite: `json_object('k', v, …)`.
    fn object(&mut self, alias: Alias, output: &[Output]) {
        self.buf.push("json_object(");
        for (index, member) in output.iter().enumerate() {
            if index > 0 {
                self.buf.push(", ");
            }
            self.buf.push_literal(member.key()).push(", ");
            match member {
                Output::Value { value, .. } => self.json_value(alias, value),
                Output::Embed { embed, .. } => self.embed(alias, embed),
                Output::Lifted { embed, .. } => self.lifted(alias, embed),
            }
        }
        self.buf.push(")");
    }

    /// PostgreSQL: `v AS "k", …`, for `row_to_json`.
    fn members(&mut self, alias: Alias, output: &[Output]) {
        for (index, member) in output.iter().enumerate() {
            if index > 0 {
                self.buf.push(", ");
            }
            match member {
                Output::Value { value, .. } => self.scalar(alias, value),
                Output::Embed { embed, .. } => self.embed(alias, embed),
                Output::Lifted { embed, .. } => self.lifted(alias, embed),
            }
            self.buf.push(" AS ").push_ident(member.key());
        }
    }

    /// SQLite would show truth as 1 and JSON as text.
    fn json_value(&mut self, alias: Alias, scalar: &Scalar) {
        match scalar.kind() {
            Type::Bool => {
                self.buf.push("CASE ");
                self.scalar(alias, scalar);
                self.buf.push(" WHEN 1 THEN json('true') WHEN 0 THEN json('false') END");
            }
            Type::Json => {
                self.buf.push("json(");
                self.scalar(alias, scalar);
                self.buf.push(")");
            }
            _ => self.scalar(alias, scalar),
        }
    }

    fn embed(&mut self, outer: Alias, embed: &Embed) {
        let inner = self.alias();
        match (self.is_sqlite(), embed.one) {
            // What comes out of a subquery is text again: without json() it would be shown as a string.
            (true, true) => {
                self.buf.push("json((SELECT ");
                self.object(inner, &embed.read.output);
                self.embedded_rows(outer, inner, embed);
                self.buf.push("))");
            }
            (true, false) => {
                self.buf.push("json((SELECT json_group_array(json(x.j)) FROM (SELECT ");
                self.object(inner, &embed.read.output);
                self.buf.push(" AS j");
                self.embedded_rows(outer, inner, embed);
                self.buf.push(") AS x))");
            }
            (false, one) => {
                self.buf.push(if one { "(SELECT row_to_json(x)" } else { "(SELECT coalesce(json_agg(row_to_json(x)), '[]'::json)" });
                self.buf.push(" FROM (SELECT ");
                self.members(inner, &embed.read.output);
                self.embedded_rows(outer, inner, embed);
                self.buf.push(") AS x)");
            }
        }
    }

    fn embedded_rows(&mut self, outer: Alias, inner: Alias, embed: &Embed) {
        self.joined(outer, inner, &embed.read.table.name, &embed.join, &embed.read.filter);
        if embed.one {
            self.buf.push(" LIMIT 1");
        } else {
            self.ordered(inner, &embed.read);
        }
    }

    fn lifted(&mut self, outer: Alias, embed: &Embed) {
        let Some(Output::Value { value, .. }) = embed.read.output.first() else {
            self.buf.push("NULL");
            return;
        };
        let inner = self.alias();
        let is_json = self.is_sqlite() && matches!(value.kind(), Type::Bool | Type::Json);
        self.buf.push(if is_json { "json((SELECT " } else { "(SELECT " });
        if self.is_sqlite() {
            self.json_value(inner, value);
        } else {
            self.scalar(inner, value);
        }
        self.embedded_rows(outer, inner, embed);
        self.buf.push(if is_json { "))" } else { ")" });
    }
}
