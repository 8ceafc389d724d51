//! What a payroll can be built on: dated rows that don't overlap, runs and slips that stay as they were approved, trees without circles, a
//! history of every change, and employees that come back.

use std::time::Duration;

use serde_json::{Value, json};

use super::wire::company;
use crate::support::{Client, TestApp};

fn answering(client: &Client) -> Client {
    client.clone().header("prefer", "return=representation")
}

pub(super) async fn made(client: &Client, table: &str, row: Value) -> Value {
    let reply = answering(client).post(&format!("/rest/v1/{table}"), row).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()[0].clone()
}

pub(super) fn at(table: &str, row: &Value) -> String {
    format!("/rest/v1/{table}?id=eq.{}", row["id"].as_str().unwrap())
}

pub(super) fn refused(reply: &crate::support::Reply, status: u16, code: &str) -> Value {
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    body
}

#[tokio::test]
async fn nobody_is_paid_twice_for_a_day() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    let pay = |person: usize, from: &str, to: Option<&str>| json!({ "employee_id": people[person]["id"], "effective_from": from, "effective_to": to, "currency": "USD", "pay_basis": "year", "base_minor": 1 });
    let first = made(&service, "compensations", pay(0, "2001-01-01", Some("2002-01-01"))).await;
    let second = made(&service, "compensations", pay(0, "2002-01-01", None)).await;
    made(&service, "compensations", pay(1, "2001-06-01", None)).await;
    for row in
        [pay(0, "2001-06-01", Some("2001-07-01")), pay(0, "2000-01-01", None), pay(0, "2030-01-01", None), pay(0, "2000-01-01", Some("2001-01-02"))]
    {
        let body = refused(&service.post("/rest/v1/compensations", row).await, 409, "23P01");
        assert_eq!(body["message"], "conflicting key value violates exclusion constraint \"compensations_effective_from_excl\"");
    }
    refused(&service.patch(&at("compensations", &first), json!({ "effective_to": null })).await, 409, "23P01");
    refused(&service.patch(&at("compensations", &second), json!({ "effective_from": "2001-12-31" })).await, 409, "23P01");
    refused(&service.post("/rest/v1/compensations", json!([pay(2, "2001-01-01", None), pay(2, "2001-02-01", None)])).await, 409, "23P01");
    made(&service, "compensations", pay(0, "2000-01-01", Some("2001-01-01"))).await;
    // A raise is the end of one row and the beginning of another, in either order inside one batch.
    let raise = json!({ "ops": [
        { "method": "PATCH", "path": at("compensations", &second), "body": { "effective_to": "2003-01-01" } },
        { "method": "POST", "path": "/compensations", "body": pay(0, "2003-01-01", None) },
    ] });
    assert_eq!(service.post("/rest/v1/_batch", raise).await.status, 200);
    // One may work in two departments, but not twice in one.
    let job = |department: usize, from: &str| json!({ "employee_id": people[0]["id"], "effective_from": from, "department_id": departments[department]["id"] });
    made(&service, "job_assignments", job(0, "2001-01-01")).await;
    made(&service, "job_assignments", job(1, "2001-01-01")).await;
    refused(&service.post("/rest/v1/job_assignments", job(0, "2005-01-01")).await, 409, "23P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ranges_that_overlap_one_is_made_however_many_come_at_once() {
    let app = TestApp::with(|config| config.database.acquire_timeout_seconds = 60).await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let row = |month: usize| json!({ "employee_id": people[0]["id"], "effective_from": format!("2001-{month:02}-01"), "currency": "USD", "pay_basis": "year", "base_minor": 1 });
    let all = futures_util::future::join_all((1..=12).map(|month| service.post("/rest/v1/compensations", row(month)))).await;
    let statuses: Vec<u16> = all.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 409)), "{statuses:?}");
}

