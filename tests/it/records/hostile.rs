//! What nobody sends by mistake: odd names, deep nesting, long lists. Nothing of it may be our fault, and nothing may cross a tenant.

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use super::wire::{company, uri};
use crate::support::TestApp;

/// Names that have broken other servers.
const NAMES: [&str; 12] = [
    "a\"b",
    "a.b'",
    "custom->>'x",
    "custom->>x'||'",
    "a);--",
    "id\"; DROP TABLE employees; --",
    "custom->>a]",
    "custom->>$.a",
    "custom->\"a.b\"->>0",
    "custom->-1",
    "\u{202e}id",
    "t0.id",
];

#[tokio::test]
async fn odd_names_are_refused_or_mean_nothing() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let long = "x".repeat(10_000);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        for query in [
            format!("select={name}"),
            format!("select=a:{name}"),
            format!("select=\"{name}\":id"),
            format!("{name}=eq.1"),
            format!("or=({name}.eq.1)"),
            format!("order={name}"),
            format!("select=id,x:{name}(id)"),
            format!("select=id,departments!{name}(id)"),
            format!("on_conflict={name}"),
            format!("columns={name}"),
            format!("departments.{name}=eq.1&select=departments(id)"),
            format!("search=fts.{name}"),
            format!("display_name=ilike.{name}"),
            format!("select=id::{name}"),
        ] {
            let reply = service.get(&uri(&format!("/rest/v1/employees?{query}"))).await;
            assert!(reply.status.as_u16() < 500, "{query}: {}", reply.text());
        }
        let reply = service.post("/rest/v1/employees", json!({ name: 1, "employee_number": "x", "display_name": "x" })).await;
        assert_eq!(reply.status, 400, "{name}");
    }
    assert_eq!(service.get("/rest/v1/employees?select=id").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn numbers_are_held_to_their_ranges() {
    let app = TestApp::new().await;
    let service = app.service();
    for number in ["-1", "1.5", "NaN", "Infinity", "9223372036854775808", "1e309", ""] {
        for query in [format!("limit={number}"), format!("offset={number}"), format!("version=eq.{number}")] {
            let reply = service.get(&format!("/rest/v1/employees?{query}")).await;
            let allowed = query == "version=eq.-1";
            assert!(if allowed { reply.status == 200 } else { reply.status.is_client_error() }, "{query}: {}", reply.status);
        }
    }
    for number in ["9223372036854775807", "2147483648", "9007199254740992"] {
        for query in [format!("offset={number}"), format!("limit={number}"), format!("version=eq.{number}")] {
            assert_eq!(service.get(&format!("/rest/v1/employees?{query}")).await.status, 200, "{query}");
        }
    }
    let row = json!({ "type": "regular", "period_start": "2000-01-01", "period_end": "2000-01-31", "currency": "USD", "totals": { "x": "\u{0}" } });
    assert_eq!(service.post("/rest/v1/payroll_runs", row).await.json()["code"], "22P05");
}

#[tokio::test]
async fn long_texts_are_taken_or_refused_alike() {
    let app = TestApp::new().await;
    let service = app.service();
    let long = "长".repeat(9_000) + &"x".repeat(900);
    let taken = service.post("/rest/v1/employees", json!({ "employee_number": "1", "display_name": long, "family_name": long })).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    for row in
        [json!({ "employee_number": "n".repeat(3_000), "display_name": "x" }), json!({ "employee_number": "2", "display_name": "长".repeat(10_001) })]
    {
        let refused = service.post("/rest/v1/employees", row).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (400, Some("22001")));
    }
    let found = service.get(&format!("/rest/v1/employees/_search?q={}&select=employee_number", "x".repeat(3_000))).await;
    assert_eq!(found.json(), json!([{ "employee_number": "1" }]));
}

