//! The grammar of a request: text in, syntax tree out, nothing else known. What it can't read is PGRST100.
//!
//! Start with [`QueryString::parse`]; `select.rs`, `filter.rs` and `order.rs` hold one grammar each, `cursor.rs` the words they share,
//! `prefer.rs` the `Prefer` header.

mod cursor;
mod filter;
mod if_match;
mod order;
mod prefer;
mod select;

use serde_json::{Map, Value as Json};

use self::cursor::Cursor;
pub(super) use self::{
    filter::{Condition, FtsKind, Operand, Operator, Quantifier},
    if_match::IfMatch,
    order::OrderTerm,
    prefer::{Count, Missing, Prefer, Resolution, Return, TxEnd},
    select::{Aggregate, EmbedItem, SelectItem},
};
use super::error::{RestError, RestResult};

/// Nodes of all filters of a request, at the most.
const FILTER_NODES: usize = 200;
/// How deep `and` and `or` may nest.
const FILTER_DEPTH: usize = 8;
/// How deep embedded resources may nest.
const EMBED_DEPTH: usize = 6;
/// Terms in one `order`.
const ORDER_TERMS: usize = 8;
/// Items in one `select`, embedded ones included.
const SELECT_ITEMS: usize = 200;

/// What a request's query string says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct QueryString {
    /// What to answer; empty when nothing was said, which means everything.
    pub select: Option<Vec<SelectItem>>,
    /// Conditions, each for the resource at its path.
    pub filters: Vec<Scoped<Condition>>,
    /// Orders.
    pub orders: Vec<Scoped<Vec<OrderTerm>>>,
    /// Limits.
    pub limits: Vec<Scoped<i64>>,
    /// Offsets.
    pub offsets: Vec<Scoped<i64>>,
    /// The columns that a body is to be read for.
    pub columns: Option<Vec<String>>,
    /// The columns whose conflict an upsert resolves.
    pub on_conflict: Option<Vec<String>>,
    /// What `_search` looks for.
    pub search: Option<String>,
    /// The cursor after which the page begins; empty for the first page.
    pub after: Option<String>,
}

/// Something said of an embedded resource: the names on the way to it, none for the resource itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scoped<T> {
    /// The names on the way.
    pub path: Vec<String>,
    /// What was said.
    pub what: T,
}

/// A column, and the way into it when it holds JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The column.
    pub name: String,
    /// The steps into its JSON.
    pub path: Vec<JsonStep>,
    /// Whether the last step asks for text (`->>`).
    pub as_text: bool,
}

/// One step into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JsonStep {
    /// A member of an object.
    Key(String),
    /// A position in an array; negative counts from its end.
    Index(i64),
}

/// Which door the query string came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `/{table}`
    Table,
    /// `/{table}/_search`, where `q` is what to look for.
    Search,
    /// `/{table}/_query`, where the body is the query.
    Query,
    /// `/rpc/{function}`
    Function,
    /// `/_batch`, where many requests come in.
    Batch,
    /// `/{table}/_load`, where rows come in by the thousand.
    Load,
}

