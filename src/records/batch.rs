//! `POST /rest/v1/_batch`: several requests in one transaction, all or nothing.
//!
//! Each operation is planned like a request that comes alone, with the same rights, when its turn comes: what an earlier one made can be
//! named as `{"$ref": "dept.0.id"}` in a body and as `{$ref:dept.0.id}` in a path.

use std::collections::{BTreeMap, HashMap};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    catalog::Catalog,
    error::{RestError, RestResult},
    execute::Context,
    job::{Ask, Job},
    parse::Door,
    resolve::Resolver,
    rights::{Action, Asker, Rows},
};
use crate::{
    clock::Clock,
    db::{Timestamp, Tx},
    tenants::RecordSettings,
};

/// Operations in one batch, at the most.
const OPERATIONS: usize = 100;
/// Seconds that a batch may take, after which it is undone: others wait for it.
const LONGEST: i64 = 5;

/// What a batch says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    ops: Vec<Operation>,
}

/// One request of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Json,
    #[serde(default, rename = "ref")]
    name: Option<String>,
}

/// A batch that was read.
pub(super) struct Batch {
    operations: Vec<Operation>,
    asker: Asker,
    aggregates: bool,
    custom_schema: Option<Json>,
    max_rows: i64,
}

impl Batch {
    /// Reads a batch of somebody who may do anything at all here.
    pub(super) fn parse(asker: Asker, settings: &RecordSettings, max_rows: i64, body: &[u8]) -> RestResult<Self> {
        if asker.is_anonymous() || !may_anything(&asker) {
            return Err(RestError::denied(asker.is_anonymous(), "permission denied for batches"));
        }
        let wrong = |why: String| RestError::new("PGRST102", "Empty or invalid batch").details(why);
        let said: Said = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
        if said.ops.is_empty() || said.ops.len() > OPERATIONS {
            return Err(wrong(format!("a batch has 1 to {OPERATIONS} operations, not {}", said.ops.len())));
        }
        let mut names: Vec<&str> = said.ops.iter().filter_map(|operation| operation.name.as_deref()).collect();
        if let Some(name) = names.iter().find(|name| name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))) {
            return Err(wrong(format!("a ref is letters, digits, _ and -, not \"{name}\"")));
        }
        names.sort_unstable();
        if let Some([name, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("the ref \"{name}\" is there twice")));
        }
        Ok(Self { operations: said.ops, asker, aggregates: settings.aggregates, custom_schema: settings.custom_schema.clone(), max_rows })
    }

    /// Does all of it.
    pub(super) async fn run(&self, tx: &Tx, context: &Context, clock: &Clock) -> RestResult<Answer> {
        let began = clock.now();
        let resolver = Resolver {
            catalog: Catalog::built_in(),
            asker: &self.asker,
            tenant: context.tenant.number(),
            now: context.now,
            aggregates: self.aggregates,
            key: &context.key,
            custom_schema: self.custom_schema.as_ref(),
            max_rows: self.max_rows,
        };
        let mut known: HashMap<&str, Json> = HashMap::new();
        let mut results = Vec::with_capacity(self.operations.len());
        for (index, operation) in self.operations.iter().enumerate() {
            let at = |mut error: RestError| {
                error.operation = u8::try_from(index).ok();
                error
            };
            check_time(began, clock).map_err(at)?;
            let answer = operation.run(tx, context, &resolver, &known).await.map_err(at)?;
            let body = serde_json::from_str(&answer.body).unwrap_or(Json::Null);
            results.push(json!({ "status": answer.status.as_u16(), "headers": answer.headers_as_json(), "body": &body }));
            if let Some(name) = &operation.name {
                known.insert(name, body);
            }
        }
        let mut answer = Answer::new(StatusCode::OK, json!({ "results": results }).to_string());
        answer.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        Ok(answer)
    }
}

fn check_time(began: Timestamp, clock: &Clock) -> RestResult<()> {
    if clock.now() > began.plus_seconds(LONGEST) {
        return Err(RestError::new("57014", format!("the batch took longer than {LONGEST} seconds")).hint("Send fewer operations at a time."));
    }
    Ok(())
}

fn may_anything(asker: &Asker) -> bool {
    let any = [Action::Read, Action::Insert, Action::Update, Action::Delete];
    Catalog::built_in().tables().iter().any(|table| {
        let access = asker.access(table);
        any.into_iter().any(|action| access.any(action) != Rows::None)
    })
}

impl Operation {
    async fn run(&self, tx: &Tx, context: &Context, resolver: &Resolver<'_>, known: &HashMap<&str, Json>) -> RestResult<Answer> {
        let method = self.method()?;
        let headers = self.headers()?;
        let path = fill_path(&self.path, known)?;
        let (door, table, query) = split(&path)?;
        let mut body = self.body.clone();
        fill(&mut body, known)?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let ask = Ask {
            method: &method,
            table,
            door,
            query,
            headers: &headers,
            body: body.as_bytes(),
            shows_rows: self.name.is_some(),
            may_roll_back: false,
        };
        match ask.plan(resolver)? {
            Job::Read(job) => job.run(tx, context.tenant).await,
            Job::Write(job) => job.run(tx, context).await,
        }
    }

    fn method(&self) -> RestResult<Method> {
        let method = self.method.to_ascii_uppercase();
        match method.as_str() {
            "GET" => Ok(Method::GET),
            "POST" => Ok(Method::POST),
            "PATCH" => Ok(Method::PATCH),
            "PUT" => Ok(Method::PUT),
            "DELETE" => Ok(Method::DELETE),
            other => Err(RestError::new("PGRST117", format!("Unsupported HTTP method: {other}"))),
        }
    }

