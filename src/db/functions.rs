//! What PostgreSQL has and SQLite lacks, as functions of ours.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};
use serde_json::Value as Json;

use super::glob::glob_matches;

/// Bytes of a compiled pattern, at the most: what a pattern says in few characters may be large.
const LARGEST_PATTERN: usize = 1 << 19;

/// Reads a pattern (`~`, or `~*` when `fold`): without back references and look-around, so that no text takes long to match. Says what is
/// wrong with it.
pub fn pattern(text: &str, fold: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    // As PostgreSQL reads it.
    builder.case_insensitive(fold).dot_matches_new_line(true).size_limit(LARGEST_PATTERN);
    builder.build().map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

/// Adds the functions to a connection.
pub(super) fn add_to(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    // Lower case for all of Unicode, where SQLite's own `lower` and `LIKE` know only ASCII.
    connection.create_scalar_function("fold", 1, flags, |context| Ok(text(context, 0)?.map(str::to_lowercase)))?;
    connection.create_scalar_function("matches", 2, flags, |context| matches(context, false))?;
    connection.create_scalar_function("matches_folded", 2, flags, |context| matches(context, true))?;
    connection.create_scalar_function("json_contains", 2, flags, |context| {
        let (Some(outer), Some(inner)) = (text(context, 0)?, text(context, 1)?) else { return Ok(None) };
        Ok(Some(contains(&parsed(outer)?, &parsed(inner)?)))
    })?;
    // PostgreSQL has regular expressions for it.
    connection.create_scalar_function("fits", 2, flags, |context| Ok(glob_matches(context.get_raw(0).as_str()?, context.get_raw(1).as_str()?)))
}

fn text<'c>(context: &'c Context<'_>, index: usize) -> rusqlite::Result<Option<&'c str>> {
    match context.get_raw(index) {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_str()?)),
    }
}

fn parsed(text: &str) -> rusqlite::Result<Json> {
    serde_json::from_str(text).map_err(|error| rusqlite::Error::UserFunctionError(error.into()))
}

fn matches(context: &Context<'_>, fold: bool) -> rusqlite::Result<Option<bool>> {
    let Some(text) = text(context, 1)? else { return Ok(None) };
    // The pattern is compiled once for all rows of a statement.
    let regex: Arc<Regex> = context.get_or_create_aux(0, |value| pattern(value.as_str().unwrap_or_default(), fold))?;
    Ok(Some(regex.is_match(text)))
}

/// `@>`: every member and every item of the inner is in the outer, wherever it stands; an array holds a plain value of its own, too.
fn contains(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Array(items), plain) if !plain.is_array() && !plain.is_object() => items.contains(plain),
        _ => holds(outer, inner),
    }
}

fn holds(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Object(outer), Json::Object(inner)) => inner.iter().all(|(key, value)| outer.get(key).is_some_and(|own| holds(own, value))),
        (Json::Array(outer), Json::Array(inner)) => inner.iter().all(|item| outer.iter().any(|own| holds(own, item))),
        (Json::Number(outer), Json::Number(inner)) => outer == inner || outer.as_f64() == inner.as_f64(),
        (outer, inner) => outer == inner,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_held_as_on_postgresql() {
        for (outer, inner, held) in [
            (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }), true),
            (json!({ "a": [1, 2, { "b": 3 }] }), json!({ "a": [{ "b": 3 }] }), true),
            (json!({ "a": { "b": 1 } }), json!({ "b": 1 }), false),
            (json!([1, 2, 2]), json!([2, 1, 1]), true),
            (json!([1, 2]), json!(1), true),
            (json!(1), json!([1]), false),
            (json!([[1]]), json!([1]), false),
            (json!({ "a": 1 }), json!({ "a": 1.0 }), true),
            (json!({}), json!([]), false),
        ] {
            assert_eq!(contains(&outer, &inner), held, "{outer} @> {inner}");
        }
    }

    #[test]
    fn patterns_that_may_take_long_are_refused() {
        assert!(pattern("^(a|b)+c?$", false).unwrap().is_match("abab"));
        assert!(pattern("LI", true).unwrap().is_match("li"));
        for wrong in ["(a)\\1", "(?=a)", "(", "***=a", "(a{1000}){1000}"] {
            assert!(pattern(wrong, false).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(text in "\\PC{0,40}|[a-z(){}*+?|\\\\\\[\\]^$0-9]{0,40}") {
            let _ = pattern(&text, true);
        }
    }
}
