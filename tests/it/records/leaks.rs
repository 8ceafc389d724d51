//! No answer to whoever may not read something tells of it: on every resource with personal, identity, special or pay fields, for every
//! role and kind of key, through every channel that there is. What is hidden is then changed, and every answer must be the same again.

use http::Method;
use serde_json::{Value, json};

use super::{
    trust::{made, refused},
    wire::{company, uri},
};
use crate::support::{Client, TestApp};

/// A resource: its table, a column that holds something hidden, how it is reached from an employee, and two values for the column.
struct Hidden {
    table: &'static str,
    column: &'static str,
    /// Embeds on the way from `employees`, the last one without its columns.
    way: &'static [&'static str],
    values: [Value; 2],
}

fn hidden() -> Vec<Hidden> {
    let of = |table, column, way, values| Hidden { table, column, way, values };
    let text = |first: &str, second: &str| [json!(first), json!(second)];
    vec![
        of("employee_private", "mobile", &["employee_private"], text("777123", "777124")),
        of("employee_identity", "national_id", &["employee_identity"], text("777123777", "777124888")),
        of("employee_bank_accounts", "holder", &["employee_bank_accounts"], text("777123", "777124")),
        of("employee_special", "health", &["employee_special"], text("777123", "777124")),
        of("compensations", "base_minor", &["compensations"], [json!(777_123), json!(777_124)]),
        of("compensation_items", "rate_ppm", &["compensations", "compensation_items"], [json!(777_123), json!(777_124)]),
        of("pay_adjustments", "amount_minor", &["pay_adjustments"], [json!(777_123), json!(777_124)]),
        of("payroll_runs", "engine_version", &["payslips", "payroll_runs"], text("777123", "777124")),
        of("payslips", "gross_minor", &["payslips"], [json!(777_123), json!(777_124)]),
        of("payslip_lines", "amount_minor", &["payslips", "payslip_lines"], [json!(777_123), json!(777_124)]),
        of("salary_components", "formula", &["pay_adjustments", "salary_components"], text("777123", "777124")),
    ]
}

/// What somebody may read: the rest of [`hidden`] is hidden.
struct Reader {
    name: String,
    client: Client,
    reads: &'static [&'static str],
}

const PERSONAL: &[&str] = &["employee_private"];
const PAY: &[&str] = &["compensations", "compensation_items", "pay_adjustments", "payroll_runs", "payslips", "payslip_lines", "salary_components"];

async fn readers(app: &TestApp) -> Vec<Reader> {
    let roles: [(&str, &[&str], &'static [&'static str]); 8] = [
        ("stranger", &[], &[]),
        ("manager", &["manager"], &["employee_private"]),
        ("admin", &["admin"], &[]),
        ("hr", &["hr"], &["employee_private", "employee_identity", "employee_bank_accounts"]),
        (
            "owner",
            &["owner"],
            &[
                "employee_private",
                "employee_identity",
                "employee_bank_accounts",
                "compensations",
                "compensation_items",
                "pay_adjustments",
                "payroll_runs",
                "payslips",
                "payslip_lines",
                "salary_components",
            ],
        ),
        (
            "payroll",
            &["payroll"],
            &[
                "employee_bank_accounts",
                "compensations",
                "compensation_items",
                "pay_adjustments",
                "payroll_runs",
                "payslips",
                "payslip_lines",
                "salary_components",
            ],
        ),
        ("special", &["special_data"], &["employee_special"]),
        ("all but special", &["hr", "admin", "manager"], &["employee_private", "employee_identity", "employee_bank_accounts"]),
    ];
    let mut readers = Vec::new();
    for (name, roles, reads) in roles {
        let client = app.user(&format!("{}@example.com", name.replace(' ', "-")), roles).await.client;
        readers.push(Reader { name: name.to_owned(), client, reads });
    }
    let keys: [(&str, &'static [&'static str]); 6] = [
        ("employees:read employees:write", &[]),
        ("employees.personal:read", PERSONAL),
        ("employees.identity:read", &["employee_identity", "employee_bank_accounts"]),
        ("pay:read", PAY),
        ("payslips:write employees:read", &[]),
        ("scim:read scim:write records.own:read", &[]),
    ];
    for (scopes, reads) in keys {
        readers.push(Reader { name: scopes.to_owned(), client: app.function(scopes).await, reads });
    }
    readers
}

/// A request: method, path, headers, body.
type Ask = (Method, String, Vec<(&'static str, &'static str)>, Value);

