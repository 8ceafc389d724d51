//! The employee model: numbers that are masked, what goes with an employee, assignments, fields of a tenant's own, pay down to its lines.

use http::Method;
use serde_json::{Value, json};

use super::{
    trust::{at, made, refused},
    wire::{company, uri},
};
use crate::support::{Client, TestApp};

const IBAN: &str = "DE89 3704 0044 0532 0130 00";
const NATIONAL_ID: &str = "777-12-3456";

/// An employee who is linked to a user, with numbers.
async fn person(app: &TestApp) -> (Value, Value, Client) {
    let service = app.service();
    let user = app.user("me@example.com", &[]).await;
    let me = made(&service, "employees", json!({ "employee_number": "7", "display_name": "Seven", "user_id": user.id })).await;
    let identity = json!({ "employee_id": me["id"], "country": "US", "national_id": NATIONAL_ID, "passport_expires_on": "2030-01-01" });
    assert_eq!(service.post("/rest/v1/employee_identity", identity).await.status, 201);
    let account = json!({ "employee_id": me["id"], "holder": "Seven", "iban": IBAN, "account_number": "12345" });
    let account = made(&service, "employee_bank_accounts", account).await;
    (me, account, user.client)
}

#[tokio::test]
async fn a_number_is_masked_wherever_it_is_read() {
    let app = TestApp::new().await;
    let (me, account, own) = person(&app).await;
    assert_eq!((&account["iban"], &account["account_number"]), (&json!("****3000"), &json!("****")));
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let settings = json!({ "records": { "aggregates": true } });
    assert_eq!(app.operator().patch("/admin/v1/tenants/default/settings", settings).await.status, 200);
    for client in [&app.service(), &hr, &own] {
        for (path, accept) in [
            ("employee_identity", "application/json"),
            ("employee_identity", "text/csv"),
            ("employee_identity", "application/x-ndjson"),
            ("employee_identity?select=national_id::text", "application/json"),
            ("employee_identity?select=national_id,count()", "application/json"),
            ("employees?select=id,employee_identity(*),employee_bank_accounts(*)&employee_number=eq.7", "application/json"),
            ("employees?select=...employee_identity(national_id)&employee_number=eq.7", "application/json"),
        ] {
            let reply = client.clone().header("accept", accept).get(&format!("/rest/v1/{path}")).await;
            let text = reply.text();
            assert_eq!(reply.status, 200, "{path}: {text}");
            assert!(text.contains("****3456") && !text.contains("12-3456") && !text.contains("_hash") && !text.contains("_sealed"), "{path}: {text}");
        }
    }
    // It is found whole, however it is written, and in no other way.
    for (filter, found) in [
        ("national_id=eq.777 12 3456", 1),
        ("national_id=eq.777123457", 0),
        ("national_id=eq.****3456", 0),
        ("national_id=in.(1,777123456)", 1),
        ("national_id=is.null", 0),
        ("national_id=not.is.null", 1),
        ("or=(national_id.eq.777123456,country.eq.DE)", 1),
    ] {
        let reply = hr.get(&format!("/rest/v1/employee_identity?select=employee_id&{}", filter.replace(' ', "%20"))).await;
        assert_eq!((reply.status.as_u16(), reply.json().as_array().map(Vec::len)), (200, Some(found)), "{filter}: {}", reply.text());
    }
    for query in [
        "national_id=gt.0",
        "national_id=like.*3456",
        "national_id=neq.1",
        "national_id=match.7",
        "national_id=eq(any).{1,2}",
        "order=national_id",
        "select=national_id.max()",
        "order=national_id&select=employee_id,_cursor",
    ] {
        let reply = hr.get(&format!("/rest/v1/employee_identity?{query}")).await;
        refused(&reply, 400, "0A000");
    }
    for query in ["national_id_hash=eq.1", "select=national_id_sealed", "order=iban_hash"] {
        refused(&hr.get(&format!("/rest/v1/employee_identity?{query}")).await, 403, "42501");
        refused(&app.service().get(&format!("/rest/v1/employee_identity?{query}")).await, 400, "42703");
    }
    // Nobody else sees a trace of it.
    for roles in [&["admin"][..], &["manager"], &["payroll"], &[]] {
        let client = app.user(&format!("x{}@example.com", roles.join("x")), roles).await.client;
        refused(&client.get("/rest/v1/employee_identity?national_id=eq.777123456").await, 403, "42501");
    }
    assert_eq!(app.other_service().get("/rest/v1/employee_identity").await.json(), json!([]));
    let id = me["id"].as_str().unwrap();
    let kept = app.service().get(&format!("/rest/v1/identity_changes?row_id=eq.{id}")).await.text();
    assert!(kept.contains("national_id") && !kept.contains("3456"), "{kept}");
}

