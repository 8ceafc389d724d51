//! The `Prefer` header.

use chrono_tz::Tz;

use crate::records::error::{RestError, RestResult};

/// What a request would like. The first of two that disagree counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// `resolution=`
    pub resolution: Option<Resolution>,
    /// `missing=`
    pub missing: Option<Missing>,
    /// `return=`
    pub returning: Option<Return>,
    /// `count=`
    pub count: Option<Count>,
    /// `handling=`
    pub handling: Option<Handling>,
    /// `max-affected=`
    pub max_affected: Option<i64>,
    /// `tx=`
    pub tx: Option<TxEnd>,
    /// `timezone=`
    pub timezone: Option<Tz>,
}

/// How the transaction of a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxEnd {
    /// What was written is kept.
    Commit,
    /// It is undone, and answered all the same.
    Rollback,
}

/// What an insert does with a row that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Update it.
    Merge,
    /// Leave it.
    Ignore,
}

/// What a key that a row lacks stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The column's default.
    Default,
    /// Null.
    Null,
}

/// What a write answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// The rows.
    Representation,
    /// Nothing.
    Minimal,
    /// Where the row is.
    HeadersOnly,
}

/// How rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// One by one.
    Exact,
    /// As the database supposes; few are counted all the same.
    Planned,
    /// Counted up to a limit, and as the database supposes beyond it.
    Estimated,
}

/// What becomes of preferences that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    /// They are refused.
    Strict,
    /// They are passed over.
    Lenient,
}

impl Prefer {
    /// Reads every `Prefer` header of a request.
    pub(crate) fn parse<'h>(headers: impl Iterator<Item = &'h str>) -> RestResult<Self> {
        let mut prefer = Self::default();
        let mut unknown = Vec::new();
        for item in headers.flat_map(|header| header.split(',')).map(str::trim).filter(|item| !item.is_empty()) {
            if let Some(name) = item.strip_prefix("timezone=") {
                first(&mut prefer.timezone, zone(name)?);
            } else if !prefer.take(item) {
                unknown.push(item.to_owned());
            }
        }
        if prefer.handling == Some(Handling::Strict) && !unknown.is_empty() {
            return Err(RestError::new("PGRST122", "Invalid preferences given with handling=strict")
                .details(format!("Invalid preferences: {}", unknown.join(", "))));
        }
        if prefer.handling != Some(Handling::Strict) {
            prefer.max_affected = None;
        }
        Ok(prefer)
    }

    fn take(&mut self, item: &str) -> bool {
        match item {
            "resolution=merge-duplicates" => first(&mut self.resolution, Resolution::Merge),
            "resolution=ignore-duplicates" => first(&mut self.resolution, Resolution::Ignore),
            "missing=default" => first(&mut self.missing, Missing::Default),
            "missing=null" => first(&mut self.missing, Missing::Null),
            "return=representation" => first(&mut self.returning, Return::Representation),
            "return=minimal" => first(&mut self.returning, Return::Minimal),
            "return=headers-only" => first(&mut self.returning, Return::HeadersOnly),
            "count=exact" => first(&mut self.count, Count::Exact),
            "count=planned" => first(&mut self.count, Count::Planned),
            "count=estimated" => first(&mut self.count, Count::Estimated),
            "handling=strict" => first(&mut self.handling, Handling::Strict),
            "handling=lenient" => first(&mut self.handling, Handling::Lenient),
            "tx=commit" => first(&mut self.tx, TxEnd::Commit),
            "tx=rollback" => first(&mut self.tx, TxEnd::Rollback),
            _ => match item.strip_prefix("max-affected=").and_then(|number| number.parse().ok()) {
                Some(most) => first(&mut self.max_affected, most),
                None => return false,
            },
        }
        true
    }

    /// What of it was followed, in the wire's order, for `Preference-Applied`.
    pub(crate) fn applied(&self, of_write: bool) -> Option<String> {
        let resolution = self.resolution.filter(|_| of_write).map(|resolution| match resolution {
            Resolution::Merge => "resolution=merge-duplicates",
            Resolution::Ignore => "resolution=ignore-duplicates",
        });
        let missing = self.missing.filter(|_| of_write).map(|missing| match missing {
            Missing::Default => "missing=default",
            Missing::Null => "missing=null",
        });
        let returning = self.returning.filter(|_| of_write).map(|returning| match returning {
            Return::Representation => "return=representation",
            Return::Minimal => "return=minimal",
            Return::HeadersOnly => "return=headers-only",
        });
        let count = self.count.map(|count| match count {
            Count::Exact => "count=exact",
            Count::Planned => "count=planned",
            Count::Estimated => "count=estimated",
        });
        let tx = self.tx.filter(|_| of_write).map(|tx| match tx {
            TxEnd::Commit => "tx=commit",
            TxEnd::Rollback => "tx=rollback",
        });
        let handling = self.handling.map(|handling| match handling {
            Handling::Strict => "handling=strict",
            Handling::Lenient => "handling=lenient",
        });
        let most = self.max_affected.filter(|_| of_write).map(|most| format!("max-affected={most}"));
        let zone = self.timezone.map(|zone| format!("timezone={}", zone.name()));
        let words: Vec<&str> =
            [resolution, missing, returning, count, tx, handling, zone.as_deref(), most.as_deref()].into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// A zone by its name. One that is not known is refused however preferences are handled, as PostgreSQL refuses it.
fn zone(name: &str) -> RestResult<Tz> {
    name.parse().map_err(|_| RestError::new("22023", format!("invalid value for parameter \"TimeZone\": \"{name}\"")))
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> RestResult<Prefer> {
        Prefer::parse([text].into_iter())
    }

    #[test]
    fn preferences_are_echoed_in_the_wires_order() {
        let prefer = parse(
            "max-affected=5, timezone=Asia/Tokyo, handling=strict, tx=rollback, count=planned, return=minimal, missing=default, resolution=merge-duplicates",
        );
        let wanted = "resolution=merge-duplicates, missing=default, return=minimal, count=planned, tx=rollback, handling=strict, timezone=Asia/Tokyo, max-affected=5";
        assert_eq!(prefer.unwrap().applied(true).as_deref(), Some(wanted));
        assert_eq!(parse("count=exact, count=planned").unwrap().count, Some(Count::Exact));
        assert_eq!(parse("handling=strict, colour=red").unwrap_err().code, "PGRST122");
        assert_eq!(parse("max-affected=5, colour=red").unwrap(), Prefer::default());
        assert_eq!(parse("timezone=Jupiter/Red_Spot").unwrap_err().code, "22023");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(return|count|tx|max-affected|=|,| |-|5|strict|\\PC){0,10}") {
            let _ = parse(&text);
        }
    }
}
