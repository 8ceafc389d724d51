//! What went wrong, free of HTTP.
//!
//! Every room turns this into the shape of its own wire: `From<Error>` for the room's error type. Text in a variant is for the person
//! who must act; what only the operator may see travels as the source of [`Error::Internal`] and ends in the log.

use std::{borrow::Cow, fmt};

/// The result of everything that can fail below HTTP.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named thing is not there, or not for this caller.
    #[error("{0} not found")]
    NotFound(Cow<'static, str>),
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// A value can't be used: the field, and why.
    #[error("{field}: {why}")]
    Invalid {
        /// The field or parameter that is wrong.
        field: Cow<'static, str>,
        /// What is wrong with it and what would be right.
        why: Cow<'static, str>,
    },
    /// The caller is known and may not do this.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// The caller is not known, or no longer.
    #[error("{0}")]
    Unauthorized(Cow<'static, str>),
    /// A rule of the database refused a statement.
    #[error("{0}")]
    Constraint(Box<Constraint>),
    /// Too much work is waiting; trying again soon may succeed.
    #[error("{0}")]
    Unavailable(Cow<'static, str>),
    /// A statement took longer than it may.
    #[error("the statement took too long")]
    Timeout,
    /// Anything that is our fault. The source is for the log only.
    #[error("internal error: {0}")]
    Internal(Source),
}

impl Error {
    /// The named thing is not there: `Error::not_found("tenant")`.
    pub fn not_found(what: impl Into<Cow<'static, str>>) -> Self {
        Self::NotFound(what.into())
    }

    /// The request contradicts what is stored.
    pub fn conflict(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Conflict(why.into())
    }

    /// A field's value can't be used.
    pub fn invalid(field: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }

    /// The caller may not do this.
    pub fn forbidden(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Forbidden(why.into())
    }

    /// The caller is not known.
    pub fn unauthorized(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unauthorized(why.into())
    }

    /// Too much is waiting.
    pub fn unavailable(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable(why.into())
    }

    /// Our own fault, with what the log should say.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}

/// Which rule of the database a statement broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// The kind of rule.
    pub kind: ConstraintKind,
    /// The table, where the engine tells it.
    pub table: Option<String>,
    /// The columns, where the engine tells them (SQLite: unique and not null).
    pub columns: Vec<String>,
    /// The constraint's name, where the engine tells it (PostgreSQL always, SQLite for named checks).
    pub name: Option<String>,
    /// The engine's detail line (PostgreSQL: `Key (id)=(1) already exists.`).
    pub detail: Option<String>,
    /// The engine's own message.
    pub message: String,
}

/// The kinds of rule a statement can break, by the SQLSTATE they have on both engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// 23505
    Unique,
    /// 23503
    ForeignKey,
    /// 23502
    NotNull,
    /// 23514
    Check,
    /// 23P01
    Exclusion,
    /// Any other complaint about the data itself, with its SQLSTATE (`22P02`, `22003`, …).
    Data([u8; 5]),
}

impl ConstraintKind {
    /// The SQLSTATE of this kind.
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Unique => "23505",
            Self::ForeignKey => "23503",
            Self::NotNull => "23502",
            Self::Check => "23514",
            Self::Exclusion => "23P01",
            Self::Data(code) => std::str::from_utf8(code).unwrap_or("22000"),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

macro_rules! internal_from {
    ($($source:ty),+ $(,)?) => {
        $(impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::Internal(Box::new(source))
            }
        })+
    };
}

internal_from!(std::io::Error, serde_json::Error, tokio::task::JoinError, std::fmt::Error);
