//! Conditions and values.

use serde_json::Value as Json;

use super::{Alias, Renderer};
use crate::{
    db::{Type, Value},
    records::{
        catalog::Column,
        parse::JsonStep,
        plan::{Cast, Comparison, Embed, Expr, Join, Scalar},
        search::{Fts, Terms},
    },
};

impl Renderer {
    /// A condition, in parentheses where it needs them.
    pub(super) fn expr(&mut self, alias: Alias, expr: &Expr) {
        match expr {
            Expr::Always => drop(self.buf.push("TRUE")),
            Expr::Never => drop(self.buf.push("FALSE")),
            Expr::And(of) => self.list(alias, of, " AND ", "TRUE"),
            Expr::Or(of) => self.list(alias, of, " OR ", "FALSE"),
            Expr::Not(of) => {
                self.buf.push("NOT (");
                self.expr(alias, of);
                self.buf.push(")");
            }
            Expr::Compare(scalar, comparison, value) => self.compare(alias, scalar, *comparison, value),
            Expr::Row(terms, comparison) => self.row(alias, terms, *comparison),
            Expr::In(scalar, values) => self.one_of(alias, scalar, values),
            Expr::IsNull(scalar) => {
                self.scalar(alias, scalar);
                self.buf.push(" IS NULL");
            }
            Expr::IsTruth(scalar, truth) => {
                self.scalar(alias, scalar);
                self.buf.push(if *truth { " IS TRUE" } else { " IS FALSE" });
            }
            Expr::Like(scalar, pattern, fold) => self.like(alias, scalar, pattern, *fold),
            Expr::Matches(scalar, pattern, fold) => self.matches(alias, scalar, pattern, *fold),
            Expr::Contains(scalar, json) => self.contains(alias, scalar, json, false),
            Expr::ContainedIn(scalar, json) => self.contains(alias, scalar, json, true),
            Expr::Exists(embed) => self.exists(alias, embed),
            Expr::Found(terms) => self.found(alias, terms),
            Expr::ReportsTo(column, manager) => self.reports_to(alias, column, *manager),
            Expr::Below(column, root, steps) => self.below(alias, column, *root, *steps),
            Expr::Touched(column, ids) => {
                self.column(alias, &column.name);
                self.listed(column.kind, ids);
            }
        }
    }

    fn list(&mut self, alias: Alias, of: &[Expr], between: &'static str, empty: &'static str) {
        if of.is_empty() {
            self.buf.push(empty);
            return;
        }
        self.buf.push("(");
        for (index, expr) in of.iter().enumerate() {
            if index > 0 {
                self.buf.push(between);
            }
            self.expr(alias, expr);
        }
        self.buf.push(")");
    }

    fn compare(&mut self, alias: Alias, scalar: &Scalar, comparison: Comparison, value: &Value) {
        let as_json = scalar.kind() == Type::Json;
        self.comparable(alias, scalar);
        self.buf.push(operator(comparison));
        if as_json && self.is_sqlite() {
            self.buf.push("json(").push_value(value.clone()).push(")");
        } else {
            self.buf.push_value(value.clone());
        }
    }

    fn row(&mut self, alias: Alias, terms: &[(Scalar, Value)], comparison: Comparison) {
        for (index, (scalar, _)) in terms.iter().enumerate() {
            self.buf.push(if index == 0 { "(" } else { ", " });
            self.scalar(alias, scalar);
        }
        self.buf.push(")").push(operator(comparison));
        for (index, (_, value)) in terms.iter().enumerate() {
            self.buf.push(if index == 0 { "(" } else { ", " }).push_value(value.clone());
        }
        self.buf.push(")");
    }

    /// JSON is compared as text on SQLite, so both sides are brought to one spelling.
    fn comparable(&mut self, alias: Alias, scalar: &Scalar) {
        let spelled = scalar.kind() == Type::Json && self.is_sqlite();
        if spelled {
            self.buf.push("json(");
        }
        self.scalar(alias, scalar);
        if spelled {
            self.buf.push(")");
        }
    }

    fn one_of(&mut self, alias: Alias, scalar: &Scalar, values: &[Value]) {
        match values {
            [] => drop(self.buf.push("FALSE")),
            [only] => self.compare(alias, scalar, Comparison::Equal, only),
            values => {
                let ids = Json::Array(values.iter().map(as_json).collect()).to_string();
                self.comparable(alias, scalar);
                self.listed(scalar.kind(), &ids);
            }
        }
    }

    /// ` IN` a JSON array: one value to bind however many there are, so that the statement's text stays the same.
    pub(super) fn listed(&mut self, kind: Type, ids: &str) {
        if self.is_sqlite() {
            self.buf.push(" IN (SELECT value FROM json_each(").push_value(ids).push("))");
        } else {
            self.buf.push(" = ANY (ARRAY(SELECT e.v::").push(postgres_type(kind));
            self.buf.push(" FROM jsonb_array_elements_text(").push_value(Value::Json(ids.to_owned())).push(") AS e (v)))");
        }
    }

