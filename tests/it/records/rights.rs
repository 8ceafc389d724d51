//! Who may see and do what. Salaries here are canaries: no answer to anybody without the right may hold one, or change with one.

use http::Method;
use serde_json::{Value, json};

use super::wire::uri;
use crate::support::{Client, TestApp};

/// Amounts that stand for nothing else.
const CANARIES: [&str; 4] = ["777123", "777124", "777125", "777126"];

/// A company in which somebody of every kind is signed in.
struct Office {
    app: TestApp,
    /// An employee: number 2, who reports to the manager.
    employee: Client,
    /// Manages 2, who manages 3.
    manager: Client,
    hr: Client,
    admin: Client,
    owner: Client,
    payroll: Client,
    /// Signed in, and no employee.
    stranger: Client,
    people: Vec<String>,
}

impl Office {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let service = app.service().header("prefer", "return=representation");
        let user = async |name: &str, roles: &[&str]| app.user(&format!("{name}@example.com"), roles).await;
        let (employee, manager) = (user("employee", &[]).await, user("manager", &["manager"]).await);
        let dept = service.post("/rest/v1/departments", json!({ "code": "d", "name": "D", "cost_center": "cc" })).await.json();
        let person = |number: &str, user: Option<&str>, manager: Option<&Value>, status: &str| {
            json!({ "employee_number": number, "display_name": format!("Person {number}"), "user_id": user, "manager_id": manager, "status": status,
                "department_id": dept[0]["id"], "hired_on": "2001-01-01", "cost_center": format!("center {number}") })
        };
        let mut people = Vec::new();
        for (number, user, status) in [
            ("1", Some(&*manager.id), "active"),
            ("2", Some(&*employee.id), "active"),
            ("3", None, "active"),
            ("4", None, "active"),
            ("5", None, "terminated"),
        ] {
            let leader = match number {
                "2" => people.first(),
                "3" => people.get(1),
                _ => None,
            };
            let made = service.post("/rest/v1/employees", person(number, user, leader, status)).await;
            assert_eq!(made.status, 201, "{}", made.text());
            people.push(made.json()[0]["id"].clone());
        }
        let private: Vec<Value> =
            people.iter().map(|id| json!({ "employee_id": id, "date_of_birth": "1980-01-01", "mobile": "canary-mobile" })).collect();
        assert_eq!(service.post("/rest/v1/employee_private", json!(private)).await.status, 201);
        let jobs: Vec<Value> = people
            .iter()
            .map(|id| json!({ "employee_id": id, "effective_from": "2001-01-01", "job_title": "canary-job", "department_id": dept[0]["id"] }))
            .collect();
        assert_eq!(service.post("/rest/v1/job_assignments", json!(jobs)).await.status, 201);
        let pay = |index: usize| json!({ "employee_id": people[index], "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": CANARIES[index].parse::<i64>().unwrap() });
        assert_eq!(service.post("/rest/v1/compensations", json!([pay(0), pay(1), pay(2), pay(3)])).await.status, 201);
        let run = service
            .post(
                "/rest/v1/payroll_runs",
                json!({ "period_start": "2001-01-01", "period_end": "2001-01-31", "currency": "USD", "totals": { "gross": 777_123 } }),
            )
            .await
            .json();
        let slip = |index: usize, status: &str| {
            json!({ "run_id": run[0]["id"], "employee_id": people[index], "currency": "USD", "status": status,
            "gross_minor": CANARIES[index].parse::<i64>().unwrap(), "net_minor": 1 })
        };
        assert_eq!(
            service.post("/rest/v1/payslips", json!([slip(0, "final"), slip(1, "final"), slip(2, "final"), slip(3, "draft")])).await.status,
            201
        );
        let office = |name: &'static str, roles: &'static [&'static str]| async { user(name, roles).await.client };
        Self {
            hr: office("hr", &["hr"]).await,
            admin: office("admin", &["admin"]).await,
            owner: office("owner", &["owner"]).await,
            payroll: office("payroll", &["payroll"]).await,
            stranger: office("stranger", &[]).await,
            employee: employee.client.clone(),
            manager: manager.client.clone(),
            people: people.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
            app,
        }
    }
}