impl QueryString {
    /// Reads a query string as it came, still percent-encoded. The parameters of these names are arguments, and given back as they are.
    pub(super) fn parse(text: &str, arguments: &[&str]) -> RestResult<(Self, Vec<(String, String)>)> {
        let (mut query, mut given) = (Self::default(), Vec::new());
        let mut nodes = 0;
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if arguments.contains(&key.as_ref()) {
                given.push((key.into_owned(), value.into_owned()));
            } else {
                query.parameter(&key, &value, &mut nodes)?;
            }
        }
        Ok((query, given))
    }

    fn parameter(&mut self, key: &str, value: &str, nodes: &mut usize) -> RestResult<()> {
        match key {
            "select" => self.select = Some(select::parse(value)?),
            "columns" => self.columns = Some(names("columns parameter", value)?),
            "on_conflict" => self.on_conflict = Some(names("on_conflict parameter", value)?),
            // Keys travel in the query where a browser can't set a header; they are the ground floor's to read.
            "apikey" => {}
            "after" if value.starts_with("cursor.") => self.after = value.strip_prefix("cursor.").map(str::to_owned),
            _ => self.scoped(key, value, nodes)?,
        }
        Ok(())
    }

    /// Adds what a body says: parameters that are too long for a URL. A form is read like a query string; in JSON a parameter may also be
    /// a list of texts, or an object of operators: `{"id": {"in": ["…", "…"]}, "hired_on": {"gte": "2000-01-01"}}`.
    pub(super) fn add_body(&mut self, content_type: &str, body: &[u8]) -> RestResult<()> {
        let mut nodes = 0;
        if content_type.starts_with("application/x-www-form-urlencoded") && body.first() != Some(&b'{') {
            return url::form_urlencoded::parse(body).try_for_each(|(key, value)| self.parameter(&key, &value, &mut nodes));
        }
        let wrong = |why: String| RestError::new("PGRST102", "Empty or invalid json").details(why);
        let text = if body.is_empty() { b"{}" } else { body };
        let members: Map<String, Json> = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        for (key, value) in members {
            for text in texts(&key, &value).ok_or_else(|| wrong(format!("\"{key}\" should be a text, a list of texts or an object of operators")))? {
                self.parameter(&key, &text, &mut nodes)?;
            }
        }
        Ok(())
    }

    fn scoped(&mut self, key: &str, value: &str, nodes: &mut usize) -> RestResult<()> {
        let (mut path, last) = filter::key(key)?;
        let negated = path.last().is_some_and(|name| name == "not") && last.path.is_empty() && matches!(last.name.as_str(), "and" | "or");
        if negated {
            path.pop();
        }
        match last.name.as_str() {
            "order" if last.path.is_empty() => self.orders.push(Scoped { path, what: order::parse(value)? }),
            "limit" if last.path.is_empty() => self.limits.push(Scoped { path, what: whole_number(key, value)? }),
            "offset" if last.path.is_empty() => self.offsets.push(Scoped { path, what: whole_number(key, value)? }),
            "and" | "or" if last.path.is_empty() => {
                let what = filter::tree(&last.name, negated, value, nodes)?;
                self.filters.push(Scoped { path, what });
            }
            _ => {
                let what = filter::condition(last, value, nodes)?;
                self.filters.push(Scoped { path, what });
            }
        }
        Ok(())
    }
}

fn texts(key: &str, value: &Json) -> Option<Vec<String>> {
    match value {
        Json::Object(operators) => {
            operators.iter().map(|(operator, operand)| Some(format!("{operator}.{}", operand_text(operator, operand)?))).collect()
        }
        Json::Array(items) => {
            let items = items.iter().map(plain).collect::<Option<Vec<_>>>()?;
            Some(if matches!(key, "select" | "order" | "columns") { vec![items.join(",")] } else { items })
        }
        value => Some(vec![plain(value)?]),
    }
}

fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn operand_text(operator: &str, operand: &Json) -> Option<String> {
    let Json::Array(items) = operand else {
        return if operand.is_null() { Some("null".to_owned()) } else { plain(operand) };
    };
    let quoted = |item: &Json| Some(format!("\"{}\"", plain(item)?.replace('\\', "\\\\").replace('"', "\\\"")));
    let items = items.iter().map(quoted).collect::<Option<Vec<_>>>()?.join(",");
    Some(if operator.ends_with("in") { format!("({items})") } else { format!("{{{items}}}") })
}

fn whole_number(key: &str, value: &str) -> RestResult<i64> {
    value.parse().map_err(|_| RestError::parse(&format!("{key} parameter"), value, 0, "expecting a whole number"))
}

