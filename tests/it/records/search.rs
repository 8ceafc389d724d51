//! The name search: the same people in the same order on both databases.

use serde_json::{Value, json};

use super::wire::{company, uri};
use crate::support::{Client, TestApp};

async fn found(client: &Client, query: &str) -> Vec<String> {
    let reply = client.get(&uri(&format!("/rest/v1/employees/_search?select=employee_number&q={query}"))).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json().as_array().unwrap().iter().map(|row| row["employee_number"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn people_are_found_by_every_way_to_write_them() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    for (query, wanted) in [
        ("李娜", vec!["3"]),
        ("李", vec!["3"]),
        ("娜", vec!["3"]),
        ("lina", vec!["3"]),
        ("LiNa", vec!["3"]),
        ("li na", vec!["3"]),
        ("na li", vec!["3"]),
        ("ln", vec!["3"]),
        ("lin", vec!["3"]),
        ("jose", vec!["2"]),
        ("JOSÉ", vec!["2"]),
        ("jos", vec!["2"]),
        ("gar", vec!["2"]),
        ("garcia jose", vec!["2"]),
        ("jg", vec!["2"]),
        ("soren", vec!["4"]),
        ("lukasz", vec!["4"]),
        ("Søren Łuk", vec!["4"]),
        ("jose.garcia@example.com", vec!["2"]),
        ("na.li", vec!["3"]),
        ("3", vec!["3"]),
        ("王", vec![]),
        ("娜李", vec![]),
        ("ose", vec![]),
        ("", vec![]),
        ("%2B%26|!():*\"'", vec![]),
        ("terms:lina", vec![]),
        ("lina OR jose", vec!["2", "3"]),
        ("boss -ana", vec![]),
        ("-ana", vec!["2", "3", "4"]),
        // One error in a word of four letters and more, two from eight on; none where the search is exact.
        ("jsoe", vec!["2"]),
        ("garzia", vec!["2"]),
        ("jose garzia", vec!["2"]),
        ("garzja", vec![]),
        ("lukazs", vec!["4"]),
        ("linna", vec!["3"]),
        ("\"garzia\" jose", vec!["2"]),
        ("bos", vec!["1"]),
        ("bof", vec![]),
        ("garzia -jose", vec![]),
    ] {
        let mut rows = found(&service, query).await;
        if query.contains("OR") || query.starts_with('-') {
            rows.sort();
        }
        assert_eq!(rows, wanted, "{query}");
    }
}

#[tokio::test]
async fn the_best_come_first() {
    let app = TestApp::new().await;
    let service = app.service();
    let person = |number: &str, given: &str, family: &str| json!({ "employee_number": number, "given_name": given, "family_name": family });
    let rows = json!([
        person("10", "Maria", "Anderson"),
        person("11", "Ander", "Lee"),
        person("12", "Zoe", "Ander"),
        person("ander", "Bob", "Builder"),
        person("14", "Ander", "Ander"),
        person("15", "An", "Der"),
    ]);
    assert_eq!(service.post("/rest/v1/employees", rows).await.status, 201);
    // The number itself; names that begin so, by the family name; then one whose words do. "An Der" has other words.
    assert_eq!(found(&service, "ander").await, ["ander", "14", "12", "10", "11", "15"]);
    assert_eq!(found(&service, "ander ander").await[0], "14");
}

#[tokio::test]
async fn a_page_of_many_is_the_same_as_a_part_of_all() {
    let app = TestApp::new().await;
    let service = app.service();
    let person = |n: usize| match n % 3 {
        0 => json!({ "employee_number": format!("{n:04}"), "given_name": "Maria", "family_name": format!("Ander{}", n % 7), "status": "active" }),
        1 => json!({ "employee_number": format!("{n:04}"), "given_name": "伟", "family_name": "张", "status": "active" }),
        _ => json!({ "employee_number": format!("{n:04}"), "given_name": format!("Bo{n}"), "family_name": "Maria", "status": "leave" }),
    };
    let rows: Vec<Value> = (0..900).map(person).collect();
    assert_eq!(service.post("/rest/v1/employees", json!(rows)).await.status, 201);
    for query in ["maria", "张伟", "zhangwei", "wei", "zw", "anderson", "ander1", "mari", "maria%20b"] {
        let all = found(&service, query).await;
        let mut pages = Vec::new();
        for offset in (0..all.len() + 40).step_by(40) {
            pages.extend(found(&service, &format!("{query}&limit=40&offset={offset}")).await);
        }
        assert_eq!(pages, all, "{query}");
        let counted = service.clone().header("prefer", "count=exact").get(&format!("/rest/v1/employees/_search?q={}&limit=1", uri(query))).await;
        let total = counted.header("content-range").split_once('/').unwrap().1.to_owned();
        assert_eq!(total, all.len().to_string(), "{query}");
    }
    assert_eq!(found(&service, "maria").await.len(), 600);
    assert_eq!(found(&service, "maria&status=eq.leave").await.len(), 300);
    assert_eq!(found(&service, "maria&status=eq.leave&limit=10&offset=295").await.len(), 5);
    assert_eq!(found(&service, "maria&offset=5000").await, Vec::<String>::new());
    // "Ander6" is nearly the same as "anders"; digits make it no word that is corrected, so only letters are.
    assert_eq!(found(&service, "zhangwie").await.len(), 300);
    assert!(found(&app.other_service(), "maria").await.is_empty());
    assert!(found(&app.other_service(), "mraia").await.is_empty());
}

#[tokio::test]
async fn the_search_shows_no_more_than_a_list() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    service.patch("/rest/v1/employees?employee_number=eq.2", json!({ "status": "terminated" })).await;
    let colleague = app.user("ana@example.com", &[]).await;
    assert_eq!(service.patch("/rest/v1/employees?employee_number=eq.1", json!({ "user_id": colleague.id })).await.status, 204);
    let colleague = colleague.client;
    for query in ["jose", "jose.garcia@example.com", "2", "garzia", "jg"] {
        assert_eq!(found(&service, query).await, ["2"], "{query}");
        assert_eq!(found(&colleague, query).await, Vec::<String>::new(), "{query}");
    }
    assert_eq!(found(&colleague, "lina").await, ["3"]);
}

#[tokio::test]
async fn the_search_follows_the_names() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let changed = service.patch("/rest/v1/employees?employee_number=eq.2", json!({ "given_name": "Pepe", "display_name": "Pepe García" })).await;
    assert_eq!(changed.status, 204);
    assert_eq!(found(&service, "jose").await, ["2"], "the address still says so");
    service.patch("/rest/v1/employees?employee_number=eq.2", json!({ "work_email": null })).await;
    assert_eq!(found(&service, "jose").await, Vec::<String>::new());
    assert_eq!(found(&service, "pepe").await, ["2"]);
    let sorted = service.get("/rest/v1/employees?select=name_sort&employee_number=eq.2").await.json();
    assert_eq!(sorted, json!([{ "name_sort": "garcia pepe" }]));
    assert_eq!(service.delete("/rest/v1/employees?employee_number=eq.2").await.status, 204);
    assert_eq!(found(&service, "pepe").await, Vec::<String>::new());
    let merge = service.clone().header("prefer", "resolution=merge-duplicates");
    let merged = merge.post("/rest/v1/employees?on_conflict=employee_number", json!({ "employee_number": "4", "display_name": "Quentin" })).await;
    assert_eq!(merged.status, 200, "{}", merged.text());
    assert_eq!(found(&service, "quentin").await, ["4"]);
}

