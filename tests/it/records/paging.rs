//! Pages by key, queries by POST, and answers that are sent as they are read.

use http::Method;
use serde_json::{Value, json};

use super::wire::{company, uri};
use crate::support::{Client, TestApp};

/// Employees in two departments, some of them without a day of hire.
async fn many(service: &Client, count: usize) {
    let hired = ["2001-01-01", "2002-02-02", "2003-03-03"];
    let row = |n: usize| json!({ "employee_number": format!("{n:05}"), "display_name": format!("Person {n}"), "hired_on": hired.get(n % 4), "job_title": if n.is_multiple_of(3) { Value::Null } else { json!(format!("t{}", n % 5)) } });
    for first in (0..count).step_by(1000) {
        let rows: Vec<Value> = (first..(first + 1000).min(count)).map(row).collect();
        let made = service.post("/rest/v1/employees", json!(rows)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
}

fn numbers(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap_or_else(|| panic!("{rows}")).iter().map(|row| row["employee_number"].as_str().unwrap().to_owned()).collect()
}

/// Every page of a query, by the header that names the next one.
async fn walk(client: &Client, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = client.get(&uri(&format!("/rest/v1/employees?{query}&after=cursor.{cursor}"))).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        pages.push(numbers(&reply.json()));
        reply.header("next-cursor").clone_into(&mut cursor);
        assert_eq!(cursor.is_empty(), reply.header("link").is_empty());
        if cursor.is_empty() {
            return pages;
        }
        assert!(reply.header("link").contains(&format!("after=cursor.{cursor}>; rel=\"next\"")));
    }
}

#[tokio::test]
async fn every_row_comes_once_in_every_order() {
    let app = TestApp::new().await;
    let service = app.service();
    many(&service, 23).await;
    for order in [
        "employee_number",
        "employee_number.desc",
        "hired_on",
        "hired_on.desc",
        "hired_on.nullsfirst,job_title.desc",
        "hired_on.desc.nullslast,job_title.asc.nullsfirst,employee_number.desc",
        "status,hired_on.desc",
        "custom->>none,employee_number",
    ] {
        let pages = walk(&service, &format!("select=employee_number&order={order}&limit=5")).await;
        let (_, whole) = (
            0,
            service
                .get(&uri(&format!(
                    "/rest/v1/employees?select=employee_number&order={order},id{}",
                    if order.ends_with("desc") { ".desc" } else { "" }
                )))
                .await
                .json(),
        );
        assert_eq!(pages.concat(), numbers(&whole), "{order}");
        assert_eq!(pages.len(), 5, "{order}");
    }
    let pages = walk(&service, "select=employee_number&hired_on=is.null&limit=2").await;
    assert_eq!(pages.concat().len(), 5);
}

#[tokio::test]
async fn a_cursor_is_in_each_row_and_holds_for_its_query_alone() {
    let app = TestApp::new().await;
    let service = app.service();
    many(&service, 6).await;
    let query = "select=employee_number,_cursor&order=employee_number.desc";
    let rows = service.get(&format!("/rest/v1/employees?{query}")).await.json();
    let third = rows[2]["_cursor"].as_str().unwrap().to_owned();
    let after = service.clone().header("prefer", "count=exact").get(&format!("/rest/v1/employees?{query}&after=cursor.{third}&limit=2")).await;
    assert_eq!(numbers(&after.json()), ["00002", "00001"]);
    assert_eq!((after.status.as_u16(), after.header("content-range")), (206, "*/6"));
    // Rows that come or go meanwhile move nobody.
    service.delete("/rest/v1/employees?employee_number=eq.00005").await;
    service.post("/rest/v1/employees", json!({ "employee_number": "00009", "display_name": "x" })).await;
    assert_eq!(numbers(&service.get(&format!("/rest/v1/employees?{query}&after=cursor.{third}&limit=2")).await.json()), ["00002", "00001"]);
    let flipped = third.strip_prefix('A').map_or_else(|| format!("A{}", &third[1..]), |rest| format!("B{rest}"));
    for path in [
        format!("employees?{query}&after=cursor.{flipped}"),
        format!("employees?{query}&after=cursor.{third}&status=eq.active"),
        format!("employees?select=employee_number&order=employee_number&after=cursor.{third}"),
        format!("departments?order=code.desc&after=cursor.{third}"),
        format!("employees?{query}&after=cursor.x"),
    ] {
        let refused = service.get(&format!("/rest/v1/{path}")).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (400, Some("PGRST100")), "{path}: {}", refused.text());
    }
    let foreign = app.other_service().get(&format!("/rest/v1/employees?{query}&after=cursor.{third}")).await;
    assert_eq!(foreign.json()["code"], "PGRST100");
    for path in ["employees?order=custom&after=cursor.", "employees?search=wfts.person&after=cursor.", "employees?select=departments(_cursor)"] {
        assert!(service.get(&format!("/rest/v1/{path}")).await.status.is_client_error(), "{path}");
    }
}

