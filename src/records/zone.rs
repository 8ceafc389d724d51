//! Moments as a clock on the reader's wall shows them: `Prefer: timezone=`.
//!
//! Rows come from the database in UTC, whichever it is, and are moved here. What a request itself says of moments without a zone stays
//! UTC.

use chrono::{DateTime, FixedOffset, Offset as _, Timelike as _};
use chrono_tz::Tz;
use serde_json::Value as Json;

use super::{
    error::RestResult,
    parse::Aggregate,
    plan::{Cast, Output, Scalar},
};
use crate::{db::Type, error::Error};

/// A zone, and where in a row there are moments.
pub(super) struct LocalTime {
    zone: Tz,
    places: Places,
}

/// The members of an object that hold moments, by name.
type Places = Vec<(String, Place)>;

enum Place {
    /// The member is a moment, or a list of them.
    Moment,
    /// The member is an object, or a list of them, that has some.
    Inside(Places),
}

impl LocalTime {
    /// The moments of rows that look so.
    pub(super) fn new(zone: Tz, output: &[Output]) -> Self {
        Self { zone, places: places(output) }
    }

    /// The row with its moments moved.
    pub(super) fn moved(&self, row: String) -> RestResult<String> {
        if self.places.is_empty() {
            return Ok(row);
        }
        let mut row: Json = serde_json::from_str(&row).map_err(Error::from)?;
        inside(self.zone, &mut row, &self.places);
        Ok(row.to_string())
    }
}

fn places(output: &[Output]) -> Places {
    output.iter().filter_map(|member| Some((member.key().to_owned(), place(member)?))).collect()
}

fn place(member: &Output) -> Option<Place> {
    match member {
        Output::Value { value, .. } => is_moment(value).then_some(Place::Moment),
        Output::Aggregate { function, of: Some(of), .. } => {
            (matches!(function, Aggregate::Min | Aggregate::Max) && is_moment(of)).then_some(Place::Moment)
        }
        Output::Aggregate { of: None, .. } => None,
        Output::Embed { embed, .. } => Some(places(&embed.read.output)).filter(|places| !places.is_empty()).map(Place::Inside),
        Output::Lifted { embed, .. } => embed.read.output.first().and_then(place),
    }
}

fn is_moment(value: &Scalar) -> bool {
    value.column.kind == Type::Timestamp && value.path.is_empty() && matches!(value.cast, None | Some(Cast::Text))
}

fn inside(zone: Tz, value: &mut Json, places: &Places) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| inside(zone, item, places)),
        Json::Object(members) => {
            for (name, place) in places {
                match (members.get_mut(name), place) {
                    (Some(member), Place::Moment) => moment(zone, member),
                    (Some(member), Place::Inside(places)) => inside(zone, member, places),
                    (None, _) => {}
                }
            }
        }
        _ => {}
    }
}

fn moment(zone: Tz, value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| moment(zone, item)),
        Json::String(text) => {
            if let Ok(utc) = DateTime::parse_from_rfc3339(text) {
                *text = spelled(utc.with_timezone(&zone).fixed_offset());
            }
        }
        _ => {}
    }
}

/// As PostgreSQL spells it: the fraction without zeros, and an offset with seconds only where there are some.
fn spelled(local: DateTime<FixedOffset>) -> String {
    let micros = local.nanosecond() / 1000;
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let offset = if local.offset().fix().local_minus_utc() % 60 == 0 { "%:z" } else { "%::z" };
    format!("{}{}{}", local.format("%Y-%m-%dT%H:%M:%S"), fraction.trim_end_matches('0'), local.format(offset))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_moved_wherever_they_stand() {
        let places = vec![
            ("at".to_owned(), Place::Moment),
            ("all".to_owned(), Place::Moment),
            ("of".to_owned(), Place::Inside(vec![("at".to_owned(), Place::Moment)])),
        ];
        let local = LocalTime { zone: Tz::America__Los_Angeles, places };
        let row = json!({ "at": "2023-10-18T12:37:59.61+00:00", "x": "2023-10-18T12:37:59+00:00", "all": ["2023-12-18T12:00:00+00:00", null], "of": [{ "at": "1850-01-01T00:00:00+00:00" }, { "at": null }] });
        let moved: Json = serde_json::from_str(&local.moved(row.to_string()).unwrap()).unwrap();
        assert_eq!(
            moved,
            json!({ "at": "2023-10-18T05:37:59.61-07:00", "x": "2023-10-18T12:37:59+00:00", "all": ["2023-12-18T04:00:00-08:00", null], "of": [{ "at": "1849-12-31T16:07:02-07:52:58" }, { "at": null }] })
        );
    }
}
