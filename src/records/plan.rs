//! What is to be done, with every name resolved, every value typed, and every right already part of the conditions.
//!
//! `resolve.rs` makes plans, `render/` spells them for an engine, `execute.rs` runs them.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    catalog::{Column, Table},
    keyset::Keyset,
    parse::{Aggregate, JsonStep},
    search::Terms,
};
use crate::db::{Type, Value};

/// Rows to be read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// From which table.
    pub table: Arc<Table>,
    /// What of each row.
    pub output: Vec<Output>,
    /// Which rows; the tenant is added when this is spelled.
    pub filter: Expr,
    /// In which order.
    pub order: Vec<Order>,
    /// How many at the most.
    pub limit: Option<i64>,
    /// From which on.
    pub offset: i64,
    /// The version of each row, as the asker sees it, to be read beside the row.
    pub version: Option<Scalar>,
    /// What the rows were searched for by, where the best come first.
    pub ranking: Option<Ranking>,
    /// How the rows are paged by key, when they are.
    pub keyset: Option<Keyset>,
    /// Where the page begins; this does not count for how many rows there are.
    pub after: Option<Expr>,
    /// Whether each row shows its cursor.
    pub shows_cursor: bool,
}

/// A search whose best rows come first.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    /// What is looked for.
    pub terms: Terms,
    /// What else the rows must fit.
    pub rest: Expr,
}

/// One member of a row's object.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// A value.
    Value {
        /// The member's name.
        key: String,
        /// The value.
        value: Scalar,
    },
    /// Rows of another table.
    Embed {
        /// The member's name.
        key: String,
        /// The rows.
        embed: Embed,
    },
    /// The one value of the one row of another table, or a list of that of each.
    Lifted {
        /// The member's name.
        key: String,
        /// The rows, with one member each.
        embed: Embed,
    },
    /// What the rows of a group come to. Rows belong to one group when all other members are the same.
    Aggregate {
        /// The member's name.
        key: String,
        /// How the values are put together.
        function: Aggregate,
        /// The values; none for the rows themselves.
        of: Option<Scalar>,
        /// Whether the outcome is cast to text.
        as_text: bool,
    },
}

impl Output {
    /// The member's name.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Value { key, .. } | Self::Embed { key, .. } | Self::Lifted { key, .. } | Self::Aggregate { key, .. } => key,
        }
    }

    /// Whether it is JSON, and not a plain value.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Value { value, .. } => matches!(value.kind(), Type::Bool | Type::Json),
            Self::Embed { .. } => true,
            Self::Lifted { embed, .. } => !embed.one || embed.read.output.first().is_some_and(Self::is_json),
            Self::Aggregate { .. } => false,
        }
    }
}

impl Read {
    /// The rows of a table that fit, of which nothing is shown.
    pub(super) fn rows(table: &Arc<Table>, filter: Expr) -> Self {
        Self {
            table: Arc::clone(table),
            output: Vec::new(),
            filter,
            order: Vec::new(),
            limit: None,
            offset: 0,
            version: None,
            ranking: None,
            keyset: None,
            after: None,
            shows_cursor: false,
        }
    }

    /// Whether rows are put together.
    pub(super) fn is_grouped(&self) -> bool {
        self.output.iter().any(|member| matches!(member, Output::Aggregate { .. }))
    }
}

/// Rows of another table that belong to a row.
#[derive(Clone, Debug)]
pub(super) struct Embed {
    /// Whether there is at most one.
    pub one: bool,
    /// How they are found.
    pub join: Join,
    /// What of them.
    pub read: Read,
}

/// How a row of the outer table finds rows of the inner one.
#[derive(Clone, Debug)]
pub(super) struct Join {
    /// The column of the outer row.
    pub outer: Scalar,
    /// The column of the inner row.
    pub inner: Scalar,
    /// The rows between the two, where neither refers to the other.
    pub through: Option<Through>,
}

/// Rows of a third table, each of which refers to an outer and to an inner row.
#[derive(Clone, Debug)]
pub(super) struct Through {
    /// The table.
    pub table: Arc<Table>,
    /// Its column that names the outer row.
    pub outer: Scalar,
    /// Its column that names the inner row.
    pub inner: Scalar,
    /// Which of its rows are in sight.
    pub filter: Expr,
}

/// A value of a row.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The column.
    pub column: Arc<Column>,
    /// The rows in which it may be seen; in others it is null for all purposes. None: in every row that is seen at all.
    pub mask: Option<Arc<Expr>>,
    /// The steps into its JSON.
    pub path: Vec<JsonStep>,
    /// Whether the last step asks for text.
    pub as_text: bool,
    /// What it is cast to.
    pub cast: Option<Cast>,
}

impl Scalar {
    /// A column as it is.
    pub(super) fn column(column: &Arc<Column>) -> Self {
        Self { column: Arc::clone(column), mask: None, path: Vec::new(), as_text: false, cast: None }
    }

    /// Whether it is the same value of the row.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.column.name == other.column.name && self.path == other.path && self.as_text == other.as_text
    }

    /// The type it has where it is compared.
    pub(super) fn kind(&self) -> Type {
        match (&self.cast, self.path.is_empty(), self.as_text) {
            (Some(Cast::Text), _, _) | (None, false, true) => Type::Text,
            (Some(Cast::Date), _, _) => Type::Date,
            (None, false, false) => Type::Json,
            (None, true, _) => self.column.kind,
        }
    }
}

/// The casts that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// To text.
    Text,
    /// From a timestamp to its day in UTC.
    Date,
}