#[tokio::test]
async fn what_was_shown_in_a_numbers_place_does_not_become_the_number() {
    let app = TestApp::new().await;
    let (me, account, own) = person(&app).await;
    let service = app.service();
    let of = format!("/rest/v1/employee_identity?employee_id=eq.{}", me["id"].as_str().unwrap());
    let row = service.get(&of).await.json()[0].clone();
    assert_eq!(service.patch(&of, row.clone()).await.status, 204);
    assert_eq!(service.get(&format!("{of}&national_id=eq.777123456")).await.json().as_array().unwrap().len(), 1);
    refused(&service.post("/rest/v1/employee_bank_accounts", json!({ "employee_id": me["id"], "iban": "****3000" })).await, 400, "22023");
    assert_eq!(service.patch(&of, json!({ "national_id": "888123456" })).await.status, 204);
    assert_eq!(service.get(&format!("{of}&national_id=eq.888123456")).await.json()[0]["national_id"], "****3456");
    assert_eq!(service.patch(&of, json!({ "national_id": null })).await.status, 204);
    assert_eq!(service.get(&format!("{of}&national_id=is.null")).await.json()[0]["national_id"], Value::Null);
    // A digit that is wrong is seen before money goes elsewhere.
    let wrong = json!({ "iban": "DE88 3704 0044 0532 0130 00" });
    let body = refused(&service.patch(&at("employee_bank_accounts", &account), wrong).await, 400, "23514");
    assert!(!body.to_string().contains("0532"));
    // An employee sees its own and changes none.
    refused(&own.patch(&at("employee_bank_accounts", &account), json!({ "iban": IBAN })).await, 403, "42501");
    // Merged rows are sealed, too.
    let merge = service.clone().header("prefer", "resolution=merge-duplicates,return=representation");
    let merged = merge.post("/rest/v1/employee_identity", json!({ "employee_id": me["id"], "tax_id": "11 22 33 44" })).await;
    assert_eq!((merged.status.as_u16(), &merged.json()[0]["tax_id"]), (200, &json!("****3344")), "{}", merged.text());
}

#[tokio::test]
async fn whoever_sees_a_number_whole_is_written_down() {
    let app = TestApp::new().await;
    let (me, account, own) = person(&app).await;
    let hr = app.user("hr@example.com", &["hr"]).await;
    let payroll = app.user("payroll@example.com", &["payroll"]).await.client;
    let ask = |column: &str, row: &Value| json!({ "column": column, "ids": [row], "reason": "a transfer came back" });
    let identity = "/rest/v1/rpc/reveal_identity";
    let accounts = "/rest/v1/rpc/reveal_bank_accounts";
    let shown = hr.client.post(identity, ask("national_id", &me["id"])).await;
    assert_eq!((shown.status.as_u16(), shown.json()), (200, json!([{ "employee_id": me["id"], "national_id": NATIONAL_ID }])));
    let shown = payroll.post(accounts, ask("iban", &account["id"])).await;
    assert_eq!((shown.status.as_u16(), shown.json()), (200, json!([{ "id": account["id"], "iban": IBAN }])), "{}", shown.text());
    let kept = hr.client.get("/rest/v1/identity_changes?action=eq.reveal&order=id").await.json();
    assert_eq!(kept.as_array().unwrap().len(), 2, "{kept}");
    assert_eq!((&kept[0]["actor_id"], &kept[0]["row_id"], &kept[0]["table_name"]), (&json!(hr.id), &me["id"], &json!("employee_identity")));
    assert_eq!(kept[0]["changes"], json!({ "national_id": { "reason": "a transfer came back" } }));
    // Whoever may not see it leaves no trace of having seen it.
    let reader = app.function("employees.identity:read").await;
    for (client, path, body) in [
        (&own, accounts, ask("iban", &account["id"])),
        (&payroll, identity, ask("national_id", &me["id"])),
        (&reader, identity, ask("national_id", &me["id"])),
    ] {
        refused(&client.post(path, body).await, 403, "42501");
    }
    for (body, status, code) in [
        (json!({ "column": "iban", "ids": [account["id"]] }), 404, "PGRST202"),
        (json!({ "column": "iban", "ids": [account["id"]], "reason": " " }), 400, "22023"),
        (json!({ "column": "holder", "ids": [account["id"]], "reason": "x" }), 400, "22023"),
        (json!({ "column": "iban_sealed", "ids": [account["id"]], "reason": "x" }), 403, "42501"),
        (json!({ "column": "iban", "ids": [], "reason": "x" }), 400, "22023"),
    ] {
        refused(&payroll.post(accounts, body).await, status, code);
    }
    refused(&payroll.get(accounts).await, 405, "25006");
    assert_eq!(app.other_service().post(accounts, ask("iban", &account["id"])).await.json(), json!([]));
    let kept = hr.client.get("/rest/v1/identity_changes?action=eq.reveal").await.json();
    assert_eq!(kept.as_array().unwrap().len(), 2);
    let function = app.function("employees.identity:read employees.numbers:read").await;
    assert_eq!(function.post(accounts, ask("iban", &account["id"])).await.json()[0]["iban"], IBAN);
}