async fn get(client: &Client, path: &str) -> (u16, Value) {
    let reply = client.get(&uri(&format!("/rest/v1/{path}"))).await;
    (reply.status.as_u16(), reply.json())
}

async fn numbers(client: &Client, query: &str) -> Vec<String> {
    let (status, rows) = get(client, &format!("employees?select=employee_number&order=employee_number&{query}")).await;
    assert_eq!(status, 200, "{query}: {rows}");
    rows.as_array().unwrap().iter().map(|row| row["employee_number"].as_str().unwrap().to_owned()).collect()
}

/// Every way to ask for pay without being entitled to it.
fn oracles(id: &str) -> Vec<String> {
    let mut paths = vec![
        "compensations".to_owned(),
        "compensations?select=base_minor".to_owned(),
        format!("compensations?employee_id=eq.{id}"),
        "payroll_runs?select=totals".to_owned(),
        "employees?select=id,compensations(base_minor)".to_owned(),
        "employees?select=id,compensations()&compensations=not.is.null".to_owned(),
        "employees?select=id,compensations!inner()&compensations.base_minor=eq.777124".to_owned(),
        "employees?select=id,c:compensations(b:base_minor::text)&c.order=base_minor".to_owned(),
        "employees?select=id,...compensations(base_minor)".to_owned(),
        "departments?select=name,employees(id,compensations(base_minor))".to_owned(),
        "job_assignments?select=id,employees(compensations(base_minor))".to_owned(),
        "employees/_search?q=person&select=id,compensations(base_minor)".to_owned(),
        "compensations?select=base_minor.sum()".to_owned(),
        "compensations?select=count()".to_owned(),
        "employees?select=id,compensations(count)".to_owned(),
        "employees?select=id,compensations(base_minor.max())".to_owned(),
        "employees?select=status,count(),compensations(base_minor)".to_owned(),
        "payroll_runs?select=totals->gross".to_owned(),
        "payroll_runs?select=count()&totals->>gross=match.7".to_owned(),
        "payroll_runs?totals=cs.{\"gross\":777123}".to_owned(),
        "rpc/search_employees?q=person&select=id,compensations(base_minor)".to_owned(),
        format!("rpc/org_tree?root={id}&select=id,compensations(base_minor)"),
        format!("rpc/org_tree?root={id}&compensations.base_minor=gt.1&select=id,compensations()"),
    ];
    for column in ["base_minor", "gross_minor", "salary"] {
        paths.extend([
            format!("employees?select={column}"),
            format!("employees?{column}=gt.1"),
            format!("employees?{column}=match.7"),
            format!("employees?{column}=gt(any).{{1,2}}"),
            format!("employees?select={column}.sum()"),
            format!("employees?select=status,{column}.max()"),
            format!("employees?select=count()&{column}=isdistinct.1"),
            format!("departments?select=id,...employees({column})"),
            format!("departments?select=id,employees({column}.sum())"),
            format!("rpc/search_employees?q=person&{column}=gt.1"),
            format!("rpc/search_employees?q=person&order={column}"),
            format!("employees?or=(id.eq.{id},{column}.gt.1)"),
            format!("employees?order={column}"),
            format!("employees?order={column}&select=id,_cursor"),
            format!("employees?order={column}&after=cursor."),
            format!("employees?or=({column}.gt.1,and({column}.eq.1,id.gt.{id}))"),
            format!("employees?select=id,manager:manager_id({column})"),
            format!("employees?select=id,manager:manager_id(id)&manager.{column}=gt.1"),
            format!("employees?select=id,manager:manager_id(id)&order=manager({column})"),
        ]);
    }
    paths
}

