//! Rows by the thousand: loads through the door, and what the command line imports and exports.

use axum::body::Body;
use basalt::records::{Format, export_rows, load_rows};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::wire::{company, uri};
use crate::support::{Client, Reply, TENANT, TestApp};

async fn load(client: &Client, path: &str, kind: &str, text: &str) -> Reply {
    // In pieces that end anywhere, as a network brings them.
    let pieces: Vec<Result<Bytes, std::io::Error>> = text.as_bytes().chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    client.clone().header("content-type", kind).send(Method::POST, &format!("/rest/v1/{path}"), body).await
}

fn refused(report: &Value) -> Vec<(u64, &str)> {
    report["refused"].as_array().unwrap().iter().map(|line| (line["line"].as_u64().unwrap(), line["code"].as_str().unwrap())).collect()
}

async fn count(client: &Client, query: &str) -> String {
    let reply = client
        .clone()
        .header("prefer", "count=exact")
        .get(&uri(&format!("/rest/v1/{query}{}limit=1", if query.contains('?') { "&" } else { "?" })))
        .await;
    reply.header("content-range").split_once('/').unwrap().1.to_owned()
}

const NDJSON: &str = "application/x-ndjson";

#[tokio::test]
async fn more_than_a_body_may_hold_is_loaded_as_it_comes() {
    let app = TestApp::new().await;
    let service = app.service();
    let line = |n: usize| {
        let mut row = json!({ "employee_number": format!("{n:06}"), "given_name": "Load", "family_name": format!("Ed {n}"), "work_email": format!("{n}@example.com"), "job_title": "x".repeat(100) });
        if n >= 4_000 {
            row["hired_on"] = json!("2001-02-03");
        }
        format!("{row}\n")
    };
    let text: String = (0..6_000).map(line).collect();
    assert!(text.len() > 1 << 20);
    let loaded = load(&service, "employees/_load", NDJSON, &text).await;
    assert_eq!(loaded.status, 201, "{}", loaded.text());
    assert_eq!(loaded.json(), json!({ "lines": 6000, "made": 6000, "changed": 0, "kept": 0, "refused_lines": 0, "refused": [] }));
    assert_eq!((count(&service, "employees").await, count(&service, "employees?hired_on=not.is.null").await), ("6000".into(), "2000".into()));
    assert_eq!(count(&service, "employees/_search?q=load 5999").await, "1");
    assert_eq!(count(&service, "changes?action=eq.insert").await, "6000");
    assert_eq!(count(&app.other_service(), "employees").await, "0");
    // The same again, twice over: what is there is left as it is, or changed.
    let ignore = service.clone().header("prefer", "resolution=ignore-duplicates");
    let again = load(&ignore, "employees/_load?on_conflict=employee_number&mode=batches", NDJSON, &text).await;
    assert_eq!(again.json(), json!({ "lines": 6000, "made": 0, "changed": 0, "kept": 6000, "refused_lines": 0, "refused": [] }));
    let merge = service.clone().header("prefer", "resolution=merge-duplicates");
    let line = |n: usize| format!("{n:06},Load Ed {n},Changed\n");
    let csv = format!("employee_number,display_name,job_title\n{}", (0..1_500).map(line).collect::<String>());
    let merged = load(&merge, "employees/_load?on_conflict=employee_number", "text/csv", &csv).await;
    assert_eq!((merged.status.as_u16(), &merged.json()["changed"]), (201, &json!(1500)));
    assert_eq!(merged.header("preference-applied"), "resolution=merge-duplicates");
    assert_eq!(count(&service, "employees?job_title=eq.Changed").await, "1500");
}

/// Lines of which four can't be used.
fn mixed() -> String {
    let good = |n: usize| format!("{n},Person {n},2001-01-01,\n");
    let mut text = String::from("employee_number,display_name,hired_on,work_email\n");
    text.extend((2..500).map(good));
    text.push_str("500,Day,2001-02-30,\n501,Short\n7,Twice,,\n503,,,\n");
    text.extend((504..1_200).map(good));
    text
}

#[tokio::test]
async fn in_batches_a_bad_line_loses_nothing_else() {
    let app = TestApp::new().await;
    let service = app.service();
    let loaded = load(&service, "employees/_load?mode=batches", "text/csv", &mixed()).await;
    let report = loaded.json();
    assert_eq!((loaded.status.as_u16(), &report["made"], &report["lines"], &report["refused_lines"]), (207, &json!(1194), &json!(1198), &json!(4)));
    assert_eq!(refused(&report), [(500, "22008"), (501, "PGRST102"), (502, "23505"), (503, "23502")]);
    assert_eq!(report["refused"][2]["details"], "Key (employee_number)=(7) already exists.");
    assert_eq!(count(&service, "employees").await, "1194");
    let unknown = load(
        &service,
        "employees/_load?mode=batches",
        NDJSON,
        "{\"employee_number\":\"x\",\"display_name\":\"X\",\"nothing\":1}\n{\"employee_number\":\"y\",\"display_name\":\"Y\"}\n[]\n{",
    )
    .await;
    assert_eq!((refused(&unknown.json()), &unknown.json()["made"]), (vec![(1, "PGRST204"), (3, "PGRST102"), (4, "PGRST102")], &json!(1)));
}