#[tokio::test]
async fn what_was_approved_stays_and_is_corrected_by_a_new_run() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let period = |kind: &str| json!({ "type": kind, "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD" });
    let run = made(&service, "payroll_runs", period("regular")).await;
    let slip = |run: &Value, person: usize, replaces: Option<&Value>| {
        let mut slip = json!({ "run_id": run["id"], "employee_id": people[person]["id"], "currency": "USD", "gross_minor": 10, "net_minor": 10, "status": "final" });
        if let Some(replaces) = replaces {
            slip["replaces_id"] = replaces["id"].clone();
        }
        slip
    };
    let paid = made(&service, "payslips", slip(&run, 0, None)).await;
    assert_eq!(service.patch(&at("payslips", &paid), json!({ "net_minor": 9 })).await.status, 204);
    assert_eq!(service.patch(&at("payroll_runs", &run), json!({ "status": "approved" })).await.status, 204);
    for reply in [
        service.patch(&at("payslips", &paid), json!({ "net_minor": 8 })).await,
        service.patch("/rest/v1/payslips?status=eq.final", json!({ "status": "void" })).await,
        service.delete(&at("payslips", &paid)).await,
        service.post("/rest/v1/payslips", slip(&run, 1, None)).await,
        service
            .clone()
            .header("prefer", "resolution=merge-duplicates")
            .post("/rest/v1/payslips?on_conflict=run_id,employee_id", slip(&run, 0, None))
            .await,
        service.patch("/rest/v1/payslips", json!([{ "id": paid["id"], "net_minor": 8 }])).await,
        service.patch(&at("payroll_runs", &run), json!({ "totals": {} , "currency": "EUR" })).await,
        service.patch(&at("payroll_runs", &run), json!({ "status": "draft" })).await,
    ] {
        refused(&reply, 409, "PT409");
    }
    refused(&service.delete(&at("payroll_runs", &run)).await, 409, "23503");
    let empty = made(&service, "payroll_runs", period("bonus")).await;
    assert_eq!(service.patch(&at("payroll_runs", &empty), json!({ "status": "approved" })).await.status, 204);
    refused(&service.delete(&at("payroll_runs", &empty)).await, 409, "PT409");
    assert_eq!(service.patch(&at("payslips", &paid), json!({ "document_path": "a/b.pdf" })).await.status, 204);
    for status in ["paid", "closed"] {
        assert_eq!(service.patch(&at("payroll_runs", &run), json!({ "status": status, "pay_date": "2001-02-01" })).await.status, 204);
    }
    refused(&service.patch(&at("payroll_runs", &run), json!({ "status": "paid" })).await, 409, "PT409");
    let correction = made(&service, "payroll_runs", period("correction")).await;
    let draft = made(&service, "payroll_runs", period("regular")).await;
    let unpaid = made(&service, "payslips", slip(&draft, 1, None)).await;
    let nobody = json!({ "id": "00000000-0000-7000-8000-000000000000" });
    for (row, status, code) in [
        (slip(&draft, 0, Some(&paid)), 400, "23514"),
        (slip(&correction, 1, Some(&paid)), 400, "23514"),
        (slip(&correction, 1, Some(&unpaid)), 400, "23514"),
        (slip(&correction, 0, Some(&nobody)), 409, "23503"),
        (slip(&run, 3, Some(&paid)), 409, "PT409"),
    ] {
        refused(&service.post("/rest/v1/payslips", row).await, status, code);
    }
    made(&service, "payslips", slip(&correction, 0, Some(&paid))).await;
    let slips = service.get("/rest/v1/payslips?select=net_minor,payroll_runs(type),replaced:replaces_id(net_minor)&replaces_id=not.is.null").await;
    assert_eq!(slips.json(), json!([{ "net_minor": 10, "payroll_runs": { "type": "correction" }, "replaced": { "net_minor": 9 } }]));
}