#[tokio::test]
async fn nobody_without_the_right_learns_what_others_are_paid() {
    let office = Office::new().await;
    let readers = office.app.function("employees:read").await;
    let settings = json!({ "records": { "aggregates": true, "rollback": true } });
    assert_eq!(office.app.operator().patch("/admin/v1/tenants/default/settings", settings).await.status, 200);
    for (who, client) in [
        ("employee", &office.employee),
        ("manager", &office.manager),
        ("hr", &office.hr),
        ("admin", &office.admin),
        ("stranger", &office.stranger),
        ("function", &readers),
    ] {
        for path in oracles(&office.people[2]) {
            let (status, body) = get(client, &path).await;
            assert_eq!((status, body["code"].as_str()), (403, Some("42501")), "{who}: {path}: {body}");
            let counted = client.clone().header("prefer", "count=exact").head(&uri(&format!("/rest/v1/{path}"))).await;
            assert_eq!((counted.status.as_u16(), counted.header("content-range")), (403, ""), "{who}: {path}");
            for kind in ["text/csv", "application/x-ndjson"] {
                let streamed = client.clone().header("accept", kind).get(&uri(&format!("/rest/v1/{path}"))).await;
                assert_eq!((streamed.status.as_u16(), streamed.text().contains("777")), (403, false), "{who}: {path}");
            }
        }
        for table in ["compensations", "payroll_runs"] {
            for (method, body) in
                [(Method::POST, json!({ "base_minor": 1 })), (Method::PATCH, json!({ "base_minor": 1 })), (Method::DELETE, json!({}))]
            {
                let reply = client.json(method, &format!("/rest/v1/{table}?id=not.is.null"), &body).await;
                assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (403, Some("42501")), "{who}: {table}");
            }
        }
    }
    for path in oracles(&office.people[2]) {
        let (status, body) = get(&office.app.anonymous(), &path).await;
        assert_eq!((status, body["code"].as_str()), (401, Some("42501")), "{path}");
    }
}

#[tokio::test]
async fn a_version_a_cursor_and_an_export_tell_no_more_than_the_rows() {
    let office = Office::new().await;
    let employee = &office.employee;
    // The days of hire of colleagues are null in an export and in a cursor.
    let export = employee
        .clone()
        .header("accept", "text/csv")
        .get("/rest/v1/employees?select=employee_number,hired_on,_cursor&order=hired_on,employee_number")
        .await;
    let lines: Vec<String> = export.text().lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect();
    assert_eq!(lines, ["employee_number,hired_on", "2,2001-01-01", "1,", "3,", "4,"]);
    let cursors: Vec<String> = export.text().lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1.to_owned()).collect();
    let decoded = |cursor: &str| String::from_utf8_lossy(&basalt::crypto::from_base64url(cursor).unwrap()[16..]).into_owned();
    assert!(decoded(&cursors[0]).contains("2001-01-01") && !cursors[1..].iter().any(|cursor| decoded(cursor).contains("2001-01-01")));
    // A row that is not seen has no version, and a condition on it does not hold.
    let gone = format!("/rest/v1/employees?id=eq.{}", office.people[4]);
    assert_eq!(employee.get(&gone).await.header("etag"), "");
    let slip = get(&office.app.service(), "payslips?gross_minor=eq.777123&select=id").await.1[0]["id"].as_str().unwrap().to_owned();
    let foreign = employee.get(&format!("/rest/v1/payslips?id=eq.{slip}")).await;
    assert_eq!((foreign.header("etag"), foreign.text().as_str()), ("", "[]"));
    for client in [&office.hr, &office.admin] {
        let refused = client.clone().header("if-match", "\"1\"").patch(&format!("/rest/v1/payslips?id=eq.{slip}"), json!({ "net_minor": 1 })).await;
        assert_eq!((refused.status.as_u16(), refused.header("etag")), (403, ""));
    }
    // Who makes slips and may not read them is not told their versions either.
    let writer = office.app.function("payslips:write").await;
    let run = get(&office.app.service(), "payroll_runs?select=id").await.1[0]["id"].clone();
    let row = json!({ "run_id": run, "employee_id": office.people[4], "currency": "USD", "gross_minor": 1, "net_minor": 1 });
    let made = writer.post("/rest/v1/payslips", row).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, ""), "{}", made.text());
}

