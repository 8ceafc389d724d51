//! `basalt import employees`, as the library that the command calls.

use std::path::Path;

use basalt::records::{Report, import_employees};
use serde_json::json;

use crate::support::{TENANT, TestApp};

const FILES: [(&str, &str); 6] = [
    ("departments.csv", "code,name\nd1,Development\nd2,People\nd1,Again\n"),
    (
        "employees.csv",
        "employee_number,given_name,family_name,birth_date,gender,hired_on\n1,Ana,Boss,1970-01-02,F,1990-01-01\n2,娜,李,1980-02-30,F,2000-01-01\n3,Bo,Gone,1980-02-03,M,2000-01-01\n4,Cy,Short\n2,娜,李,1980-02-03,F,2000-01-01\n",
    ),
    (
        "assignments.csv",
        "employee_number,department_code,starts_on,ends_on\n1,d1,1990-01-01,\n2,d2,2000-01-01,2001-01-01\n2,d1,2001-01-01,\n3,d1,2000-01-01,2002-05-06\n9,d1,2000-01-01,\n3,d9,2000-01-01,\n",
    ),
    ("titles.csv", "employee_number,title,starts_on,ends_on\n2,Junior,2000-01-01,2000-07-01\n2,Senior,2000-07-01,\n"),
    (
        "salaries.csv",
        "employee_number,annual_salary,starts_on,ends_on\n1,100000,1990-01-01,1991-01-01\n1,110000,1991-01-01,\n2,50000,2000-01-01,2000-01-01\n2,50000.5,2000-01-01,\n2,51000,2000-01-01,\n",
    ),
    ("managers.csv", "employee_number,department_code,starts_on,ends_on\n3,d1,2000-01-01,2000-02-01\n1,d1,2000-02-01,\n"),
];

async fn import(app: &TestApp, directory: &Path) -> Report {
    import_employees(&app.app, TENANT, directory, |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_company_is_loaded_and_loading_it_again_changes_nothing() {
    let app = TestApp::new().await;
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let report = import(&app, directory.path()).await;
    let refused: Vec<String> = report.refused.iter().map(|line| format!("{}:{}: {}", line.file, line.line, line.why)).collect();
    assert_eq!(
        refused,
        [
            "departments.csv:4: \"d1\" was there before",
            "employees.csv:3: birth_date \"1980-02-30\" is no day; take YYYY-MM-DD",
            "employees.csv:5: 3 fields where 6 belong",
            "assignments.csv:6: there is no employee \"9\"",
            "assignments.csv:7: there is no department \"d9\"",
            "salaries.csv:4: the range is empty: it ends on 2000-01-01 and starts on 2000-01-01",
            "salaries.csv:5: annual_salary \"50000.5\" is no whole number of dollars",
        ]
    );
    let service = app.service();
    let get = async |path: &str| service.get(&format!("/rest/v1/{path}")).await.json();
    assert_eq!(
        get("employees?select=employee_number,display_name,status,terminated_on,job_title,departments(code),manager:manager_id(employee_number)&order=employee_number").await,
        json!([
            { "employee_number": "1", "display_name": "Ana Boss", "status": "active", "terminated_on": null, "job_title": null, "departments": { "code": "d1" }, "manager": null },
            { "employee_number": "2", "display_name": "李娜", "status": "active", "terminated_on": null, "job_title": "Senior", "departments": { "code": "d1" }, "manager": { "employee_number": "1" } },
            { "employee_number": "3", "display_name": "Bo Gone", "status": "terminated", "terminated_on": "2002-05-06", "job_title": null, "departments": null, "manager": null },
        ])
    );
    assert_eq!(
        get("job_assignments?select=effective_from,effective_to,job_title,departments(code),employees!job_assignments_employee_id_fkey!inner()&employees.employee_number=eq.2&order=effective_from").await,
        json!([
            { "effective_from": "2000-01-01", "effective_to": "2000-07-01", "job_title": "Junior", "departments": { "code": "d2" } },
            { "effective_from": "2000-07-01", "effective_to": "2001-01-01", "job_title": "Senior", "departments": { "code": "d2" } },
            { "effective_from": "2001-01-01", "effective_to": null, "job_title": "Senior", "departments": { "code": "d1" } },
        ])
    );
    assert_eq!(
        get("compensations?select=effective_from,base_minor,currency,pay_basis,employees(employee_number)&order=base_minor").await,
        json!([
            { "effective_from": "2000-01-01", "base_minor": 5_100_000, "currency": "USD", "pay_basis": "year", "employees": { "employee_number": "2" } },
            { "effective_from": "1990-01-01", "base_minor": 10_000_000, "currency": "USD", "pay_basis": "year", "employees": { "employee_number": "1" } },
            { "effective_from": "1991-01-01", "base_minor": 11_000_000, "currency": "USD", "pay_basis": "year", "employees": { "employee_number": "1" } },
        ])
    );
    assert_eq!(
        get("departments?select=code,head:head_employee_id(employee_number)&order=code").await[0],
        json!({ "code": "d1", "head": { "employee_number": "1" } })
    );
    assert_eq!(
        get("employee_private?select=date_of_birth,gender&order=date_of_birth&limit=1").await,
        json!([{ "date_of_birth": "1970-01-02", "gender": "F" }])
    );
    assert_eq!(get("employees/_search?q=lina&select=employee_number").await, json!([{ "employee_number": "2" }]));

    let tables = ["departments", "employees", "employee_private", "job_assignments", "compensations"];
    let mut before = Vec::new();
    for table in tables {
        before.push(get(&format!("{table}?order=created_at,version")).await);
    }
    app.app.clock.advance(std::time::Duration::from_hours(1));
    let again = import(&app, directory.path()).await;
    assert!(again.made.iter().all(|(_, made)| *made == 0), "{again:?}");
    for (table, before) in tables.into_iter().zip(before) {
        assert_eq!(get(&format!("{table}?order=created_at,version")).await, before, "{table}");
    }
}

#[tokio::test]
async fn files_of_another_form_are_refused_whole() {
    let app = TestApp::new().await;
    let directory = tempfile::tempdir().unwrap();
    let refused = async |directory: &Path| import_employees(&app.app, TENANT, directory, |_| ()).await.unwrap_err().to_string();
    assert!(refused(directory.path()).await.contains("departments.csv can't be read"));
    std::fs::write(directory.path().join("departments.csv"), "name,code\nx,y\n").unwrap();
    assert_eq!(refused(directory.path()).await, "departments.csv: the header should be \"code,name\", not \"name,code\"");
    assert!(import_employees(&app.app, "nobody", directory.path(), |_| ()).await.unwrap_err().to_string().contains("nobody"));
}
