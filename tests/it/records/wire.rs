//! The wire of PostgREST: what stock clients send and what they must get.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestApp};

/// A small company: two departments, four people, one of whom leads the others.
pub(super) async fn company(service: &Client) -> (Value, Value) {
    let service = service.clone().header("prefer", "return=representation");
    let departments =
        service.post("/rest/v1/departments", json!([{ "code": "dev", "name": "Development" }, { "code": "hr", "name": "People" }])).await;
    assert_eq!(departments.status, 201, "{}", departments.text());
    let departments = departments.json();
    let boss = service.post("/rest/v1/employees", json!({ "employee_number": "1", "given_name": "Ana", "family_name": "Boss", "department_id": departments[0]["id"], "hired_on": "2001-02-03" })).await;
    assert_eq!(boss.status, 201, "{}", boss.text());
    let boss = boss.json();
    let rows = json!([
        { "employee_number": "2", "given_name": "José", "family_name": "García", "work_email": "Jose.Garcia@example.com", "manager_id": boss[0]["id"], "department_id": departments[0]["id"], "hired_on": "2010-05-06" },
        { "employee_number": "3", "given_name": "娜", "family_name": "李", "work_email": "na.li@example.com", "manager_id": boss[0]["id"], "department_id": departments[1]["id"], "hired_on": null },
        { "employee_number": "4", "given_name": "Søren", "family_name": "Łukasz", "work_email": null, "manager_id": null, "department_id": null, "hired_on": "2020-01-01" },
    ]);
    let others = service.post("/rest/v1/employees", rows).await;
    assert_eq!(others.status, 201, "{}", others.text());
    let mut people = boss;
    people.as_array_mut().unwrap().extend(others.json().as_array().unwrap().clone());
    (departments, people)
}

/// A path as a client sends it: what may not stand in a URL is escaped.
pub(super) fn uri(path: &str) -> String {
    let mut escaped = String::new();
    for character in path.chars() {
        match character {
            '"' | '{' | '}' | ' ' | '<' | '>' | '\\' | '^' | '`' | '|' => escaped.extend(['%', hex(character, 4), hex(character, 0)]),
            other => escaped.push(other),
        }
    }
    escaped
}

fn hex(character: char, shift: u32) -> char {
    char::from_digit(u32::from(character) >> shift & 15, 16).unwrap()
}

