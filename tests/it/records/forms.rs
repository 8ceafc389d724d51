//! The rarer forms of the wire: rows put together, spread, matched by patterns, estimated, put, rolled back; and functions.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::wire::{company, uri};
use crate::support::{Client, TestApp};

async fn allow(app: &TestApp, settings: Value) {
    let reply = app.operator().patch("/admin/v1/tenants/default/settings", json!({ "records": settings })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn get(client: &Client, path: &str) -> (u16, Value) {
    let reply = client.get(&uri(&format!("/rest/v1/{path}"))).await;
    (reply.status.as_u16(), reply.json())
}

async fn pay(service: &Client, people: &Value) -> String {
    let service = service.clone().header("prefer", "return=representation");
    let run = json!({ "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD" });
    let run = service.post("/rest/v1/payroll_runs", run).await.json()[0]["id"].as_str().unwrap().to_owned();
    let slip = |index: usize, gross: i64, status: &str| json!({ "run_id": run, "employee_id": people[index]["id"], "currency": "USD", "gross_minor": gross, "tax_minor": 10, "net_minor": gross - 10, "status": status });
    let made = service.post("/rest/v1/payslips", json!([slip(0, 100, "final"), slip(1, 200, "final"), slip(2, 400, "void")])).await;
    assert_eq!(made.status, 201, "{}", made.text());
    run
}

#[tokio::test]
async fn rows_are_put_together_where_the_tenant_allows_it() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    pay(&service, &people).await;
    for query in ["payslips?select=gross_minor.sum()", "employees?select=count()", "departments?select=code,employees(count())"] {
        assert_eq!(get(&service, query).await.1["code"], "PGRST123", "{query}");
    }
    allow(&app, json!({ "aggregates": true })).await;
    for (query, rows) in [
        ("payslips?select=gross_minor.sum(),n:count(),net_minor.max(),low:net_minor.min()", json!([{ "sum": 700, "n": 3, "max": 390, "low": 90 }])),
        ("payslips?select=status,gross_minor.sum()&order=status.desc", json!([{ "status": "void", "sum": 400 }, { "status": "final", "sum": 300 }])),
        ("payslips?select=status,sum:gross_minor.sum()::text&order=status&limit=1", json!([{ "status": "final", "sum": "300" }])),
        ("payslips?select=gross_minor.sum()&status=eq.nothing", json!([{ "sum": null }])),
        ("employees?select=active:status,count()", json!([{ "active": "active", "count": 4 }])),
        ("employees?select=count(),departments(code)&department_id=not.is.null", Value::Null),
        ("employees?select=count(),...departments!inner(code)&departments.code=eq.dev", json!([{ "count": 2, "code": "dev" }])),
        (
            "departments?select=code,employees(status,count())&order=code",
            json!([{ "code": "dev", "employees": [{ "status": "active", "count": 2 }] }, { "code": "hr", "employees": [{ "status": "active", "count": 1 }] }]),
        ),
        ("employees?select=custom->a,count()", json!([{ "a": null, "count": 4 }])),
        ("employees?select=hired_on.max()&hired_on=lt.2015-01-01", json!([{ "max": "2010-05-06" }])),
    ] {
        let (status, body) = get(&service, query).await;
        assert_eq!(status, 200, "{query}: {body}");
        if rows.is_null() {
            let mut groups: Vec<String> =
                body.as_array().unwrap().iter().map(|row| format!("{} {}", row["departments"]["code"], row["count"])).collect();
            groups.sort();
            assert_eq!(groups, ["\"dev\" 2", "\"hr\" 1"]);
        } else {
            assert_eq!(body, rows, "{query}");
        }
    }
    let (_, average) = get(&service, "payslips?select=gross_minor.avg()&status=eq.final").await;
    assert_eq!(average[0]["avg"].as_f64(), Some(150.0));
    for (query, code) in [
        ("employees?select=display_name.sum()", "42883"),
        ("employees?select=id.max()", "42883"),
        ("employees?select=count()::date", "42846"),
        ("payslips?select=status,count()&order=gross_minor", "42803"),
        ("departments?select=count(),employees(id)", "PGRST127"),
        ("employees?select=display_name.median()", "PGRST100"),
    ] {
        assert_eq!(get(&service, query).await.1["code"], code, "{query}");
    }
    let written = service
        .clone()
        .header("prefer", "return=representation")
        .patch("/rest/v1/departments?code=eq.dev&select=count()", json!({ "name": "x" }))
        .await;
    assert_eq!(written.json()["code"], "PGRST127");
    let huge: Vec<Value> = (0..2)
        .map(|month| json!({ "run_id": null, "employee_id": people[month]["id"], "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": i64::MAX }))
        .map(|mut row| {
            row.as_object_mut().unwrap().remove("run_id");
            row
        })
        .collect();
    assert_eq!(service.post("/rest/v1/compensations", json!(huge)).await.status, 201);
    let (status, body) = get(&service, "compensations?select=base_minor.sum()").await;
    assert!(status == 200 || body["code"] == "22003", "{body}");
}

#[tokio::test]
async fn what_belongs_to_a_row_is_counted_as_stock_clients_ask_for_it() {
    let app = TestApp::new().await;
    company(&app.service()).await;
    let (_, rows) = get(&app.service(), "departments?select=code,employees(count)&order=code").await;
    assert_eq!(rows, json!([{ "code": "dev", "employees": [{ "count": 2 }] }, { "code": "hr", "employees": [{ "count": 1 }] }]));
}

#[tokio::test]
async fn embeds_are_spread() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    for (query, rows) in [
        (
            "employees?select=employee_number,...departments(dept:name,active)&employee_number=eq.2",
            json!([{ "employee_number": "2", "dept": "Development", "active": true }]),
        ),
        ("employees?select=employee_number,...departments(name)&employee_number=eq.4", json!([{ "employee_number": "4", "name": null }])),
        (
            "departments?select=code,...employees(employee_number,custom)&employees.order=employee_number.desc&code=eq.dev",
            json!([{ "code": "dev", "employee_number": ["2", "1"], "custom": [{}, {}] }]),
        ),
        ("departments?select=code,...employees(employee_number)&code=eq.hr&employees.limit=0", json!([{ "code": "hr", "employee_number": [] }])),
        (
            "employees?select=...manager:manager_id(boss:employee_number,departments(code))&employee_number=eq.2",
            json!([{ "boss": "1", "departments": { "code": "dev" } }]),
        ),
        ("employees?select=...manager:manager_id(...departments(code))&employee_number=eq.2", json!([{ "code": "dev" }])),
    ] {
        assert_eq!(get(&service, query).await, (200, rows), "{query}");
    }
}

