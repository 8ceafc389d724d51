//! SQL built at run time, with user text kept out of it by type.

use super::{Dialect, value::Value};

/// A statement in the making: text that the program wrote, quoted names, and values bound apart.
#[derive(Clone, Debug)]
pub struct SqlBuf {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl SqlBuf {
    /// An empty statement for one engine.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::with_capacity(512), values: Vec::new() }
    }

    /// The engine this statement is spelled for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Appends SQL written in the program.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Appends the spelling of the engine at hand.
    pub fn pick(&mut self, sqlite: &'static str, postgres: &'static str) -> &mut Self {
        self.push(match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        })
    }

    /// Appends a quoted name; quotes inside are doubled.
    pub fn push_ident(&mut self, name: &str) -> &mut Self {
        self.text.push('"');
        for part in name.split_inclusive('"') {
            self.text.push_str(part);
            if part.ends_with('"') {
                self.text.push('"');
            }
        }
        self.text.push('"');
        self
    }

    /// Appends a quoted text literal, for keys of JSON objects; quotes inside are doubled and NUL is dropped.
    pub fn push_literal(&mut self, text: &str) -> &mut Self {
        self.text.push('\'');
        for character in text.chars().filter(|&c| c != '\0') {
            self.text.push(character);
            if character == '\'' {
                self.text.push('\'');
            }
        }
        self.text.push('\'');
        self
    }

    /// Appends a whole number, for aliases and limits that are part of the statement's shape.
    pub fn push_number(&mut self, number: i64) -> &mut Self {
        self.text.push_str(&number.to_string());
        self
    }

    /// Appends a placeholder and keeps the value beside it.
    pub fn push_value(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Runs `each` for every item, with `separator` between.
    pub fn push_list<T>(&mut self, separator: &'static str, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            each(self, item);
        }
        self
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }
}