#[tokio::test]
async fn in_one_transaction_all_lines_are_loaded_or_none() {
    let app = TestApp::new().await;
    let service = app.service();
    let loaded = load(&service, "employees/_load", "text/csv", &mixed()).await;
    let report = loaded.json();
    assert_eq!((loaded.status.as_u16(), report["code"].as_str()), (400, Some("PGRST102")), "{report}");
    assert_eq!(refused(&report["details"]), [(500, "22008"), (501, "PGRST102"), (503, "23502")]);
    assert_eq!(count(&service, "employees").await, "0");
    // What only the database knows is told with the lines it is in.
    let line = |n: usize| format!("{}\n", json!({ "employee_number": (n % 2_400).to_string(), "display_name": "X" }));
    let text: String = (0..2_500).map(line).collect();
    let twice = load(&service, "employees/_load", NDJSON, &text).await;
    assert_eq!((twice.status.as_u16(), twice.json()["code"].as_str()), (409, Some("23505")), "{}", twice.text());
    assert_eq!(twice.json()["hint"], "Nothing was loaded. It is in lines 2001 to 2500.");
    assert_eq!(count(&service, "employees").await, "0");
    for (path, kind, text) in [
        ("employees/_load?mode=some", NDJSON, "{}"),
        ("employees/_load?select=id", NDJSON, "{}"),
        ("employees/_load?id=eq.1", NDJSON, "{}"),
        ("employees/_load", "application/json", "[]"),
        ("employees/_load", "text/csv", "a,b\n\"open"),
    ] {
        let reply = load(&service, path, kind, text).await;
        assert_eq!(reply.status, 400, "{path} {kind}: {}", reply.text());
    }
    assert_eq!(load(&service.clone().header("idempotency-key", "k"), "employees/_load", NDJSON, "{}").await.status, 400);
    assert_eq!(load(&service, "employees/_load", NDJSON, "").await.status, 201);
    assert_eq!(service.get("/rest/v1/employees/_load").await.status, 405);
}

#[tokio::test]
async fn who_may_not_write_may_not_load() {
    let app = TestApp::new().await;
    let service = app.service();
    let (_, people) = company(&service).await;
    let pay =
        json!({ "employee_id": people[0]["id"], "effective_from": "2001-01-01", "currency": "USD", "pay_basis": "year", "base_minor": 777_123 })
            .to_string();
    let hr = app.user("hr@example.com", &["hr"]).await.client;
    let nobody = app.user("nobody@example.com", &[]).await.client;
    for mode in ["all", "batches"] {
        assert_eq!(load(&hr, &format!("compensations/_load?mode={mode}"), NDJSON, &pay).await.status, 403);
        assert_eq!(load(&nobody, &format!("employees/_load?mode={mode}"), NDJSON, "{}").await.status, 403);
        assert_eq!(load(&app.anonymous(), &format!("employees/_load?mode={mode}"), NDJSON, "{}").await.status, 401);
        // The column is one that the role may not fill; the line says so and no more.
        let line = json!({ "employee_number": "x", "display_name": "X", "base_minor": 1 }).to_string();
        let denied = load(&hr, &format!("employees/_load?mode={mode}"), NDJSON, &line).await;
        let report = if mode == "all" { denied.json()["details"].clone() } else { denied.json() };
        assert_eq!(refused(&report), [(1, "42501")], "{mode}");
        assert_eq!(load(&service, &format!("changes/_load?mode={mode}"), NDJSON, "{}").await.status, 404);
    }
    let payroll = app.user("payroll@example.com", &["payroll"]).await.client;
    assert_eq!(load(&payroll, "compensations/_load", NDJSON, &pay).await.status, 201);
    assert_eq!(count(&service, "compensations").await, "1");
}

#[tokio::test]
async fn what_was_exported_can_be_imported() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let line = |n: usize| format!("{}\n", json!({ "employee_number": n.to_string(), "display_name": format!("P, \"{n}\""), "custom": { "n": n } }));
    let text: String = (10..2_600).map(line).collect();
    assert_eq!(load(&service, "employees/_load", NDJSON, &text).await.status, 201);
    let query = "select=id,employee_number,given_name,family_name,display_name,hired_on,work_email,custom,status&order=employee_number";
    for format in [Format::Csv, Format::Ndjson] {
        let (mut written, mut heard) = (Vec::new(), Vec::new());
        let rows = export_rows(&app.app, TENANT, ("employees", query, format), &mut written, |rows, total| heard.push((rows, total))).await.unwrap();
        assert_eq!((rows, heard.last()), (2_594, Some(&(2_594, 2_594))));
        let other = TestApp::new().await;
        let mut last = 0;
        let loaded =
            load_rows(&other.app, TENANT, ("employees", format), (&[], false), std::io::Cursor::new(written.clone()), |loaded| last = loaded.lines)
                .await
                .unwrap();
        assert_eq!((loaded.made, loaded.refused_lines, last), (2_594, 0, 2_594), "{:?}", loaded.refused.first());
        let mut again = Vec::new();
        export_rows(&other.app, TENANT, ("employees", query, format), &mut again, |_, _| ()).await.unwrap();
        assert!(again == written, "{format:?}");
    }
    let lost = load_rows(&app.app, TENANT, ("nothing", Format::Csv), (&[], false), std::io::empty(), |_| ()).await;
    assert!(lost.unwrap_err().to_string().contains("nothing"));
    let wrong = export_rows(&app.app, TENANT, ("employees", "select=nothing", Format::Csv), &mut Vec::new(), |_, _| ()).await;
    assert!(wrong.unwrap_err().to_string().contains("nothing"));
}