    /// SQLite: GLOB minds case and LIKE does not; `fold` is ours and folds all of Unicode.
    fn like(&mut self, alias: Alias, scalar: &Scalar, pattern: &str, fold: bool) {
        match (self.is_sqlite(), fold) {
            (true, true) => {
                self.buf.push("fold(");
                self.scalar(alias, scalar);
                self.buf.push(") LIKE ").push_value(pattern.to_lowercase()).push(" ESCAPE '\\'");
            }
            (true, false) => {
                self.scalar(alias, scalar);
                self.buf.push(" GLOB ").push_value(glob(pattern));
            }
            (false, fold) => {
                self.scalar(alias, scalar);
                self.buf.push(if fold { " ILIKE " } else { " LIKE " }).push_value(pattern);
            }
        }
    }

    /// SQLite has no containment and no patterns; `json_contains` and `matches` are ours.
    fn contains(&mut self, alias: Alias, scalar: &Scalar, json: &str, turned: bool) {
        if !self.is_sqlite() {
            self.scalar(alias, scalar);
            self.buf.push(if turned { " <@ " } else { " @> " }).push_value(Value::Json(json.to_owned()));
            return;
        }
        self.buf.push("json_contains(");
        if turned {
            self.buf.push_value(json).push(", ");
            self.scalar(alias, scalar);
        } else {
            self.scalar(alias, scalar);
            self.buf.push(", ").push_value(json);
        }
        self.buf.push(")");
    }

    fn matches(&mut self, alias: Alias, scalar: &Scalar, pattern: &str, fold: bool) {
        if self.is_sqlite() {
            self.buf.push(if fold { "matches_folded(" } else { "matches(" }).push_value(pattern).push(", ");
            self.scalar(alias, scalar);
            self.buf.push(")");
        } else {
            self.scalar(alias, scalar);
            self.buf.push(if fold { " ~* " } else { " ~ " }).push_value(pattern);
        }
    }

    fn exists(&mut self, outer: Alias, embed: &Embed) {
        let inner = self.alias();
        self.buf.push("EXISTS (SELECT 1");
        self.joined(outer, inner, &embed.read.table.name, &embed.join, &embed.read.filter);
        self.buf.push(")");
    }

    /// The rows of the inner table that belong to the outer row and fit.
    pub(super) fn joined(&mut self, outer: Alias, inner: Alias, table: &str, join: &Join, filter: &Expr) {
        self.tenants_rows(table, inner);
        self.buf.push(" AND ");
        self.scalar(inner, &join.inner);
        match &join.through {
            None => {
                self.buf.push(" = ");
                self.scalar(outer, &join.outer);
            }
            Some(through) => {
                let between = self.alias();
                self.buf.push(" IN (SELECT ");
                self.scalar(between, &through.inner);
                self.tenants_rows(&through.table.name, between);
                self.buf.push(" AND ");
                self.scalar(between, &through.outer);
                self.buf.push(" = ");
                self.scalar(outer, &join.outer);
                self.buf.push(" AND ");
                self.expr(between, &through.filter);
                self.buf.push(")");
            }
        }
        self.buf.push(" AND ");
        self.expr(inner, filter);
    }

    fn reports_to(&mut self, alias: Alias, column: &Column, manager: uuid::Uuid) {
        self.column(alias, &column.name);
        self.buf.push(" IN (WITH RECURSIVE reports (id) AS (SELECT e.id FROM employees AS e WHERE e.tenant_id = ").push_value(self.tenant);
        self.buf.push(" AND e.manager_id = ").push_value(manager);
        self.buf.push(" UNION SELECT e.id FROM employees AS e JOIN reports AS r ON e.manager_id = r.id WHERE e.tenant_id = ");
        self.buf.push_value(self.tenant).push(") SELECT id FROM reports)");
    }

    /// The steps are counted, so that even a circle that was there before circles were refused comes to an end.
    fn below(&mut self, alias: Alias, column: &Column, root: uuid::Uuid, steps: i64) {
        self.column(alias, &column.name);
        self.buf.push(" IN (WITH RECURSIVE below (id, steps) AS (SELECT e.id, ").pick("0", "0::bigint");
        self.buf.push(" FROM employees AS e WHERE e.tenant_id = ").push_value(self.tenant).push(" AND e.id = ").push_value(root);
        self.buf.push(" UNION SELECT e.id, b.steps + 1 FROM employees AS e JOIN below AS b ON e.manager_id = b.id WHERE e.tenant_id = ");
        self.buf.push_value(self.tenant).push(" AND b.steps < ").push_value(steps).push(") SELECT id FROM below)");
    }