#[tokio::test]
async fn an_employee_goes_and_comes_back_with_its_numbers() {
    let app = TestApp::new().await;
    let (me, account, _) = person(&app).await;
    let service = app.service();
    assert_eq!(service.delete(&at("employees", &me)).await.status, 204);
    assert_eq!(service.get("/rest/v1/employee_bank_accounts").await.json(), json!([]));
    let back = service.post("/rest/v1/rpc/undelete_employee", json!({ "id": me["id"] })).await;
    assert_eq!(back.status, 200, "{}", back.text());
    let shown = service.post("/rest/v1/rpc/reveal_bank_accounts", json!({ "column": "iban", "ids": [account["id"]], "reason": "x" })).await;
    assert_eq!(shown.json()[0]["iban"], IBAN);
    let found = service.get("/rest/v1/employee_identity?national_id=eq.777123456&select=passport_expires_on").await;
    assert_eq!(found.json(), json!([{ "passport_expires_on": "2030-01-01" }]));
}

#[tokio::test]
async fn what_the_law_protects_most_is_there_only_where_it_was_opened() {
    let app = TestApp::new().await;
    let (me, _, own) = person(&app).await;
    let granted = app.user("granted@example.com", &["hr", "special_data"]).await.client;
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let row = json!({ "employee_id": me["id"], "disability": "canary" });
    for client in [&app.service(), &granted, &own] {
        refused(&client.post("/rest/v1/employee_special", row.clone()).await, 403, "42501");
        refused(&client.get("/rest/v1/employee_special").await, 403, "42501");
    }
    assert_eq!(app.operator().patch("/admin/v1/tenants/default/settings", json!({ "records": { "special": true } })).await.status, 200);
    assert_eq!(own.post("/rest/v1/employee_special", row).await.status, 201);
    assert_eq!(granted.get("/rest/v1/employee_special?select=disability").await.json(), json!([{ "disability": "canary" }]));
    for client in [&hr, &app.user("o@example.com", &["owner"]).await.client, &app.function("employees:read employees.personal:read").await] {
        refused(&client.get("/rest/v1/employee_special").await, 403, "42501");
        refused(&client.get("/rest/v1/special_changes").await, 403, "42501");
        refused(&client.get("/rest/v1/employees?select=id,employee_special()&employee_special=not.is.null").await, 403, "42501");
    }
    let kept = granted.get("/rest/v1/special_changes").await.text();
    assert!(kept.contains("disability") && !kept.contains("canary"));
}