/// Every channel through which a column could be told of.
fn channels(hidden: &Hidden) -> Vec<Ask> {
    let Hidden { table, column, way, values } = hidden;
    let value = values[0].as_str().map_or_else(|| values[0].to_string(), str::to_owned);
    let embed = |inner: &str| {
        way.iter().rev().fold(inner.to_owned(), |inner, table| if inner.is_empty() { format!("{table}()") } else { format!("{table}({inner})") })
    };
    let path = way.join(".");
    let top = way[0];
    let mut paths = vec![
        (*table).to_owned(),
        format!("{table}?select={column}"),
        format!("{table}?select=x:{column}"),
        format!("{table}?select={column}::text"),
        format!("{table}?select={column}->>a"),
        format!("{table}?select=count()"),
        format!("{table}?select={column},count()"),
        format!("{table}?select={column}.max()"),
        format!("{table}?select={column}.count()"),
        format!("{table}?select=version,_cursor&order={column}"),
        format!("{table}?order={column}&after=cursor."),
        format!("{table}?order={column}.desc.nullslast&limit=1"),
        format!("{table}?{column}=eq.{value}"),
        format!("{table}?{column}=gt.0"),
        format!("{table}?{column}=not.is.null"),
        format!("{table}?{column}=in.({value},1)"),
        format!("{table}?{column}=like.7*"),
        format!("{table}?{column}=match.7"),
        format!("{table}?{column}=isdistinct.{value}"),
        format!("{table}?{column}=eq(any).{{{value},1}}"),
        format!("{table}?or=({column}.eq.{value},version.gt.0)"),
        format!("{table}?not.and=({column}.eq.{value},version.gt.0)"),
        format!("{table}?{column}->>a=eq.{value}"),
        // An error that names a type would tell that there is a column.
        format!("{table}?{column}=eq.not-a-number"),
        format!("{table}?{column}_hash=eq.1"),
        format!("{table}?select={column}_sealed"),
        format!("employees?select=id,{}", embed(column)),
        format!("employees?select=id,{}", embed(&format!("x:{column}"))),
        format!("employees?select=id,{}&{path}.{column}=eq.{value}", embed("")),
        format!("employees?select=id,{}&{top}=not.is.null", embed("")),
        format!("employees?select=id,{}&{top}=is.null", embed("")),
        format!("employees?select=id,{}&{path}.order={column}", embed(column)),
        format!("employees?select=id,{}", embed("count")),
        format!("employees?select=id,{}", embed(&format!("{column}.max()"))),
        format!("employees?select=id,...{}", embed(column)),
        format!("employees?select=employee_number,{}&order={top}({column})", embed("")),
        format!("employees?select=id,{top}!inner()"),
        format!("employees/_search?q=person&select=id,{}", embed(column)),
        format!("rpc/search_employees?q=person&select=id,{}", embed(column)),
        format!("departments?select=id,employees({})", embed(column)),
        format!("employees?select=id,reports:employees({})", embed(column)),
        format!("employees?{column}=eq.{value}"),
        format!("employees?order={column}"),
        format!("employees?select=custom->>{column}&{column}=gt.1"),
    ];
    if way.len() == 1 {
        paths.push(format!("{table}?select=version,employees(id)&{column}=eq.{value}"));
    }
    let mut asks: Vec<Ask> = Vec::new();
    for (index, path) in paths.into_iter().enumerate() {
        let path = format!("/rest/v1/{path}");
        asks.push((Method::GET, path.clone(), vec![("prefer", "count=exact")], Value::Null));
        if index % 4 == 0 {
            asks.push((Method::HEAD, path.clone(), vec![("prefer", "count=exact")], Value::Null));
        }
        if index % 8 == 0 {
            for kind in ["text/csv", "application/x-ndjson", "application/vnd.pgrst.object+json"] {
                asks.push((Method::GET, path.clone(), vec![("accept", kind)], Value::Null));
            }
        }
    }
    let row = format!("/rest/v1/{table}?{column}=eq.{value}");
    let body = json!({ *column: values[0] });
    let operation = |method: &str| json!({ "ops": [{ "method": method, "path": format!("/{table}?{column}=eq.{value}"), "body": body }] });
    asks.extend([
        (Method::POST, format!("/rest/v1/{table}/_query"), vec![], json!({ "select": column, *column: format!("eq.{value}") })),
        (Method::PATCH, row.clone(), vec![("if-match", "\"1\"")], body.clone()),
        (Method::PATCH, row.clone(), vec![("prefer", "return=representation")], body.clone()),
        (Method::DELETE, row.clone(), vec![("if-match", "*")], json!({})),
        (Method::DELETE, format!("{row}&version=eq.9"), vec![], json!({})),
        (Method::PATCH, format!("/rest/v1/employees?{column}=eq.{value}"), vec![], json!({ "preferred_name": "x" })),
        (Method::POST, "/rest/v1/_batch".to_owned(), vec![], operation("GET")),
        (Method::POST, "/rest/v1/_batch".to_owned(), vec![], operation("DELETE")),
    ]);
    asks
}

