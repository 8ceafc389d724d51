//! What the document says of records: a typed path for every table, drawn from the catalog, so that a generated client gets typed rows.

use axum::routing::MethodRouter;
use serde_json::{Map, Value as Json, json};
use utoipa::openapi::{PathItem, RefOr, Schema, path::Paths};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{
    catalog::{Column, Default, Table},
    function::Function,
};
use crate::{app::App, db::Type};

/// A table's path with all its methods.
pub(super) fn routes(table: &Table, router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let mut item = json!({
        "get": read_operation(table, &format!("list_{}", table.name), &format!("{}.", table.about), Vec::new()),
        "head": operation(table, &format!("count_{}", table.name), "The headers that GET would have: with `Prefer: count=exact`, how many rows there are.", &filters(table), json!({ "200": { "description": "No body" }, "206": { "description": "No body; there are more rows" } })),
        "post": post(table),
        "put": put(table),
        "patch": patch(table),
        "delete": conflicts(operation(table, &format!("delete_{}", table.name), "Removes the rows that the filters name; without any the answer is 400.", &writes(table), written(table, "The rows as they were, with `Prefer: return=representation`", 200))),
    });
    let mut schemas = vec![(row_name(table), row_schema(table)), ("RestError".to_owned(), error_schema())];
    if table.read_only {
        for method in ["post", "put", "patch", "delete"] {
            item.as_object_mut().map(|item| item.shift_remove(method));
        }
    } else {
        schemas.push((change_name(table), change_schema(table)));
    }
    (schemas.into_iter().map(|(name, schema)| (name, into_schema(schema))).collect(), paths(&format!("/rest/v1/{}", table.name), item), router)
}

/// The path of a table's search.
pub(super) fn search_route(table: &Table, router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let q = parameter(
        "q",
        "What to look for: a name or its beginning, a number, an address; Chinese names also by pinyin or initials",
        true,
        &json!({ "type": "string" }),
    );
    let about = "Searches by name. The best come first: the number or address itself, the whole name, its beginning, its words, its initials.";
    let item = json!({ "get": read_operation(table, &format!("search_{}", table.name), about, vec![q]) });
    (Vec::new(), paths(&format!("/rest/v1/{}/_search", table.name), item), router)
}

/// The path of a table's queries by POST.
pub(super) fn query_route(table: &Table, router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let about = "What GET does, for queries that are too long for a URL: the parameters are the members of the body. A member is a text, a list of texts, or an object of operators: `{\"id\": {\"in\": [\"…\"]}}`.";
    let mut post = read_operation(table, &format!("query_{}", table.name), about, Vec::new());
    post["summary"] = json!(format!("query ({})", table.name));
    post["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": { "type": "object" } } } });
    (Vec::new(), paths(&format!("/rest/v1/{}/_query", table.name), json!({ "post": post })), router)
}

/// The path of a table's loads.
pub(super) fn load_route(table: &Table, router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let modes = json!({ "type": "string", "enum": ["all", "batches"], "default": "all" });
    let count = json!({ "type": "integer", "format": "int64" });
    let report = json!({ "type": "object", "required": ["lines", "made", "changed", "kept", "refused_lines", "refused"], "properties": {
        "lines": count, "made": count, "changed": count, "kept": count, "refused_lines": count,
        "refused": { "type": "array", "description": "The first thousand: the line, and what a POST of it alone would be told", "items": {
            "allOf": [reference("RestError"), { "type": "object", "required": ["line"], "properties": { "line": count } }]
        } }
    } });
    let answer = |about: &str| json!({ "description": about, "content": { "application/json": { "schema": report } } });
    let item = json!({ "post": {
        "operationId": format!("load_{}", table.name),
        "tags": ["records"],
        "summary": format!("load ({})", table.name),
        "description": "Makes rows of CSV (with a header; an empty field says nothing, `NULL` is null) or of NDJSON, however many there are: they are read as they come. A row that says nothing of a column has its default.",
        "parameters": [
            parameter("mode", "`all`: in one transaction, all lines or none. `batches`: each for itself; lines that can't be used are reported", false, &modes),
            text_parameter("columns", "The columns to read; others are passed over"),
            text_parameter("on_conflict", "The key by which `resolution` finds rows that are there"),
            header("Prefer", "`resolution=merge-duplicates`, `resolution=ignore-duplicates`, `missing=`"),
        ],
        "requestBody": { "required": true, "content": { "text/csv": { "schema": { "type": "string" } }, "application/x-ndjson": { "schema": { "type": "string" } } } },
        "responses": refusals(json!({ "201": answer("Every line was used"), "207": answer("Some lines could not be used") })),
        "security": [{ "apikey": [] }, { "apikey": [], "user": [] }],
    } });
    (Vec::new(), paths(&format!("/rest/v1/{}/_load", table.name), item), router)
}