#[tokio::test]
async fn patterns_and_json_are_matched_alike_on_every_database() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let custom = json!({ "a": 1, "tags": ["x", "y"], "deep": { "list": [{ "k": 1, "l": 2 }] } });
    service.patch("/rest/v1/employees?employee_number=eq.1", json!({ "custom": custom })).await;
    for (filter, found) in [
        ("display_name=match.^(Ana|José)", vec!["1", "2"]),
        ("display_name=match.^ana", vec![]),
        ("display_name=imatch.^ANA", vec!["1"]),
        ("display_name=not.imatch.[ao]", vec!["3"]),
        ("display_name=match(any).{Boss$,娜}", vec!["1", "3"]),
        ("custom=cs.{\"tags\":[\"y\"]}", vec!["1"]),
        ("custom=cs.{\"deep\":{\"list\":[{\"k\":1}]}}", vec!["1"]),
        ("custom->tags=cs.[\"x\",\"y\"]", vec!["1"]),
        ("custom->tags=cs.\"x\"", vec!["1"]),
        ("custom=cd.{\"a\":1,\"b\":2}", vec!["2", "3", "4"]),
        ("custom->tags=cd.[\"x\",\"y\",\"z\"]", vec!["1"]),
        ("work_email=not.isdistinct.na.li@example.com", vec!["3"]),
        ("employee_number=eq(any).{1,4}", vec!["1", "4"]),
        ("employee_number=gt(all).{1,2}", vec!["3", "4"]),
        ("employee_number=not.eq(any).{1,4}", vec!["2", "3"]),
        ("departments=is.null&select=employee_number,departments()", vec!["4"]),
        ("or=(departments.is.null,employee_number.eq.1)&select=employee_number,departments()", vec!["1", "4"]),
    ] {
        let select = if filter.contains("select=") { "" } else { "&select=employee_number" };
        let (status, rows) = get(&service, &format!("employees?order=employee_number&{filter}{select}")).await;
        assert_eq!(status, 200, "{filter}: {rows}");
        let numbers: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["employee_number"].as_str().unwrap()).collect();
        assert_eq!(numbers, found, "{filter}");
    }
    for (filter, status, code) in [
        ("display_name=match.(a", 400, "2201B"),
        ("display_name=match.(a)\\1", 400, "2201B"),
        ("display_name=match.(a{1000}){1000}", 400, "2201B"),
        ("hired_on=match.a", 404, "42883"),
        ("display_name=cs.{a}", 404, "42883"),
        ("display_name=cd.{a}", 404, "42883"),
        ("custom=ov.{a}", 404, "42883"),
        ("hired_on=sl.[2000-01-01,2001-01-01)", 400, "PGRST127"),
        ("custom=cs.{", 400, "22P02"),
        ("departments=eq.1&select=departments()", 400, "PGRST120"),
    ] {
        let (found, body) = get(&service, &format!("employees?{filter}")).await;
        assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{filter}: {body}");
    }
}