async fn ask(client: &Client, (method, path, headers, body): &Ask) -> (u16, String, String, String) {
    let mut client = client.clone();
    for (name, value) in headers {
        client = client.header(name, value);
    }
    let path = uri(path);
    let reply = match *method {
        Method::GET => client.get(&path).await,
        Method::HEAD => client.head(&path).await,
        ref method => client.json(method.clone(), &path, body).await,
    };
    (reply.status.as_u16(), reply.text(), reply.header("etag").to_owned(), reply.header("content-range").to_owned())
}

/// Somebody of whom everything is known, and what it is.
async fn fill(app: &TestApp) -> Vec<(Hidden, String)> {
    let service = app.service();
    let settings = json!({ "records": { "aggregates": true, "special": true } });
    assert_eq!(app.operator().patch("/admin/v1/tenants/default/settings", settings).await.status, 200);
    let (_, people) = company(&service).await;
    let of = |row: Value| {
        let mut row = row;
        row["employee_id"] = people[1]["id"].clone();
        row
    };
    let component = made(&service, "salary_components", json!({ "code": "x", "name": "x", "kind": "earning", "formula": "777123" })).await;
    let run = json!({ "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD", "engine_version": "777123" });
    let run = made(&service, "payroll_runs", run).await;
    let pay = of(json!({ "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": 777_123 }));
    let pay = made(&service, "compensations", pay).await;
    let slip = of(json!({ "run_id": run["id"], "currency": "USD", "gross_minor": 777_123, "net_minor": 1 }));
    let slip = made(&service, "payslips", slip).await;
    let rows = [
        ("employee_private", of(json!({ "mobile": "777123" }))),
        ("employee_identity", of(json!({ "national_id": "777123777" }))),
        ("employee_bank_accounts", of(json!({ "holder": "777123" }))),
        ("employee_special", of(json!({ "health": "777123" }))),
        ("compensation_items", json!({ "compensation_id": pay["id"], "component_id": component["id"], "rate_ppm": 777_123 })),
        ("pay_adjustments", of(json!({ "component_id": component["id"], "amount_minor": 777_123, "currency": "USD", "period_start": "2001-01-01" }))),
        (
            "payslip_lines",
            json!({ "payslip_id": slip["id"], "seq": 1, "component_code": "x", "component_name": "x", "kind": "tax", "amount_minor": 777_123 }),
        ),
    ];
    let mut ways: Vec<(&str, String)> =
        vec![("salary_components", at(&component)), ("payroll_runs", at(&run)), ("compensations", at(&pay)), ("payslips", at(&slip))];
    for (table, row) in rows {
        let row = made(&service, table, row).await;
        ways.push((table, at(&row)));
    }
    let way = |table: &str| ways.iter().find(|(own, _)| *own == table).unwrap().1.clone();
    hidden()
        .into_iter()
        .map(|hidden| {
            let way = way(hidden.table);
            (hidden, way)
        })
        .collect()
}

fn at(row: &Value) -> String {
    let key = if row["id"].is_string() { "id" } else { "employee_id" };
    format!("{key}=eq.{}", row[key].as_str().unwrap())
}