#[tokio::test]
async fn what_is_put_together_is_what_could_be_read_row_by_row() {
    let office = Office::new().await;
    let settings = json!({ "records": { "aggregates": true } });
    assert_eq!(office.app.operator().patch("/admin/v1/tenants/default/settings", settings).await.status, 200);
    let employee = &office.employee;
    // The day of hire of colleagues is null, and so is whatever is made of it.
    let (_, rows) = get(employee, "employees?select=hired_on.count(),n:count()").await;
    assert_eq!(rows, json!([{ "count": 1, "n": 4 }]));
    let (_, rows) = get(employee, "employees?select=cost_center,count()&order=cost_center").await;
    assert_eq!(rows, json!([{ "cost_center": "center 2", "count": 1 }, { "cost_center": null, "count": 3 }]));
    let (_, rows) = get(employee, "payslips?select=gross_minor.sum(),count()").await;
    assert_eq!(rows, json!([{ "sum": 777_124, "count": 1 }]));
    let (_, rows) = get(employee, "employees?select=employee_number,payslips(count)&order=employee_number").await;
    assert_eq!(rows[2], json!({ "employee_number": "3", "payslips": [{ "count": 0 }] }));
    let (_, runs) = get(&office.payroll, "payroll_runs?select=id").await;
    let totals = format!("rpc/payroll_totals?run_id={}", runs[0]["id"].as_str().unwrap());
    assert_eq!(get(employee, &totals).await.1[0]["gross_minor"], 777_124);
    assert_eq!(get(&office.payroll, &totals).await.1[0]["slips"], 4);
    for client in [&office.hr, &office.admin, &office.stranger] {
        assert_eq!(get(client, &totals).await.0, 403);
    }
}

#[tokio::test]
async fn a_column_that_is_hidden_looks_like_one_that_is_not_there() {
    let office = Office::new().await;
    for template in ["departments?select={}", "departments?{}=eq.1", "departments?order={}", "departments?select=id,employees(id)&employees.{}=eq.1"]
    {
        // A stranger to the cost centre, which exists, and to one that does not.
        let hidden = get(&office.employee, &template.replace("{}", "cost_center")).await;
        let missing = get(&office.employee, &template.replace("{}", "cost_centre")).await;
        if template.contains("employees.") {
            continue;
        }
        let text = |body: &Value| body.to_string().replace("cost_centre", "x").replace("cost_center", "x");
        assert_eq!((hidden.0, text(&hidden.1)), (missing.0, text(&missing.1)), "{template}");
        assert_eq!(hidden.0, 403);
    }
}

