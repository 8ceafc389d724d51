//! What is to be read: columns, embedded resources, order, page.

use std::sync::Arc;

use super::{Level, MAX_ROWS, Resolver, cast, filter::Sight};
use crate::records::{
    catalog::Table,
    error::{RestError, RestResult},
    parse::{Condition, EmbedItem, Field, FtsKind, JsonStep, OrderTerm, QueryString, SelectItem},
    plan::{Embed, Expr, Join, Order, OrderBy, Output, Read, Scalar},
    search::Terms,
};

/// An embedded resource and what it is called.
pub(super) struct Embedded {
    alias: Option<String>,
    name: String,
    pub(super) embed: Embed,
}

impl Embedded {
    /// By its alias; without one, by its name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.key() == name
    }

    fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// What a query says of one level and those below it.
#[derive(Default)]
struct Said<'q> {
    filters: Vec<(&'q [String], &'q Condition)>,
    orders: Vec<(&'q [String], &'q [OrderTerm])>,
    limits: Vec<(&'q [String], i64)>,
    offsets: Vec<(&'q [String], i64)>,
}

impl<'q> Said<'q> {
    fn by(query: &'q QueryString) -> Self {
        Self {
            filters: query.filters.iter().map(|part| (&part.path[..], &part.what)).collect(),
            orders: query.orders.iter().map(|part| (&part.path[..], &part.what[..])).collect(),
            limits: query.limits.iter().map(|part| (&part.path[..], part.what)).collect(),
            offsets: query.offsets.iter().map(|part| (&part.path[..], part.what)).collect(),
        }
    }

    /// Takes out what is said of the embedded resource of that name.
    fn of(&mut self, name: &str) -> Self {
        Self {
            filters: take(&mut self.filters, name),
            orders: take(&mut self.orders, name),
            limits: take(&mut self.limits, name),
            offsets: take(&mut self.offsets, name),
        }
    }

    /// What is left must be of this level.
    fn stray(&self) -> Option<&'q str> {
        let first = |path: &'q [String]| path.first().map(String::as_str);
        let filters = self.filters.iter().find_map(|(path, _)| first(path));
        let orders = || self.orders.iter().find_map(|(path, _)| first(path));
        let pages = || self.limits.iter().chain(&self.offsets).find_map(|(path, _)| first(path));
        filters.or_else(orders).or_else(pages)
    }
}

fn take<'q, T: Copy>(all: &mut Vec<(&'q [String], T)>, name: &str) -> Vec<(&'q [String], T)> {
    let mut taken = Vec::new();
    all.retain(|&(path, what)| {
        let is_of = path.first().is_some_and(|first| first == name);
        if is_of {
            taken.push((&path[1..], what));
        }
        !is_of
    });
    taken
}