    fn found(&mut self, alias: Alias, terms: &Terms) {
        self.column(alias, "id");
        self.buf.push(" IN (SELECT s.employee_id FROM employee_search AS s WHERE s.tenant_id = ").push_value(self.tenant).push(" AND ");
        if self.is_sqlite() {
            self.buf.push("s.doc_id IN (SELECT rowid FROM employee_search_index WHERE employee_search_index MATCH ");
            self.buf.push_value(spelled(&terms.fts, &terms.lead, &MATCH)).push("))");
        } else {
            self.buf.push("s.terms @@ (").push_value(spelled(&terms.fts, &terms.lead, &TSQUERY)).push("::text)::tsquery)");
        }
    }

    /// How well the search found the row: number or address 100, the name itself 90, its beginning 80, its words 60, its initials 50.
    pub(super) fn relevance(&mut self, alias: Alias, terms: &Terms) {
        let length = i64::try_from(terms.whole.chars().count()).unwrap_or(i64::MAX);
        let whole = terms.whole.as_str();
        let email = terms.whole_address.as_str();
        self.buf.push("(SELECT CASE WHEN s.number = ").push_value(whole).push(" OR s.email = ").push_value(email);
        self.buf.push(" THEN 100 WHEN s.name = ").push_value(whole).push(" OR s.family_first = ").push_value(whole);
        self.buf.push(" THEN 90 WHEN substr(s.name, 1, ").push_number(length).push(") = ").push_value(whole);
        self.buf.push(" OR substr(s.family_first, 1, ").push_number(length).push(") = ").push_value(whole);
        self.buf.push(" THEN 80 WHEN s.initials LIKE ").push_value(format!("% {} %", whole.replace(['%', '_', '\\'], "")));
        self.buf.push(" THEN 50 ELSE 60 END FROM employee_search AS s WHERE s.tenant_id = ").push_value(self.tenant);
        self.buf.push(" AND s.employee_id = ");
        self.column(alias, "id");
        self.buf.push(")");
    }

    /// A value where it is compared: text as text, JSON as JSON.
    pub(super) fn scalar(&mut self, alias: Alias, scalar: &Scalar) {
        match scalar.cast {
            None => self.uncast(alias, scalar),
            Some(Cast::Date) => {
                self.buf.pick("substr(", "((");
                self.uncast(alias, scalar);
                self.buf.pick(", 1, 10)", ") AT TIME ZONE 'UTC')::date");
            }
            Some(Cast::Text) => self.text(alias, scalar),
        }
    }

    fn uncast(&mut self, alias: Alias, scalar: &Scalar) {
        match (scalar.path.is_empty(), scalar.as_text) {
            (true, _) => self.masked(alias, scalar),
            // What is no JSON has no members, as `to_jsonb` of it has none.
            (false, true) if scalar.column.kind != Type::Json => drop(self.buf.pick("NULL", "NULL::text")),
            (false, false) if scalar.column.kind != Type::Json => drop(self.buf.pick("NULL", "NULL::jsonb")),
            (false, true) => self.json_text(alias, scalar),
            (false, false) => self.json_inside(alias, scalar, false),
        }
    }

    /// A cast to text, as JSON spells the value on both engines: PostgreSQL's own cast has a blank in timestamps, SQLite's has 1 for true.
    fn text(&mut self, alias: Alias, scalar: &Scalar) {
        let plain = Scalar { cast: None, ..scalar.clone() };
        if !self.is_sqlite() {
            self.buf.push("(to_jsonb(");
            self.scalar(alias, &plain);
            self.buf.push(") #>> '{}')");
        } else if plain.kind() == Type::Bool {
            self.buf.push("CASE ");
            self.scalar(alias, &plain);
            self.buf.push(" WHEN 1 THEN 'true' WHEN 0 THEN 'false' END");
        } else {
            self.buf.push("CAST(");
            self.scalar(alias, &plain);
            self.buf.push(" AS TEXT)");
        }
    }

    /// `->>` answers a typed value on SQLite, so it is brought to the text that PostgreSQL answers.
    fn json_text(&mut self, alias: Alias, scalar: &Scalar) {
        if !self.is_sqlite() {
            return self.json_inside(alias, scalar, true);
        }
        self.buf.push("CASE json_type(");
        self.masked(alias, scalar);
        self.buf.push(", ");
        self.json_path(&scalar.path);
        self.buf.push(") WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(");
        self.json_inside(alias, scalar, true);
        self.buf.push(" AS TEXT) END");
    }