#[tokio::test]
async fn an_employee_sees_colleagues_at_work_and_itself_whole() {
    let office = Office::new().await;
    let employee = &office.employee;
    assert_eq!(numbers(employee, "").await, ["1", "2", "3", "4"]);
    // What belongs to work is null in the rows of others, whatever is done with it.
    let (_, rows) = get(employee, "employees?select=employee_number,hired_on,cost_center&order=employee_number").await;
    assert_eq!(rows[0], json!({ "employee_number": "1", "hired_on": null, "cost_center": null }));
    assert_eq!(rows[1], json!({ "employee_number": "2", "hired_on": "2001-01-01", "cost_center": "center 2" }));
    assert_eq!(numbers(employee, "hired_on=eq.2001-01-01").await, ["2"]);
    assert_eq!(numbers(employee, "cost_center=like.center*").await, ["2"]);
    assert_eq!(numbers(employee, "not.and=(cost_center.eq.center 3,hired_on.eq.2001-01-01)").await, ["2"]);
    assert_eq!(numbers(employee, "or=(cost_center.eq.center 3,employee_number.eq.4)").await, ["4"]);
    assert_eq!(numbers(employee, "order=hired_on").await.len(), 4);
    // Nobody who has left, not even inside others.
    assert_eq!(numbers(employee, "employee_number=eq.5").await, Vec::<String>::new());
    let (_, rows) = get(employee, "departments?select=employees(employee_number)").await;
    assert_eq!(rows[0]["employees"].as_array().unwrap().len(), 4);
    let counted = employee.clone().header("prefer", "count=exact").get("/rest/v1/employees?limit=1").await;
    assert_eq!(counted.header("content-range"), "0-0/4");
    let (_, rows) = get(employee, "employees/_search?q=person&select=employee_number").await;
    assert_eq!(rows.as_array().unwrap().len(), 4);
    // Its own slip once it is final, and nobody else's.
    let (_, slips) = get(employee, "payslips?select=gross_minor").await;
    assert_eq!(slips, json!([{ "gross_minor": 777_124 }]));
    let (_, rows) = get(employee, "employees?select=employee_number,payslips(gross_minor)&order=employee_number").await;
    assert_eq!(rows.to_string().matches("777").count(), 1);
    let (_, rows) = get(employee, "employee_private?select=mobile").await;
    assert_eq!(rows, json!([{ "mobile": "canary-mobile" }]));
    let (_, rows) = get(employee, "job_assignments?select=job_title").await;
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let (_, rows) = get(employee, "employees?select=*&user_id=not.is.null").await;
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

/// V37
#[tokio::test]
async fn an_employee_changes_its_own_words_and_nothing_else() {
    let office = Office::new().await;
    let employee = &office.employee;
    let me = "/rest/v1/employees?employee_number=eq.2";
    assert_eq!(employee.patch(me, json!({ "preferred_name": "Two", "work_phone": "1" })).await.status, 204);
    for body in [
        json!({ "job_title": "Boss" }),
        json!({ "preferred_name": "x", "manager_id": null }),
        json!({ "user_id": null }),
        json!({ "status": "leave" }),
    ] {
        let reply = employee.patch(me, body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (403, Some("42501")), "{body}");
    }
    // Rows that it sees and may not change are refused, not passed over.
    for query in ["employee_number=eq.3", "employee_number=gt.1", "id=not.is.null"] {
        let reply = employee.patch(&format!("/rest/v1/employees?{query}"), json!({ "preferred_name": "x" })).await;
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (403, Some("42501")), "{query}");
    }
    assert_eq!(employee.delete(me).await.status, 403);
    assert_eq!(employee.post("/rest/v1/employees", json!({ "employee_number": "9", "display_name": "x" })).await.status, 403);
    let private = format!("/rest/v1/employee_private?employee_id=eq.{}", office.people[1]);
    assert_eq!(employee.patch(&private, json!({ "mobile": "2" })).await.status, 204);
    let merge = employee.clone().header("prefer", "resolution=merge-duplicates");
    let foreign = merge.post("/rest/v1/employee_private", json!({ "employee_id": office.people[2], "mobile": "stolen" })).await;
    assert_eq!((foreign.status.as_u16(), foreign.json()["code"].as_str()), (403, Some("42501")));
    let moved = employee.patch(&private, json!({ "employee_id": office.people[2] })).await;
    assert!(moved.status.is_client_error(), "{}", moved.text());
    let (_, rows) = get(&office.app.service(), "employee_private?select=mobile&mobile=neq.canary-mobile").await;
    assert_eq!(rows, json!([{ "mobile": "2" }]));
}