impl Resolver<'_> {
    /// What a GET is to read.
    pub(crate) fn read(&self, table: &Arc<Table>, query: &QueryString) -> RestResult<Read> {
        let mut read = self.read_level(table, query.select.as_deref(), Said::by(query), query.search.as_deref())?;
        read.limit = Some(read.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS));
        Ok(read)
    }

    /// What a write is to answer: as [`Self::read`], but the filters of the table itself chose the rows and are done with.
    pub(crate) fn representation(&self, table: &Arc<Table>, query: &QueryString) -> RestResult<Read> {
        let mut said = Said::by(query);
        said.filters.retain(|(path, _)| !path.is_empty());
        said.limits.retain(|(path, _)| !path.is_empty());
        said.offsets.retain(|(path, _)| !path.is_empty());
        self.read_level(table, query.select.as_deref(), said, None)
    }

    /// Which rows a write was told to touch, of those in sight.
    pub(super) fn target(&self, table: &Arc<Table>, query: &QueryString) -> RestResult<Expr> {
        let said = Said { filters: Said::by(query).filters, ..Said::default() };
        self.read_level(table, query.select.as_deref(), said, None).map(|read| read.filter)
    }

    fn read_level(&self, table: &Arc<Table>, select: Option<&[SelectItem]>, mut said: Said<'_>, search: Option<&str>) -> RestResult<Read> {
        let level = self.level(table)?;
        let items = select.unwrap_or(&[SelectItem::Star]);
        let (output, embeds, mut filter) = self.output(&level, items, &mut said)?;
        if let Some(stray) = said.stray() {
            return Err(not_embedded(stray));
        }
        let mut found = None;
        if let Some(text) = search {
            filter = filter.and(self.terms(&level, FtsKind::Web, None, text, &mut found)?);
        }
        let sight = Sight { level: &level, embeds: &embeds };
        for (_, condition) in &said.filters {
            filter = filter.and(self.condition(&sight, condition, &mut found)?);
        }
        let order = self.order(&sight, &said, found)?;
        let filter = self.within(table, &level.base).and(filter);
        let (limit, offset) = page(&said)?;
        Ok(Read { table: Arc::clone(table), output, filter, order, limit, offset, version: None })
    }

    /// The members of a row's object, the embedded resources, and what `!inner` asks of the row.
    fn output(&self, level: &Level, items: &[SelectItem], said: &mut Said<'_>) -> RestResult<(Vec<Output>, Vec<Embedded>, Expr)> {
        let (mut output, mut embeds, mut filter): (Vec<Output>, Vec<Embedded>, Expr) = (Vec::new(), Vec::new(), Expr::Always);
        for item in items {
            match item {
                SelectItem::Star => {
                    for column in level.columns() {
                        let value = level.scalar(self, &column.name)?;
                        output.push(Output::Value { key: column.name.clone(), value });
                    }
                }
                SelectItem::Column { alias, field, cast } => output.push(self.value(level, alias.as_deref(), field, cast.as_deref())?),
                SelectItem::Embed(item) => {
                    let embedded = self.embed(level, item, said)?;
                    if item.inner {
                        filter = filter.and(Expr::Exists(Box::new(embedded.embed.clone())));
                    }
                    show(&mut output, item, &embedded)?;
                    embeds.push(embedded);
                }
            }
        }
        Ok((without_repeats(output), embeds, filter))
    }

    fn value(&self, level: &Level, alias: Option<&str>, field: &Field, to: Option<&str>) -> RestResult<Output> {
        let mut value = level.field(self, field)?;
        if let Some(to) = to {
            value.cast = cast(&value, to)?;
        }
        let last_key = field.path.iter().rev().find_map(|step| match step {
            JsonStep::Key(key) => Some(key.as_str()),
            JsonStep::Index(_) => None,
        });
        let key = alias.or(last_key).unwrap_or(&field.name).to_owned();
        Ok(Output::Value { key, value })
    }

    fn embed(&self, level: &Level, item: &EmbedItem, said: &mut Said<'_>) -> RestResult<Embedded> {
        let relation = self.relation(&level.table, &item.name, item.hint.as_deref())?;
        let inner = self.level(&relation.table)?;
        let join = Join { outer: level.scalar(self, &relation.outer)?, inner: inner.scalar(self, &relation.inner)? };
        let name = item.alias.as_deref().unwrap_or(&item.name);
        let mut read = self.read_level(&relation.table, Some(&item.items), said.of(name), None)?;
        if !relation.one {
            read.limit = Some(read.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS));
        }
        let embed = Embed { one: relation.one, join, read };
        Ok(Embedded { alias: item.alias.clone(), name: item.name.clone(), embed })
    }

    fn order(&self, sight: &Sight<'_>, said: &Said<'_>, found: Option<Terms>) -> RestResult<Vec<Order>> {
        let Some((_, terms)) = said.orders.last() else {
            return Ok(by_relevance(sight.level, found));
        };
        terms.iter().map(|term| self.order_term(sight, term)).collect()
    }

    fn order_term(&self, sight: &Sight<'_>, term: &OrderTerm) -> RestResult<Order> {
        let by = match &term.relation {
            None => OrderBy::Value(sight.level.field(self, &term.field)?),
            Some(name) => {
                let embedded = sight.embeds.iter().find(|embedded| embedded.is_called(name)).ok_or_else(|| not_embedded(name))?;
                let Embed { one: true, join, read } = &embedded.embed else {
                    return Err(RestError::new("PGRST118", format!("A related order on '{name}' is not possible"))
                        .details(format!("'{}' and '{name}' do not form a many-to-one or one-to-one relationship", sight.level.table.name)));
                };
                let scalar = self.level(&read.table)?.field(self, &term.field)?;
                OrderBy::Related(Box::new(join.clone()), Arc::clone(&read.table), Box::new(read.filter.clone()), scalar)
            }
        };
        Ok(Order { by, descending: term.descending, nulls_first: term.nulls_first.unwrap_or(term.descending) })
    }
}