fn numbers(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap_or_else(|| panic!("{rows}")).iter().map(|row| row["employee_number"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rows_are_made_read_changed_and_removed() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    assert_eq!(people[0]["display_name"], "Ana Boss");
    assert_eq!(people[2]["display_name"], "李娜");
    assert_eq!(people[2]["name_phonetic"], "Li Na");
    assert_eq!(people[1]["work_email"], "jose.garcia@example.com");
    assert_eq!(people[0]["custom"], json!({}));
    assert_eq!(people[0]["version"], 1);

    let id = people[1]["id"].as_str().unwrap();
    let one = service.get(&format!("/rest/v1/employees?id=eq.{id}")).await;
    assert_eq!(one.status, 200);
    assert_eq!(one.header("content-range"), "0-0/*");
    assert_eq!(one.json(), json!([people[1]]));

    let changed = service
        .clone()
        .header("prefer", "return=representation")
        .patch(&format!("/rest/v1/employees?id=eq.{id}&select=job_title,version"), json!({ "job_title": "Engineer" }))
        .await;
    assert_eq!((changed.status.as_u16(), changed.json()), (200, json!([{ "job_title": "Engineer", "version": 2 }])));

    let gone = service.delete(&format!("/rest/v1/employees?id=eq.{id}")).await;
    assert_eq!((gone.status.as_u16(), gone.text().as_str()), (204, ""));
    assert_eq!(service.get(&format!("/rest/v1/employees?id=eq.{id}")).await.json(), json!([]));
    assert_eq!(departments.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    for (filter, found) in [
        ("employee_number=eq.2", vec!["2"]),
        ("employee_number=neq.2", vec!["1", "3", "4"]),
        ("employee_number=in.(1,3,\"9\")", vec!["1", "3"]),
        ("employee_number=in.()", vec![]),
        ("employee_number=not.in.(1,3)", vec!["2", "4"]),
        ("hired_on=gt.2001-02-03", vec!["2", "4"]),
        ("hired_on=gte.2001-02-03&hired_on=lt.2015-01-01", vec!["1", "2"]),
        ("hired_on=is.null", vec!["3"]),
        ("hired_on=not.is.null", vec!["1", "2", "4"]),
        ("given_name=like.J*", vec!["2"]),
        ("given_name=like.j*", vec![]),
        ("family_name=ilike.*ŁUK*", vec!["4"]),
        ("family_name=like(any).{Ł*,G*}", vec!["2", "4"]),
        ("or=(employee_number.eq.1,and(hired_on.gt.2015-01-01,status.in.(active,leave)))", vec!["1", "4"]),
        ("not.or=(employee_number.eq.1,employee_number.eq.2)", vec!["3", "4"]),
        ("custom=cs.{}", vec!["1", "2", "3", "4"]),
        ("work_email=isdistinct.na.li@example.com", vec!["1", "2", "4"]),
    ] {
        let reply = service.get(&uri(&format!("/rest/v1/employees?select=employee_number&order=employee_number&{filter}"))).await;
        assert_eq!(reply.status, 200, "{filter}: {}", reply.text());
        assert_eq!(numbers(&reply.json()), found, "{filter}");
    }
}

#[tokio::test]
async fn what_belongs_together_is_embedded() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let get = async |query: &str| {
        let reply = service.get(&format!("/rest/v1/{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        reply.json()
    };
    assert_eq!(
        get("employees?select=name:display_name,departments(name),manager:manager_id(display_name),reports:employees(employee_number)&order=employee_number&employee_number=in.(1,3)&reports.order=employee_number.desc").await,
        json!([
            { "name": "Ana Boss", "departments": { "name": "Development" }, "manager": null, "reports": [{ "employee_number": "3" }, { "employee_number": "2" }] },
            { "name": "李娜", "departments": { "name": "People" }, "manager": { "display_name": "Ana Boss" }, "reports": [] },
        ])
    );
    assert_eq!(
        get("departments?select=code,employees!inner(employee_number)&employees.hired_on=gt.2005-01-01&order=code").await,
        json!([{ "code": "dev", "employees": [{ "employee_number": "2" }] }])
    );
    assert_eq!(numbers(&get("employees?select=employee_number,departments()&departments=is.null").await), ["4"]);
    assert_eq!(numbers(&get("employees?select=employee_number,d:departments!department_id!inner(code)&d.code=eq.hr").await), ["3"]);
    assert_eq!(
        numbers(&get("employees?select=employee_number,departments(name)&order=departments(name).desc,employee_number").await),
        ["4", "3", "1", "2"]
    );
    assert_eq!(
        get("employees?select=employee_number,...departments(dept:name,active)&employee_number=eq.3").await,
        json!([{ "employee_number": "3", "dept": "People", "active": true }])
    );
    let counted = service
        .clone()
        .header("prefer", "count=exact")
        .get("/rest/v1/departments?select=code,employees!inner(id)&employees.hired_on=gt.2005-01-01")
        .await;
    assert_eq!(counted.header("content-range"), "0-0/1");
}

#[tokio::test]
async fn pages_are_counted() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let exact = service.clone().header("prefer", "count=exact");
    let page = exact.get("/rest/v1/employees?select=employee_number&order=employee_number&limit=2&offset=1").await;
    assert_eq!((page.status.as_u16(), page.header("content-range"), page.header("preference-applied")), (206, "1-2/4", "count=exact"));
    let head = exact.head("/rest/v1/employees?limit=2").await;
    assert_eq!((head.status.as_u16(), head.header("content-range"), head.text().as_str()), (206, "0-1/4", ""));
    let all = exact.get("/rest/v1/employees?select=id").await;
    assert_eq!((all.status.as_u16(), all.header("content-range")), (200, "0-3/4"));
    let none = exact.get("/rest/v1/employees?employee_number=eq.9").await;
    assert_eq!((none.status.as_u16(), none.header("content-range")), (200, "*/0"));
    let beyond = exact.get("/rest/v1/employees?offset=9").await;
    assert_eq!((beyond.status.as_u16(), beyond.json()["code"].as_str()), (416, Some("PGRST103")));
    let ranged = service.clone().header("range", "1-2").get("/rest/v1/employees?select=employee_number&order=employee_number").await;
    assert_eq!((ranged.header("content-range"), numbers(&ranged.json())), ("1-2/*", vec!["2", "3"]));
    for (query, status) in [("limit=-1", 416), ("limit=x", 400), ("offset=1.5", 400), ("limit=9223372036854775808", 400), ("limit=0", 200)] {
        assert_eq!(service.get(&format!("/rest/v1/employees?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn no_answer_has_more_rows_than_the_setting_allows() {
    let app = TestApp::with(|config| config.records.max_rows = 3).await;
    let service = app.service();
    company(&service).await;
    for query in ["", "&limit=100"] {
        let page = service.clone().header("prefer", "count=exact").get(&format!("/rest/v1/employees?select=id{query}")).await;
        assert_eq!((page.status.as_u16(), page.header("content-range")), (206, "0-2/4"), "{query}");
    }
    let ranged = service.clone().header("range", "0-99").get("/rest/v1/employees?select=id").await;
    assert_eq!(ranged.header("content-range"), "0-2/*");
    let embedded = service.get("/rest/v1/departments?select=employees(id)&employees=not.is.null").await.json();
    assert!(embedded.as_array().unwrap().iter().all(|department| department["employees"].as_array().unwrap().len() <= 3), "{embedded}");
}

#[tokio::test]
async fn one_row_is_answered_as_an_object() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let single = service.clone().header("accept", "application/vnd.pgrst.object+json");
    assert_eq!(single.get("/rest/v1/employees?select=display_name&employee_number=eq.4").await.json(), json!({ "display_name": "Søren Łukasz" }));
    let many = single.get("/rest/v1/employees?select=id").await;
    assert_eq!(many.status, 406);
    assert_eq!(
        many.json(),
        json!({ "code": "PGRST116", "details": "The result contains 4 rows", "hint": null, "message": "Cannot coerce the result to a single JSON object" })
    );
    assert_eq!(many.header("proxy-status"), "PostgREST; error=PGRST116");
    // A write that would touch more is undone.
    let write = single.header("prefer", "return=representation").patch("/rest/v1/employees?employee_number=gt.1", json!({ "job_title": "x" })).await;
    assert_eq!(write.status, 406);
    assert_eq!(service.get("/rest/v1/employees?job_title=eq.x").await.json(), json!([]));
}

#[tokio::test]
async fn rows_that_are_there_are_merged_or_left() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let merge = service.clone().header("prefer", "resolution=merge-duplicates,return=representation");
    let path = "/rest/v1/departments?on_conflict=code&select=code,name,version&columns=%22code%22,%22name%22";
    let all_there = merge.post(path, json!([{ "code": "hr", "name": "Humans" }])).await;
    assert_eq!((all_there.status.as_u16(), all_there.json()), (200, json!([{ "code": "hr", "name": "Humans", "version": 2 }])));
    let mixed = merge.post(path, json!([{ "code": "new", "name": "New" }, { "code": "hr", "name": "HR" }])).await;
    assert_eq!(mixed.status, 201);
    assert_eq!(mixed.json(), json!([{ "code": "new", "name": "New", "version": 1 }, { "code": "hr", "name": "HR", "version": 3 }]));
    assert_eq!(mixed.header("preference-applied"), "resolution=merge-duplicates, return=representation");
    let twice = merge.post(path, json!([{ "code": "hr", "name": "A" }, { "code": "hr", "name": "B" }])).await;
    assert_eq!((twice.status.as_u16(), twice.json()["code"].as_str()), (400, Some("21000")));
    let ignore = service.clone().header("prefer", "resolution=ignore-duplicates,return=representation");
    let ignored = ignore.post(path, json!([{ "code": "hr", "name": "Z" }, { "code": "other", "name": "Other" }])).await;
    assert_eq!((ignored.status.as_u16(), ignored.json()), (201, json!([{ "code": "other", "name": "Other", "version": 1 }])));
}

#[tokio::test]
async fn a_changed_name_is_found_and_sorted_anew() {
    let app = TestApp::new().await;
    let (_, people) = company(&app.service()).await;
    let service = app.service();
    let id = people[0]["id"].as_str().unwrap();
    let renamed = service.patch(&format!("/rest/v1/employees?id=eq.{id}"), json!({ "display_name": "Zoë Last", "family_name": "Last" })).await;
    assert_eq!(renamed.status, 204, "{}", renamed.text());
    let merging = service.clone().header("prefer", "resolution=merge-duplicates");
    let merged =
        merging.post("/rest/v1/employees?on_conflict=employee_number", json!({ "employee_number": "1", "display_name": "Zoë Lasting" })).await;
    assert_eq!(merged.status, 200, "{}", merged.text());
    let found = service.get("/rest/v1/employees/_search?q=lasting&select=id").await;
    assert_eq!(found.json(), json!([{ "id": id }]));
    let sorted = service.get(&format!("/rest/v1/employees?id=eq.{id}&select=name_sort")).await;
    assert!(sorted.text().contains("last"), "{}", sorted.text());
}

#[tokio::test]
async fn a_table_whose_fields_are_all_closed_is_closed() {
    let app = TestApp::new().await;
    company(&app.service()).await;
    let search = app.function("employees:read").await;
    for path in [
        "compensations",
        "payslips",
        "payroll_runs",
        "compensations?select=",
        "employees?select=id,compensations()",
        "employees?select=id,compensations(*)",
    ] {
        let reply = search.get(&format!("/rest/v1/{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (403, Some("42501")), "{path}: {}", reply.text());
    }
    let counted = search.header("prefer", "count=exact").get("/rest/v1/compensations").await;
    assert_eq!(counted.header("content-range"), "");
}

#[tokio::test]
async fn broken_rules_are_told_in_postgresqls_words() {
    let app = TestApp::new().await;
    let service = app.service();
    let (departments, people) = company(&service).await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let dept = departments[0]["id"].as_str().unwrap();
    for (path, body, status, code, message, details) in [
        (
            "departments",
            json!({ "code": "hr", "name": "x" }),
            409,
            "23505",
            "duplicate key value violates unique constraint \"departments_code_key\"",
            json!("Key (code)=(hr) already exists."),
        ),
        (
            "departments",
            json!([{ "code": "a", "name": "x" }, { "code": "a", "name": "y" }]),
            409,
            "23505",
            "duplicate key value violates unique constraint \"departments_code_key\"",
            json!("Key (code)=(a) already exists."),
        ),
        (
            "departments",
            json!({ "id": dept, "code": "b", "name": "x" }),
            409,
            "23505",
            "duplicate key value violates unique constraint \"departments_pkey\"",
            json!(format!("Key (id)=({dept}) already exists.")),
        ),
        (
            "departments",
            json!({ "code": "b" }),
            400,
            "23502",
            "null value in column \"name\" of relation \"departments\" violates not-null constraint",
            Value::Null,
        ),
        (
            "employees",
            json!({ "employee_number": "9", "display_name": "x", "department_id": nobody }),
            409,
            "23503",
            "insert or update on table \"employees\" violates foreign key constraint \"employees_department_id_fkey\"",
            json!(format!("Key (department_id)=({nobody}) is not present in table \"departments\".")),
        ),
        (
            "employees",
            json!({ "employee_number": "9", "display_name": "x", "status": "gone" }),
            400,
            "23514",
            "new row for relation \"employees\" violates check constraint \"employees_status_check\"",
            Value::Null,
        ),
        (
            "employees",
            json!({ "employee_number": "9", "display_name": "x", "hired_on": "2024-02-30" }),
            400,
            "22008",
            "date/time field value out of range: \"2024-02-30\"",
            Value::Null,
        ),
        (
            "employees",
            json!({ "employee_number": "9", "display_name": "x", "nonsense": 1 }),
            400,
            "PGRST204",
            "Could not find the 'nonsense' column of 'employees' in the schema cache",
            Value::Null,
        ),
        ("employees", json!([{ "employee_number": "9" }, { "display_name": "x" }]), 400, "PGRST102", "All object keys must match", Value::Null),
        ("nothing", json!({}), 404, "PGRST205", "Could not find the table 'public.nothing' in the schema cache", Value::Null),
    ] {
        let reply = service.post(&format!("/rest/v1/{path}"), body.clone()).await;
        let error = reply.json();
        assert_eq!(
            (reply.status.as_u16(), error["code"].as_str().unwrap(), error["message"].as_str().unwrap(), &error["details"]),
            (status, code, message, &details),
            "{path} {body}"
        );
    }
    let referenced = service.delete(&format!("/rest/v1/departments?id=eq.{dept}")).await;
    assert_eq!(referenced.status, 409);
    assert_eq!(
        referenced.json()["message"],
        "update or delete on table \"departments\" violates foreign key constraint \"employees_department_id_fkey\" on table \"employees\""
    );
    assert_eq!(referenced.json()["details"], format!("Key (id)=({dept}) is still referenced from table \"employees\"."));
    let taken = service.patch(&format!("/rest/v1/employees?id=eq.{}", people[0]["id"].as_str().unwrap()), json!({ "employee_number": "2" })).await;
    assert_eq!(taken.json()["details"], "Key (employee_number)=(2) already exists.");
    for (method, code) in [(Method::PATCH, "UPDATE requires a WHERE clause"), (Method::DELETE, "DELETE requires a WHERE clause")] {
        let reply = service.json(method, "/rest/v1/employees", &json!({ "job_title": "x" })).await;
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str(), reply.json()["message"].as_str()), (400, Some("21000"), Some(code)));
    }
    assert_eq!(service.get("/rest/v1/employees?select=id").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_can_not_be_understood_is_refused() {
    let app = TestApp::new().await;
    let service = app.service();
    for (query, status, code) in [
        ("employees?select=nothing", 400, "42703"),
        ("employees?nothing=eq.1", 400, "42703"),
        ("employees?id=eq.1", 400, "22P02"),
        ("employees?id=xx.1", 400, "PGRST100"),
        ("employees?id=1", 400, "PGRST100"),
        ("employees?or=(id.eq.1", 400, "PGRST100"),
        ("employees?select=id,(", 400, "PGRST100"),
        ("employees?order=id.up", 400, "PGRST100"),
        ("employees?hired_on=eq.soon", 400, "22007"),
        ("employees?id=like.a*", 404, "42883"),
        ("employees?select=id::nonsense", 400, "42704"),
        ("employees?select=id,changes(id)", 400, "PGRST200"),
        ("employees?departments.name=eq.x", 400, "PGRST108"),
        ("employees?select=id,departments(id)&departments=eq.x", 400, "PGRST120"),
        ("employees?select=id,job_assignments(id)&order=job_assignments(id)", 400, "PGRST118"),
        ("employees?select=count()", 400, "PGRST123"),
        ("employees?given_name=sl.x", 400, "PGRST127"),
        ("employees?select=tenant_id", 400, "42703"),
        ("employees?tenant_id=eq.1", 400, "42703"),
        ("employees?search=fts.a%20%26", 400, "42601"),
    ] {
        let reply = service.get(&format!("/rest/v1/{query}")).await;
        assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (status, Some(code)), "{query}: {}", reply.text());
    }
    let strict = service.clone().header("prefer", "handling=strict, nonsense=1").get("/rest/v1/employees").await;
    assert_eq!((strict.status.as_u16(), strict.json()["code"].as_str()), (400, Some("PGRST122")));
    let many = service.clone().header("accept-profile", "private").get("/rest/v1/employees").await;
    assert_eq!((many.status.as_u16(), many.json()["code"].as_str()), (406, Some("PGRST106")));
    let media = service.clone().header("accept", "image/png").get("/rest/v1/employees").await;
    assert_eq!((media.status.as_u16(), media.json()["code"].as_str()), (406, Some("PGRST107")));
}

#[tokio::test]
async fn json_casts_and_csv_read_alike() {
    let app = TestApp::new().await;
    let service = app.service();
    let custom = json!({ "size": "L", "keys": [1, 2], "badge": { "no": 7, "on": true, "half": 0.5 } });
    let row = json!({ "employee_number": "1", "display_name": "A, \"B\"", "custom": custom, "hired_on": "2001-02-03" });
    let made = service.clone().header("prefer", "return=representation").post("/rest/v1/employees", row).await;
    assert_eq!(made.json()[0]["custom"], custom);
    let get = async |query: &str| service.get(&uri(&format!("/rest/v1/employees?{query}"))).await.json();
    assert_eq!(
        get("select=custom->>size,no:custom->badge->no,on:custom->badge->>on,half:custom->badge->>half,first:custom->keys->0,hired_on::text,version::text").await,
        json!([{ "size": "L", "no": 7, "on": "true", "half": "0.5", "first": 1, "hired_on": "2001-02-03", "version": "1" }])
    );
    for (filter, found) in [
        ("custom->>size=eq.L", 1),
        ("custom->badge->>no=eq.7", 1),
        ("custom->badge->>no=eq.8", 0),
        ("custom->badge->no=eq.7", 1),
        ("custom=cs.{\"size\":\"L\"}", 1),
        ("custom=cs.{\"badge\":{\"on\":true}}", 1),
        ("custom=cs.{\"badge\":{\"on\":false}}", 0),
        ("custom=cs.{\"keys\":[2]}", 1),
        ("custom=cs.{\"keys\":[3]}", 0),
        ("custom->nothing=is.null", 1),
    ] {
        assert_eq!(get(&format!("select=id&{filter}")).await.as_array().map(Vec::len), Some(found), "{filter}");
    }
    let csv = service.clone().header("accept", "text/csv").get("/rest/v1/employees?select=employee_number,display_name,work_email").await;
    assert_eq!(csv.text(), "employee_number,display_name,work_email\n1,\"A, \"\"B\"\"\",\n");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let loaded = service
        .clone()
        .header("content-type", "text/csv")
        .send(Method::POST, "/rest/v1/departments", "code,name,cost_center\na,Anvils,NULL\nb,\"Bells, loud\",17\n")
        .await;
    assert_eq!(loaded.status, 201, "{}", loaded.text());
    assert_eq!(
        service.get("/rest/v1/departments?select=name,cost_center&order=code").await.json(),
        json!([{ "name": "Anvils", "cost_center": null }, { "name": "Bells, loud", "cost_center": "17" }])
    );
}

#[tokio::test]
async fn preferences_are_followed() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let most = service
        .clone()
        .header("prefer", "handling=strict, max-affected=1")
        .patch("/rest/v1/employees?employee_number=gt.1", json!({ "job_title": "x" }))
        .await;
    assert_eq!((most.status.as_u16(), most.json()["code"].as_str()), (400, Some("PGRST124")));
    let headers = service.clone().header("prefer", "return=headers-only").post("/rest/v1/departments", json!({ "code": "c", "name": "C" })).await;
    assert_eq!(headers.status, 201);
    assert!(headers.header("location").starts_with("/departments?id=eq."), "{}", headers.header("location"));
    assert_eq!(headers.header("preference-applied"), "return=headers-only");
    let columns = "columns=%22code%22,%22name%22,%22active%22";
    let missing = service
        .clone()
        .header("prefer", "missing=default, return=representation")
        .post(&format!("/rest/v1/departments?select=active&{columns}"), json!([{ "code": "d", "name": "D" }]))
        .await;
    assert_eq!(missing.json(), json!([{ "active": true }]));
    let null = service.post(&format!("/rest/v1/departments?{columns}"), json!([{ "code": "e", "name": "E" }])).await;
    assert_eq!(null.json()["code"], "23502");
    let counted = service.clone().header("prefer", "count=exact").patch("/rest/v1/employees?employee_number=gt.2", json!({ "job_title": "y" })).await;
    assert_eq!((counted.status.as_u16(), counted.header("content-range")), (204, "0-1/2"));
    let none = service.patch("/rest/v1/employees?employee_number=eq.99", json!({ "job_title": "y" })).await;
    assert_eq!((none.status.as_u16(), none.header("content-range")), (204, "*/*"));
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let app = TestApp::new().await;
    let (_, people) = company(&app.service()).await;
    let other = app.other_service();
    assert_eq!(other.get("/rest/v1/employees").await.json(), json!([]));
    assert_eq!(other.get("/rest/v1/employees/_search?q=李娜").await.json(), json!([]));
    let id = people[0]["id"].as_str().unwrap();
    assert_eq!(other.patch(&format!("/rest/v1/employees?id=eq.{id}"), json!({ "job_title": "x" })).await.status, 204);
    assert_eq!(other.delete(&format!("/rest/v1/employees?id=eq.{id}")).await.status, 204);
    // The same ids and numbers are free here, and a reference to the other tenant's row leads nowhere.
    let same = other.post("/rest/v1/employees", json!({ "id": id, "employee_number": "1", "display_name": "Other" })).await;
    assert_eq!(same.status, 201, "{}", same.text());
    let foreign = other.post("/rest/v1/employees", json!({ "employee_number": "2", "display_name": "x", "manager_id": people[1]["id"] })).await;
    assert_eq!(foreign.json()["code"], "23503");
    assert_eq!(
        app.service().get(&format!("/rest/v1/employees?id=eq.{id}&select=display_name")).await.json(),
        json!([{ "display_name": "Ana Boss" }])
    );
}