#[tokio::test]
async fn a_manager_sees_the_work_of_those_who_report() {
    let office = Office::new().await;
    assert_eq!(numbers(&office.manager, "").await, ["1", "2", "3", "4", "5"]);
    assert_eq!(numbers(&office.manager, "hired_on=eq.2001-01-01").await, ["1", "2", "3"]);
    assert_eq!(get(&office.manager, "job_assignments?select=id").await.1.as_array().unwrap().len(), 3);
    // Of what concerns persons it sees its own, and of its reports whom to call.
    assert_eq!(get(&office.manager, "employee_private?select=mobile&mobile=not.is.null").await.1, json!([{ "mobile": "canary-mobile" }]));
    assert_eq!(get(&office.manager, "employee_private?select=emergency_contacts").await.1.as_array().unwrap().len(), 3);
    assert_eq!(get(&office.manager, "payslips?select=gross_minor").await.1, json!([{ "gross_minor": 777_123 }]));
    let reply = office.manager.patch("/rest/v1/employees?employee_number=eq.2", json!({ "job_title": "x" })).await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn roles_see_what_the_table_of_rights_says() {
    let office = Office::new().await;
    let status = async |client: &Client, path: &str| get(client, path).await.0;
    for (who, client, work, personal, pay) in [
        ("owner", &office.owner, 200, 200, 200),
        ("admin", &office.admin, 200, 403, 403),
        ("hr", &office.hr, 200, 200, 403),
        ("payroll", &office.payroll, 200, 403, 200),
        ("stranger", &office.stranger, 403, 403, 403),
    ] {
        assert_eq!(status(client, "employees?select=hired_on").await, work, "{who}");
        assert_eq!(status(client, "employee_private").await, personal, "{who}");
        assert_eq!(status(client, "compensations").await, pay, "{who}");
        assert_eq!(status(client, "payslips").await, pay, "{who}");
    }
    let link = office.hr.patch("/rest/v1/employees?employee_number=eq.4", json!({ "user_id": "00000000-0000-4000-8000-000000000000" })).await;
    assert_eq!(link.status, 204, "{}", link.text());
    assert_eq!(office.payroll.patch("/rest/v1/employees?employee_number=eq.4", json!({ "job_title": "x" })).await.status, 403);
    assert_eq!(office.owner.patch("/rest/v1/compensations?id=not.is.null", json!({ "base_minor": 1 })).await.status, 403);
    assert_eq!(office.payroll.patch("/rest/v1/compensations?base_minor=eq.777126", json!({ "base_minor": 5 })).await.status, 204);
}

/// V32, V37
#[tokio::test]
async fn a_function_does_what_its_scopes_say() {
    let office = Office::new().await;
    let app = &office.app;
    let slips = app.function("employees:read pay:read payslips:write").await;
    assert_eq!(get(&slips, "employees?select=employee_number,hired_on,compensations(base_minor)&limit=1").await.0, 200);
    assert_eq!(get(&slips, "employees?select=user_id").await.0, 403);
    assert_eq!(get(&slips, "employee_private").await.0, 403);
    let merge = slips.clone().header("prefer", "return=representation,resolution=merge-duplicates");
    let row = json!({ "idempotency_key": "k", "period_start": "2001-02-01", "period_end": "2001-02-28", "currency": "USD" });
    let run = merge.post("/rest/v1/payroll_runs?on_conflict=idempotency_key", row).await;
    assert_eq!(run.status, 201, "{}", run.text());
    let id = run.json()[0]["id"].as_str().unwrap().to_owned();
    let slip = json!([{ "run_id": id, "employee_id": office.people[0], "currency": "USD", "gross_minor": 1, "net_minor": 1 }]);
    assert_eq!(slips.post("/rest/v1/payslips", slip).await.status, 201);
    assert_eq!(slips.patch(&format!("/rest/v1/payroll_runs?id=eq.{id}"), json!({ "status": "paid" })).await.status, 204);
    assert_eq!(slips.delete(&format!("/rest/v1/payslips?run_id=eq.{id}")).await.status, 403);
    assert_eq!(slips.patch("/rest/v1/compensations?id=not.is.null", json!({ "base_minor": 1 })).await.status, 403);
    assert_eq!(slips.patch("/rest/v1/employees?employee_number=eq.1", json!({ "job_title": "x" })).await.status, 403);
    let personal = app.function("employees.personal:read").await;
    assert_eq!(get(&personal, "employee_private?select=mobile").await.0, 200);
    assert_eq!(get(&personal, "employees").await.0, 403);
    let writer = app.function("employees:read employees:write").await;
    assert_eq!(writer.patch("/rest/v1/employees?employee_number=eq.1", json!({ "job_title": "x" })).await.status, 204);
    assert_eq!(writer.patch("/rest/v1/employees?employee_number=eq.1", json!({ "user_id": null })).await.status, 403);
}
