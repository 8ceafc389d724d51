//! What finds the best of a search: employees whose names begin with what was asked, by indexes that are in that order, and those who have
//! its words anywhere, as the search index comes upon them.

use super::{
    Alias, Renderer,
    expr::{MATCH, TSQUERY, spelled},
};
use crate::{
    db::{Dialect, SqlBuf},
    records::{
        plan::{Expr, Ranking},
        search::Fts,
    },
    tenants::TenantId,
};

/// Behind every character that a name may go on with.
const LAST: char = '\u{10FFFF}';
/// Behind the space that parts words, and before every letter.
const AFTER_SPACE: char = '!';

/// The statement that answers, by `number` or address, then by the name that is said first, shown or heard: tier, whether it is the whole
/// name, key, at most `most` of each.
pub(crate) fn beginnings(dialect: Dialect, tenant: TenantId, ranking: &Ranking, most: i64) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    renderer.named(ranking, most);
    for (tier, column) in [(80, "family_first"), (70, "name")] {
        renderer.buf.push(" UNION ALL ");
        renderer.beginning((tier, column), &ranking.terms.whole, ranking, most);
    }
    if let Some(word) = ranking.terms.only_word() {
        renderer.buf.push(" UNION ALL ");
        renderer.beginning((65, "sound"), word, ranking, most);
    }
    renderer.buf
}

/// The statement that answers who has these terms: key, and what it is sorted by. They come as the index has them.
pub(crate) fn hits(dialect: Dialect, tenant: TenantId, ranking: &Ranking, fts: &Fts, most: i64) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    let lead = &ranking.terms.lead;
    renderer.buf.push("SELECT s.employee_id, CASE s.sound WHEN '' THEN s.family_first ELSE s.sound END FROM ");
    // CROSS JOIN keeps SQLite in this order.
    renderer.buf.pick("employee_search_index CROSS JOIN employee_search AS s ON s.doc_id = employee_search_index.rowid", "employee_search AS s");
    renderer.join(alias, &ranking.rest);
    if renderer.is_sqlite() {
        renderer.buf.push(" AND employee_search_index MATCH ").push_value(spelled(fts, lead, &MATCH));
    } else {
        renderer.buf.push(" AND s.terms @@ (").push_value(spelled(fts, lead, &TSQUERY)).push("::text)::tsquery");
    }
    renderer.buf.push(" LIMIT ").push_value(most);
    renderer.buf
}

impl Renderer {
    fn named(&mut self, ranking: &Ranking, most: i64) {
        let alias = self.alias();
        self.buf.push("SELECT * FROM (SELECT 100").pick("", "::bigint").push(" AS tier, TRUE AS is_whole, s.employee_id FROM employee_search AS s");
        self.join(alias, &ranking.rest);
        self.buf.push(" AND (s.number = ").push_value(ranking.terms.whole.as_str());
        self.buf.push(" OR s.email = ").push_value(ranking.terms.whole_address.as_str());
        self.buf.push(") ORDER BY s.employee_id LIMIT ").push_value(most).push(") AS named");
    }

    fn beginning(&mut self, (tier, column): (i64, &'static str), asked: &str, ranking: &Ranking, most: i64) {
        let alias = self.alias();
        let end = if ranking.terms.is_open_ended() { LAST } else { AFTER_SPACE };
        self.buf
            .push("SELECT * FROM (SELECT ")
            .push_number(tier)
            .pick("", "::bigint")
            .push(" AS tier, s.")
            .push(column)
            .push(" = ")
            .push_value(asked);
        self.buf.push(" AS is_whole, s.employee_id FROM employee_search AS s");
        self.join(alias, &ranking.rest);
        self.buf.push(" AND s.").push(column).push(" >= ").push_value(asked);
        self.buf.push(" AND s.").push(column).push(" < ").push_value(format!("{asked}{end}"));
        self.buf.push(" ORDER BY s.").push(column).push(", s.employee_id LIMIT ").push_value(most).push(") AS begun");
    }

    /// The employees that entries are of, where they must fit something. Ends with a condition.
    fn join(&mut self, alias: Alias, rest: &Expr) {
        if !matches!(rest, Expr::Always) {
            self.buf.pick(" CROSS JOIN employees AS ", " JOIN employees AS ");
            self.name(alias);
            self.buf.push(" ON ");
            self.of_tenant(alias);
            self.buf.push(" AND ");
            self.column(alias, "id");
            self.buf.push(" = s.employee_id AND ");
            self.expr(alias, rest);
        }
        self.buf.push(" WHERE s.tenant_id = ").push_value(self.tenant);
    }
}
