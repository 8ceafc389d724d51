//! Lists of objects by what their names begin with, with cursors.

use http::Method;
use serde_json::{Value, json};

use super::{app, put_ok, refusal};
use crate::support::{Client, TestApp};

async fn page(client: &Client, request: Value) -> Value {
    let reply = client.post("/storage/v1/object/list-v2/files", request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// All pages of a list, and how many there were.
async fn all(client: &Client, mut request: Value) -> (Vec<String>, usize) {
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = page(client, request.clone()).await;
        pages += 1;
        let of = |list: &str| page[list].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let (folders, objects) = (of("folders"), of("objects"));
        assert!(folders.len() + objects.len() <= usize::try_from(request["limit"].as_u64().unwrap_or(1000)).unwrap());
        names.extend(folders.into_iter().chain(objects));
        assert_eq!(page["hasNext"].as_bool().unwrap(), page.get("nextCursor").is_some(), "{page}");
        match page.get("nextCursor") {
            Some(cursor) => request["cursor"] = cursor.clone(),
            None => return (names, pages),
        }
    }
}

async fn filled() -> TestApp {
    let app = app().await;
    for name in ["b.txt", "a/1", "a/2", "a/b/3", "a-", "a0", "Z", "%C3%A4/x", "c/1", "c/2", "c/3", "100_p", "100%20p"] {
        put_ok(&app.service(), &format!("files/{name}"), name).await;
        app.app.clock.advance(std::time::Duration::from_millis(1500));
    }
    app
}

#[tokio::test]
async fn whole_names_come_in_the_order_of_their_bytes() {
    let app = filled().await;
    let service = app.service();
    let sorted = ["100 p", "100_p", "Z", "a-", "a/1", "a/2", "a/b/3", "a0", "b.txt", "c/1", "c/2", "c/3", "ä/x"];
    assert_eq!(all(&service, json!({})).await.0, sorted);
    for limit in 1..=14 {
        let (names, pages) = all(&service, json!({ "limit": limit })).await;
        assert_eq!((names.len(), pages), (13, 13_usize.div_ceil(limit)), "pages of {limit}");
        assert_eq!(names, sorted);
        let (names, _) = all(&service, json!({ "limit": limit, "sortBy": { "column": "name", "order": "desc" } })).await;
        assert_eq!(names, sorted.iter().rev().copied().collect::<Vec<_>>());
    }
    assert_eq!(all(&service, json!({ "prefix": "a" })).await.0, ["a-", "a/1", "a/2", "a/b/3", "a0"]);
    assert_eq!(all(&service, json!({ "prefix": "a/" })).await.0, ["a/1", "a/2", "a/b/3"]);
    assert_eq!(all(&service, json!({ "prefix": "100_" })).await.0, ["100_p"], "an underscore is one");
    assert_eq!(all(&service, json!({ "prefix": "%" })).await.0, [""; 0]);
    assert_eq!(all(&service, json!({ "prefix": "a\u{308}" })).await.0, ["ä/x"], "in the other spelling of Unicode");
}

#[tokio::test]
async fn names_fold_into_folders_at_the_next_slash() {
    let app = filled().await;
    let service = app.service();
    let in_order = ["100 p", "100_p", "Z", "a-", "a/", "a0", "b.txt", "c/", "ä/"];
    for limit in 1..=10 {
        for (order, entries) in [("asc", in_order.to_vec()), ("desc", in_order.iter().rev().copied().collect())] {
            let request = json!({ "with_delimiter": true, "limit": limit, "sortBy": { "column": "name", "order": order } });
            let (names, pages) = all(&service, request).await;
            assert_eq!(pages, 9_usize.div_ceil(limit), "pages of {limit}");
            // Folders and files are two lists on each page; together they are what the order says.
            for (page, wanted) in names.chunks(limit).zip(entries.chunks(limit)) {
                let (mut page, mut wanted) = (page.to_vec(), wanted.to_vec());
                page.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(page, wanted, "pages of {limit} {order}");
            }
        }
    }
    let inside = page(&service, json!({ "prefix": "a/", "with_delimiter": true })).await;
    assert_eq!(inside["folders"], json!([{ "name": "a/b/", "key": "b" }]));
    let file = &inside["objects"][1];
    assert_eq!((&file["name"], &file["key"], &file["metadata"]["size"]), (&json!("a/2"), &json!("2"), &json!(3)));
    assert!(uuid::Uuid::parse_str(file["id"].as_str().unwrap()).is_ok());
    assert_eq!(page(&service, json!({ "prefix": "c", "with_delimiter": true })).await["folders"], json!([{ "name": "c/", "key": "c" }]));
}

#[tokio::test]
async fn a_folder_with_much_in_it_is_one_entry() {
    let app = app().await;
    let service = app.service();
    let numbered: Vec<String> = (0..230).map(|n| format!("files/deep/{n:03}")).collect();
    for path in numbered.iter().map(String::as_str).chain(["files/a", "files/z"]) {
        put_ok(&service, path, "x").await;
    }
    for order in ["asc", "desc"] {
        let request = json!({ "with_delimiter": true, "limit": 2, "sortBy": { "column": "name", "order": order } });
        let (mut names, pages) = all(&service, request).await;
        names.sort_unstable();
        assert_eq!((names, pages), (vec!["a".to_owned(), "deep/".to_owned(), "z".to_owned()], 2));
    }
    assert_eq!(all(&service, json!({ "limit": 100 })).await.0.len(), 232);
}

#[tokio::test]
async fn entries_come_in_the_order_of_their_times() {
    let app = filled().await;
    let service = app.service();
    // `a/` is as old as `a/1`, and was changed with `a/b/3`.
    service.clone().header("content-type", "text/plain").send(Method::PUT, "/storage/v1/object/files/b.txt", "changed").await;
    let by_creation = ["b.txt", "a/1", "a/2", "a/b/3", "a-", "a0", "Z", "ä/x", "c/1", "c/2", "c/3", "100_p", "100 p"];
    let folded = ["b.txt", "a/", "a-", "a0", "Z", "ä/", "c/", "100_p", "100 p"];
    for limit in [1, 3, 20] {
        let by = |column: &str, order: &str, with_delimiter: bool| json!({ "limit": limit, "with_delimiter": with_delimiter, "sortBy": { "column": column, "order": order } });
        assert_eq!(all(&service, by("created_at", "asc", false)).await.0, by_creation);
        assert_eq!(all(&service, by("updated_at", "desc", false)).await.0[0], "b.txt");
        let descending: Vec<_> = by_creation.iter().rev().copied().collect();
        assert_eq!(all(&service, by("created_at", "desc", false)).await.0, descending);
        let (mut names, _) = all(&service, by("created_at", "asc", true)).await;
        if limit > 1 {
            names.sort_unstable();
            let mut folded = folded;
            folded.sort_unstable();
            assert_eq!(names, folded);
        } else {
            assert_eq!(names, folded);
        }
    }
}

#[tokio::test]
async fn a_page_shows_only_what_the_caller_may_see() {
    let app = filled().await;
    let ann = app.user("ann@example.org", &[]).await;
    put_ok(&ann.client, &format!("files/{}/mine", ann.id), "mine").await;
    assert_eq!(all(&ann.client, json!({ "limit": 1 })).await.0, [format!("{}/mine", ann.id)]);
    assert_eq!(all(&ann.client, json!({ "with_delimiter": true })).await.0, [format!("{}/", ann.id)]);
    assert_eq!(all(&ann.client, json!({ "with_delimiter": true, "sortBy": { "column": "created_at" } })).await.0, [format!("{}/", ann.id)]);
    for client in [app.anonymous(), app.user("bob@example.org", &[]).await.client, app.function("storage.open:read").await, app.other_service()] {
        assert_eq!(all(&client, json!({})).await.0, [""; 0]);
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let app = app().await;
    let ask = async |request: Value| refusal(&app.service().post("/storage/v1/object/list-v2/files", request).await);
    for limit in [0, 1001, -1] {
        assert_eq!(ask(json!({ "limit": limit })).await, "400 400 Error InvalidRequest: body/limit must be 1 to 1000");
    }
    for cursor in ["x", "e30", "eyJjb2x1bW4iOiJuYW1lOyIsIm9yZGVyIjoiYXNjIiwibmFtZSI6ImEifQ"] {
        assert_eq!(ask(json!({ "cursor": cursor })).await, "400 400 Error InvalidRequest: body/cursor is not one that a page ended with");
    }
    assert_eq!(ask(json!({ "prefix": "a\u{0}" })).await, "400 400 Error InvalidRequest: body/prefix can't hold U+0000");
    let reply = app.service().post("/storage/v1/object/list-v2/files", json!({ "sortBy": { "column": "size" } })).await;
    assert_eq!(reply.json()["code"], "InvalidRequest");
}