#[tokio::test]
async fn the_form_of_stock_clients_finds_the_same_rows() {
    let app = TestApp::new().await;
    let service = app.service();
    many(&service, 20).await;
    let find = async |filter: &str| {
        let reply = service.get(&uri(&format!("/rest/v1/employees?select=employee_number&order=hired_on,employee_number&{filter}"))).await;
        assert_eq!(reply.status, 200, "{filter}: {}", reply.text());
        numbers(&reply.json())
    };
    let whole = find("hired_on=not.is.null").await;
    let at = whole.iter().position(|number| number == "00005").unwrap();
    assert_eq!(find("or=(hired_on.gt.2002-02-02,and(hired_on.eq.2002-02-02,employee_number.gt.00005))").await, whole[at + 1..]);
    assert_eq!(find("or=(hired_on.gt.2002-02-02,and(hired_on.eq.2002-02-02,employee_number.gte.00005))").await, whole[at..]);
    assert_eq!(find("or=(hired_on.lt.2002-02-02,and(hired_on.eq.2002-02-02,employee_number.lt.00005))").await, whole[..at]);
    // What only looks like it keeps its own meaning.
    let mixed = find("or=(hired_on.gt.2002-02-02,and(hired_on.eq.2002-02-02,employee_number.lt.00005))").await;
    assert!(mixed.contains(&"00001".to_owned()) && mixed.contains(&"00002".to_owned()) && !mixed.contains(&"00005".to_owned()));
}

#[tokio::test]
async fn a_query_may_be_as_long_as_a_body() {
    let app = TestApp::new().await;
    let service = app.service().header("prefer", "count=exact");
    company(&service).await;
    let list: Vec<String> = (0..5_000).map(|n| format!("nobody {n}, \"quoted\"")).chain(["2".into(), "3".into()]).collect();
    let body =
        json!({ "select": ["employee_number", "departments(code)"], "employee_number": { "in": list }, "order": "employee_number.desc", "limit": 1 });
    let reply = service.post("/rest/v1/employees/_query", body.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-range")), (206, "0-0/2"), "{}", reply.text());
    assert_eq!(reply.json(), json!([{ "employee_number": "3", "departments": { "code": "hr" } }]));
    let form = service
        .clone()
        .header("content-type", "application/x-www-form-urlencoded")
        .send(Method::POST, "/rest/v1/employees/_query?select=employee_number", "employee_number=in.(1,2)&order=employee_number")
        .await;
    assert_eq!(form.json(), json!([{ "employee_number": "1" }, { "employee_number": "2" }]));
    for (body, code) in [
        (json!([]), "PGRST102"),
        (json!({ "nothing": { "eq": 1 } }), "42703"),
        (json!({ "id": null }), "PGRST102"),
        (json!({ "select": "id(" }), "PGRST100"),
    ] {
        assert_eq!(service.post("/rest/v1/employees/_query", body).await.json()["code"], code);
    }
    assert_eq!(service.get("/rest/v1/employees/_query").await.status, 405);
    assert_eq!(app.other_service().post("/rest/v1/employees/_query", json!({ "select": "id" })).await.json(), json!([]));
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    for body in [json!({ "select": "id,compensations(base_minor)" }), json!({ "base_minor": { "gt": 1 } }), json!({ "order": "base_minor" })] {
        assert_eq!(hr.post("/rest/v1/employees/_query", body).await.status, 403);
    }
    assert_eq!(app.anonymous().post("/rest/v1/employees/_query", body).await.status, 401);
}

#[tokio::test]
async fn every_row_is_sent_however_many_there_are() {
    let app = TestApp::new().await;
    let service = app.service();
    many(&service, 2_345).await;
    let wanted: Vec<String> = (0..2_345).map(|n| format!("{n:05}")).collect();
    for (path, count) in [
        ("employees?select=employee_number&order=employee_number", 2_345),
        ("employees?select=employee_number&order=employee_number&limit=1500", 1_500),
    ] {
        let lines = service.clone().header("accept", "application/x-ndjson").header("prefer", "count=exact").get(&format!("/rest/v1/{path}")).await;
        assert_eq!((lines.status.as_u16(), lines.header("content-type"), lines.header("content-range")), (200, "application/x-ndjson", "*/2345"));
        let found: Vec<String> =
            lines.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["employee_number"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found, wanted[..count]);
        let csv = service.clone().header("accept", "text/csv").get(&format!("/rest/v1/{path}")).await.text();
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("employee_number"));
        assert_eq!(lines.map(str::to_owned).collect::<Vec<_>>(), wanted[..count]);
    }
    let unordered = service.clone().header("accept", "application/x-ndjson").get("/rest/v1/employees?select=id").await.text();
    let ids: std::collections::HashSet<&str> = unordered.lines().collect();
    assert_eq!((unordered.lines().count(), ids.len()), (2_345, 2_345));
    let posted = service.clone().header("accept", "text/csv").post("/rest/v1/employees/_query", json!({ "select": "id" })).await;
    assert_eq!(posted.text().lines().count(), 2_346);
    let empty = service.clone().header("accept", "application/x-ndjson").get("/rest/v1/employees?id=is.null").await;
    assert_eq!((empty.status.as_u16(), empty.text().as_str()), (200, ""));
    // JSON stays a page.
    assert_eq!(service.get("/rest/v1/employees?select=id").await.json().as_array().unwrap().len(), 1000);
    let refused = service.clone().header("accept", "text/csv").get("/rest/v1/employees?select=nothing").await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (400, Some("42703")));
}