    fn json_inside(&mut self, alias: Alias, scalar: &Scalar, as_text: bool) {
        self.buf.push("(");
        self.masked(alias, scalar);
        if self.is_sqlite() {
            self.buf.push(if as_text { " ->> " } else { " -> " });
            self.json_path(&scalar.path);
        } else {
            let last = scalar.path.len().saturating_sub(1);
            for (index, step) in scalar.path.iter().enumerate() {
                self.buf.push(if as_text && index == last { " ->> " } else { " -> " });
                match step {
                    JsonStep::Key(key) => self.buf.push_literal(key),
                    JsonStep::Index(index) => self.buf.push("(").push_number(*index).push(")"),
                };
            }
        }
        self.buf.push(")");
    }

    /// SQLite's path: `'$."a"[0]'`. The grammar keeps quotes and backslashes out of keys.
    fn json_path(&mut self, path: &[JsonStep]) {
        let mut text = String::from("$");
        for step in path {
            match step {
                JsonStep::Key(key) => text.extend([".\"", key, "\""]),
                JsonStep::Index(index) if *index < 0 => text.extend(["[#", &index.to_string(), "]"]),
                JsonStep::Index(index) => text.extend(["[", &index.to_string(), "]"]),
            }
        }
        self.buf.push_literal(&text);
    }

    /// The column itself; null in rows where it may not be seen.
    fn masked(&mut self, alias: Alias, scalar: &Scalar) {
        let Some(mask) = &scalar.mask else {
            return self.column(alias, &scalar.column.name);
        };
        self.buf.push("CASE WHEN ");
        self.expr(alias, mask);
        self.buf.push(" THEN ");
        self.column(alias, &scalar.column.name);
        self.buf.push(" END");
    }
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::DistinctFrom => " IS DISTINCT FROM ",
    }
}

/// What a type is called on PostgreSQL.
pub(super) fn postgres_type(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::I64 => "bigint",
        Type::F64 => "double precision",
        Type::Text => "text",
        Type::Bytes => "bytea",
        Type::Uuid => "uuid",
        Type::Timestamp => "timestamptz",
        Type::Date => "date",
        Type::Json => "jsonb",
    }
}

/// A value inside the JSON array that carries many of them into a statement.
pub(crate) fn as_json(value: &Value) -> Json {
    match value {
        Value::Null(_) | Value::Bytes(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::I64(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::Text(value) | Value::Json(value) => Json::String(value.clone()),
        Value::Uuid(value) => Json::String(value.to_string()),
        Value::Timestamp(value) => Json::String(value.sql_text()),
        Value::Date(value) => Json::String(value.to_string()),
    }
}

/// A pattern of LIKE as one of GLOB.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(next) = characters.next() {
        match next {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => push_plain(&mut glob, characters.next().unwrap_or('\\')),
            other => push_plain(&mut glob, other),
        }
    }
    glob
}

fn push_plain(glob: &mut String, character: char) {
    if matches!(character, '*' | '?' | '[') {
        glob.extend(['[', character, ']']);
    } else {
        glob.push(character);
    }
}

/// How an engine spells a search.
pub(super) struct Spelling {
    and: &'static str,
    or: &'static str,
    open_ended: &'static str,
}

pub(super) const MATCH: Spelling = Spelling { and: " AND ", or: " OR ", open_ended: "*" };
pub(super) const TSQUERY: Spelling = Spelling { and: " & ", or: " | ", open_ended: ":*" };

/// Terms are letters and digits led by a number, so neither engine's language can be spoken through them; they are quoted all the same.
pub(super) fn spelled(fts: &Fts, lead: &str, spelling: &Spelling) -> String {
    let quote = if spelling.open_ended == "*" { '"' } else { '\'' };
    let term = |kind: char, text: &str| {
        let plain: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
        format!("{quote}{lead}{kind}{plain}{quote}")
    };
    match fts {
        Fts::Term(text, open_ended) => term('x', text) + if *open_ended { spelling.open_ended } else { "" },
        Fts::Initials(text) => term('i', text),
        Fts::And(of) | Fts::Or(of) => {
            let between = if matches!(fts, Fts::And(_)) { spelling.and } else { spelling.or };
            let parts: Vec<String> = of.iter().map(|fts| spelled(fts, lead, spelling)).collect();
            format!("({})", parts.join(between))
        }
        Fts::Not(of) => spelled(of, lead, spelling),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_their_meaning() {
        assert_eq!(glob("a%b_c"), "a*b?c");
        assert_eq!(glob("100\\%*[x]"), "100%[*][[]x]");
    }

    #[test]
    fn terms_are_spelled_for_each_engine() {
        let fts = Fts::And(vec![Fts::Term("li".into(), false), Fts::Or(vec![Fts::Term("na".into(), true), Fts::Initials("n".into())])]);
        assert_eq!(spelled(&fts, "7", &MATCH), r#"("7xli" AND ("7xna"* OR "7in"))"#);
        assert_eq!(spelled(&fts, "7", &TSQUERY), "('7xli' & ('7xna':* | '7in'))");
    }
}