#[tokio::test]
async fn a_search_is_a_filter_like_others() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let get = async |query: &str| service.get(&uri(&format!("/rest/v1/employees?select=employee_number&{query}"))).await.json();
    assert_eq!(get("search=wfts.李娜").await, json!([{ "employee_number": "3" }]));
    assert_eq!(get("search=fts(simple).jos:*").await, json!([{ "employee_number": "2" }]));
    assert_eq!(get("search=plfts(english).lina&hired_on=is.null").await, json!([{ "employee_number": "3" }]));
    assert_eq!(get("search=phfts.李娜&hired_on=not.is.null").await, json!([]));
    assert_eq!(
        get("or=(search.wfts.lina,employee_number.eq.1)&order=employee_number").await,
        json!([{ "employee_number": "1" }, { "employee_number": "3" }])
    );
    assert_eq!(get("search=wfts(klingon).x").await["code"], "22023");
    let counted = service.clone().header("prefer", "count=exact").get("/rest/v1/employees/_search?q=lina&limit=1").await;
    assert_eq!(counted.header("content-range"), "0-0/1");
    let embedded: Value = service.get("/rest/v1/employees/_search?q=lina&select=display_name,departments(name)&departments.code=eq.hr").await.json();
    assert_eq!(embedded, json!([{ "display_name": "李娜", "departments": { "name": "People" } }]));
}

#[tokio::test]
async fn entries_that_an_older_version_wrote_are_brought_up_to_date() {
    let app = TestApp::new().await;
    let service = app.service();
    company(&service).await;
    let old = |tx: basalt::db::Tx| async move {
        tx.query("UPDATE employee_search SET form = 0, sound = '', name = 'x', family_first = 'x'").execute().await?;
        tx.query("DELETE FROM search_words").execute().await
    };
    app.app.db.write(old).await.unwrap();
    assert_eq!(found(&service, "garzia").await, Vec::<String>::new());
    basalt::records::keep_search_current(app.app.clone()).await.unwrap();
    assert_eq!(found(&service, "garzia").await, ["2"]);
    let current = app.app.db.read().await.unwrap();
    let (left,): (i64,) = current.query("SELECT count(*) FROM employee_search WHERE form = 0 OR name = 'x'").fetch_one().await.unwrap();
    assert_eq!(left, 0);
}