#[tokio::test]
async fn pages_are_ordered_by_what_rows_refer_to_and_counted_in_every_way() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let (_, rows) =
        get(&service, "employees?select=employee_number,departments(code)&order=departments(code).desc.nullslast,employee_number.desc").await;
    let numbers: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["employee_number"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["3", "2", "1", "4"]);
    assert_eq!(get(&service, "departments?select=id,employees(id)&order=employees(display_name)").await.1["code"], "PGRST118");
    for count in ["exact", "planned", "estimated"] {
        let counted = service.clone().header("prefer", &format!("count={count}"));
        let page = counted.get("/rest/v1/employees?limit=1&select=id").await;
        assert_eq!((page.status.as_u16(), page.header("content-range")), (206, "0-0/4"), "{count}");
        assert_eq!(page.header("preference-applied"), format!("count={count}"));
        let head = counted.head("/rest/v1/employees?select=id").await;
        assert_eq!((head.status.as_u16(), head.header("content-range"), head.text().as_str()), (200, "0-3/4", ""), "{count}");
        assert_eq!(counted.get("/rest/v1/employees?offset=9").await.status, 416);
    }
    let ranged = service.clone().header("range", "1-2").header("range-unit", "items").get("/rest/v1/employees?select=id").await;
    assert_eq!(ranged.header("content-range"), "1-2/*");
    let options = service.send(Method::OPTIONS, "/rest/v1/employees", Body::empty()).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (200, "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"));
    let plan = service.clone().header("accept", "application/vnd.pgrst.plan+json").get("/rest/v1/employees").await;
    assert_eq!((plan.status.as_u16(), plan.json()["code"].as_str()), (406, Some("PGRST107")));
}

#[tokio::test]
async fn what_is_many_is_estimated() {
    let app = TestApp::new().await;
    let service = app.service();
    for chunk in 0..11 {
        let rows: Vec<Value> = (0..1_000).map(|n| json!({ "code": format!("{chunk}-{n}"), "name": "x" })).collect();
        assert_eq!(service.post("/rest/v1/departments", json!(rows)).await.status, 201);
    }
    for count in ["planned", "estimated"] {
        let page = service.clone().header("prefer", &format!("count={count}")).get("/rest/v1/departments?limit=1&select=id&name=eq.x").await;
        assert_eq!(page.status, 206, "{}", page.text());
        let total: i64 = page.header("content-range").rsplit('/').next().unwrap().parse().unwrap();
        assert!(total > 10_000, "{total}");
    }
    let many: Vec<Value> = (0..1_001).map(|n| json!({ "code": format!("0-{n}"), "name": "y" })).collect();
    let refused = service.patch("/rest/v1/departments?on_conflict=code", json!(many)).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (413, Some("PGRST413")));
}