#[tokio::test]
async fn an_assignment_that_holds_today_is_what_the_employee_does() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    let position = made(&service, "positions", json!({ "code": "p", "title": "Pilot", "department_id": departments[1]["id"] })).await;
    let place = made(&service, "locations", json!({ "code": "l", "name": "Here" })).await;
    let id = &people[2]["id"];
    let job = |from: &str, to: Option<&str>, title: &str| {
        json!({ "employee_id": id, "effective_from": from, "effective_to": to, "job_title": title, "department_id": departments[1]["id"],
            "position_id": position["id"], "location_id": place["id"], "manager_id": people[0]["id"] })
    };
    made(&service, "job_assignments", job("1999-01-01", Some("2000-01-01"), "Before")).await;
    let now = made(&service, "job_assignments", job("2000-01-01", Some("9000-01-01"), "Pilot")).await;
    made(&service, "job_assignments", job("9000-01-01", None, "Later")).await;
    let row = async || {
        service.get(&format!("{}&select=job_title,positions(title),locations(name),manager_id,version", at("employees", &people[2]))).await.json()[0]
            .clone()
    };
    let first = row().await;
    assert_eq!((&first["job_title"], &first["positions"]["title"], &first["locations"]["name"]), (&json!("Pilot"), &json!("Pilot"), &json!("Here")));
    assert_eq!(first["manager_id"], people[0]["id"]);
    assert_eq!(service.patch(&at("job_assignments", &now), json!({ "job_title": "Captain" })).await.status, 204);
    assert_eq!(row().await["job_title"], "Captain");
    // What says nothing new changes nothing.
    let version = row().await["version"].clone();
    assert_eq!(service.patch(&at("job_assignments", &now), json!({ "change_reason": "x" })).await.status, 204);
    assert_eq!(row().await["version"], version);
    // Nobody comes above itself by an assignment, either.
    let circle = json!({ "employee_id": people[0]["id"], "effective_from": "2000-01-01", "manager_id": id });
    refused(&service.post("/rest/v1/job_assignments", circle).await, 400, "23514");
    // References hold in both directions.
    let nobody = "00000000-0000-7000-8000-000000000000";
    let body = refused(&service.patch(&at("employees", &people[2]), json!({ "position_id": nobody })).await, 409, "23503");
    assert_eq!(body["details"], format!("Key (position_id)=({nobody}) is not present in table \"positions\"."));
    let reply = service.delete(&at("positions", &position)).await;
    assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (409, Some("23503")), "{}", reply.text());
}

#[tokio::test]
async fn an_assignment_begins_by_itself() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let day = |days: i64| (app.app.clock.now().plus_seconds(days * 86_400).date_time()).date_naive().to_string();
    made(&service, "job_assignments", json!({ "employee_id": people[3]["id"], "effective_from": day(2), "job_title": "Pilot" })).await;
    let title = async || service.get(&format!("{}&select=job_title", at("employees", &people[3]))).await.json()[0]["job_title"].clone();
    basalt::records::keep_up(app.app.clone()).await.unwrap();
    assert_eq!(title().await, Value::Null);
    app.app.clock.advance(std::time::Duration::from_hours(72));
    basalt::records::keep_up(app.app.clone()).await.unwrap();
    assert_eq!(title().await, "Pilot");
    let kept = service.get(&format!("/rest/v1/changes?row_id=eq.{}&order=id.desc&limit=1", people[3]["id"].as_str().unwrap())).await.json();
    assert_eq!((&kept[0]["actor"], &kept[0]["changes"]), (&json!("system"), &json!({ "job_title": { "old": null, "new": "Pilot" } })));
}

#[tokio::test]
async fn a_field_of_a_tenants_own_can_have_an_index() {
    let app = TestApp::new().await;
    let service = app.service();
    let set = async |name: &str| {
        let schema = json!({ "properties": { name: { "x-indexed": true } } });
        app.operator().patch("/admin/v1/tenants/default/settings", json!({ "records": { "custom_schema": schema } })).await
    };
    for name in ["Badge", "bad ge", "b\"); DROP TABLE employees; --", ""] {
        assert_eq!(set(name).await.status, 422, "{name}");
    }
    assert_eq!(set("badge").await.status, 200);
    made(&service, "employees", json!({ "employee_number": "1", "display_name": "x", "custom": { "badge": "B1" } })).await;
    for _ in 0..2 {
        basalt::records::keep_up(app.app.clone()).await.unwrap();
    }
    let long = json!({ "employee_number": "2", "display_name": "x", "custom": { "badge": "B".repeat(9_000) } });
    made(&service, "employees", long).await;
    made(&service, "employees", json!({ "employee_number": "3", "display_name": "x", "custom": { "badge": true } })).await;
    for (value, number) in [("B1", "1"), ("true", "3")] {
        let found = service.get(&uri(&format!("/rest/v1/employees?custom->>badge=eq.{value}&select=employee_number"))).await;
        assert_eq!(found.json(), json!([{ "employee_number": number }]));
    }
}

