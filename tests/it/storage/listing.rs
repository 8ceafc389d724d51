use serde_json::{Value, json};

use super::{app, put_ok, refusal};
use crate::support::{Client, TestApp};

async fn list(client: &Client, request: Value) -> Vec<Value> {
    let reply = client.post("/storage/v1/object/list/files", request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().as_array().unwrap().clone()
}

async fn names(client: &Client, request: Value) -> Vec<String> {
    list(client, request).await.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

async fn filled() -> TestApp {
    let app = app().await;
    for name in ["b.txt", "a.txt", "Z.txt", "%C3%A4.txt", "x/1", "x/2", "x/y/3", "w/1", "x.y", "x0", "100%20p_c", "100_p"] {
        put_ok(&app.service(), &format!("files/{name}"), name).await;
        app.app.clock.advance(std::time::Duration::from_millis(1500));
    }
    app
}

#[tokio::test]
async fn a_folder_shows_what_is_directly_in_it() {
    let app = filled().await;
    let service = app.service();
    assert_eq!(names(&service, json!({ "prefix": "" })).await, ["w", "x", "100 p_c", "100_p", "Z.txt", "a.txt", "b.txt", "x.y", "x0", "ä.txt"]);
    for prefix in ["x", "x/", "/x/"] {
        assert_eq!(names(&service, json!({ "prefix": prefix })).await, ["y", "1", "2"]);
    }
    assert_eq!(names(&service, json!({ "prefix": "x/y" })).await, ["3"]);
    for nothing in ["nothing", "x/1", "X", "x%", "_", "a.txt"] {
        assert_eq!(names(&service, json!({ "prefix": nothing })).await, [""; 0], "{nothing}");
    }
}

#[tokio::test]
async fn a_row_tells_what_clients_know() {
    let app = filled().await;
    let rows = list(&app.service(), json!({ "prefix": "x" })).await;
    let folder = json!({ "name": "y", "id": null, "updated_at": null, "created_at": null, "last_accessed_at": null, "metadata": null });
    assert_eq!(rows[0], folder);
    let file = &rows[1];
    assert!(uuid::Uuid::parse_str(file["id"].as_str().unwrap()).is_ok());
    let metadata = &file["metadata"];
    assert_eq!((&metadata["size"], &metadata["contentLength"], &metadata["httpStatusCode"]), (&json!(3), &json!(3), &json!(200)));
    assert_eq!((&metadata["mimetype"], &metadata["cacheControl"]), (&json!("text/plain"), &json!("no-cache")));
    assert_eq!(metadata["eTag"].as_str().unwrap().len(), 34);
    assert_eq!(metadata["lastModified"], file["updated_at"]);
}

#[tokio::test]
async fn pages_go_on_where_the_last_ended() {
    let app = filled().await;
    let service = app.service();
    let all = names(&service, json!({ "prefix": "" })).await;
    for size in 1..=11 {
        let mut paged = Vec::new();
        for offset in (0..12).step_by(size) {
            paged.extend(names(&service, json!({ "prefix": "", "limit": size, "offset": offset })).await);
        }
        assert_eq!(paged, all, "pages of {size}");
    }
    assert_eq!(names(&service, json!({ "prefix": "", "offset": 1000 })).await, [""; 0]);
}

#[tokio::test]
async fn files_are_sorted_by_name_or_time_and_folders_come_first() {
    let app = filled().await;
    let service = app.service();
    let sorted = async |column: &str, order: &str| names(&service, json!({ "prefix": "", "sortBy": { "column": column, "order": order } })).await;
    assert_eq!(sorted("name", "desc").await, ["x", "w", "ä.txt", "x0", "x.y", "b.txt", "a.txt", "Z.txt", "100_p", "100 p_c"]);
    let by_time = ["w", "x", "b.txt", "a.txt", "Z.txt", "ä.txt", "x.y", "x0", "100 p_c", "100_p"];
    for column in ["created_at", "updated_at", "last_accessed_at"] {
        assert_eq!(sorted(column, "asc").await, by_time);
    }
    assert_eq!(sorted("created_at", "DESC").await[2], "100_p");
}

#[tokio::test]
async fn a_search_is_the_beginning_of_a_name_in_any_case() {
    let app = filled().await;
    let service = app.service();
    let found = async |search: &str| names(&service, json!({ "prefix": "", "search": search })).await;
    assert_eq!(found("Z").await, ["Z.txt"]);
    assert_eq!(found("z.T").await, ["Z.txt"]);
    assert_eq!(found("X").await, ["x", "x.y", "x0"]);
    assert_eq!(found("100_").await, ["100_p"], "an underscore is one");
    assert_eq!(found("%").await, [""; 0]);
    assert_eq!(found("ä").await, ["ä.txt"]);
    assert_eq!(found("'; DROP TABLE objects; --").await, [""; 0]);
}

#[tokio::test]
async fn a_list_that_cannot_be_is_refused() {
    let app = app().await;
    let ask = async |request: Value| refusal(&app.service().post("/storage/v1/object/list/files", request).await);
    for request in [json!({ "prefix": "", "limit": 0 }), json!({ "prefix": "", "limit": 1501 }), json!({ "prefix": "", "offset": -1 })] {
        assert_eq!(ask(request).await, "400 400 Error InvalidRequest: body/limit must be 1 to 1500, and body/offset not below 0");
    }
    let order = json!({ "prefix": "", "sortBy": { "column": "name; DROP TABLE objects" } });
    assert_eq!(ask(order).await, "400 400 Error InvalidRequest: \"name; DROP TABLE objects\" is no column to sort by");
    assert_eq!(ask(json!({})).await, "400 400 Error InvalidRequest: missing field `prefix` at line 1 column 2");
}