#[tokio::test]
async fn one_row_is_put_by_its_key() {
    let app = TestApp::new().await;
    let service = app.service().header("prefer", "return=representation");
    let id = "0190a5a0-0000-7000-8000-000000000001";
    let path = format!("/rest/v1/departments?id=eq.{id}");
    let made = service.put(&format!("{path}&select=code,version"), json!({ "id": id, "code": "d", "name": "D" })).await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!([{ "code": "d", "version": 1 }])), "{}", made.text());
    let changed = service.put(&format!("{path}&select=code,version"), json!([{ "id": id, "code": "e", "name": "D" }])).await;
    assert_eq!((changed.status.as_u16(), changed.json()), (200, json!([{ "code": "e", "version": 2 }])));
    assert_eq!(app.service().put(&path, json!({ "id": id, "code": "e", "name": "D" })).await.status, 204);
    for (path, body, status, code) in [
        ("/rest/v1/departments?code=eq.e".to_owned(), json!({ "id": id }), 405, "PGRST105"),
        ("/rest/v1/departments".to_owned(), json!({ "id": id }), 405, "PGRST105"),
        (format!("{path}&code=eq.e"), json!({ "id": id }), 405, "PGRST105"),
        (format!("{path}&limit=1"), json!({ "id": id }), 400, "PGRST114"),
        (path.clone(), json!({ "code": "e", "name": "D" }), 400, "PGRST115"),
        (path.clone(), json!({ "id": "0190a5a0-0000-7000-8000-000000000002", "code": "e", "name": "D" }), 400, "PGRST115"),
        (path.clone(), json!([{ "id": id, "code": "e", "name": "D" }, { "id": id, "code": "e", "name": "D" }]), 400, "PGRST115"),
    ] {
        let refused = service.put(&path, body).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (status, Some(code)), "{path}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_write_is_undone_where_the_tenant_allows_it() {
    let app = TestApp::new().await;
    let service = app.service().header("prefer", "tx=rollback, return=representation");
    let kept = service.post("/rest/v1/departments?select=code", json!({ "code": "kept", "name": "x" })).await;
    assert_eq!((kept.status.as_u16(), kept.header("preference-applied")), (201, "return=representation"));
    allow(&app, json!({ "rollback": true })).await;
    let undone = service.post("/rest/v1/departments?select=code", json!({ "code": "undone", "name": "x" })).await;
    assert_eq!((undone.status.as_u16(), undone.json()), (201, json!([{ "code": "undone" }])));
    assert_eq!(undone.header("preference-applied"), "return=representation, tx=rollback");
    assert_eq!(service.patch("/rest/v1/departments?code=eq.kept&select=name", json!({ "name": "y" })).await.json(), json!([{ "name": "y" }]));
    assert_eq!(service.delete("/rest/v1/departments?code=eq.kept&select=code").await.json(), json!([{ "code": "kept" }]));
    assert_eq!(get(&app.service(), "departments?select=code,name").await.1, json!([{ "code": "kept", "name": "x" }]));
}

#[tokio::test]
async fn functions_are_called_by_get_and_post() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let run = pay(&service, &people).await;
    let root = people[0]["id"].as_str().unwrap();
    for (name, arguments, query, rows) in [
        ("search_employees", json!({ "q": "lina" }), "select=employee_number", json!([{ "employee_number": "3" }])),
        ("search_employees", json!({ "q": "o" }), "select=employee_number&employee_number=gt.3", json!([])),
        (
            "org_tree",
            json!({ "root": root }),
            "select=employee_number&order=employee_number",
            json!([{ "employee_number": "1" }, { "employee_number": "2" }, { "employee_number": "3" }]),
        ),
        ("org_tree", json!({ "root": root, "depth": 0 }), "select=employee_number", json!([{ "employee_number": "1" }])),
        (
            "payroll_totals",
            json!({ "run_id": run }),
            "",
            json!([{ "run_id": run, "currency": "USD", "slips": 2, "gross_minor": 300, "deductions_minor": 0, "tax_minor": 20, "employer_cost_minor": 0, "net_minor": 280 }]),
        ),
    ] {
        let posted = service.post(&format!("/rest/v1/rpc/{name}?{query}"), arguments.clone()).await;
        assert_eq!((posted.status.as_u16(), posted.json()), (200, rows.clone()), "{name}: {}", posted.text());
        let in_url: Vec<String> = arguments
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        assert_eq!(get(&service, &format!("rpc/{name}?{}&{query}", in_url.join("&"))).await, (200, rows), "{name}");
    }
    let counted = service.clone().header("prefer", "count=exact").head(&format!("/rest/v1/rpc/org_tree?root={root}&limit=1")).await;
    assert_eq!((counted.status.as_u16(), counted.header("content-range")), (206, "0-0/3"));
    for (method, path, body, status, code) in [
        (Method::POST, "search_employee", json!({}), 404, "PGRST202"),
        (Method::POST, "search_employees", json!({}), 404, "PGRST202"),
        (Method::POST, "search_employees", json!({ "q": "x", "z": 1 }), 404, "PGRST202"),
        (Method::POST, "search_employees", json!([]), 400, "PGRST102"),
        (Method::POST, "org_tree", json!({ "root": "x" }), 400, "22P02"),
        (Method::POST, "org_tree", json!({ "root": root, "depth": 101 }), 400, "22003"),
        (Method::PATCH, "org_tree", json!({}), 405, "PGRST101"),
        (Method::POST, "payroll_totals?select=net_minor", json!({ "run_id": run }), 400, "PGRST127"),
    ] {
        let refused = service.json(method, &format!("/rest/v1/rpc/{path}"), &body).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (status, Some(code)), "{path}: {}", refused.text());
    }
    assert_eq!(get(&app.other_service(), &format!("rpc/org_tree?root={root}")).await, (200, json!([])));
    assert_eq!(get(&app.other_service(), &format!("rpc/payroll_totals?run_id={run}")).await, (200, json!([])));
}

