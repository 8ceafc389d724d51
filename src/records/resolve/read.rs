//! What is to be read: columns, embedded resources, order, page.

use std::sync::Arc;

use super::{Level, Resolver, cast, filter::Sight, relation::Junction, sealed::not_sealed, value::type_name};
use crate::{
    crypto::{hex, sha256},
    db::Type,
    records::{
        catalog::Table,
        error::{RestError, RestResult},
        keyset::{self, Keyset},
        parse::{Aggregate, Condition, EmbedItem, Field, FtsKind, JsonStep, OrderTerm, QueryString, SelectItem},
        plan::{Embed, Expr, Join, Order, OrderBy, Output, Ranking, Read, Scalar, Through},
        search::Terms,
    },
};

/// The virtual column that holds a row's cursor.
pub(super) const CURSOR: &str = "_cursor";

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
    /// What a GET is to read. Without `all` no more rows than one answer may have.
    pub(crate) fn read(&self, table: &Arc<Table>, query: &QueryString, all: bool) -> RestResult<Read> {
        let is_cursor =
            |item: &SelectItem| matches!(item, SelectItem::Column { alias: None, field, .. } if field.name == CURSOR && field.path.is_empty());
        let shows_cursor = query.select.iter().flatten().any(is_cursor);
        let items = query.select.as_ref().map(|items| items.iter().filter(|item| !is_cursor(item)).cloned().collect::<Vec<_>>());
        let mut read = self.read_level(table, items.as_deref(), Said::by(query), query.search.as_deref())?;
        read.ranking = ranking(&read);
        if shows_cursor || query.after.is_some() {
            self.page_by_key(&mut read, query)?;
            read.shows_cursor = shows_cursor;
        }
        if !all || read.is_grouped() {
            read.limit = Some(read.limit.unwrap_or(self.max_rows).min(self.max_rows));
        }
        Ok(read)
    }

    /// Orders rows to their last, so that the next page can begin after any of them.
    pub(crate) fn page_by_key(&self, read: &mut Read, query: &QueryString) -> RestResult<()> {
        if read.is_grouped() {
            return Err(RestError::new("PGRST127", "Feature not implemented").details("Rows that were put together can't be paged by a cursor"));
        }
        let mut terms = read.order.clone();
        for name in &read.table.primary_key {
            let key = self.scalar(&read.table, name)?;
            if !terms.iter().any(|order| matches!(&order.by, OrderBy::Value(by) if by.is_same(&key))) {
                let descending = terms.last().is_some_and(|last| last.descending);
                terms.push(Order { by: OrderBy::Value(key), descending, nulls_first: descending });
            }
        }
        let asked = sha256(format!("{:?}{:?}{:?}", query.filters, query.orders, query.search).as_bytes());
        let place = format!("cursors/{}/{}/{}", self.tenant, read.table.name, hex(&asked));
        let keyset = Keyset::new(terms.clone(), place, Arc::clone(self.key))?;
        if let Some(cursor) = query.after.as_deref().filter(|cursor| !cursor.is_empty()) {
            read.after = Some(keyset.after_cursor(cursor)?);
        }
        read.order = terms;
        read.keyset = Some(keyset);
        Ok(())
    }

    /// What a write is to answer: as [`Self::read`], but the filters of the table itself chose the rows and are done with.
    pub(crate) fn representation(&self, table: &Arc<Table>, query: &QueryString) -> RestResult<Read> {
        let mut said = Said::by(query);
        said.filters.retain(|(path, _)| !path.is_empty());
        said.limits.retain(|(path, _)| !path.is_empty());
        said.offsets.retain(|(path, _)| !path.is_empty());
        let read = self.read_level(table, query.select.as_deref(), said, None)?;
        if read.is_grouped() {
            return Err(RestError::new("PGRST127", "Feature not implemented").details("The rows that a write answers can't be put together"));
        }
        Ok(read)
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
            filter = filter.and(keyset::rewritten(self.condition(&sight, condition, &mut found)?));
        }
        let order = self.order(&sight, &said, found)?;
        let filter = self.within(table, &level.base).and(filter);
        let (limit, offset) = page(&said)?;
        let mut read = Read { output, order, limit, offset, ..Read::rows(table, filter) };
        if read.is_grouped() {
            if said.orders.is_empty() {
                read.order = Vec::new();
            }
            check_order_of_groups(&read)?;
            check_groups(&read)?;
        }
        Ok(read)
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
                SelectItem::Aggregate { alias, field, before, function, cast } => {
                    let of = (field.as_ref(), before.as_deref());
                    output.push(self.aggregate(level, alias.as_deref(), of, *function, cast.as_deref())?);
                }
                SelectItem::Embed(item) => {
                    let embedded = self.embed(level, item, said)?;
                    if item.inner {
                        filter = filter.and(Expr::Exists(Box::new(embedded.embed.clone())));
                    }
                    show(&mut output, item, &embedded);
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

    /// A column that is kept from the asker can't be put together either, and one that is kept in some rows is null in them.
    fn aggregate(
        &self,
        level: &Level,
        alias: Option<&str>,
        (field, before): (Option<&Field>, Option<&str>),
        function: Aggregate,
        to: Option<&str>,
    ) -> RestResult<Output> {
        if !self.aggregates {
            return Err(RestError::new("PGRST123", "Use of aggregate functions is not allowed"));
        }
        let mut of = field.map(|field| level.field(self, field)).transpose()?;
        if let (Some(scalar), Some(before)) = (&mut of, before) {
            scalar.cast = cast(scalar, before)?;
        }
        if let Some(scalar) = of.clone().filter(|_| function != Aggregate::Count) {
            not_sealed(scalar)?;
        }
        if let Some(scalar) = &of {
            check_aggregate(function, scalar.kind())?;
        }
        let as_text = match to.map(str::to_ascii_lowercase).as_deref() {
            None => false,
            Some("text" | "varchar") => true,
            Some(other) => {
                return Err(
                    RestError::new("42846", format!("cannot cast the result of {} to {other}", function.name())).hint("It can be cast to text.")
                );
            }
        };
        Ok(Output::Aggregate { key: alias.unwrap_or(function.name()).to_owned(), function, of, as_text })
    }

    fn embed(&self, level: &Level, item: &EmbedItem, said: &mut Said<'_>) -> RestResult<Embedded> {
        let relation = self.relation(&level.table, &item.name, item.hint.as_deref())?;
        let inner = self.level(&relation.table)?;
        let through = relation.junction.as_ref().map(|junction| self.through(junction)).transpose()?;
        let join = Join { outer: level.scalar(self, &relation.outer)?, inner: inner.scalar(self, &relation.inner)?, through };
        let name = item.alias.as_deref().unwrap_or(&item.name);
        // `messages(count)` is how stock clients' own manual counts what belongs to a row; it tells no more than the rows would.
        let counts = is_count(&item.items) && relation.table.column("count").is_none();
        let counting = [SelectItem::Aggregate { alias: None, field: None, before: None, function: Aggregate::Count, cast: None }];
        let resolver = Resolver { aggregates: self.aggregates || counts, ..*self };
        let items = if counts { &counting[..] } else { &item.items[..] };
        let mut read = resolver.read_level(&relation.table, Some(items), said.of(name), None)?;
        if read.is_grouped() && (relation.one || item.spread) {
            return Err(RestError::new("PGRST127", "Feature not implemented")
                .details("Only rows of a to-many relationship can be put together, and not spread"));
        }
        if !relation.one {
            read.limit = Some(read.limit.unwrap_or(self.max_rows).min(self.max_rows));
        }
        let embed = Embed { one: relation.one, join, read };
        Ok(Embedded { alias: item.alias.clone(), name: item.name.clone(), embed })
    }

    /// The rows between two tables: those that the asker may see, for others would tell who belongs together.
    fn through(&self, junction: &Junction) -> RestResult<Through> {
        let level = self.level(&junction.table)?;
        let (outer, inner) = (level.scalar(self, &junction.outer.column)?, level.scalar(self, &junction.inner.column)?);
        Ok(Through { table: Arc::clone(&junction.table), outer, inner, filter: self.within(&level.table, &level.base) })
    }

    fn order(&self, sight: &Sight<'_>, said: &Said<'_>, found: Option<Terms>) -> RestResult<Vec<Order>> {
        let Some((_, terms)) = said.orders.last() else {
            return Ok(by_relevance(sight.level, found));
        };
        terms.iter().map(|term| self.order_term(sight, term)).collect()
    }

    fn order_term(&self, sight: &Sight<'_>, term: &OrderTerm) -> RestResult<Order> {
        let by = match &term.relation {
            None => OrderBy::Value(not_sealed(sight.level.field(self, &term.field)?)?),
            Some(name) => {
                let embedded = sight.embeds.iter().find(|embedded| embedded.is_called(name)).ok_or_else(|| not_embedded(name))?;
                let Embed { one: true, join, read } = &embedded.embed else {
                    return Err(RestError::new("PGRST118", format!("A related order on '{name}' is not possible"))
                        .details(format!("'{}' and '{name}' do not form a many-to-one or one-to-one relationship", sight.level.table.name)));
                };
                let scalar = not_sealed(self.level(&read.table)?.field(self, &term.field)?)?;
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

/// How the best rows are found, where they come first.
fn ranking(read: &Read) -> Option<Ranking> {
    let OrderBy::Relevance(terms) = &read.order.first()?.by else { return None };
    if read.is_grouped() {
        return None;
    }
    Some(Ranking { terms: terms.clone(), rest: read.filter.without_search(terms)? })
}

fn not_embedded(name: &str) -> RestError {
    RestError::new("PGRST108", format!("'{name}' is not an embedded resource in this request"))
        .hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
}

/// Puts the embedded resource into the row: as a member, or its own members when it is spread. One that selects nothing only filters.
fn show(output: &mut Vec<Output>, item: &EmbedItem, embedded: &Embedded) {
    let embed = &embedded.embed;
    if embed.read.output.is_empty() {
        return;
    }
    if !item.spread {
        output.push(Output::Embed { key: embedded.key().to_owned(), embed: embed.clone() });
        return;
    }
    for member in &embed.read.output {
        let lifted = Embed { read: Read { output: vec![member.clone()], ..embed.read.clone() }, ..embed.clone() };
        output.push(Output::Lifted { key: member.key().to_owned(), embed: lifted });
    }
}

fn is_count(items: &[SelectItem]) -> bool {
    matches!(items, [SelectItem::Column { alias: None, field, cast: None }] if field.name == "count" && field.path.is_empty())
}

fn check_aggregate(function: Aggregate, kind: Type) -> RestResult<()> {
    let fits = match function {
        Aggregate::Count => true,
        Aggregate::Sum | Aggregate::Avg => matches!(kind, Type::I64 | Type::F64),
        Aggregate::Min | Aggregate::Max => matches!(kind, Type::I64 | Type::F64 | Type::Text | Type::Date | Type::Timestamp),
    };
    if fits {
        return Ok(());
    }
    Err(RestError::new("42883", format!("function {}({}) does not exist", function.name(), type_name(kind)))
        .hint("No function matches the given name and argument types. You might need to add explicit type casts."))
}

/// Rows that were put together have no order but that of what they were grouped by.
fn check_order_of_groups(read: &Read) -> RestResult<()> {
    let is_grouped_by = |order: &Order| {
        let OrderBy::Value(by) = &order.by else { return false };
        read.output.iter().any(|member| matches!(member, Output::Value { value, .. } if value.is_same(by)))
    };
    match read.order.iter().find(|order| !is_grouped_by(order)) {
        None => Ok(()),
        Some(order) => {
            let name = if let OrderBy::Value(by) = &order.by { by.column.name.as_str() } else { "search" };
            let message = format!("column \"{}.{name}\" must appear in the GROUP BY clause or be used in an aggregate function", read.table.name);
            Err(RestError::new("42803", message))
        }
    }
}

/// What rows can be grouped by: values of theirs, and what one row that they refer to says.
fn check_groups(read: &Read) -> RestResult<()> {
    let fits = |member: &Output| match member {
        Output::Value { .. } | Output::Aggregate { .. } => true,
        Output::Embed { embed, .. } => embed.one && embed.join.outer.mask.is_none(),
        Output::Lifted { embed, .. } => embed.one && !member.is_json(),
    };
    if read.output.iter().all(fits) {
        return Ok(());
    }
    Err(RestError::new("PGRST127", "Feature not implemented").details("Rows can't be grouped by the rows that belong to them"))
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