#[tokio::test]
async fn fields_of_a_tenants_own_are_what_its_schema_says() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["badge"],
        "properties": { "badge": { "type": "string", "pattern": "^B[0-9]+$" }, "size": { "enum": ["S", "M", "L"] } }
    });
    let set =
        async |schema: Value| app.operator().patch("/admin/v1/tenants/default/settings", json!({ "records": { "custom_schema": schema } })).await;
    assert_eq!(set(json!({ "type": "nothing" })).await.status, 422);
    assert_eq!(set(json!({ "properties": { "size": { "type": "integer" } } })).await.status, 200);
    assert_eq!(set(schema).await.status, 200);
    let at = at("employees", &people[0]);
    for custom in [json!({}), json!({ "badge": "x" }), json!({ "badge": "B1", "size": "XL" }), json!({ "badge": "B1", "other": 1 }), json!([])] {
        let body = refused(&service.patch(&at, json!({ "custom": custom })).await, 400, "23514");
        assert_eq!(body["message"], "new row for relation \"employees\" violates check constraint \"employees_custom_check\"");
    }
    assert_eq!(service.patch(&at, json!({ "custom": { "badge": "B1", "size": "M" } })).await.status, 204);
    assert_eq!(service.patch(&at, json!({ "job_title": "x" })).await.status, 204);
    refused(&service.post("/rest/v1/employees", json!({ "employee_number": "50", "display_name": "x" })).await, 400, "23514");
    let batch = json!({ "ops": [{ "method": "POST", "path": "/employees", "body": { "employee_number": "50", "display_name": "x", "custom": { "badge": 1 } } }] });
    refused(&service.post("/rest/v1/_batch", batch).await, 400, "23514");
    made(&service, "employees", json!({ "employee_number": "50", "display_name": "x", "custom": { "badge": "B2" } })).await;
    let found = service.get(&uri("/rest/v1/employees?custom->>badge=eq.B2&select=employee_number")).await;
    assert_eq!(found.json(), json!([{ "employee_number": "50" }]));
    assert_eq!(set(Value::Null).await.status, 200);
    assert_eq!(service.patch(&at, json!({ "custom": { "anything": true } })).await.status, 204);
}

