//! The grammar of `select`.

use super::{EMBED_DEPTH, Field, SELECT_ITEMS, cursor::Cursor};
use crate::records::error::RestResult;

/// One item of `select`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SelectItem {
    /// Every column the caller may read.
    Star,
    /// A column.
    Column {
        /// Its name in the answer, when it was given one.
        alias: Option<String>,
        /// The column.
        field: Field,
        /// The type it is cast to.
        cast: Option<String>,
    },
    /// What many rows come to.
    Aggregate {
        /// Its name in the answer, when it was given one.
        alias: Option<String>,
        /// The column; none for the rows themselves.
        field: Option<Field>,
        /// The type the column is cast to before.
        before: Option<String>,
        /// How they are put together.
        function: Aggregate,
        /// The type that the outcome is cast to.
        cast: Option<String>,
    },
    /// Rows of another table.
    Embed(EmbedItem),
}

/// How many values are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl Aggregate {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// Rows of another table, embedded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmbedItem {
    /// Its name in the answer, when it was given one.
    pub alias: Option<String>,
    /// The table, or the foreign key's column or constraint.
    pub name: String,
    /// Which relation is meant.
    pub hint: Option<String>,
    /// Whether rows without it are left out.
    pub inner: bool,
    /// Whether its columns are lifted into the row.
    pub spread: bool,
    /// What of it.
    pub items: Vec<SelectItem>,
}

/// Reads a `select`.
pub(super) fn parse(text: &str) -> RestResult<Vec<SelectItem>> {
    let mut cursor = Cursor::new("select parameter", text);
    let mut count = 0;
    let items = items(&mut cursor, &mut count, 0)?;
    cursor.end()?;
    Ok(items)
}

fn items(cursor: &mut Cursor<'_>, count: &mut usize, depth: usize) -> RestResult<Vec<SelectItem>> {
    let mut items = Vec::new();
    if depth > EMBED_DEPTH {
        return Err(cursor.too_much("resources may be embedded at most 6 deep"));
    }
    if cursor.rest().is_empty() || cursor.peek() == Some(')') {
        return Ok(items);
    }
    loop {
        *count += 1;
        if *count > SELECT_ITEMS {
            return Err(cursor.too_much("at most 200 items may be selected"));
        }
        items.push(item(cursor, count, depth)?);
        if !cursor.eat(',') {
            return Ok(items);
        }
    }
}

fn item(cursor: &mut Cursor<'_>, count: &mut usize, depth: usize) -> RestResult<SelectItem> {
    cursor.take_while(char::is_whitespace);
    if cursor.eat('*') {
        cursor.take_while(char::is_whitespace);
        return Ok(SelectItem::Star);
    }
    let spread = cursor.eat_word("...");
    let mut name = cursor.name()?;
    let mut alias = None;
    if !cursor.rest().starts_with("::") && cursor.eat(':') {
        alias = Some(name);
        name = cursor.name()?;
    }
    if !spread && name == "count" && cursor.eat_word("()") {
        let cast = cast(cursor)?;
        return Ok(SelectItem::Aggregate { alias, field: None, before: None, function: Aggregate::Count, cast });
    }
    if spread || matches!(cursor.peek(), Some('!' | '(')) {
        return embed(cursor, (alias, name, spread), count, depth).map(SelectItem::Embed);
    }
    let (path, as_text) = cursor.json_path()?;
    let before = cast(cursor)?;
    let field = Field { name, path, as_text };
    if !cursor.eat('.') {
        return Ok(SelectItem::Column { alias, field, cast: before });
    }
    let function = match cursor.take_while(|c| c.is_ascii_alphabetic()) {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        _ => return Err(cursor.unexpected("\"sum\", \"avg\", \"count\", \"min\" or \"max\"")),
    };
    cursor.expect('(')?;
    cursor.expect(')')?;
    let cast = cast(cursor)?;
    Ok(SelectItem::Aggregate { alias, field: Some(field), before, function, cast })
}

fn cast(cursor: &mut Cursor<'_>) -> RestResult<Option<String>> {
    if !cursor.eat_word("::") {
        return Ok(None);
    }
    let name = cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ' ')).trim();
    if name.is_empty() { Err(cursor.unexpected("a type name")) } else { Ok(Some(name.to_owned())) }
}

fn embed(cursor: &mut Cursor<'_>, (alias, name, spread): (Option<String>, String, bool), count: &mut usize, depth: usize) -> RestResult<EmbedItem> {
    let (mut hint, mut inner) = (None, false);
    while cursor.eat('!') {
        match cursor.name()? {
            word if word == "inner" => inner = true,
            word if word == "left" => {}
            word => hint = Some(word),
        }
    }
    cursor.expect('(')?;
    let items = items(cursor, count, depth + 1)?;
    cursor.expect(')')?;
    Ok(EmbedItem { alias, name, hint, inner, spread, items })
}