/// A condition on a row.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// Holds for every row.
    Always,
    /// Holds for none.
    Never,
    /// All of them hold.
    And(Vec<Expr>),
    /// At least one of them holds.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// A value against another.
    Compare(Scalar, Comparison, Value),
    /// Values, taken together as a row, against others. Greater and less are what it may be.
    Row(Vec<(Scalar, Value)>, Comparison),
    /// A value is one of these, all of its type.
    In(Scalar, Vec<Value>),
    /// There is no value.
    IsNull(Scalar),
    /// A truth value is this one.
    IsTruth(Scalar, bool),
    /// Text looks like this: `%` any text, `_` any character, `\` takes the next as it is. The last says whether case counts for nothing.
    Like(Scalar, String, bool),
    /// Text fits this pattern, which is known to be one. The last says whether case counts for nothing.
    Matches(Scalar, String, bool),
    /// JSON holds this.
    Contains(Scalar, String),
    /// JSON is held by this.
    ContainedIn(Scalar, String),
    /// There are such rows of another table.
    Exists(Box<Embed>),
    /// The name search finds the row.
    Found(Terms),
    /// The column names an employee who reports to this one, through however many others.
    ReportsTo(Arc<Column>, Uuid),
    /// The row is this employee, or one who reports to it, through at most so many others.
    Below(Arc<Column>, Uuid, i64),
    /// The row's column is one of these ids, in a JSON array; for rows that a write has touched.
    Touched(Arc<Column>, String),
}

impl Expr {
    /// Both, without what says nothing.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, only) | (only, Self::Always) => only,
            (Self::And(mut all), Self::And(more)) => {
                all.extend(more);
                Self::And(all)
            }
            (Self::And(mut all), one) => {
                all.push(one);
                Self::And(all)
            }
            (one, other) => Self::And(vec![one, other]),
        }
    }

    /// The opposite, when asked for.
    #[must_use]
    pub(super) fn negated(self, negated: bool) -> Self {
        if negated { Self::Not(Box::new(self)) } else { self }
    }

    /// Takes the search out of what must all hold.
    pub(super) fn without_search(&self, terms: &Terms) -> Option<Self> {
        let is_search = |expr: &Self| matches!(expr, Self::Found(own) if own == terms);
        match self {
            own if is_search(own) => Some(Self::Always),
            Self::And(of) => {
                let place = of.iter().position(is_search)?;
                let rest = of.iter().enumerate().filter(|(index, _)| *index != place).map(|(_, expr)| expr.clone());
                Some(rest.fold(Self::Always, Self::and))
            }
            _ => None,
        }
    }

    /// Whether finding such rows may take long: a search, or text that no index leads to.
    pub(super) fn is_heavy(&self) -> bool {
        match self {
            Self::And(of) | Self::Or(of) => of.iter().any(Self::is_heavy),
            Self::Not(of) => of.is_heavy(),
            Self::Like(..)
            | Self::Matches(..)
            | Self::Contains(..)
            | Self::ContainedIn(..)
            | Self::Found(_)
            | Self::ReportsTo(..)
            | Self::Below(..) => true,
            Self::Exists(embed) => embed.read.filter.is_heavy(),
            _ => false,
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    DistinctFrom,
}

/// One term of an order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// By what.
    pub by: OrderBy,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Whether nulls come first.
    pub nulls_first: bool,
}

/// What rows are ordered by.
#[derive(Clone, Debug)]
pub(super) enum OrderBy {
    /// A value of the row.
    Value(Scalar),
    /// A value of the one row it refers to, which must fit the filter to be seen.
    Related(Box<Join>, Arc<Table>, Box<Expr>, Scalar),
    /// How well the name search found it.
    Relevance(Terms),
}

/// Rows to be made.
#[derive(Clone, Debug)]
pub(super) struct Insert {
    /// In which table.
    pub table: Arc<Table>,
    /// Which columns are filled.
    pub columns: Vec<Arc<Column>>,
    /// The rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// What happens to rows that are there already.
    pub conflict: Option<Conflict>,
    /// What the new and changed rows must fit.
    pub check: Expr,
}

/// What an insert does with rows that are there already.
#[derive(Clone, Debug)]
pub(super) struct Conflict {
    /// The key that tells; none for any key, which only [`OnConflict::Ignore`] may.
    pub columns: Vec<String>,
    /// What is done.
    pub then: OnConflict,
}

/// What is done with a row that is there already.
#[derive(Clone, Debug)]
pub(super) enum OnConflict {
    /// It is left as it is.
    Ignore,
    /// These columns take the new values, if the old row fits.
    Update(Vec<Arc<Column>>, Box<Expr>),
}

/// Rows to be changed.
#[derive(Clone, Debug)]
pub(super) struct Update {
    /// In which table.
    pub table: Arc<Table>,
    /// What they become.
    pub set: Vec<(Arc<Column>, Value)>,
    /// Which rows were named, of those that may be seen.
    pub filter: Expr,
    /// Which of them may be changed, before and after.
    pub allowed: Expr,
    /// What must be so before.
    pub guard: Guard,
}

/// Rows to be removed.
#[derive(Clone, Debug)]
pub(super) struct Delete {
    /// From which table.
    pub table: Arc<Table>,
    /// Which rows were named, of those that may be seen.
    pub filter: Expr,
    /// Which of them may be removed.
    pub allowed: Expr,
    /// What must be so before.
    pub guard: Guard,
}

/// What must be so before rows are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// The version of a row, as the asker sees it.
    pub version: Option<Scalar>,
    /// The versions that each row may have; none for any.
    pub versions: Option<Vec<i64>>,
    /// Whether there must be a row: what is told when there is none.
    pub must_exist: Option<Missing>,
}

/// What is told when there is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// That it is not in the state that was asked for.
    Precondition,
    /// That there is no row with this key.
    Key(String),
}