/// The path of batches.
pub(super) fn batch_route(router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let schema = json!({
        "type": "object",
        "required": ["ops"],
        "properties": { "ops": { "type": "array", "minItems": 1, "maxItems": 100, "items": {
            "type": "object",
            "required": ["method", "path"],
            "properties": {
                "method": { "type": "string", "enum": ["GET", "POST", "PATCH", "PUT", "DELETE"] },
                "path": { "type": "string", "description": "`/employees?id=eq.…`; `{$ref:dept.0.id}` stands for a value that an earlier operation answered" },
                "headers": { "type": "object", "additionalProperties": { "type": "string" }, "description": "Prefer, If-Match, Accept, …" },
                "body": { "type": ANY, "description": "JSON; `{\"$ref\": \"dept.0.id\"}` stands for a value that an earlier operation answered" },
                "ref": { "type": "string", "description": "What later operations call the rows that this one answers" }
            }
        } } }
    });
    let result = json!({
        "type": "object",
        "required": ["results"],
        "properties": { "results": { "type": "array", "items": {
            "type": "object",
            "required": ["status", "headers", "body"],
            "properties": { "status": { "type": "integer" }, "headers": { "type": "object", "additionalProperties": { "type": "string" } }, "body": { "type": ANY } }
        } } }
    });
    let item = json!({ "post": {
        "operationId": "run_batch",
        "tags": ["records"],
        "summary": "run (batch)",
        "description": "Does up to 100 requests in one transaction, each with the caller's rights: all of them or none. The answer has a result for each; a refusal says in `operation` which one was refused.",
        "parameters": [header("Idempotency-Key", IDEMPOTENCY)],
        "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
        "responses": refusals(json!({ "200": { "description": "All of it was done", "content": { "application/json": { "schema": result } } } })),
        "security": [{ "apikey": [] }, { "apikey": [], "user": [] }],
    } });
    (Vec::new(), paths("/rest/v1/_batch", item), router)
}

/// The path of a function.
pub(super) fn function_route(function: &Function, router: MethodRouter<App>) -> UtoipaMethodRouter<App> {
    let schema = |kind: Type| match kind {
        Type::I64 => json!({ "type": "integer", "format": "int64" }),
        Type::Uuid => json!({ "type": "string", "format": "uuid" }),
        Type::Json => json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }),
        _ => json!({ "type": "string" }),
    };
    let in_url = function.arguments.iter().map(|argument| parameter(argument.name, argument.about, argument.required, &schema(argument.kind)));
    let mut members = Map::new();
    for argument in function.arguments {
        let mut member = schema(argument.kind);
        member["description"] = json!(argument.about);
        members.insert(argument.name.into(), member);
    }
    let required: Vec<&str> = function.arguments.iter().filter(|argument| argument.required).map(|argument| argument.name).collect();
    let about = format!("{}.", function.about);
    let mut get = read_operation(function.table(), &format!("get_{}", function.name), &about, in_url.collect());
    let mut post = read_operation(function.table(), &format!("call_{}", function.name), &about, Vec::new());
    for (operation, verb) in [(&mut get, "get"), (&mut post, "call")] {
        operation["summary"] = json!(format!("{verb} (rpc {})", function.name));
        if function.name == "payroll_totals" {
            operation["responses"]["200"]["content"] = json!({ "application/json": { "schema": totals_schema() } });
        }
    }
    post["requestBody"] = json!({ "required": true, "content": {
        "application/json": { "schema": { "type": "object", "required": required, "properties": members } }
    } });
    let item = if function.only_writes() { json!({ "post": post }) } else { json!({ "get": get, "post": post }) };
    (Vec::new(), paths(&format!("/rest/v1/rpc/{}", function.name), item), router)
}

