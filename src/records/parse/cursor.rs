//! Words that the grammars share: names, quoted text, JSON paths.

use super::{Field, JsonStep};
use crate::records::error::{RestError, RestResult};

/// A place in a text that is being read.
pub(super) struct Cursor<'t> {
    what: &'static str,
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// At the start of `text`; `what` names it in refusals.
    pub(super) fn new(what: &'static str, text: &'t str) -> Self {
        Self { what, text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes `wanted` if it is next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Takes a word if it is next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect(&mut self, wanted: char) -> RestResult<()> {
        if self.eat(wanted) { Ok(()) } else { Err(self.unexpected(&format!("\"{wanted}\""))) }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> RestResult<()> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("end of input")) }
    }

    /// Takes as long as `wanted` holds.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The refusal of what is next.
    pub(super) fn unexpected(&self, expecting: &str) -> RestError {
        let found = self.peek().map_or_else(|| "unexpected end of input".to_owned(), |next| format!("unexpected '{next}'"));
        RestError::parse(self.what, self.text, self.text[..self.at].chars().count(), format!("{found} expecting {expecting}"))
    }

    /// The refusal of what is more than may be.
    pub(super) fn too_much(&self, limit: &str) -> RestError {
        RestError::parse(self.what, self.text, self.text[..self.at].chars().count(), limit)
    }

    /// A name: quoted, or letters, digits, `_`, `$`, spaces and inner dashes.
    pub(super) fn name(&mut self) -> RestResult<String> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let start = self.at;
        while let Some(next) = self.peek() {
            let inner_dash = next == '-' && !self.rest().starts_with("->");
            if !(next.is_alphanumeric() || matches!(next, '_' | '$' | ' ') || inner_dash) {
                break;
            }
            self.at += next.len_utf8();
        }
        let name = self.text[start..self.at].trim();
        if name.is_empty() {
            return Err(self.unexpected("field name (* or [a..z0..9_$])"));
        }
        Ok(name.to_owned())
    }

    /// Text in double quotes; a backslash takes the next character as it is.
    pub(super) fn quoted(&mut self) -> RestResult<String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.next().ok_or_else(|| self.unexpected("any character"))?),
                Some(next) => text.push(next),
                None => return Err(self.unexpected("\"\\\"\"")),
            }
        }
    }

    /// A column with its way into JSON.
    pub(super) fn field(&mut self) -> RestResult<Field> {
        let name = self.name()?;
        let (path, as_text) = self.json_path()?;
        Ok(Field { name, path, as_text })
    }

    /// `->key`, `->>key`, `->0`, as many as there are; only the last may ask for text.
    pub(super) fn json_path(&mut self) -> RestResult<(Vec<JsonStep>, bool)> {
        let (mut path, mut as_text) = (Vec::new(), false);
        while !as_text && self.eat_word("->") {
            as_text = self.eat('>');
            path.push(self.json_step()?);
            if path.len() > 16 {
                return Err(self.too_much("at most 16 steps into JSON"));
            }
        }
        Ok((path, as_text))
    }

    /// Characters that mean something in SQLite's own path language are no part of a key.
    fn json_step(&mut self) -> RestResult<JsonStep> {
        let key = if self.peek() == Some('"') {
            let key = self.quoted()?;
            if key.contains(['"', '\\', '\0']) {
                return Err(self.too_much("a JSON key may not hold quotes or backslashes"));
            }
            return Ok(JsonStep::Key(key));
        } else {
            let start = self.at;
            while let Some(next) = self.peek() {
                if matches!(next, '.' | ',' | '(' | ')' | ':' | '"' | '\\' | '\0') || self.rest().starts_with("->") {
                    break;
                }
                self.at += next.len_utf8();
            }
            self.text[start..self.at].trim()
        };
        if key.is_empty() {
            return Err(self.unexpected("a JSON key or position"));
        }
        match key.parse::<i32>() {
            Ok(index) => Ok(JsonStep::Index(i64::from(index))),
            Err(_) => Ok(JsonStep::Key(key.to_owned())),
        }
    }
}