    fn headers(&self) -> RestResult<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || RestError::new("PGRST102", format!("the header \"{name}\" can't be used in a batch"));
            let known = ["accept", "content-type", "if-match", "prefer", "range", "range-unit", "accept-profile", "content-profile"];
            let lower = name.to_ascii_lowercase();
            let name = known.into_iter().find(|known| *known == lower).ok_or_else(wrong)?;
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        // What is put among the results is JSON.
        if headers.get(header::ACCEPT).is_some_and(|accept| !accept.as_bytes().ends_with(b"/json") && !accept.as_bytes().ends_with(b"+json")) {
            return Err(RestError::new("PGRST107", "None of these media types are available in a batch").hint("Take application/json."));
        }
        Ok(headers)
    }
}

/// `/employees?id=eq.1`, with or without `/rest/v1` before it.
fn split(path: &str) -> RestResult<(Door, &str, &str)> {
    let rest = path.strip_prefix("/rest/v1").unwrap_or(path);
    let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
    let table = table.strip_prefix('/').unwrap_or(table);
    let (door, table) = table.strip_prefix("rpc/").map_or((Door::Table, table), |function| (Door::Function, function));
    if table.is_empty() || table.contains('/') || table.starts_with('_') {
        return Err(RestError::new("PGRST125", "Invalid path specified in request URL").details(format!("\"{path}\" names no table")));
    }
    Ok((door, table, query))
}

fn find<'k>(name: &str, known: &'k HashMap<&str, Json>) -> RestResult<&'k Json> {
    let wrong = || {
        RestError::new("PGRST102", format!("the $ref \"{name}\" leads nowhere")).hint("Name an earlier operation's ref, a row, a column: dept.0.id")
    };
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let mut value = known.get(first).ok_or_else(wrong)?;
    for step in rest.split('.').filter(|step| !step.is_empty()) {
        let inner = match value {
            Json::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            Json::Object(members) => members.get(step),
            _ => None,
        };
        value = inner.ok_or_else(wrong)?;
    }
    Ok(value)
}

/// Puts what earlier operations answered in the place of each `{"$ref": …}`.
fn fill(body: &mut Json, known: &HashMap<&str, Json>) -> RestResult<()> {
    match body {
        Json::Object(members) => match reference(members) {
            Some(name) => *body = find(name, known)?.clone(),
            None => members.values_mut().try_for_each(|value| fill(value, known))?,
        },
        Json::Array(items) => items.iter_mut().try_for_each(|item| fill(item, known))?,
        _ => {}
    }
    Ok(())
}

fn reference(members: &Map<String, Json>) -> Option<&str> {
    if members.len() == 1 { members.get("$ref").and_then(Json::as_str) } else { None }
}

/// Puts what earlier operations answered in the place of each `{$ref:…}`, escaped for a URL.
fn fill_path(path: &str, known: &HashMap<&str, Json>) -> RestResult<String> {
    let mut filled = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("{$ref:") {
        filled.push_str(before);
        let (name, after) = after.split_once('}').ok_or_else(|| RestError::new("PGRST102", "a {$ref:… in a path has no end"))?;
        let text = match find(name, known)? {
            Json::String(text) => text.clone(),
            value @ (Json::Number(_) | Json::Bool(_)) => value.to_string(),
            _ => return Err(RestError::new("PGRST102", format!("the $ref \"{name}\" is no plain value"))),
        };
        filled.extend(url::form_urlencoded::byte_serialize(text.as_bytes()));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> HashMap<&'static str, Json> {
        HashMap::from([("dept", json!([{ "id": "a&b", "n": 7 }])), ("one", json!({ "id": 1 }))])
    }

    #[test]
    fn references_are_filled_in() {
        let mut body = json!({ "a": { "$ref": "dept.0.id" }, "b": [{ "$ref": "one.id" }, { "$ref": "one.id", "more": 1 }] });
        fill(&mut body, &known()).unwrap();
        assert_eq!(body, json!({ "a": "a&b", "b": [1, { "$ref": "one.id", "more": 1 }] }));
        assert_eq!(fill_path("/x?id=eq.{$ref:dept.0.id}&n=eq.{$ref:dept.0.n}", &known()).unwrap(), "/x?id=eq.a%26b&n=eq.7");
        for wrong in ["{$ref:dept.1.id}", "{$ref:nobody}", "{$ref:dept}", "{$ref:dept.0"] {
            assert_eq!(fill_path(wrong, &known()).unwrap_err().code, "PGRST102", "{wrong}");
        }
    }

    #[test]
    fn paths_are_split() {
        assert_eq!(split("/rest/v1/a?b=c").unwrap(), (Door::Table, "a", "b=c"));
        assert_eq!(split("a").unwrap(), (Door::Table, "a", ""));
        assert_eq!(split("/rpc/f?a=1").unwrap(), (Door::Function, "f", "a=1"));
        for wrong in ["", "/", "/a/b", "/rest/v1/_batch", "/rpc/"] {
            assert_eq!(split(wrong).unwrap_err().code, "PGRST125", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(path in "[a-z/?{}$ref:.0]{0,30}|\\PC{0,30}", body in "\\PC{0,60}") {
            let _ = fill_path(&path, &known());
            let _ = split(&path);
            let _ = Batch::parse(Asker::service(), &RecordSettings::default(), 1000, body.as_bytes());
        }
    }
}
