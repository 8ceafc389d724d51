//! Assignments and titles as one history.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;

use super::read::{Assignment, Span, Title};

/// A time in which neither department nor title changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) employee: String,
    pub(super) from: NaiveDate,
    pub(super) to: Option<NaiveDate>,
    pub(super) department: Option<String>,
    pub(super) title: Option<String>,
}

/// What one employee's lines say.
#[derive(Default)]
struct Lines {
    departments: Vec<(Span, String)>,
    titles: Vec<(Span, String)>,
}

/// Cuts every employee's history wherever department or title changes. In time order for each, in the order of the files for all.
pub(super) fn stretches(assignments: Vec<Assignment>, titles: Vec<Title>) -> Vec<Stretch> {
    let mut order = Vec::new();
    let mut lines: HashMap<String, Lines> = HashMap::new();
    for row in assignments {
        of(&mut lines, &mut order, &row.employee).departments.push((row.span, row.department));
    }
    for row in titles {
        of(&mut lines, &mut order, &row.employee).titles.push((row.span, row.name));
    }
    order.iter().flat_map(|employee| cut(employee, &lines[employee])).collect()
}

fn of<'l>(lines: &'l mut HashMap<String, Lines>, order: &mut Vec<String>, employee: &str) -> &'l mut Lines {
    if !lines.contains_key(employee) {
        order.push(employee.to_owned());
    }
    lines.entry(employee.to_owned()).or_default()
}

fn cut(employee: &str, lines: &Lines) -> Vec<Stretch> {
    let spans = || lines.departments.iter().chain(&lines.titles).map(|(span, _)| span);
    let days: BTreeSet<NaiveDate> = spans().flat_map(|span| [Some(span.from), span.to]).flatten().collect();
    let days: Vec<NaiveDate> = days.into_iter().collect();
    let mut found = Vec::new();
    for (index, &from) in days.iter().enumerate() {
        let to = days.get(index + 1).copied();
        let title = holds(&lines.titles, from).next();
        let departments: Vec<&String> = holds(&lines.departments, from).collect();
        let stretch =
            |department: Option<&String>| Stretch { employee: employee.to_owned(), from, to, department: department.cloned(), title: title.cloned() };
        if departments.is_empty() && title.is_some() {
            found.push(stretch(None));
        }
        // Who works in two departments at a time has a stretch in each.
        found.extend(departments.into_iter().map(|department| stretch(Some(department))));
    }
    found
}

fn holds(lines: &[(Span, String)], day: NaiveDate) -> impl Iterator<Item = &String> {
    lines.iter().filter(move |(span, _)| span.from <= day && span.to.is_none_or(|to| day < to)).map(|(_, text)| text)
}

/// The last stretch of everybody, for who has left.
pub(super) fn left(history: &[Stretch]) -> HashMap<&str, Span> {
    let mut last: HashMap<&str, Span> = HashMap::new();
    for stretch in history {
        let span = Span { from: stretch.from, to: stretch.to };
        last.entry(&stretch.employee).and_modify(|known| *known = (*known).max(span)).or_insert(span);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn history_is_cut_where_something_changes() {
        let span = |from: &str, to: Option<&str>| Span { from: day(from), to: to.map(day) };
        let employee = || "1".to_owned();
        let assignments = vec![
            Assignment { employee: employee(), department: "a".into(), span: span("2000-01-01", Some("2002-01-01")) },
            Assignment { employee: employee(), department: "b".into(), span: span("2002-01-01", None) },
        ];
        let titles = vec![
            Title { employee: employee(), name: "x".into(), span: span("2000-01-01", Some("2001-01-01")) },
            Title { employee: employee(), name: "y".into(), span: span("2001-01-01", None) },
        ];
        let found = stretches(assignments, titles);
        let short: Vec<_> = found.iter().map(|s| (s.from.to_string(), s.to.is_some(), s.department.as_deref(), s.title.as_deref())).collect();
        assert_eq!(
            short,
            [
                ("2000-01-01".into(), true, Some("a"), Some("x")),
                ("2001-01-01".into(), true, Some("a"), Some("y")),
                ("2002-01-01".into(), false, Some("b"), Some("y")),
            ]
        );
    }
}