#[tokio::test]
async fn nobody_is_above_itself() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    let below =
        async |person: usize, manager: usize| service.patch(&at("employees", &people[person]), json!({ "manager_id": people[manager]["id"] })).await;
    assert_eq!(below(3, 1).await.status, 204);
    for (person, manager) in [(0, 1), (0, 3), (1, 3), (2, 2)] {
        let body = refused(&below(person, manager).await, 400, "23514");
        assert_eq!(body["message"], "new row for relation \"employees\" violates check constraint \"employees_manager_id_check\"");
    }
    let (first, second) = ("0190a5a0-0000-7000-8000-000000000001", "0190a5a0-0000-7000-8000-000000000002");
    let pair = json!([
        { "id": first, "employee_number": "8", "display_name": "x", "manager_id": second },
        { "id": second, "employee_number": "9", "display_name": "x", "manager_id": first },
    ]);
    refused(&service.post("/rest/v1/employees", pair).await, 400, "23514");
    refused(
        &service.post("/rest/v1/employees", json!({ "id": first, "employee_number": "8", "display_name": "x", "manager_id": first })).await,
        400,
        "23514",
    );
    let moves = json!({ "ops": [
        { "method": "PATCH", "path": at("departments", &departments[0]), "body": { "parent_id": departments[1]["id"] } },
        { "method": "PATCH", "path": at("departments", &departments[1]), "body": { "parent_id": departments[0]["id"] } },
    ] });
    refused(&service.post("/rest/v1/_batch", moves).await, 400, "23514");
    assert_eq!(service.get("/rest/v1/departments?parent_id=not.is.null").await.json(), json!([]));
}

#[tokio::test]
async fn every_change_is_kept_with_who_made_it() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let hr = app.user("hr@example.com", &["hr"]).await;
    let payroll = app.user("payroll@example.com", &["payroll"]).await;
    let changes = async |client: &Client, table: &str, row: &Value| {
        let reply = client.get(&format!("/rest/v1/{table}?row_id=eq.{}&order=id", row.as_str().unwrap())).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().as_array().unwrap().clone()
    };
    let id = &people[1]["id"];
    app.app.clock.advance(Duration::from_mins(1));
    let request = hr
        .client
        .clone()
        .header("x-request-id", "r-1")
        .patch(&at("employees", &people[1]), json!({ "job_title": "Boss", "status": "active", "custom": { "a": true } }))
        .await;
    assert_eq!(request.status, 204);
    assert_eq!(hr.client.patch("/rest/v1/employees", json!([{ "id": id, "job_title": null }])).await.status, 204);
    let merge = hr.client.clone().header("prefer", "resolution=merge-duplicates");
    let row = json!({ "employee_number": "2", "display_name": "José García", "job_title": "Clerk" });
    assert_eq!(merge.post("/rest/v1/employees?on_conflict=employee_number", row).await.status, 200);
    let kept = changes(&hr.client, "changes", id).await;
    let shown: Vec<(&str, &Value)> = kept.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["changes"])).collect();
    assert_eq!((shown[0].0, &shown[0].1["employee_number"]), ("insert", &json!({ "new": "2" })));
    assert_eq!(shown[1], ("update", &json!({ "job_title": { "old": null, "new": "Boss" }, "custom": { "old": {}, "new": { "a": true } } })));
    assert_eq!(shown[2].1, &json!({ "job_title": { "old": "Boss", "new": null } }));
    assert_eq!(shown[3].1["job_title"], json!({ "old": null, "new": "Clerk" }));
    assert_eq!((&kept[1]["actor"], &kept[1]["actor_id"], &kept[1]["request_id"]), (&json!("user"), &json!(hr.id), &json!("r-1")));
    assert_eq!((&kept[0]["actor"], &kept[0]["table_name"]), (&json!("service_role"), &json!("employees")));
    assert!(kept[0]["changed_at"].as_str() < kept[1]["changed_at"].as_str());
    // Pay is kept as hashes, and for who may read pay.
    let pay = json!({ "employee_id": id, "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": 777_123 });
    let pay = made(&payroll.client, "compensations", pay).await;
    for amount in [777_124, 777_123] {
        assert_eq!(payroll.client.patch(&at("compensations", &pay), json!({ "base_minor": amount })).await.status, 204);
    }
    let kept = changes(&payroll.client, "pay_changes", &pay["id"]).await;
    let hash = |entry: usize, word: &str| kept[entry]["changes"]["base_minor"][word].as_str().unwrap().to_owned();
    assert_eq!((hash(0, "new"), hash(1, "old"), hash(2, "old")), (hash(1, "old"), hash(2, "new"), hash(1, "new")));
    assert!(["777123", "777124"].iter().all(|amount| !json!(kept).to_string().contains(amount)));
    made(&hr.client, "employee_private", json!({ "employee_id": id, "mobile": "canary" })).await;
    let private = changes(&hr.client, "personal_changes", id).await;
    assert!(private.len() == 1 && !json!(private).to_string().contains("canary"));
    // Each group for who may read it, and nothing of it for anybody to change.
    let employee = app.user("e@example.com", &[]).await.client;
    let function = app.function("employees:read employees:write").await;
    for (client, table) in [
        (&hr.client, "pay_changes"),
        (&payroll.client, "personal_changes"),
        (&payroll.client, "changes"),
        (&employee, "changes"),
        (&function, "changes"),
        (&function, "pay_changes"),
    ] {
        let reply = client.get(&format!("/rest/v1/{table}?row_id=eq.{}", pay["id"].as_str().unwrap())).await;
        refused(&reply, 403, "42501");
    }
    assert_eq!(app.other_service().get("/rest/v1/changes").await.json(), json!([]));
    for reply in [
        service.delete("/rest/v1/changes?id=not.is.null").await,
        service.patch("/rest/v1/pay_changes?id=not.is.null", json!({ "actor": "x" })).await,
        service.post("/rest/v1/changes", json!({ "table_name": "x" })).await,
    ] {
        refused(&reply, 403, "42501");
    }
    // What was refused or undone is not in it.
    let before = service.get("/rest/v1/changes?select=id").await.json().as_array().unwrap().len();
    refused(&hr.client.patch(&at("employees", &people[1]), json!({ "employee_number": "1" })).await, 409, "23505");
    assert_eq!(hr.client.patch(&at("employees", &people[1]), json!({ "job_title": "Clerk" })).await.status, 204);
    assert_eq!(service.get("/rest/v1/changes?select=id").await.json().as_array().unwrap().len(), before);
}