#[tokio::test]
async fn a_run_is_approved_and_corrected_down_to_its_lines() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let payroll = app.user("payroll@example.com", &["payroll"]).await;
    let me = app.user("li@example.com", &[]).await;
    assert_eq!(service.patch(&at("employees", &people[2]), json!({ "user_id": me.id })).await.status, 204);
    let client = &payroll.client;
    let company = made(&service, "legal_entities", json!({ "code": "acme", "name": "Acme", "currency": "USD" })).await;
    let base = made(client, "salary_components", json!({ "code": "base", "name": "Base pay", "kind": "earning" })).await;
    let tax = made(client, "salary_components", json!({ "code": "tax", "name": "Income tax", "kind": "tax", "calc": "percent" })).await;
    let pay =
        json!({ "employee_id": people[2]["id"], "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "month", "base_minor": 777_123 });
    let pay = made(client, "compensations", pay).await;
    made(client, "compensation_items", json!({ "compensation_id": pay["id"], "component_id": tax["id"], "rate_ppm": 200_000 })).await;
    let both = json!({ "compensation_id": pay["id"], "component_id": base["id"], "rate_ppm": 1, "amount_minor": 1 });
    refused(&client.post("/rest/v1/compensation_items", both).await, 400, "23514");
    let bonus =
        json!({ "employee_id": people[2]["id"], "component_id": base["id"], "amount_minor": 100, "currency": "USD", "period_start": "2001-01-01" });
    made(client, "pay_adjustments", bonus).await;
    let run = |kind: &str| {
        json!({ "type": kind, "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD", "legal_entity_id": company["id"],
        "engine_version": "1", "approved_by": "00000000-0000-7000-8000-000000000000" })
    };
    let first = made(client, "payroll_runs", run("regular")).await;
    assert_eq!((&first["approved_by"], &first["approved_at"]), (&Value::Null, &Value::Null));
    let slip = |run: &Value, gross: i64, tax: i64, replaces: Option<&Value>| {
        json!({ "run_id": run["id"], "employee_id": people[2]["id"], "currency": "USD", "gross_minor": gross, "tax_minor": tax, "net_minor": gross - tax,
            "employer_cost_minor": 7, "status": "final", "replaces_id": replaces.map(|slip| &slip["id"]) })
    };
    let lines = |slip: &Value, gross: i64, tax_amount: i64| {
        let line = |seq: i64, component: &Value, amount: i64| {
            json!({ "payslip_id": slip["id"], "seq": seq, "component_id": component["id"], "component_code": component["code"],
                "component_name": component["name"], "kind": component["kind"], "amount_minor": amount })
        };
        json!([line(1, &base, gross), line(2, &tax, tax_amount)])
    };
    let paid = made(client, "payslips", slip(&first, 1000, 200, None)).await;
    assert_eq!(client.post("/rest/v1/payslip_lines", lines(&paid, 1000, 200)).await.status, 201);
    assert_eq!(client.patch(&at("payroll_runs", &first), json!({ "status": "approved" })).await.status, 204);
    let approved = client.get(&at("payroll_runs", &first)).await.json()[0].clone();
    assert_eq!(approved["approved_by"], json!(payroll.id));
    assert!(approved["approved_at"].is_string());
    // Once approved nothing of it moves, and saying it again approves nothing again.
    let of_slip = format!("/rest/v1/payslip_lines?payslip_id=eq.{}", paid["id"].as_str().unwrap());
    for (method, body) in [(Method::PATCH, json!({ "amount_minor": 1 })), (Method::DELETE, json!({}))] {
        refused(&client.json(method, &of_slip, &body).await, 409, "PT409");
    }
    refused(
        &client
            .post(
                "/rest/v1/payslip_lines",
                json!({ "payslip_id": paid["id"], "seq": 3, "component_code": "x", "component_name": "x", "kind": "tax", "amount_minor": 1 }),
            )
            .await,
        409,
        "PT409",
    );
    assert_eq!(client.patch(&at("payroll_runs", &first), json!({ "status": "approved" })).await.status, 204);
    assert_eq!(client.get(&at("payroll_runs", &first)).await.json()[0]["approved_at"], approved["approved_at"]);
    // A correction is a run of its own.
    let second = made(client, "payroll_runs", run("correction")).await;
    let corrected = made(client, "payslips", slip(&second, 1100, 220, Some(&paid))).await;
    assert_eq!(client.post("/rest/v1/payslip_lines", lines(&corrected, 1100, 220)).await.status, 201);
    // A draft is not the employee's to see until it is final, and then its lines are, too.
    let own = me
        .client
        .get("/rest/v1/payslips?select=gross_minor,payslip_lines(component_name,amount_minor)&payslip_lines.order=seq&order=gross_minor")
        .await;
    assert_eq!(
        own.json()[1],
        json!({ "gross_minor": 1100, "payslip_lines": [
        { "component_name": "Base pay", "amount_minor": 1100 }, { "component_name": "Income tax", "amount_minor": 220 }
    ] }),
        "{}",
        own.text()
    );
    assert_eq!(client.patch(&at("payslips", &corrected), json!({ "status": "draft" })).await.status, 204);
    assert_eq!(
        me.client.get("/rest/v1/payslip_lines?select=amount_minor&order=amount_minor").await.json(),
        json!([{ "amount_minor": 200 }, { "amount_minor": 1000 }])
    );
    refused(&me.client.get("/rest/v1/compensation_items").await, 403, "42501");
    let totals = async |run: &Value| client.post("/rest/v1/rpc/payroll_totals", json!({ "run_id": run["id"] })).await.json()[0].clone();
    let (first, second) = (totals(&first).await, totals(&second).await);
    assert_eq!(
        (&first["gross_minor"], &first["tax_minor"], &first["net_minor"], &first["employer_cost_minor"]),
        (&json!(1000), &json!(200), &json!(800), &json!(7))
    );
    assert_eq!((&second["slips"], &second["net_minor"]), (&json!(1), &json!(880)));
}
