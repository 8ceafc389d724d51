//! Writes that are safe: in the version that was read, once however often they are sent, all together or not at all.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::wire::company;
use crate::support::{Client, Reply, TestApp};

const REPRESENTATION: &str = "return=representation";

async fn department(client: &Client, code: &str) -> Value {
    let made = client.clone().header("prefer", REPRESENTATION).post("/rest/v1/departments", json!({ "code": code, "name": "x" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()[0].clone()
}

fn at(row: &Value) -> String {
    format!("/rest/v1/departments?id=eq.{}", row["id"].as_str().unwrap())
}

async fn count(client: &Client, path: &str) -> usize {
    client.get(path).await.json().as_array().unwrap().len()
}

#[tokio::test]
async fn a_row_is_changed_only_in_the_version_that_was_read() {
    let app = TestApp::new().await;
    let service = app.service();
    let row = department(&service, "d").await;
    let read = service.get(&at(&row)).await;
    assert_eq!(read.header("etag"), "\"1\"");
    assert_eq!(service.get("/rest/v1/departments?code=eq.d&select=name").await.header("etag"), "\"1\"");
    let changed = service.clone().header("if-match", "\"1\"").patch(&at(&row), json!({ "name": "y" })).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (204, "\"2\""));
    for (method, body) in [(Method::PATCH, json!({ "name": "z" })), (Method::DELETE, json!({}))] {
        let refused = service.clone().header("if-match", "\"1\"").json(method.clone(), &at(&row), &body).await;
        assert_eq!((refused.status.as_u16(), refused.header("etag")), (412, "\"2\""), "{method}: {}", refused.text());
        assert_eq!(refused.json()["code"], "PT412");
        assert_eq!(refused.json()["details"], "The current version is 2.");
        let by_filter = service.json(method, &format!("{}&version=eq.1", at(&row)), &body).await;
        assert_eq!((by_filter.status.as_u16(), by_filter.header("etag")), (412, "\"2\""));
    }
    assert_eq!(service.get(&at(&row)).await.json()[0]["name"], "y");
    assert_eq!(service.clone().header("if-match", "W/\"9\", \"2\"").patch(&at(&row), json!({ "name": "z" })).await.status, 204);
    assert_eq!(service.clone().header("if-match", "*").patch(&at(&row), json!({ "name": "z" })).await.status, 204);
    assert_eq!(service.patch(&format!("{}&version=eq.4", at(&row)), json!({ "name": "a" })).await.status, 204);
    assert_eq!(service.delete(&format!("{}&version=eq.5", at(&row))).await.status, 204);
    // Where there is no row, a filter finds none and a condition does not hold.
    assert_eq!(service.patch(&format!("{}&version=eq.5", at(&row)), json!({ "name": "a" })).await.status, 204);
    let gone = service.clone().header("if-match", "*").patch(&at(&row), json!({ "name": "a" })).await;
    assert_eq!((gone.status.as_u16(), gone.header("etag")), (412, ""));
    for wrong in ["5", "\"5", "\"5\" \"6\""] {
        assert_eq!(service.clone().header("if-match", wrong).patch(&at(&row), json!({ "name": "a" })).await.json()["code"], "PGRST100");
    }
    assert_eq!(service.clone().header("if-match", "*").post("/rest/v1/departments", json!({})).await.json()["code"], "PGRST100");
}

#[tokio::test]
async fn a_version_that_names_no_row_is_a_filter() {
    let app = TestApp::new().await;
    let service = app.service();
    let (first, _) = (department(&service, "a").await, department(&service, "b").await);
    service.patch(&at(&first), json!({ "name": "y" })).await;
    let counted = service.clone().header("prefer", "count=exact").patch("/rest/v1/departments?version=eq.1&name=eq.x", json!({ "name": "z" })).await;
    assert_eq!((counted.status.as_u16(), counted.header("content-range")), (204, "0-0/1"));
}

#[tokio::test]
async fn many_rows_are_changed_each_in_its_own_way() {
    let app = TestApp::new().await;
    let service = app.service().header("prefer", REPRESENTATION);
    let (a, b) = (department(&service, "a").await, department(&service, "b").await);
    let rows = json!([{ "id": a["id"], "name": "first", "version": 1 }, { "id": b["id"], "active": false }]);
    let changed = service.patch("/rest/v1/departments?select=code,name,active,version", rows).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(
        changed.json(),
        json!([{ "code": "a", "name": "first", "active": true, "version": 2 }, { "code": "b", "name": "x", "active": false, "version": 2 }])
    );
    let by_code = service.patch("/rest/v1/departments?on_conflict=code&select=name", json!([{ "code": "b", "name": "B" }])).await;
    assert_eq!(by_code.json(), json!([{ "name": "B" }]));
    // All or nothing, whatever is wrong with one of them.
    for (second, status, code) in [
        (json!({ "id": b["id"], "name": "lost", "version": 1 }), 412, "PT412"),
        (json!({ "id": "00000000-0000-7000-8000-000000000000", "name": "lost" }), 404, "PT404"),
        (json!({ "id": a["id"], "name": "lost" }), 400, "21000"),
        (json!({ "name": "lost" }), 400, "PGRST102"),
        (json!({ "id": b["id"], "code": "a" }), 409, "23505"),
        (json!({ "id": b["id"], "nothing": 1 }), 400, "PGRST204"),
    ] {
        let refused = service.patch("/rest/v1/departments", json!([{ "id": a["id"], "name": "lost" }, second])).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (status, Some(code)), "{}", refused.text());
    }
    assert_eq!(count(&service, "/rest/v1/departments?name=eq.lost").await, 0);
    let other = app.other_service();
    assert_eq!(other.patch("/rest/v1/departments", json!([{ "id": a["id"], "name": "stolen" }])).await.status, 404);
}

fn same(first: &Reply, second: &Reply) {
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    let own = |reply: &Reply| {
        let mut headers = reply.headers.clone();
        headers.remove("x-request-id");
        headers
    };
    assert_eq!(own(first), own(second));
}

#[tokio::test]
async fn a_write_with_a_key_is_done_once_however_often_it_is_sent() {
    let app = TestApp::new().await;
    let service = app.service().header("prefer", "return=representation, count=exact").header("idempotency-key", "one");
    let made = service.post("/rest/v1/departments", json!({ "code": "d", "name": "D" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let again = service.post("/rest/v1/departments", json!({ "code": "d", "name": "D" })).await;
    same(&made, &again);
    assert_eq!(again.header("etag"), "\"1\"");
    let other_body = service.post("/rest/v1/departments", json!({ "code": "e", "name": "E" })).await;
    assert_eq!((other_body.status.as_u16(), other_body.json()["code"].as_str()), (422, Some("PT422")));
    // A change and a removal, too.
    let change = app.service().header("idempotency-key", "two");
    let changed = change.patch("/rest/v1/departments?code=eq.d", json!({ "name": "once" })).await;
    same(&changed, &change.patch("/rest/v1/departments?code=eq.d", json!({ "name": "once" })).await);
    assert_eq!(app.service().get("/rest/v1/departments?select=version").await.json(), json!([{ "version": 2 }]));
    let removal = app.service().header("idempotency-key", "three").header("prefer", REPRESENTATION);
    let removed = removal.delete("/rest/v1/departments?code=eq.d").await;
    assert_eq!(removed.json().as_array().unwrap().len(), 1);
    department(&app.service(), "d").await;
    same(&removed, &removal.delete("/rest/v1/departments?code=eq.d").await);
    assert_eq!(count(&app.service(), "/rest/v1/departments").await, 1);
    // It is known after a restart, to its own principal alone, and for a day.
    let restarted = app.restarted().await.key(&app.default.secret_key).header("idempotency-key", "three").header("prefer", REPRESENTATION);
    same(&removed, &restarted.delete("/rest/v1/departments?code=eq.d").await);
    let function = app.function("employees:read employees:write").await.header("idempotency-key", "three").header("prefer", REPRESENTATION);
    assert_eq!(function.delete("/rest/v1/departments?code=eq.nothing").await.json(), json!([]));
    let elsewhere = app.other_service().header("idempotency-key", "three").header("prefer", REPRESENTATION);
    assert_eq!(elsewhere.delete("/rest/v1/departments?code=eq.d").await.json(), json!([]));
    app.app.clock.advance(std::time::Duration::from_hours(24));
    let expired = removal.delete("/rest/v1/departments?code=eq.d").await;
    assert_eq!(expired.json().as_array().unwrap().len(), 1);
    assert_ne!(expired.text(), removed.text());
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_a_key_must_be_one() {
    let app = TestApp::new().await;
    let service = app.service().header("idempotency-key", "k");
    department(&app.service(), "d").await;
    let row = json!({ "code": "d", "name": "D" });
    assert_eq!(service.post("/rest/v1/departments", row.clone()).await.status, 409);
    app.service().delete("/rest/v1/departments?code=eq.d").await;
    assert_eq!(service.post("/rest/v1/departments", row.clone()).await.status, 201);
    assert_eq!(service.post("/rest/v1/departments", row.clone()).await.status, 201);
    for wrong in ["", " ", &"x".repeat(256)] {
        let refused = app.service().header("idempotency-key", wrong).post("/rest/v1/departments", row.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (400, Some("PGRST100")));
    }
}

#[tokio::test]
async fn whoever_lost_the_right_is_not_told_again() {
    let app = TestApp::new().await;
    let payroll = app.user("pay@example.com", &["payroll"]).await;
    let client = payroll.client.clone().header("idempotency-key", "k").header("prefer", REPRESENTATION);
    let run = json!({ "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD", "totals": { "gross": 777_123 } });
    assert_eq!(client.post("/rest/v1/payroll_runs", run.clone()).await.status, 201);
    let roles = json!({ "app_metadata": { "roles": ["hr"] } });
    assert_eq!(app.service().put(&format!("/auth/v1/admin/users/{}", payroll.id), roles).await.status, 200);
    let refused = client.post("/rest/v1/payroll_runs", run).await;
    assert_eq!((refused.status.as_u16(), refused.text().contains("777")), (403, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_the_same_time_have_one_effect_and_one_answer() {
    let app = TestApp::with(|config| config.database.acquire_timeout_seconds = 60).await;
    let service = app.service().header("prefer", REPRESENTATION).header("idempotency-key", "fifty");
    let row = json!({ "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD" });
    let all: Vec<Reply> = futures_util::future::join_all((0..50).map(|_| service.post("/rest/v1/payroll_runs", row.clone()))).await;
    assert_eq!(all[0].status, 201, "{}", all[0].text());
    for reply in &all {
        same(&all[0], reply);
    }
    assert_eq!(count(&app.service(), "/rest/v1/payroll_runs").await, 1);
}

#[tokio::test]
async fn a_batch_is_done_as_a_whole_and_names_what_it_made() {
    let app = TestApp::new().await;
    let service = app.service();
    let ops = json!([
        { "method": "POST", "path": "/departments", "body": { "code": "d", "name": "D" }, "ref": "dept" },
        { "method": "POST", "path": "/rest/v1/employees?select=id,departments(code)", "body": [
            { "employee_number": "1", "display_name": "A", "department_id": { "$ref": "dept.0.id" } },
            { "employee_number": "2", "display_name": "B", "department_id": { "$ref": "dept.0.id" } },
        ], "ref": "people" },
        { "method": "PATCH", "path": "/departments?id=eq.{$ref:dept.0.id}", "headers": { "If-Match": "\"1\"" }, "body": { "head_employee_id": { "$ref": "people.1.id" } } },
        { "method": "GET", "path": "/employees?employee_number=eq.1&select=display_name", "headers": { "Accept": "application/vnd.pgrst.object+json" } },
        { "method": "DELETE", "path": "/employees?employee_number=eq.1" },
    ]);
    let reply = service.clone().header("idempotency-key", "b").post("/rest/v1/_batch", json!({ "ops": ops })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let results = reply.json()["results"].clone();
    let statuses: Vec<u64> = results.as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 204, 200, 204]);
    assert_eq!(results[1]["body"][0]["departments"], json!({ "code": "d" }));
    assert_eq!(results[2]["headers"]["etag"], "\"2\"");
    assert_eq!((&results[2]["body"], &results[3]["body"]), (&Value::Null, &json!({ "display_name": "A" })));
    assert_eq!(
        service.get("/rest/v1/departments?select=head:head_employee_id(employee_number)").await.json(),
        json!([{ "head": { "employee_number": "2" } }])
    );
    same(&reply, &service.clone().header("idempotency-key", "b").post("/rest/v1/_batch", json!({ "ops": ops })).await);
    assert_eq!(count(&service, "/rest/v1/employees").await, 1);
}

#[tokio::test]
async fn a_batch_with_one_refusal_leaves_nothing() {
    let app = TestApp::new().await;
    let service = app.service();
    let good = json!({ "method": "POST", "path": "/departments", "body": { "code": "d", "name": "D" }, "ref": "dept" });
    for (bad, status, code) in [
        (json!({ "method": "POST", "path": "/departments", "body": { "code": "d", "name": "D" } }), 409, "23505"),
        (
            json!({ "method": "PATCH", "path": "/departments?id=eq.{$ref:dept.0.id}", "headers": { "if-match": "\"9\"" }, "body": { "name": "x" } }),
            412,
            "PT412",
        ),
        (json!({ "method": "DELETE", "path": "/departments" }), 400, "21000"),
        (json!({ "method": "GET", "path": "/nowhere" }), 404, "PGRST205"),
        (json!({ "method": "GET", "path": "/departments?id=eq.{$ref:dept.9.id}" }), 400, "PGRST102"),
        (json!({ "method": "TRACE", "path": "/departments" }), 405, "PGRST117"),
        (json!({ "method": "GET", "path": "/departments", "headers": { "apikey": "x" } }), 400, "PGRST102"),
        (json!({ "method": "GET", "path": "/departments", "headers": { "accept": "text/csv" } }), 406, "PGRST107"),
        (json!({ "method": "POST", "path": "/_batch", "body": { "ops": [] } }), 404, "PGRST125"),
    ] {
        let refused = service.post("/rest/v1/_batch", json!({ "ops": [good, bad] })).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (status, Some(code)), "{bad}: {}", refused.text());
        assert_eq!(refused.json()["operation"], 1);
        assert_eq!(count(&service, "/rest/v1/departments").await, 0, "{bad}");
    }
    let many = vec![json!({ "method": "GET", "path": "/departments" }); 101];
    for body in [json!({ "ops": [] }), json!({ "ops": many }), json!({}), json!([]), json!({ "ops": [good, good] }), json!({ "ops": [good], "x": 1 })]
    {
        let refused = service.post("/rest/v1/_batch", body).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (400, Some("PGRST102")));
    }
    let not_json = service.send(Method::POST, "/rest/v1/_batch", Body::from("{")).await;
    assert_eq!(not_json.json()["code"], "PGRST102");
    assert_eq!(service.get("/rest/v1/_batch").await.status, 405);
}

#[tokio::test]
async fn every_operation_of_a_batch_has_the_callers_rights() {
    let app = TestApp::new().await;
    company(&app.service()).await;
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let good = json!({ "method": "POST", "path": "/departments", "body": { "code": "d", "name": "D" } });
    for path in ["/compensations?select=base_minor", "/employees?select=id,compensations(base_minor)", "/payslips"] {
        let refused = hr.post("/rest/v1/_batch", json!({ "ops": [good, { "method": "GET", "path": path }] })).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (403, Some("42501")), "{path}");
    }
    assert_eq!(count(&hr, "/rest/v1/departments?code=eq.d").await, 0);
    assert_eq!(app.anonymous().post("/rest/v1/_batch", json!({ "ops": [good] })).await.status, 401);
    let other = app.other_service();
    let seen = other.post("/rest/v1/_batch", json!({ "ops": [{ "method": "GET", "path": "/employees" }] })).await;
    assert_eq!(seen.json()["results"][0]["body"], json!([]));
}