#[tokio::test]
async fn no_channel_tells_of_what_somebody_may_not_read() {
    let app = TestApp::new().await;
    let filled = fill(&app).await;
    let readers = readers(&app).await;
    let mut before = Vec::new();
    for (hidden, _) in &filled {
        let asks = channels(hidden);
        for reader in readers.iter().filter(|reader| !reader.reads.contains(&hidden.table)) {
            for one in &asks {
                let answer = ask(&reader.client, one).await;
                let (status, body, etag, range) = &answer;
                assert!(*status == 403 && etag.is_empty() && range.is_empty(), "{}: {one:?}: {answer:?}", reader.name);
                assert!(one.0 == Method::HEAD || body.contains("\"42501\""), "{}: {one:?}: {answer:?}", reader.name);
                before.push(answer);
            }
        }
    }
    for (hidden, at) in &filled {
        let change = app.service().patch(&format!("/rest/v1/{}?{at}", hidden.table), json!({ hidden.column: hidden.values[1] })).await;
        assert_eq!(change.status, 204, "{}: {}", hidden.table, change.text());
    }
    let mut before = before.into_iter();
    for (hidden, _) in &filled {
        let asks = channels(hidden);
        for reader in readers.iter().filter(|reader| !reader.reads.contains(&hidden.table)) {
            for one in &asks {
                assert_eq!(Some(ask(&reader.client, one).await), before.next(), "{}: {one:?}", reader.name);
            }
        }
    }
    assert_eq!(before.next(), None);
    // The channels work for whoever may use them, so that a refusal is one of rights.
    for (hidden, _) in &filled {
        let plain = channels(hidden).into_iter().filter(|(method, path, ..)| *method == Method::GET && path.contains("=not.is.null"));
        for one in plain {
            let (status, body, ..) = ask(&app.service(), &one).await;
            assert_eq!(status, 200, "{one:?}: {body}");
        }
    }
}

#[tokio::test]
async fn an_employee_is_told_of_its_own_and_of_nobody_elses() {
    let app = TestApp::new().await;
    let filled = fill(&app).await;
    let service = app.service();
    let user = app.user("me@example.com", &["manager"]).await;
    // It manages the one of whom everything is known, which opens the emergency contacts and nothing else.
    let me = made(&service, "employees", json!({ "employee_number": "70", "display_name": "Me", "user_id": user.id })).await;
    let known = service.get("/rest/v1/employee_private?select=employee_id").await.json()[0]["employee_id"].as_str().unwrap().to_owned();
    assert_eq!(service.patch(&format!("/rest/v1/employees?id=eq.{known}"), json!({ "manager_id": me["id"] })).await.status, 204);
    let contacts = json!({ "emergency_contacts": [{ "name": "Mum" }] });
    assert_eq!(service.patch(&format!("/rest/v1/employee_private?employee_id=eq.{known}"), contacts).await.status, 204);
    made(&service, "employee_private", json!({ "employee_id": me["id"], "mobile": "555" })).await;
    made(&service, "employee_identity", json!({ "employee_id": me["id"], "national_id": "555444333" })).await;
    made(&service, "employee_bank_accounts", json!({ "employee_id": me["id"], "holder": "555" })).await;
    made(&service, "employee_special", json!({ "employee_id": me["id"], "health": "555" })).await;
    for (hidden, _) in filled.iter().filter(|(hidden, _)| hidden.table.starts_with("employee_")) {
        for one in channels(hidden).into_iter().filter(|(method, ..)| *method == Method::GET) {
            let (_, body, ..) = ask(&user.client, &one).await;
            assert!(!body.contains("777123") && !body.contains("****3777"), "{one:?}: {body}");
        }
        let rows = user
            .client
            .get(&format!(
                "/rest/v1/{}?select={}&order={}",
                hidden.table,
                hidden.column,
                if hidden.column == "national_id" { "employee_id" } else { hidden.column }
            ))
            .await;
        let seen: Vec<Value> =
            rows.json().as_array().unwrap().iter().map(|row| row[hidden.column].clone()).filter(|value| !value.is_null()).collect();
        assert_eq!(seen.len(), 1, "{}: {}", hidden.table, rows.text());
    }
    let contacts =
        user.client.get("/rest/v1/employee_private?select=mobile,emergency_contacts&employee_id=neq.00000000-0000-7000-8000-000000000000").await;
    let mut rows = contacts.json().as_array().unwrap().clone();
    rows.sort_by_key(ToString::to_string);
    assert_eq!(json!(rows), json!([{ "mobile": "555", "emergency_contacts": null }, { "mobile": null, "emergency_contacts": [{ "name": "Mum" }] }]));
    // Of pay it has nothing: no slip of its own, and no right to the rest.
    assert_eq!(user.client.get("/rest/v1/payslip_lines").await.json(), json!([]));
    refused(&user.client.get("/rest/v1/salary_components").await, 403, "42501");
    for table in ["personal_changes", "identity_changes", "special_changes", "pay_changes"] {
        refused(&user.client.get(&format!("/rest/v1/{table}")).await, 403, "42501");
    }
}