/// What was searched for comes in the order of how well it fits, then by name.
fn by_relevance(level: &Level, found: Option<Terms>) -> Vec<Order> {
    let Some(terms) = found else { return Vec::new() };
    let ascending = |by| Order { by, descending: false, nulls_first: false };
    let column = |name: &str| level.table.column(name).map(|column| ascending(OrderBy::Value(Scalar::column(column))));
    // What names are sorted by is made of names alone, so it tells no more than they do.
    let ties = ["name_sort", "id"].into_iter().filter_map(column);
    let best = Order { by: OrderBy::Relevance(terms), descending: true, nulls_first: false };
    [best].into_iter().chain(ties).collect()
}

fn not_embedded(name: &str) -> RestError {
    RestError::new("PGRST108", format!("'{name}' is not an embedded resource in this request"))
        .hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
}

/// Puts the embedded resource into the row: as a member, or its own members when it is spread. One that selects nothing only filters.
fn show(output: &mut Vec<Output>, item: &EmbedItem, embedded: &Embedded) -> RestResult<()> {
    let embed = &embedded.embed;
    if embed.read.output.is_empty() {
        return Ok(());
    }
    if !item.spread {
        output.push(Output::Embed { key: embedded.key().to_owned(), embed: embed.clone() });
        return Ok(());
    }
    if !embed.one {
        return Err(RestError::new("PGRST127", "Feature not implemented").details("Spreading a to-many relationship is not offered"));
    }
    for member in &embed.read.output {
        let Output::Value { key, .. } = member else {
            return Err(RestError::new("PGRST127", "Feature not implemented").details("Spreading an embedded resource's own embeds is not offered"));
        };
        let lifted = Embed { read: Read { output: vec![member.clone()], ..embed.read.clone() }, ..embed.clone() };
        output.push(Output::Lifted { key: key.clone(), embed: lifted });
    }
    Ok(())
}

/// A member said twice is answered once: the last.
fn without_repeats(output: Vec<Output>) -> Vec<Output> {
    let mut kept: Vec<Output> = Vec::with_capacity(output.len());
    for member in output {
        match kept.iter_mut().find(|earlier| earlier.key() == member.key()) {
            Some(earlier) => *earlier = member,
            None => kept.push(member),
        }
    }
    kept
}

fn page(said: &Said<'_>) -> RestResult<(Option<i64>, i64)> {
    let limit = said.limits.last().map(|(_, limit)| *limit);
    let offset = said.offsets.last().map_or(0, |(_, offset)| *offset);
    if limit.is_some_and(|limit| limit < 0) {
        return Err(bad_range("Limit should be greater than or equal to zero."));
    }
    if offset < 0 {
        return Err(bad_range("Offset should be greater than or equal to zero."));
    }
    Ok((limit, offset))
}

/// The refusal of a page that can't be.
pub(in crate::records) fn bad_range(why: impl Into<String>) -> RestError {
    RestError::new("PGRST103", "Requested range not satisfiable").details(why)
}
