//! A tenant's own rules: what they open and close, how they are refused, and how they are explained.

use serde_json::{Value, json};

use super::{
    trust::{at, made, refused},
    wire::company,
};
use crate::support::{Client, TestApp};

const RULES: &str = "/admin/v1/tenants/default/rules";

async fn set(app: &TestApp, rules: Value) -> Value {
    let reply = app.operator().put(RULES, rules).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn numbers(client: &Client, query: &str) -> Vec<String> {
    let reply = client.get(&format!("/rest/v1/employees?select=employee_number&order=employee_number&{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().as_array().unwrap().iter().map(|row| row["employee_number"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_tenants_rules_open_what_they_say_and_no_more() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    for person in &people.as_array().unwrap()[..2] {
        let pay =
            json!({ "employee_id": person["id"], "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": 777_123 });
        made(&service, "compensations", pay).await;
    }
    let clerk = app.user("clerk@example.com", &["clerk"]).await.client;
    refused(&clerk.get("/rest/v1/employees").await, 403, "42501");
    let rules = json!({ "rules": [
        { "name": "clerks see who works in development", "roles": ["clerk"], "tables": ["employees"], "groups": ["directory", "work"], "actions": ["read"],
          "when": { "column": "department_id", "op": "eq", "value": departments[0]["id"] } },
        { "name": "clerks change titles of who was hired long ago", "roles": ["clerk"], "tables": ["employees"], "groups": ["directory"],
          "columns": ["job_title"], "actions": ["update"], "when": { "all": [
              { "column": "department_id", "op": "eq", "value": departments[0]["id"] },
              { "not": { "column": "hired_on", "op": "gte", "value": "2005-01-01" } } ] } },
        { "name": "clerks see since when those are paid", "roles": ["clerk"], "tables": ["compensations"], "groups": ["pay"],
          "columns": ["employee_id", "effective_from"], "actions": ["read"],
          "when": { "employee": { "any": [{ "column": "employee_number", "op": "in", "value": ["2", "3"] }] } } },
        { "name": "reports see numbers", "scopes": ["records.reports:read"], "tables": ["employees"], "groups": ["directory"],
          "columns": ["employee_number"], "actions": ["read"] } ] });
    let book = set(&app, rules.clone()).await;
    assert_eq!((&book["default_rules"], &book["rules"]), (&json!(true), &json!(with_defaults(&rules["rules"]))));
    assert_eq!(numbers(&clerk, "").await, ["1", "2"]);
    assert_eq!(numbers(&clerk, "hired_on=gt.2005-01-01").await, ["2"]);
    let paid = clerk.get("/rest/v1/compensations").await.json();
    assert_eq!(paid, json!([{ "employee_id": people[1]["id"], "effective_from": "2001-01-01" }]));
    for query in ["base_minor=gt.1", "order=base_minor", "select=currency"] {
        refused(&clerk.get(&format!("/rest/v1/compensations?{query}")).await, 403, "42501");
    }
    assert_eq!(clerk.patch(&at("employees", &people[0]), json!({ "job_title": "Chief" })).await.status, 204);
    refused(&clerk.patch(&at("employees", &people[1]), json!({ "job_title": "Chief" })).await, 403, "42501");
    refused(&clerk.patch(&at("employees", &people[0]), json!({ "preferred_name": "x" })).await, 403, "42501");
    let reports = app.function("records.reports:read").await;
    assert_eq!(reports.get("/rest/v1/employees?employee_number=eq.4").await.json(), json!([{ "employee_number": "4" }]));
    refused(&reports.get("/rest/v1/employees?select=display_name").await, 403, "42501");
    // Another tenant has not these rules, and this one has its defaults as well.
    assert_eq!(numbers(&app.user("o@example.com", &["owner"]).await.client, "").await, ["1", "2", "3", "4"]);
    // They are forgotten as they were learnt.
    set(&app, json!({ "rules": [] })).await;
    refused(&clerk.get("/rest/v1/employees").await, 403, "42501");
}

/// Rules as they are shown: what was left out is there.
fn with_defaults(rules: &Value) -> Vec<Value> {
    let mut rules = rules.as_array().unwrap().clone();
    for rule in &mut rules {
        if rule["rows"].is_null() {
            rule["rows"] = json!("all");
        }
    }
    rules
}

#[tokio::test]
async fn the_rules_that_every_tenant_begins_with_can_be_done_without() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let germany = made(&service, "legal_entities", json!({ "code": "de", "name": "Acme GmbH" })).await;
    assert_eq!(service.patch(&at("employees", &people[1]), json!({ "legal_entity_id": germany["id"] })).await.status, 204);
    let hr = app.user("hr@example.com", &["hr"]).await;
    let entity = json!({ "column": "legal_entity_id", "op": "in", "value": { "caller": "app_metadata.legal_entities" } });
    let rules = json!({ "default_rules": false, "rules": [
        { "name": "HR of a company", "roles": ["hr"], "tables": ["employees"], "groups": ["directory", "work"], "actions": ["read", "insert", "update"], "when": entity },
        { "name": "HR of a company sees persons", "roles": ["hr"], "tables": ["employee_private"], "groups": ["personal"], "actions": ["read", "insert"],
          "when": { "employee": entity } } ] });
    set(&app, rules).await;
    // What is not known of a caller opens nothing.
    assert_eq!(numbers(&hr.client, "").await, Vec::<String>::new());
    let metadata = json!({ "app_metadata": { "roles": ["hr"], "legal_entities": [germany["id"]] } });
    assert_eq!(service.put(&format!("/auth/v1/admin/users/{}", hr.id), metadata).await.status, 200);
    assert_eq!(numbers(&hr.client, "").await, ["2"]);
    made(&hr.client, "employee_private", json!({ "employee_id": people[1]["id"], "mobile": "1" })).await;
    refused(&hr.client.post("/rest/v1/employee_private", json!({ "employee_id": people[2]["id"], "mobile": "1" })).await, 403, "42501");
    refused(&hr.client.post("/rest/v1/employees", json!({ "employee_number": "9", "display_name": "x" })).await, 403, "42501");
    made(&hr.client, "employees", json!({ "employee_number": "9", "display_name": "x", "legal_entity_id": germany["id"] })).await;
    // Nobody can move somebody out of its own sight.
    let moved = hr.client.patch(&at("employees", &people[1]), json!({ "legal_entity_id": null })).await;
    refused(&moved, 403, "42501");
    let owner = app.user("owner@example.com", &["owner"]).await.client;
    refused(&owner.get("/rest/v1/employees").await, 403, "42501");
}

#[tokio::test]
async fn a_rule_that_can_not_be_is_refused_by_its_name() {
    let app = TestApp::new().await;
    let rule = |change: Value| {
        let mut rule = json!({ "name": "mine", "roles": ["clerk"], "tables": ["employees"], "groups": ["work"], "actions": ["read"] });
        for (name, value) in change.as_object().unwrap() {
            rule[name] = value.clone();
        }
        json!({ "rules": [rule] })
    };
    let mut deep = json!({ "column": "status", "op": "eq", "value": "active" });
    for _ in 0..10 {
        deep = json!({ "not": deep });
    }
    for (change, why) in [
        (json!({ "tables": ["nothing"] }), "there is no table \"nothing\""),
        (json!({ "columns": ["salary"] }), "column \"salary\""),
        (json!({ "columns": ["display_name"] }), "no table of the rule has a column \"display_name\" in its groups"),
        (json!({ "groups": ["pay"] }), "no table of the rule has fields of its groups"),
        (json!({ "roles": [] }), "roles or scopes"),
        (json!({ "when": { "column": "salary", "op": "eq", "value": 1 } }), "column \"salary\""),
        (json!({ "when": { "column": "hired_on", "op": "eq", "value": "soon" } }), "no value of hired_on"),
        (json!({ "when": { "column": "status", "op": "in", "value": "active" } }), "for in"),
        (json!({ "when": { "column": "status", "op": "eq", "value": { "caller": "password" } } }), "not known of a caller"),
        (json!({ "tables": ["departments"], "when": { "employee": { "column": "status", "op": "eq", "value": "x" } } }), "belong to no employee"),
        (
            json!({ "tables": ["employee_identity"], "groups": ["identity"], "when": { "column": "national_id", "op": "eq", "value": "1" } }),
            "that can be compared",
        ),
        (json!({ "when": deep }), "deep in each other"),
    ] {
        let reply = app.operator().put(RULES, rule(change.clone())).await;
        assert_eq!(reply.status, 422, "{change}: {}", reply.text());
        assert!(reply.text().contains("mine") && reply.json()["detail"].as_str().unwrap().contains(why), "{change}: {}", reply.text());
    }
    for body in [rule(json!({ "when": { "sql": "1=1" } })), rule(json!({ "actions": ["everything"] })), json!({ "rules": [{}] }), json!({})] {
        assert_eq!(app.operator().put(RULES, body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(app.operator().get(RULES).await.json()["rules"], json!([]));
    assert_eq!(app.service().get(RULES).await.status, 401);
    assert_eq!(app.operator().get("/admin/v1/tenants/nobody/rules").await.status, 404);
}

#[tokio::test]
async fn it_is_explained_which_rule_lets_or_refuses() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let explain = async |query: &str| {
        let reply = app.operator().get(&format!("/admin/v1/tenants/default/explain?{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        reply.json()
    };
    let pay = explain("table=compensations&action=read&columns=base_minor&roles=hr,admin").await;
    assert_eq!((&pay["allowed"], &pay["because"]), (&json!(false), &json!("no rule allows it for base_minor")));
    assert_eq!(pay["columns"], json!([{ "column": "base_minor", "rows": "none", "allowed_by": [] }]));
    let verdict = |said: &Value, name: &str| said["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap().clone();
    assert_eq!(verdict(&pay, "payroll: read, insert, update, delete of pay")["miss"], "who");
    assert_eq!(verdict(&pay, "hr: read, insert, update, delete of work")["miss"], "group");
    let pay = explain("table=compensations&action=read&columns=base_minor&roles=payroll").await;
    assert_eq!((&pay["allowed"], &pay["columns"][0]["allowed_by"]), (&json!(true), &json!(["payroll: read, insert, update, delete of pay"])));
    // Of a row: whose it is.
    let of = |person: usize, row: usize| {
        let id = |index: usize| people[index]["id"].as_str().unwrap().to_owned();
        format!("table=employees&action=read&columns=hired_on&employee={}&row={}", id(person), id(row))
    };
    assert_eq!(explain(&of(1, 1)).await["allowed"], true);
    let other = explain(&of(1, 2)).await;
    assert_eq!((&other["allowed"], &verdict(&other, "employee: read of work")["miss"]), (&json!(false), &json!("row")));
    let reports = format!("{}&roles=manager", of(0, 2));
    assert_eq!(explain(&reports).await["columns"][0]["allowed_by"], json!(["manager: read of work"]));
    let key = explain("table=employee_bank_accounts&action=reveal&scopes=employees.numbers:read").await;
    assert_eq!((&key["allowed"], key["columns"].as_array().unwrap().len()), (&json!(true), 2));
    let closed = explain("table=employee_special&action=read&roles=special_data").await;
    assert_eq!((&closed["allowed"], &closed["because"]), (&json!(false), &json!("the tenant has no such data; records.special opens it")));
    for (query, status) in [
        ("table=nothing&action=read", 404),
        ("table=employees&action=look", 422),
        ("table=employees&action=read&columns=salary", 422),
        ("table=employees&action=read&scopes=everything", 422),
        ("action=read", 422),
    ] {
        assert_eq!(app.operator().get(&format!("/admin/v1/tenants/default/explain?{query}")).await.status, status, "{query}");
    }
    assert_eq!(service.get("/admin/v1/tenants/default/explain?table=employees&action=read").await.status, 401);
}