fn totals_schema() -> Json {
    let amount = json!({ "type": "integer", "format": "int64" });
    json!({ "type": "array", "items": { "type": "object", "properties": {
        "run_id": { "type": "string", "format": "uuid" }, "currency": { "type": "string" }, "slips": amount,
        "gross_minor": amount, "deductions_minor": amount, "tax_minor": amount, "employer_cost_minor": amount, "net_minor": amount
    } } })
}

const IDEMPOTENCY: &str = "Any text: who sends the same request with it again within a day gets the same answer, and nothing is done twice";

fn paths(path: &str, item: Json) -> Paths {
    let item: PathItem = serde_json::from_value(item).expect("the text is written here and its form is tested");
    let mut paths = Paths::new();
    paths.paths.insert(path.to_owned(), item);
    paths
}

fn into_schema(schema: Json) -> RefOr<Schema> {
    serde_json::from_value(schema).expect("the text is written here and its form is tested")
}

/// `job_assignments` is `JobAssignment`: what one row is called.
fn row_name(table: &Table) -> String {
    let singular = table.name.strip_suffix('s').unwrap_or(&table.name);
    singular.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn change_name(table: &Table) -> String {
    row_name(table) + "Change"
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// No member is required, because `select` and the caller's rights choose them.
fn row_schema(table: &Table) -> Json {
    let members: Map<String, Json> = table.shown().map(|column| (column.name.clone(), member(column))).collect();
    json!({ "type": "object", "description": format!("{}. Which members there are is chosen by `select` and by what the caller may read.", table.about), "properties": members })
}

fn change_schema(table: &Table) -> Json {
    let columns = table.shown().filter(|column| !column.kept_by_server());
    let members: Map<String, Json> = columns.map(|column| (column.name.clone(), member(column))).collect();
    json!({ "type": "object", "description": format!("{}: what a caller may write.", table.about), "properties": members })
}

fn member(column: &Column) -> Json {
    let (kind, format) = match column.kind {
        Type::Bool => (Some("boolean"), None),
        Type::I64 => (Some("integer"), Some("int64")),
        Type::F64 => (Some("number"), Some("double")),
        Type::Text | Type::Bytes => (Some("string"), None),
        Type::Uuid => (Some("string"), Some("uuid")),
        Type::Timestamp => (Some("string"), Some("date-time")),
        Type::Date => (Some("string"), Some("date")),
        Type::Json => (None, None),
    };
    let mut schema = Map::new();
    let kind = match kind {
        Some(kind) if column.nullable => json!([kind, "null"]),
        Some(kind) => json!(kind),
        None => json!(ANY),
    };
    schema.insert("type".into(), kind);
    schema.insert("description".into(), json!(column.about));
    if let Some(format) = format {
        schema.insert("format".into(), json!(format));
    }
    if !column.words.is_empty() {
        schema.insert("enum".into(), json!(column.words));
    }
    if let Some(default) = default(column) {
        schema.insert("default".into(), default);
    }
    Json::Object(schema)
}

fn default(column: &Column) -> Option<Json> {
    match column.default {
        Default::Text(text) => Some(json!(text)),
        Default::Number(number) => Some(json!(number)),
        Default::Truth(truth) => Some(json!(truth)),
        _ => None,
    }
}

/// Any JSON: utoipa can't read a schema without a type.
const ANY: [&str; 6] = ["object", "array", "string", "number", "boolean", "null"];

fn error_schema() -> Json {
    json!({
        "type": "object",
        "description": "What went wrong, in PostgREST's form.",
        "required": ["code", "message"],
        "properties": {
            "code": { "type": "string", "description": "PGRST… or an SQLSTATE" },
            "message": { "type": "string" },
            "details": { "type": ["string", "array", "null"], "description": "More of it: text, or a list where several relations could be meant" },
            "hint": { "type": ["string", "null"] }
        }
    })
}

fn parameter(name: &str, about: &str, required: bool, schema: &Json) -> Json {
    json!({ "name": name, "in": "query", "description": about, "required": required, "schema": schema })
}

fn text_parameter(name: &str, about: &str) -> Json {
    parameter(name, about, false, &json!({ "type": "string" }))
}

/// A parameter for every column.
fn filters(table: &Table) -> Vec<Json> {
    let of_column = |column: &std::sync::Arc<Column>| {
        text_parameter(&column.name, &format!("Filter: `{}=eq.value`, also neq, gt, gte, lt, lte, like, ilike, in, is, not.…", column.name))
    };
    let mut filters: Vec<Json> = table.shown().map(of_column).collect();
    if table.searchable {
        filters.push(text_parameter("search", "Name search: `search=wfts.李娜`"));
    }
    filters.push(text_parameter("and", "Conditions that must all hold: `(a.gt.1,b.is.null)`"));
    filters.push(text_parameter("or", "Conditions of which one must hold"));
    filters.push(header("Prefer", "`return=`, `count=exact`, `resolution=`, `missing=default`, `handling=strict`, `timezone=`, `max-affected=`"));
    filters
}

fn header(name: &str, about: &str) -> Json {
    json!({ "name": name, "in": "header", "description": about, "required": false, "schema": { "type": "string" } })
}

fn select() -> Json {
    text_parameter("select", "Columns and embedded resources: `id,name:display_name,department:departments(name)`")
}

fn pages() -> [Json; 4] {
    [
        text_parameter(
            "after",
            "`cursor.…`: the page after that row. `cursor.` begins; `Next-Cursor` and `Link` name the next page, and `select=…,_cursor` each row's cursor",
        ),
        text_parameter("order", "`name.asc,hired_on.desc.nullslast`"),
        parameter("limit", "Rows at the most; never more than the setting records.max_rows", false, &json!({ "type": "integer", "format": "int64" })),
        parameter("offset", "Rows to pass over", false, &json!({ "type": "integer", "format": "int64" })),
    ]
}

fn writes(table: &Table) -> Vec<Json> {
    let own = [header("If-Match", "`\"7\"`: the version that the row must have"), header("Idempotency-Key", IDEMPOTENCY)];
    [select()].into_iter().chain(filters(table)).chain(own).collect()
}

fn refusals(mut responses: Json) -> Json {
    for (status, about) in [("400", "The request can't be understood"), ("401", "Nobody is signed in"), ("403", "Not allowed")] {
        responses[status] = refusal(about);
    }
    responses
}

fn refusal(about: &str) -> Json {
    json!({ "description": about, "content": { "application/json": { "schema": reference("RestError") } } })
}

fn operation(table: &Table, id: &str, about: &str, parameters: &[Json], responses: Json) -> Json {
    let mut responses = refusals(responses);
    responses["416"] = refusal("No such page");
    json!({
        "operationId": id,
        "tags": ["records"],
        "summary": format!("{} ({})", id.split('_').next().unwrap_or_default(), table.name),
        "description": about,
        "parameters": parameters,
        "responses": responses,
        "security": [{ "apikey": [] }, { "apikey": [], "user": [] }],
    })
}

fn rows(table: &Table) -> Json {
    json!({ "application/json": { "schema": { "type": "array", "items": reference(&row_name(table)) } } })
}

/// What a read can answer: JSON in pages, or every row as it is read.
fn read_rows(table: &Table) -> Json {
    let mut content = rows(table);
    for kind in ["text/csv", "application/x-ndjson"] {
        content[kind] = json!({ "schema": { "type": "string" } });
    }
    content
}

fn read_operation(table: &Table, id: &str, about: &str, first: Vec<Json>) -> Json {
    let parameters = first.into_iter().chain([select()]).chain(filters(table)).chain(pages()).collect::<Vec<_>>();
    let responses = json!({ "200": { "description": "The rows", "content": read_rows(table) }, "206": { "description": "Some of the rows; `Content-Range` says which", "content": rows(table) } });
    operation(table, id, about, &parameters, responses)
}

fn written(table: &Table, about: &str, status: u16) -> Json {
    let mut responses = json!({ "204": { "description": "Done" } });
    responses[status.to_string()] = json!({ "description": about, "content": rows(table) });
    responses
}

fn conflicts(operation: Json) -> Json {
    let mut operation = operation;
    operation["responses"]["409"] = refusal("A key is taken, or a reference leads nowhere");
    operation["responses"]["412"] = refusal("The row has another version than `If-Match`, or `version=eq.…`, says; `ETag` has it");
    operation["responses"]["422"] = refusal("The `Idempotency-Key` was used with another request");
    operation
}

fn post(table: &Table) -> Json {
    let own = [
        text_parameter("columns", "The keys to read from each row; others are passed over"),
        text_parameter("on_conflict", "The unique columns by which rows are known to be there already"),
    ];
    let parameters = [select()]
        .into_iter()
        .chain(own)
        .chain([header("Prefer", "`return=representation`, `resolution=merge-duplicates`, …"), header("Idempotency-Key", IDEMPOTENCY)])
        .collect::<Vec<_>>();
    let responses = json!({
        "201": { "description": "Made; the rows, with `Prefer: return=representation`", "content": rows(table) },
        "200": { "description": "All rows were there and were changed", "content": rows(table) }
    });
    let about = "Makes one row or many; with `Prefer: resolution=merge-duplicates`, changes those that are there.";
    let mut operation = conflicts(operation(table, &format!("create_{}", table.name), about, &parameters, responses));
    let one = reference(&change_name(table));
    operation["requestBody"] = json!({ "required": true, "content": {
        "application/json": { "schema": { "oneOf": [one, { "type": "array", "items": one }] } },
        "text/csv": { "schema": { "type": "string" } }
    } });
    operation
}

fn put(table: &Table) -> Json {
    let about = "Makes the one row that the filters name by its primary key, or changes it if it is there.";
    let mut responses = written(table, "The row, with `Prefer: return=representation`", 200);
    responses["201"] = json!({ "description": "Made", "content": rows(table) });
    let mut operation = conflicts(operation(table, &format!("put_{}", table.name), about, &writes(table), responses));
    operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": reference(&change_name(table)) } } });
    operation
}

fn patch(table: &Table) -> Json {
    let about = "Changes the rows that the filters name; without any the answer is 400. A list of objects changes many rows, each in its own way: every one names its row by its key, and may have the version that it changes.";
    let responses = written(table, "The changed rows, with `Prefer: return=representation`", 200);
    let mut operation = conflicts(operation(table, &format!("update_{}", table.name), about, &writes(table), responses));
    let one = reference(&change_name(table));
    operation["requestBody"] =
        json!({ "required": true, "content": { "application/json": { "schema": { "oneOf": [one, { "type": "array", "items": one }] } } } });
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::catalog::Catalog;

    #[test]
    fn every_table_is_described() {
        for table in Catalog::built_in().tables() {
            let (schemas, paths, _) = routes(table, MethodRouter::new());
            assert_eq!(schemas.len(), if table.read_only { 2 } else { 3 });
            let item = &paths.paths[&format!("/rest/v1/{}", table.name)];
            assert!(item.get.is_some());
            assert!([&item.post, &item.put, &item.patch, &item.delete].into_iter().all(|operation| operation.is_some() != table.read_only));
        }
    }
}