#[tokio::test]
async fn a_deleted_employee_comes_back_whole() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let li = &people[2];
    made(&hr, "employee_private", json!({ "employee_id": li["id"], "mobile": "123", "home_address": { "city": "x" } })).await;
    assert_eq!(hr.delete(&at("employees", li)).await.status, 204);
    assert_eq!(service.get("/rest/v1/employees/_search?q=lina&select=id").await.json(), json!([]));
    let undelete =
        async |client: &Client| client.post("/rest/v1/rpc/undelete_employee?select=display_name,version,created_at", json!({ "id": li["id"] })).await;
    for client in [app.user("p@example.com", &["payroll"]).await.client, app.function("employees:read").await] {
        refused(&undelete(&client).await, 403, "42501");
    }
    refused(&service.get(&format!("/rest/v1/rpc/undelete_employee?id={}", li["id"].as_str().unwrap())).await, 405, "25006");
    refused(&undelete(&app.other_service()).await, 404, "PT404");
    // While somebody else has its number it stays away.
    let taken = made(&service, "employees", json!({ "employee_number": "3", "display_name": "x" })).await;
    refused(&undelete(&hr).await, 409, "23505");
    assert_eq!(service.patch(&at("employees", &taken), json!({ "employee_number": "33" })).await.status, 204);
    let back = undelete(&hr).await;
    assert_eq!(
        (back.status.as_u16(), back.json()),
        (200, json!([{ "display_name": "李娜", "version": 2, "created_at": li["created_at"] }])),
        "{}",
        back.text()
    );
    assert_eq!(service.get("/rest/v1/employees/_search?q=lina&select=id").await.json(), json!([{ "id": li["id"] }]));
    let row = service.get(&format!("{}&select=departments(code),employee_private(mobile,home_address)", at("employees", li))).await.json();
    assert_eq!(
        row,
        json!([{ "departments": { "code": departments[1]["code"] }, "employee_private": { "mobile": "123", "home_address": { "city": "x" } } }])
    );
    refused(&undelete(&hr).await, 404, "PT404");
    let kept = service.get(&format!("/rest/v1/changes?row_id=eq.{}&select=action&order=id", li["id"].as_str().unwrap())).await;
    assert_eq!(kept.json(), json!([{ "action": "insert" }, { "action": "delete" }, { "action": "insert" }]));
    // For ninety days.
    assert_eq!(hr.delete(&at("employees", li)).await.status, 204);
    app.app.clock.advance(Duration::from_hours(90 * 24));
    basalt::records::keep_swept(app.app.clone()).await.unwrap();
    refused(&undelete(&app.service()).await, 404, "PT404");
}
