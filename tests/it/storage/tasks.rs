//! Removing and moving everything below a folder.

use serde_json::{Value, json};

use super::{app, get, make_bucket, put_ok, refusal};
use crate::support::{Client, TestApp};

async fn names(client: &Client, bucket: &str) -> Vec<String> {
    let page = client.post(&format!("/storage/v1/object/list-v2/{bucket}"), json!({})).await.json();
    page["objects"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

async fn delete(client: &Client, prefix: &str) -> crate::support::Reply {
    client.post("/storage/v1/object/delete-prefix/files", json!({ "prefix": prefix })).await
}

async fn go(client: &Client, from: &str, to: &str) -> crate::support::Reply {
    client.post("/storage/v1/object/move-prefix", json!({ "bucketId": "files", "sourcePrefix": from, "destinationPrefix": to })).await
}

fn progress(task: &Value) -> String {
    format!("{} {} of {}, {} stayed", task["status"].as_str().unwrap(), task["done"], task["total"], task["skipped"])
}

async fn filled() -> TestApp {
    let app = app().await;
    for name in ["a/1", "a/2", "a/b/3", "a.txt", "a0", "b/1"] {
        put_ok(&app.service(), &format!("files/{name}"), name).await;
    }
    app
}

#[tokio::test]
async fn a_folder_goes_with_all_that_is_in_it_and_nothing_beside_it() {
    let app = filled().await;
    let service = app.service();
    let task = delete(&service, "a").await.json();
    assert_eq!(progress(&task), "done 3 of 3, 0 stayed");
    assert_eq!((&task["kind"], &task["prefix"], &task["bucketId"]), (&json!("delete"), &json!("a/"), &json!("files")));
    assert_eq!(task.get("destinationPrefix"), None);
    assert_eq!(names(&service, "files").await, ["a.txt", "a0", "b/1"]);
    let asked = service.get(&format!("/storage/v1/task/{}", task["id"].as_str().unwrap())).await.json();
    assert_eq!(asked, task);
    assert_eq!(progress(&delete(&service, "nothing/").await.json()), "done 0 of 0, 0 stayed");
    // The job that was to go on finds nothing to do.
    app.run_jobs().await;
    assert_eq!(names(&service, "files").await, ["a.txt", "a0", "b/1"]);
}

#[tokio::test]
async fn a_folder_moves_and_what_has_no_place_stays() {
    let app = filled().await;
    let service = app.service();
    put_ok(&service, "files/c/1", "taken").await;
    let task = go(&service, "a/", "c").await.json();
    assert_eq!(progress(&task), "done 2 of 3, 1 stayed");
    assert_eq!((&task["destinationBucket"], &task["destinationPrefix"]), (&json!("files"), &json!("c/")));
    assert_eq!(names(&service, "files").await, ["a.txt", "a/1", "a0", "b/1", "c/1", "c/2", "c/b/3"]);
    assert_eq!((get(&service, "files/c/1").await.text().as_str(), get(&service, "files/c/b/3").await.text().as_str()), ("taken", "a/b/3"));
    // A name that would be too long stays, and so does what the other bucket would not take.
    assert_eq!(progress(&go(&service, "c", &"x".repeat(1021)).await.json()), "done 2 of 3, 1 stayed");
    make_bucket(&service, json!({ "name": "small", "file_size_limit": 1 })).await;
    let to = json!({ "bucketId": "files", "sourcePrefix": "b", "destinationBucket": "small", "destinationPrefix": "" });
    assert_eq!(progress(&service.post("/storage/v1/object/move-prefix", to).await.json()), "done 0 of 1, 1 stayed");
    let to = json!({ "bucketId": "files", "sourcePrefix": "b", "destinationBucket": "open", "destinationPrefix": "" });
    assert_eq!(progress(&service.post("/storage/v1/object/move-prefix", to).await.json()), "done 1 of 1, 0 stayed");
    assert_eq!(names(&service, "open").await, ["1"]);
}

#[tokio::test]
async fn a_large_folder_is_work_that_goes_on_after_the_answer() {
    let app = app().await;
    let service = app.service();
    let uploads = (0..60).map(|n| put_ok(&service, Box::leak(format!("files/seed/{n}").into_boxed_str()), "x"));
    futures_util::future::join_all(uploads).await;
    // A hundred copies of each, as rows.
    let copy = |tx: basalt::db::Tx| async move {
        let sql = tx.pick(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100)
             INSERT INTO objects (tenant_id, bucket_id, name, id, blob_id, size, sha256, content_type, cache_control, created_at, updated_at)
             SELECT tenant_id, bucket_id, 'many/' || n || substr(name, 5), lower(hex(randomblob(4))) || '-0000-4000-8000-' || lower(hex(randomblob(6))),
                 lower(hex(randomblob(4))) || '-0000-4000-8000-' || lower(hex(randomblob(6))), size, sha256, content_type, cache_control, created_at,
                 updated_at
             FROM objects, numbers",
            "INSERT INTO objects (tenant_id, bucket_id, name, id, blob_id, size, sha256, content_type, cache_control, created_at, updated_at)
             SELECT tenant_id, bucket_id, 'many/' || n || substr(name, 5), gen_random_uuid(), gen_random_uuid(), size, sha256, content_type,
                 cache_control, created_at, updated_at
             FROM objects, generate_series(1, 100) AS n",
        );
        tx.query(sql).execute().await
    };
    assert_eq!(app.app.db.write(copy).await.unwrap(), 6000);
    let task = go(&service, "many", "moved").await.json();
    assert_eq!(progress(&task), "running 5000 of 6000, 0 stayed");
    app.run_jobs().await;
    let path = format!("/storage/v1/task/{}", task["id"].as_str().unwrap());
    assert_eq!(progress(&service.get(&path).await.json()), "done 6000 of 6000, 0 stayed");

    let task = delete(&service, "moved").await.json();
    assert_eq!(progress(&task), "running 5000 of 6000, 0 stayed");
    app.run_jobs().await;
    assert_eq!(names(&service, "files").await.len(), 60);
    assert_eq!(service.post("/storage/v1/bucket/files/empty", json!({})).await.status, 200);
    assert_eq!(names(&service, "files").await, [""; 0]);
}

#[tokio::test]
async fn a_task_touches_only_what_its_caller_may() {
    let app = filled().await;
    let ann = app.user("ann@example.org", &[]).await;
    put_ok(&ann.client, &format!("files/{}/x/mine", ann.id), "mine").await;
    put_ok(&app.service(), &format!("files/{}/x/given", ann.id), "given").await;
    assert_eq!(progress(&delete(&ann.client, "a").await.json()), "done 0 of 0, 0 stayed", "nothing there is hers");
    assert_eq!(progress(&go(&ann.client, &format!("{}/x", ann.id), "stolen").await.json()), "done 0 of 1, 1 stayed");
    let task = go(&ann.client, &format!("{}/x", ann.id), &format!("{}/y", ann.id)).await.json();
    assert_eq!(progress(&task), "done 1 of 1, 0 stayed");
    let path = format!("/storage/v1/task/{}", task["id"].as_str().unwrap());
    assert_eq!(ann.client.get(&path).await.json(), task);
    assert_eq!(app.service().get(&path).await.status, 200);
    let bob = app.user("bob@example.org", &[]).await.client;
    for client in [bob, app.anonymous(), app.function("storage.files:write").await, app.other_service()] {
        assert_eq!(refusal(&client.get(&path).await), "400 404 not_found NoSuchKey: Task not found");
    }
    for client in [app.anonymous(), app.function("storage.files:read").await] {
        assert_eq!(refusal(&delete(&client, "a").await), "400 403 Unauthorized AccessDenied: Access denied");
        assert_eq!(refusal(&go(&client, "a", "b").await), "400 403 Unauthorized AccessDenied: Access denied");
    }
    assert_eq!(refusal(&delete(&app.other_service(), "a").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    assert_eq!(names(&app.service(), "files").await.len(), 8);
}

#[tokio::test]
async fn a_task_that_cannot_be_is_refused() {
    let app = app().await;
    let service = app.service();
    for prefix in ["", "/"] {
        assert_eq!(
            refusal(&delete(&service, prefix).await),
            "400 400 Error InvalidRequest: body/prefix must name a folder; POST /bucket/{bucket}/empty removes everything"
        );
    }
    assert_eq!(refusal(&delete(&service, "../a").await), "400 400 InvalidKey InvalidKey: Invalid key: ../a");
    for to in ["a", "a/", "a/b"] {
        let told = refusal(&go(&service, "a", to).await);
        assert!(told.contains("that is itself, or below itself"), "{told}");
    }
    let nowhere = json!({ "bucketId": "files", "sourcePrefix": "a", "destinationBucket": "nowhere", "destinationPrefix": "" });
    assert_eq!(service.post("/storage/v1/object/move-prefix", nowhere).await.json()["code"], "NoSuchBucket");
    for id in ["x", "00000000-0000-7000-8000-000000000000"] {
        assert_eq!(refusal(&service.get(&format!("/storage/v1/task/{id}")).await), "400 404 not_found NoSuchKey: Task not found");
    }
}