/// A comma list of column names, quoted or not.
fn names(what: &'static str, text: &str) -> RestResult<Vec<String>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut cursor = Cursor::new(what, text);
    let mut found = vec![cursor.name()?];
    while cursor.eat(',') {
        found.push(cursor.name()?);
    }
    cursor.end()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> RestResult<QueryString> {
        QueryString::parse(text, &[]).map(|(query, _)| query)
    }

    fn column(name: &str) -> Field {
        Field { name: name.into(), path: vec![], as_text: false }
    }

    #[test]
    fn conditions_are_read() {
        let query = parse("a=eq.x&b=not.in.(1,%222,3%22)&c=is.NOT_NULL&d=like(any).{a*,b*}&e=wfts(simple).x y").unwrap();
        let [equal, listed, null, liked, sought] = &query.filters[..] else { panic!("{query:?}") };
        assert_eq!(equal.what, Condition::compare(column("a"), false, Operator::Eq, Operand::Text("x".into())));
        assert_eq!(listed.what, Condition::compare(column("b"), true, Operator::In, Operand::List(vec!["1".into(), "2,3".into()])));
        assert_eq!(null.what, Condition::compare(column("c"), false, Operator::Is, Operand::Text("not_null".into())));
        let Condition::Compare { quantifier: Some(Quantifier::Any), .. } = liked.what else { panic!("{liked:?}") };
        let Condition::Compare { operator: Operator::Fts(FtsKind::Web), .. } = sought.what else { panic!("{sought:?}") };
    }

    #[test]
    fn stock_clients_quirks_are_understood() {
        assert_eq!(parse("a=in.(a\"b,c)").unwrap().filters[0].what, {
            Condition::compare(column("a"), false, Operator::In, Operand::List(vec!["a\"b".into(), "c".into()]))
        });
        assert_eq!(parse("a=in.()").unwrap().filters[0].what, Condition::compare(column("a"), false, Operator::In, Operand::List(vec![])));
        assert_eq!(parse("columns=%22a%22%2C%22b%22").unwrap().columns.unwrap(), ["a", "b"]);
    }

    #[test]
    fn trees_nest_and_are_scoped() {
        let query = parse("or=(age.lt.18,not.and(age.gte.11,status.in.(a,b)))&dept.not.or=(name.eq.\"x,y\")").unwrap();
        let Condition::Any { negated: false, of } = &query.filters[0].what else { panic!("{query:?}") };
        assert_eq!(of.len(), 2);
        let Condition::All { negated: true, of } = &of[1] else { panic!("{of:?}") };
        assert_eq!(of.len(), 2);
        assert_eq!(query.filters[1].path, ["dept"]);
        assert!(matches!(query.filters[1].what, Condition::Any { negated: true, .. }));
    }

    #[test]
    fn selections_are_read() {
        let query =
            parse("select=*,n:name::text,custom->a->>b,dept:departments!employees_department_id_fkey!inner(name,head:head_employee_id(*)),...x(y)");
        let select = query.unwrap().select.unwrap();
        assert_eq!(select.len(), 5);
        let SelectItem::Embed(embed) = &select[3] else { panic!("{select:?}") };
        assert_eq!((embed.alias.as_deref(), embed.name.as_str(), embed.inner), (Some("dept"), "departments", true));
        assert_eq!(embed.hint.as_deref(), Some("employees_department_id_fkey"));
        assert_eq!(embed.items.len(), 2);
        let SelectItem::Embed(spread) = &select[4] else { panic!("{select:?}") };
        assert!(spread.spread);
    }

    #[test]
    fn aggregates_are_read() {
        let select = parse("select=department_id,count(),n:version::text.max(),custom->a.sum()::text").unwrap().select.unwrap();
        let read = |item: &SelectItem| match item {
            SelectItem::Aggregate { alias, field, before, function, cast } => {
                (alias.clone(), field.as_ref().map(|field| field.name.clone()), before.clone(), function.name(), cast.clone())
            }
            other => panic!("{other:?}"),
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(&select[1]), (None, None, None, "count", None));
        assert_eq!(read(&select[2]), (text("n"), text("version"), text("text"), "max", None));
        assert_eq!(read(&select[3]), (None, text("custom"), None, "sum", text("text")));
        for wrong in ["select=a.sum", "select=a.median()", "select=a.sum(b)", "select=...count()"] {
            assert!(parse(wrong).is_err() || wrong.contains("..."), "{wrong}");
        }
    }

    #[test]
    fn a_body_says_what_a_query_string_says() {
        let read = |kind: &str, body: &str| {
            let mut query = QueryString::default();
            query.add_body(kind, body.as_bytes()).map(|()| query)
        };
        let json = r#"{"select":["id","name"],"a":{"in":["x,\"y\\"," z",1],"not.is":null},"b":["gt.1","lt.5"],"limit":3,"or":"(a.eq.1,b.eq.2)"}"#;
        let wanted = parse(r#"select=id,name&a=in.("x,\"y\\"," z",1)&a=not.is.null&b=gt.1&b=lt.5&limit=3&or=(a.eq.1,b.eq.2)"#).unwrap();
        assert_eq!(read("application/json", json).unwrap(), wanted);
        assert_eq!(read("application/x-www-form-urlencoded", "a=in.(1,2)&limit=3").unwrap(), parse("a=in.(1,2)&limit=3").unwrap());
        for wrong in ["[]", "{", r#"{"a":null}"#, r#"{"a":{"in":[[1]]}}"#, r#"{"a":[{}]}"#] {
            assert_eq!(read("application/json", wrong).unwrap_err().code, "PGRST102", "{wrong}");
        }
    }

    #[test]
    fn arguments_are_no_filters() {
        let (query, given) = QueryString::parse("q=a%20b&id=eq.1", &["q"]).unwrap();
        assert_eq!((query.filters.len(), given), (1, vec![("q".to_owned(), "a b".to_owned())]));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let deep = format!("or={}a.eq.1{}", "(and".repeat(100_000), ")".repeat(100_000));
        assert_eq!(parse(&deep).unwrap_err().code, "PGRST100");
        let wide = format!("or=({})", vec!["a.eq.1"; 10_000].join(","));
        assert_eq!(parse(&wide).unwrap_err().code, "PGRST100");
        let select = format!("select={}", "a(".repeat(100_000));
        assert_eq!(parse(&select).unwrap_err().code, "PGRST100");
        assert_eq!(parse("limit=1e309").unwrap_err().code, "PGRST100");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,60}|[{\"a:in\\[\\]}, .1]{0,40}") {
            let _ = QueryString::default().add_body("application/json", body.as_bytes());
            let _ = QueryString::default().add_body("application/x-www-form-urlencoded", body.as_bytes());
        }

        #[test]
        fn a_list_in_json_is_read_as_it_was(items in prop::collection::vec("[^\\x00]{0,10}", 1..4)) {
            let mut query = QueryString::default();
            query.add_body("application/json", serde_json::json!({ "a": { "in": items } }).to_string().as_bytes()).unwrap();
            prop_assert_eq!(&query.filters[0].what, &Condition::compare(column("a"), false, Operator::In, Operand::List(items)));
        }

        #[test]
        fn no_likely_selection_makes_it_panic(text in "(count|sum|a|\\*|b->c|\\.\\.\\.|\\.|\\(|\\)|::|:|,|!inner|text){0,12}") {
            let _ = parse(&format!("select={text}"));
        }

        #[test]
        fn no_likely_text_makes_it_panic(key in "(select|or|not.and|order|columns|a->>b|\"a\"|d.or)", value in "[a-z(){}\\[\\].,:!*\"\\\\>%0-9-]{0,40}") {
            let _ = parse(&format!("{key}={value}"));
        }
    }
}
