//! A search that gives the best first, without looking at all it finds.
//!
//! In this order: who has the number or address; whose whole name it is; whose name begins so, by the family name, then as shown, then as
//! said; who has the words anywhere; the initials; and, where these are few, who has words that are nearly the same. Each of these lists
//! has an order of its own and ends when enough are found, so a page costs what it shows however many there are behind it. What lies
//! deeper than [`DEEPEST`] is not shown: who looks there should ask for more.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    error::RestResult,
    execute::{Found, count},
    parse::Count,
    plan::{Expr, Ranking, Read, Scalar},
    render::{self, Beside},
    search::{Fts, variants},
    sql,
};
use crate::{
    db::Conn,
    error::{Error, Result},
    tenants::TenantId,
};

/// How deep a search goes.
const DEEPEST: i64 = 1000;
/// What is found in the words comes as the index has it, and is put in order by so many at a time.
const SORTED: i64 = 250;
/// Where so many are found, nothing was typed wrong.
const ENOUGH: usize = 10;

/// Reads the page of a search, and counts what it finds when asked to.
pub(super) async fn read(conn: &Conn, tenant: TenantId, read: &Read, ranking: &Ranking, counted: Option<Count>, wanted: bool) -> RestResult<Found> {
    let best = Best::of(conn, tenant, read, ranking).await?;
    let total = match counted {
        None => None,
        Some(_) if best.is_all => Some(i64::try_from(best.ids.len()).unwrap_or(i64::MAX)),
        Some(_) => Some(count(conn, tenant, &read.table, &read.filter, true).await?),
    };
    let mut found = Found { rows: Vec::new(), total, version: None, last: None };
    let page = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let ids: Vec<Uuid> = best.ids.into_iter().skip(page(read.offset)).take(page(read.limit.unwrap_or(DEEPEST))).collect();
    if ids.is_empty() || (!wanted && total.is_some()) {
        return Ok(found);
    }
    let key = read.table.column("id").ok_or_else(|| Error::internal("a table that is searched has no id"))?;
    let filter = Expr::Touched(key.clone(), sql::id_list(&ids)).and(ranking.rest.clone());
    let shown = Read { filter, order: Vec::new(), limit: None, offset: 0, version: None, ranking: None, ..read.clone() };
    let query = conn.query_built(render::select(conn.dialect(), tenant, &shown, &Beside::Value(&Scalar::column(key))));
    let mut rows = query.fetch_all::<(String, Uuid)>().await?;
    let place: HashMap<Uuid, usize> = ids.into_iter().enumerate().map(|(place, id)| (id, place)).collect();
    rows.sort_by_key(|(_, id)| place.get(id).copied());
    found.rows = rows.into_iter().map(|(row, _)| row).collect();
    Ok(found)
}

/// The best of a search.
struct Best {
    ids: Vec<Uuid>,
    met: HashSet<Uuid>,
    /// Whether there are no others.
    is_all: bool,
}

impl Best {
    async fn of(conn: &Conn, tenant: TenantId, read: &Read, ranking: &Ranking) -> Result<Self> {
        let enough = i64::try_from(ENOUGH).unwrap_or_default();
        let most = read.offset.saturating_add(read.limit.unwrap_or(DEEPEST)).clamp(enough, DEEPEST);
        let mut best = Self { ids: Vec::new(), met: HashSet::new(), is_all: false };
        best.take_beginnings(conn, tenant, ranking, most).await?;
        let (words, initials) = ranking.terms.apart_from_initials();
        for fts in [Some(words), initials].into_iter().flatten() {
            if best.is_short_of(most) {
                best.take_hits(conn, tenant, ranking, &fts, most).await?;
            }
        }
        if best.ids.len() < ENOUGH {
            best.take_corrected(conn, tenant, ranking, most).await?;
        }
        best.is_all = best.is_short_of(most);
        Ok(best)
    }

    fn is_short_of(&self, most: i64) -> bool {
        usize::try_from(most).is_ok_and(|most| self.ids.len() < most)
    }

    fn take(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        self.ids.extend(ids.into_iter().filter(|id| self.met.insert(*id)));
    }

    /// Those with the number or address, the name itself, or a name that begins so. Every list is as long as all may be, so what several
    /// of them hold leaves no gap.
    async fn take_beginnings(&mut self, conn: &Conn, tenant: TenantId, ranking: &Ranking, most: i64) -> Result<()> {
        if ranking.terms.whole.is_empty() {
            return Ok(());
        }
        let query = conn.query_built(render::beginnings(conn.dialect(), tenant, ranking, most));
        let mut found = query.fetch_all::<(i64, bool, Uuid)>().await?;
        // What is the whole name goes before what only begins so; among themselves they keep their order.
        let rank = |tier: i64, is_whole: bool| if is_whole && matches!(tier, 70 | 80) { 90 } else { tier };
        found.sort_by_key(|(tier, is_whole, _)| -rank(*tier, *is_whole));
        self.take(found.into_iter().map(|(.., id)| id));
        Ok(())
    }

    async fn take_hits(&mut self, conn: &Conn, tenant: TenantId, ranking: &Ranking, fts: &Fts, most: i64) -> Result<()> {
        let most = (most + SORTED - 1) / SORTED * SORTED;
        let query = conn.query_built(render::hits(conn.dialect(), tenant, ranking, fts, most));
        let mut found = query.heavy().fetch_all::<(Uuid, String)>().await?;
        for some in found.chunks_mut(usize::try_from(SORTED).unwrap_or(usize::MAX)) {
            some.sort_by(|(one, one_name), (other, other_name)| (one_name, one).cmp(&(other_name, other)));
        }
        self.take(found.into_iter().map(|(id, _)| id));
        Ok(())
    }

    async fn take_corrected(&mut self, conn: &Conn, tenant: TenantId, ranking: &Ranking, most: i64) -> Result<()> {
        let doubtful: Vec<String> = ranking.terms.doubtful().into_iter().flat_map(variants).collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        let known = sql::words_near(conn, tenant, &doubtful).await?;
        let mut tried = None;
        for errors in 1..=2 {
            let fts = ranking.terms.corrected(errors, &known);
            if let Some(fts) = fts.filter(|fts| *fts != ranking.terms.fts && tried.as_ref() != Some(fts)) {
                self.take_hits(conn, tenant, ranking, &fts, most).await?;
                tried = Some(fts);
            }
        }
        Ok(())
    }
}
