//! What reads rows: one JSON text for each, with what is embedded inside it.

use super::{Alias, Renderer};
use crate::{
    db::{Dialect, SqlBuf, Type},
    records::{
        catalog::Table,
        parse::Aggregate,
        plan::{Embed, Expr, Order, OrderBy, Output, Read, Scalar},
    },
    tenants::TenantId,
};

/// What comes beside each row.
pub(crate) enum Beside<'b> {
    /// This value of it.
    Value(&'b Scalar),
    /// Its version, and what its cursor holds, where the read asks for them.
    Page,
}

/// The statement that reads rows. Each comes as one JSON text, with what was asked for beside it.
pub(crate) fn select(dialect: Dialect, tenant: TenantId, read: &Read, beside: &Beside<'_>) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    if renderer.is_sqlite() {
        renderer.buf.push("SELECT ");
        renderer.object(alias, &read.output);
        renderer.beside(alias, read, beside);
        renderer.rows(alias, read);
    } else if read.is_grouped() {
        renderer.buf.push("SELECT row_to_json(x)::text, NULL::bigint, NULL::text FROM (SELECT ");
        renderer.members(alias, &read.output);
        renderer.rows(alias, read);
        renderer.buf.push(") AS x");
    } else {
        renderer.buf.push("SELECT (SELECT row_to_json(x)::text FROM (SELECT ");
        renderer.members(alias, &read.output);
        renderer.buf.push(") AS x)");
        renderer.beside(alias, read, beside);
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

/// The statement that counts them up to a number and no further.
pub(crate) fn count_up_to(dialect: Dialect, tenant: TenantId, table: &Table, filter: &Expr, most: i64) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    renderer.buf.push("SELECT count(*) FROM (SELECT 1");
    renderer.tenants_rows(&table.name, alias);
    renderer.buf.push(" AND ");
    renderer.expr(alias, filter);
    renderer.buf.push(" LIMIT ").push_value(most).push(") AS x");
    renderer.buf
}

/// PostgreSQL: the statement that asks its planner how many there may be.
pub(crate) fn estimate(tenant: TenantId, table: &Table, filter: &Expr) -> SqlBuf {
    let mut renderer = Renderer::new(Dialect::Postgres, tenant);
    let alias = renderer.alias();
    renderer.buf.push("EXPLAIN (FORMAT JSON) SELECT 1");
    renderer.tenants_rows(&table.name, alias);
    renderer.buf.push(" AND ");
    renderer.expr(alias, filter);
    renderer.buf
}

impl Renderer {
    fn beside(&mut self, alias: Alias, read: &Read, beside: &Beside<'_>) {
        self.buf.push(", ");
        if let Beside::Value(value) = beside {
            return self.scalar(alias, value);
        }
        match &read.version {
            Some(version) => self.scalar(alias, version),
            None => drop(self.buf.pick("NULL", "NULL::bigint")),
        }
        let Some(keyset) = &read.keyset else {
            self.buf.pick(", NULL", ", NULL::text");
            return;
        };
        self.buf.pick(", json_array(", ", json_build_array(");
        for (index, scalar) in keyset.scalars().enumerate() {
            self.buf.push(if index == 0 { "" } else { ", " });
            self.scalar(alias, scalar);
        }
        self.buf.pick(")", ")::text");
    }

    /// From FROM to OFFSET.
    fn rows(&mut self, alias: Alias, read: &Read) {
        self.tenants_rows(&read.table.name, alias);
        self.buf.push(" AND ");
        self.expr(alias, &read.filter);
        if let Some(after) = &read.after {
            self.buf.push(" AND ");
            self.expr(alias, after);
        }
        self.ordered(alias, read);
    }