#[tokio::test]
async fn moments_are_shown_by_the_clock_that_was_asked_for() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let tokyo = service.clone().header("prefer", "timezone=Asia/Tokyo");
    let moment = |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap_or_else(|| panic!("{text}"))).unwrap();
    let query = "/rest/v1/departments?select=created_at,made:created_at::text,employees(updated_at),...employees(all:created_at)&code=eq.dev";
    let (utc, local) = (service.get(query).await.json(), tokyo.get(query).await);
    assert_eq!(local.header("preference-applied"), "timezone=Asia/Tokyo");
    let local = local.json();
    for pointer in ["/0/created_at", "/0/made", "/0/employees/0/updated_at", "/0/employees/1/updated_at", "/0/all/1"] {
        let (utc, local) = (utc.pointer(pointer).unwrap(), local.pointer(pointer).unwrap());
        assert!(utc.as_str().unwrap().ends_with("+00:00") && local.as_str().unwrap().ends_with("+09:00"), "{pointer}: {utc} {local}");
        assert_eq!(moment(utc), moment(local), "{pointer}");
    }
    let csv = tokyo.clone().header("accept", "text/csv").get("/rest/v1/departments?select=created_at&limit=1").await.text();
    assert!(csv.trim_end().ends_with("+09:00"), "{csv}");
    let made = service
        .clone()
        .header("prefer", "return=representation, timezone=America/New_York, handling=strict")
        .post("/rest/v1/departments?select=code,created_at", json!({ "code": "x", "name": "X" }))
        .await;
    assert_eq!(made.header("preference-applied"), "return=representation, handling=strict, timezone=America/New_York");
    assert!(!made.json()[0]["created_at"].as_str().unwrap().ends_with("+00:00"));
    let refused = service.clone().header("prefer", "timezone=Jupiter/Red_Spot").get(query).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["code"].as_str(), refused.json()["message"].as_str()),
        (400, Some("22023"), Some("invalid value for parameter \"TimeZone\": \"Jupiter/Red_Spot\""))
    );
}

#[tokio::test]
async fn rows_meet_through_a_third_table() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let run = pay(&service, &people).await;
    for (query, rows) in [
        (
            format!("payroll_runs?select=currency,employees(employee_number)&id=eq.{run}&employees.order=employee_number.desc"),
            json!([{ "currency": "USD", "employees": [{ "employee_number": "3" }, { "employee_number": "2" }, { "employee_number": "1" }] }]),
        ),
        (
            "employees?select=employee_number,payroll_runs!payslips(currency)&order=employee_number.desc&limit=2".to_owned(),
            json!([{ "employee_number": "4", "payroll_runs": [] }, { "employee_number": "3", "payroll_runs": [{ "currency": "USD" }] }]),
        ),
        (
            "employees?select=employee_number,payroll_runs!inner()&payroll_runs.currency=eq.USD&order=employee_number&limit=1".to_owned(),
            json!([{ "employee_number": "1" }]),
        ),
        (
            "employees?select=employee_number&payroll_runs=is.null&select=employee_number,payroll_runs()".to_owned(),
            json!([{ "employee_number": "4" }]),
        ),
        (
            "employees?select=employee_number,...payroll_runs(paid:currency)&employee_number=eq.2".to_owned(),
            json!([{ "employee_number": "2", "paid": ["USD"] }]),
        ),
    ] {
        assert_eq!(get(&service, &query).await, (200, rows), "{query}");
    }
    // Who may not see the rows between may not learn from them who belongs together.
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    assert_eq!(get(&hr, "employees?select=employee_number,payroll_runs(currency)").await.1["code"], "42501");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_may_have_been_meant() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    for (query, status, code, hint) in [
        ("employes", 404, "PGRST205", json!("Perhaps you meant the table 'public.employees'")),
        ("zzz", 404, "PGRST205", Value::Null),
        ("employees?select=id,department(code)", 400, "PGRST200", json!("Perhaps you meant 'departments' instead of 'department'.")),
        ("employees?select=id,zzz(code)", 400, "PGRST200", Value::Null),
        ("employees/1/2", 404, "PGRST125", Value::Null),
    ] {
        let (found, body) = get(&service, query).await;
        assert_eq!((found, body["code"].as_str(), &body["hint"]), (status, Some(code), &hint), "{query}: {body}");
    }
    // What is no JSON has no members.
    let (status, rows) = get(&service, "employees?select=a:display_name->x,b:hired_on->>0&employee_number=eq.1&version->>a=is.null").await;
    assert_eq!((status, rows), (200, json!([{ "a": null, "b": null }])));
}