/// A condition that any grammar of ours may make.
fn condition() -> impl Strategy<Value = String> {
    let column = prop::sample::select(vec![
        "id",
        "employee_number",
        "display_name",
        "hired_on",
        "version",
        "custom",
        "custom->a",
        "custom->>a",
        "status",
        "search",
    ]);
    let operator = prop::sample::select(vec![
        "eq",
        "neq",
        "gt",
        "lte",
        "like",
        "ilike",
        "is",
        "in",
        "isdistinct",
        "cs",
        "cd",
        "ov",
        "match",
        "imatch",
        "wfts",
        "fts",
        "eq(any)",
        "like(all)",
        "match(any)",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "null",
        "true",
        "(1,2)",
        "{1,2}",
        "{\"a\":1}",
        "*a*",
        "李娜",
        "2000-01-01",
        "%%%_",
        "\\",
        "00000000-0000-7000-8000-000000000000",
        "()",
        "{}",
        "[1]",
    ]);
    let leaf = (column, any::<bool>(), operator, value).prop_map(|(column, negated, operator, value)| {
        let not = if negated { "not." } else { "" };
        format!("{column}.{not}{operator}.{value}")
    });
    leaf.prop_recursive(3, 12, 4, |inner| {
        (prop::sample::select(vec!["and", "or", "not.and", "not.or"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(word, of)| format!("{word}({})", of.join(",")))
    })
}

#[tokio::test]
async fn no_condition_is_our_fault_or_sees_another_tenant() {
    let app = TestApp::new().await;
    company(&app.service()).await;
    let other = app.other_service();
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..300 {
        let condition = condition().new_tree(&mut runner).unwrap().current();
        let reply = other
            .get(&uri(&format!("/rest/v1/employees?or=({condition},employee_number.not.is.null)&select=id,departments(id),employees(id)")))
            .await;
        assert!(reply.status.as_u16() < 500, "{condition}: {}", reply.text());
        if reply.status == 200 {
            assert_eq!(reply.json(), json!([]), "{condition}");
        }
    }
}

/// Values that mean something in SQL, in a pattern, in JSON, in a search or in a header, and nothing here.
const VALUES: [&str; 22] = [
    "' OR '1'='1",
    "'; DROP TABLE employees; --",
    "\" OR 1=1 --",
    "1) OR (1=1",
    "1 UNION SELECT secret FROM keys",
    "$1",
    "?1",
    ":name",
    "%00",
    "\\",
    "\\'",
    "%'",
    "[a-",
    "(((((((((",
    "{\"a\":\"b' || 1\"}",
    "$$; SELECT pg_sleep(10); $$",
    "x' AND sqlite_version() > '",
    "NULL",
    "🤖\u{301}\u{200d}",
    "\u{feff}\u{202e}",
    "a\tb\nc",
    "-- \n/* */",
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn values_stay_values_wherever_they_are_said() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let forms = [("", ""), ("(", ")"), ("(%22", "%22)"), ("{", "}")];
    let operators = ["eq", "neq", "gt", "like", "ilike", "match", "imatch", "isdistinct", "cs", "is", "in", "not.eq", "eq(any)", "fts", "wfts"];
    let columns = ["display_name", "id", "hired_on", "version", "custom", "custom->>a", "search"];
    let mut forms = forms.iter().cycle();
    for value in VALUES {
        let text = encoded(value);
        for operator in operators {
            for column in columns {
                let (before, after) = forms.next().unwrap();
                let query = format!("{column}={operator}.{before}{text}{after}");
                let reply = service.get(&uri(&format!("/rest/v1/employees?select=id&{query}"))).await;
                assert!(reply.status.as_u16() < 500, "{query}: {}", reply.text());
            }
        }
        for query in [
            format!("/_search?q={text}"),
            format!("?select=a:{text}"),
            format!("?select=custom->%22{text}%22"),
            format!("?custom->>%22{text}%22=eq.1"),
            format!("?order={text}.desc"),
            format!("?limit={text}"),
            format!("?after=cursor.{text}"),
            format!("?or=(display_name.eq.%22{text}%22,id.is.null)"),
            format!("?{text}=eq.1"),
            format!("?select=display_name::{text}"),
            format!("?select=x:{text}(id)"),
        ] {
            let reply = service.get(&uri(&format!("/rest/v1/employees{query}"))).await;
            assert!(reply.status.as_u16() < 500, "{query}: {}", reply.text());
        }
        let row = json!({ "employee_number": value, "display_name": value, "custom": { value: value } });
        let made = service.clone().header("prefer", "return=representation").post("/rest/v1/employees", row.clone()).await;
        assert_eq!(made.status, 201, "{value:?}: {}", made.text());
        // It is kept as it was said, and found by it.
        let found = service.get(&format!("/rest/v1/employees?select=employee_number,display_name,custom&display_name=eq.{text}")).await;
        assert_eq!(found.json(), json!([row]), "{value:?}");
        assert_eq!(service.delete(&format!("/rest/v1/employees?employee_number=eq.{text}")).await.status, 204, "{value:?}");
    }
    assert_eq!(service.get("/rest/v1/employees?select=id").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn headers_are_read_or_refused() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    for value in VALUES.into_iter().filter(|value| value.bytes().all(|byte| matches!(byte, 32..=126))) {
        for name in [
            "prefer",
            "accept",
            "range",
            "range-unit",
            "accept-profile",
            "content-profile",
            "if-match",
            "idempotency-key",
            "content-type",
            "x-client-info",
        ] {
            for value in [
                value.to_owned(),
                format!("return={value}"),
                format!("timezone={value}"),
                format!("max-affected={value}, handling=strict"),
                format!("\"{value}\""),
            ] {
                let client = service.clone().header(name, &value);
                let read = client.get("/rest/v1/employees?select=id").await;
                assert!(read.status.as_u16() < 500, "{name}: {value}: {}", read.text());
                let written = client.patch("/rest/v1/employees?employee_number=eq.1", json!({ "job_title": "x" })).await;
                assert!(written.status.as_u16() < 500, "{name}: {value}: {}", written.text());
            }
        }
    }
    assert_eq!(service.get("/rest/v1/employees?select=id").await.json().as_array().unwrap().len(), 4);
}

/// What may stand in a query string, in every form that the grammar knows, and broken at any place.
fn query() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "select=",
        "order=",
        "limit=",
        "offset=",
        "or=",
        "and=",
        "not.and=",
        "columns=",
        "on_conflict=",
        "after=cursor.",
        "search=",
        "id",
        "employees",
        "departments",
        "manager_id",
        "custom",
        "display_name",
        "_cursor",
        "*",
        "count",
        "sum",
        "eq",
        "in",
        "is",
        "not",
        "any",
        "wfts",
        "desc",
        "nullsfirst",
        "inner",
        "->",
        "->>",
        "::",
        "text",
        "...",
        ".",
        ",",
        "(",
        ")",
        "!",
        ":",
        "{",
        "}",
        "[",
        "]",
        "=",
        "&",
        "%22",
        "%5C",
        "%27",
        "+",
        "-1",
        "0",
        "9",
        "null",
        "李",
        "%",
        "$",
        "a",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[tokio::test]
async fn no_query_string_is_our_fault() {
    let app = TestApp::new().await;
    company(&app.service()).await;
    let (service, other) = (app.service(), app.other_service());
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..600 {
        let query = query().new_tree(&mut runner).unwrap().current();
        for (client, path) in [(&service, "employees"), (&hr, "employees"), (&other, "departments"), (&hr, "rpc/search_employees")] {
            let reply = client.get(&uri(&format!("/rest/v1/{path}?{query}"))).await;
            assert!(reply.status.as_u16() < 500, "{path}?{query}: {}", reply.text());
        }
    }
}