    fn ordered(&mut self, alias: Alias, read: &Read) {
        if read.is_grouped() {
            self.grouped(alias, read);
        }
        for (index, order) in read.order.iter().enumerate() {
            self.buf.push(if index == 0 { " ORDER BY " } else { ", " });
            self.order(alias, read, order);
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

    /// `GROUP BY` every member that puts no rows together.
    fn grouped(&mut self, alias: Alias, read: &Read) {
        let mut first = true;
        for (place, member) in (1_i64..).zip(&read.output) {
            if matches!(member, Output::Aggregate { .. }) {
                continue;
            }
            self.buf.push(if first { " GROUP BY " } else { ", " });
            first = false;
            match member {
                // One row for each row that is referred to.
                Output::Embed { embed, .. } => self.scalar(alias, &embed.join.outer),
                // PostgreSQL wants to see the same text again, which values that are bound apart never are.
                _ if !self.is_sqlite() => drop(self.buf.push_number(place)),
                Output::Lifted { embed, .. } => self.lifted(alias, embed),
                Output::Value { value, .. } => self.scalar(alias, value),
                Output::Aggregate { .. } => {}
            }
        }
    }

    fn aggregate(&mut self, alias: Alias, (function, of, as_text): (Aggregate, Option<&Scalar>, bool)) {
        self.buf.push(if as_text { "CAST(" } else { "" });
        self.buf.push(match function {
            Aggregate::Count => "count(",
            Aggregate::Sum => "sum(",
            Aggregate::Avg => "avg(",
            Aggregate::Min => "min(",
            Aggregate::Max => "max(",
        });
        match of {
            Some(of) => self.scalar(alias, of),
            None => drop(self.buf.push("*")),
        }
        self.buf.push(if as_text { ") AS TEXT)" } else { ")" });
    }

    /// Where nulls come is always said on SQLite, whose own defaults are the opposite of PostgreSQL's.
    fn order(&mut self, alias: Alias, read: &Read, order: &Order) {
        let place = |by: &Scalar| (1_i64..).zip(&read.output).find(|(_, member)| matches!(member, Output::Value { value, .. } if value.is_same(by)));
        match &order.by {
            OrderBy::Value(by) if read.is_grouped() && !self.is_sqlite() => {
                self.buf.push_number(place(by).map_or(1, |(place, _)| place));
            }
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
                other => self.member(alias, other),
            }
        }
        self.buf.push(")");
    }

    fn member(&mut self, alias: Alias, member: &Output) {
        match member {
            Output::Value { value, .. } => self.scalar(alias, value),
            Output::Embed { embed, .. } => self.embed(alias, embed),
            Output::Lifted { embed, .. } => self.lifted(alias, embed),
            Output::Aggregate { function, of, as_text, .. } => self.aggregate(alias, (*function, of.as_ref(), *as_text)),
        }
    }

    /// PostgreSQL: `v AS "k", …`, for `row_to_json`.
    fn members(&mut self, alias: Alias, output: &[Output]) {
        for (index, member) in output.iter().enumerate() {
            if index > 0 {
                self.buf.push(", ");
            }
            self.member(alias, member);
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

    /// The only member of each inner row, by itself: the one there is, or all in a list.
    fn lifted(&mut self, outer: Alias, embed: &Embed) {
        let Some(member) = embed.read.output.first() else {
            self.buf.push("NULL");
            return;
        };
        let inner = self.alias();
        let is_json = member.is_json();
        match (self.is_sqlite(), embed.one) {
            (true, true) => {
                self.buf.push(if is_json { "json((SELECT " } else { "(SELECT " });
                self.lifted_member(inner, member);
                self.embedded_rows(outer, inner, embed);
                self.buf.push(if is_json { "))" } else { ")" });
            }
            (true, false) => {
                self.buf.push(if is_json {
                    "json((SELECT json_group_array(json(x.v)) FROM (SELECT "
                } else {
                    "json((SELECT json_group_array(x.v) FROM (SELECT "
                });
                self.lifted_member(inner, member);
                self.buf.push(" AS v");
                self.embedded_rows(outer, inner, embed);
                self.buf.push(") AS x))");
            }
            (false, one) => {
                self.buf.push(if one { "(SELECT " } else { "(SELECT coalesce(json_agg(x.v), '[]'::json) FROM (SELECT " });
                self.member(inner, member);
                self.buf.push(if one { "" } else { " AS v" });
                self.embedded_rows(outer, inner, embed);
                self.buf.push(if one { ")" } else { ") AS x)" });
            }
        }
    }

    fn lifted_member(&mut self, inner: Alias, member: &Output) {
        match member {
            Output::Value { value, .. } => self.json_value(inner, value),
            other => self.member(inner, other),
        }
    }
}
