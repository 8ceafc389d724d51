//! The rules of a tenant: what they allow, by every door, and what they say of themselves.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{app, get, make_bucket, put, put_ok, refusal};
use crate::support::{Client, Reply, TestApp, TestUser};

/// Gives the default tenant these rules.
async fn set_rules(app: &TestApp, rules: Value) {
    let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "storage": { "rules": rules } } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.app.clock.advance(Duration::from_secs(5));
}

async fn with_rules(rules: Value) -> TestApp {
    let app = app().await;
    set_rules(&app, rules).await;
    app
}

async fn names(client: &Client, bucket: &str) -> Vec<String> {
    let page = client.post(&format!("/storage/v1/object/list-v2/{bucket}"), json!({})).await.json();
    page["objects"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

async fn typed(client: &Client, kind: &str, path: &str, text: &'static str) -> Reply {
    client.clone().header("content-type", kind).send(Method::POST, &format!("/storage/v1/object/{path}"), text).await
}

fn hint(reply: &Reply) -> String {
    reply.json()["hint"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_no_rule_allows_is_denied() {
    let app = with_rules(json!([])).await;
    let TestUser { id, client, .. } = app.user("ann@example.org", &["owner", "admin", "payroll"]).await;
    put_ok(&app.service(), &format!("files/{id}/a"), "a").await;
    assert_eq!(get(&client, &format!("files/{id}/a")).await.json()["code"], "NoSuchKey");
    assert_eq!(put(&client, &format!("files/{id}/b"), "b").await.json()["code"], "AccessDenied");
    assert_eq!(client.get("/storage/v1/bucket").await.json(), json!([]));
    // Null is the default again.
    set_rules(&app, Value::Null).await;
    assert_eq!(get(&client, &format!("files/{id}/a")).await.text(), "a");
}

#[tokio::test]
async fn a_rule_is_for_its_buckets_roles_and_actions() {
    let app = with_rules(json!([
        { "name": "editors write", "buckets": ["fil*"], "roles": ["editor"], "actions": ["insert", "update"] },
        { "name": "everybody lists", "buckets": ["files"], "roles": ["anon", "authenticated"], "actions": ["list"] },
        { "name": "users get", "buckets": ["files"], "roles": ["authenticated"], "actions": ["get"] },
        { "name": "editors sign", "buckets": ["files"], "roles": ["editor"], "actions": ["sign"] },
    ]))
    .await;
    make_bucket(&app.service(), json!({ "name": "file2" })).await;
    make_bucket(&app.service(), json!({ "name": "afiles" })).await;
    let editor = app.user("ed@example.org", &["editor"]).await.client;
    let user = app.user("ann@example.org", &[]).await.client;
    put_ok(&editor, "files/a", "a").await;
    put_ok(&editor, "file2/a", "a").await;
    assert_eq!(refusal(&put(&editor, "afiles/a", "a").await), "400 403 Unauthorized AccessDenied: new row violates row-level security policy");
    for client in [&editor, &user, &app.anonymous()] {
        assert_eq!(names(client, "files").await, ["a"]);
        assert_eq!(names(client, "file2").await, [""; 0]);
    }
    assert_eq!(get(&user, "files/a").await.text(), "a");
    assert_eq!(get(&app.anonymous(), "files/a").await.json()["code"], "NoSuchKey");
    let sign = async |client: &Client| client.post("/storage/v1/object/sign/files/a", json!({ "expiresIn": 60 })).await;
    assert_eq!(sign(&editor).await.status, 200);
    assert_eq!(sign(&user).await.json()["code"], "NoSuchKey");
    let many = user.post("/storage/v1/object/sign/files", json!({ "expiresIn": 60, "paths": ["a"] })).await.json();
    assert_eq!(many[0]["signedURL"], Value::Null);
    assert_eq!(refusal(&editor.delete("/storage/v1/object/files/a").await), "400 403 Unauthorized AccessDenied: Access denied");
}

#[tokio::test]
async fn a_denial_says_which_permission_is_missing() {
    let app = with_rules(json!([
        { "name": "insert", "roles": ["authenticated"], "actions": ["insert", "get"] },
        { "name": "see", "roles": ["authenticated"], "actions": ["read_bucket"] },
    ]))
    .await;
    let user = app.user("ann@example.org", &[]).await.client;
    put_ok(&user, "files/a", "a").await;
    assert_eq!(hint(&put(&app.anonymous(), "files/b", "b").await), "missing permission: insert");
    let upsert = put(&user.clone().header("x-upsert", "true"), "files/a", "b").await;
    assert_eq!(hint(&upsert), "missing permission: update");
    assert_eq!(upsert.json()["message"], "new row violates row-level security policy", "the words that clients know");
    assert_eq!(hint(&user.delete("/storage/v1/object/files/a").await), "missing permission: delete");
    let moved = user.post("/storage/v1/object/move", json!({ "bucketId": "files", "sourceKey": "a", "destinationKey": "b" })).await;
    assert_eq!(hint(&moved), "missing permission: update");
    assert_eq!(hint(&user.post("/storage/v1/bucket", json!({ "name": "mine" })).await), "missing permission: create_bucket");
    assert_eq!(hint(&user.put("/storage/v1/bucket/files", json!({ "public": true })).await), "missing permission: update_bucket");
    assert_eq!(hint(&user.delete("/storage/v1/bucket/files").await), "missing permission: delete_bucket");
    assert_eq!(hint(&user.post("/storage/v1/object/delete-prefix/files", json!({ "prefix": "a" })).await), "missing permission: delete");
    // What may not be seen is not there, and nothing is said of it.
    assert_eq!(get(&app.anonymous(), "files/a").await.json().get("hint"), None);
}

/// Names, of which each pattern of the test below takes some.
const NAMES: [&str; 14] = [
    "a.txt",
    "a.jpg",
    "public/a.jpg",
    "public/b.txt",
    "public/x/y/c.jpg",
    "publicx/a.jpg",
    "pub/a.jpg",
    "docs/2000/plan.pdf",
    "docs/2000/q1/plan.pdf",
    "docs/plan.pdf",
    "docs/plan(1).pdf",
    "docs/planXpdf",
    "d\u{f6}cs/pl\u{e4}n.pdf",
    "docs/2000/plan",
];

#[tokio::test]
async fn a_path_means_the_same_for_one_object_and_in_lists() {
    let app = app().await;
    let service = app.service();
    for name in NAMES {
        let encoded: String = name
            .bytes()
            .fold(String::new(), |text, byte| if byte.is_ascii() { text + &char::from(byte).to_string() } else { format!("{text}%{byte:02X}") });
        put_ok(&service, &format!("files/{encoded}"), "x").await;
    }
    let user = app.user("ann@example.org", &[]).await.client;
    for (path, fits) in [
        ("**", NAMES.to_vec()),
        ("*", vec!["a.jpg", "a.txt"]),
        ("public/**", vec!["public/a.jpg", "public/b.txt", "public/x/y/c.jpg"]),
        ("public/*", vec!["public/a.jpg", "public/b.txt"]),
        ("public/a.jpg", vec!["public/a.jpg"]),
        ("public", vec![]),
        ("**/*.jpg", vec!["a.jpg", "pub/a.jpg", "public/a.jpg", "public/x/y/c.jpg", "publicx/a.jpg"]),
        ("public/**/*.jpg", vec!["public/a.jpg", "public/x/y/c.jpg"]),
        ("pub*/a.*", vec!["pub/a.jpg", "public/a.jpg", "publicx/a.jpg"]),
        ("docs/*/plan.pdf", vec!["docs/2000/plan.pdf"]),
        ("docs/**/plan.pdf", vec!["docs/2000/plan.pdf", "docs/2000/q1/plan.pdf", "docs/plan.pdf"]),
        ("docs/plan(1).pdf", vec!["docs/plan(1).pdf"]),
        ("docs/plan*.pdf", vec!["docs/plan(1).pdf", "docs/plan.pdf"]),
        ("docs/plan.*", vec!["docs/plan.pdf"]),
        ("d\u{f6}cs/*n.pdf", vec!["d\u{f6}cs/pl\u{e4}n.pdf"]),
        ("*/[a-z].jpg", vec![]),
        ("DOCS/**", vec![]),
        ("docs/..*", vec![]),
    ] {
        set_rules(&app, json!([{ "name": "see", "roles": ["authenticated"], "actions": ["select"], "path": path }])).await;
        let mut fits = fits;
        fits.sort_unstable();
        assert_eq!(names(&user, "files").await, fits, "listed: {path}");
        let signed = user.post("/storage/v1/object/sign/files", json!({ "expiresIn": 60, "paths": NAMES })).await.json();
        let of_one: Vec<&str> =
            NAMES.into_iter().zip(signed.as_array().unwrap()).filter(|(_, row)| row["error"].is_null()).map(|(name, _)| name).collect();
        let mut one_by_one = Vec::new();
        for name in NAMES {
            let can = user.post("/storage/v1/rules/can", json!({ "action": "get", "bucket": "files", "key": name })).await.json();
            if can["allowed"] == json!(true) {
                one_by_one.push(name);
            }
        }
        for mut found in [of_one, one_by_one] {
            found.sort_unstable();
            assert_eq!(found, fits, "one by one: {path}");
        }
    }
}

#[tokio::test]
async fn a_template_fills_one_segment_and_nothing_else() {
    let rule = |path: &str| json!([{ "name": "org", "roles": ["authenticated"], "actions": ["select", "insert"], "path": path }]);
    let app = with_rules(rule("orgs/{app_metadata.org}/**")).await;
    for name in ["orgs/a/1", "orgs/b/1", "orgs/a/b/1", "orgs/1"] {
        put_ok(&app.service(), &format!("files/{name}"), "x").await;
    }
    let user = app.user("ann@example.org", &[]).await;
    let become_of = async |org: Value| {
        let reply = app.service().put(&format!("/auth/v1/admin/users/{}", user.id), json!({ "app_metadata": { "org": org } })).await;
        assert_eq!(reply.status, 200);
    };
    assert_eq!(names(&user.client, "files").await, [""; 0], "an absent claim means no match");
    become_of(json!("a")).await;
    assert_eq!(names(&user.client, "files").await, ["orgs/a/1", "orgs/a/b/1"]);
    assert_eq!(put(&user.client, "files/orgs/a/2", "x").await.status, 200);
    assert_eq!(put(&user.client, "files/orgs/b/2", "x").await.status, 400);
    for hostile in [
        json!("*"),
        json!("**"),
        json!("a/b"),
        json!(".."),
        json!(""),
        json!("\u{1}"),
        json!("\u{2}"),
        json!(["a"]),
        json!("A"),
        json!("_"),
        json!("%"),
    ] {
        become_of(hostile.clone()).await;
        assert_eq!(names(&user.client, "files").await, [""; 0], "{hostile}");
        assert_eq!(put(&user.client, "files/orgs/b/3", "x").await.status, 400, "{hostile}");
    }
    set_rules(&app, rule("{user_id}/**")).await;
    assert_eq!(put(&user.client, &format!("files/{}/x", user.id), "x").await.status, 200);
    assert_eq!(names(&user.client, "files").await, [format!("{}/x", user.id)]);
    set_rules(&app, rule("mail/{email}/*.txt")).await;
    assert_eq!(put(&user.client, "files/mail/ann@example.org/x.txt", "x").await.status, 200);
    assert_eq!(put(&user.client, "files/mail/annXexample.org/x.txt", "x").await.status, 400);
    assert_eq!(names(&user.client, "files").await, ["mail/ann@example.org/x.txt"]);
}

#[tokio::test]
async fn what_a_file_is_decides_before_its_bytes_and_after_them() {
    let app = with_rules(json!([
        { "name": "small texts", "roles": ["authenticated"], "actions": ["select", "insert", "delete"], "mime": ["text/*", "image/png"], "max_size": 10 },
        { "name": "noted", "roles": ["authenticated"], "actions": ["list"], "user_metadata": { "shared": "yes" } },
    ]))
    .await;
    let user = app.user("ann@example.org", &[]).await.client;
    assert_eq!(typed(&user, "text/plain; charset=utf-8", "files/text", "0123456789").await.status, 200);
    assert_eq!(typed(&user, "IMAGE/PNG", "files/image", "x").await.status, 200);
    for (kind, text, name) in [("image/png2", "x", "kind"), ("application/octet-stream", "x", "bytes"), ("text/plain", "0123456789a", "long")] {
        let reply = typed(&user, kind, &format!("files/{name}"), text).await;
        assert_eq!(refusal(&reply), "400 403 Unauthorized AccessDenied: new row violates row-level security policy", "{name}");
    }
    // Counted where no length was told, and the bytes are given up.
    let counted = axum::body::Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("012345"), Ok("6789a")]));
    let reply = user.clone().header("content-type", "text/plain").send(Method::POST, "/storage/v1/object/files/counted", counted).await;
    assert_eq!(reply.json()["code"], "AccessDenied");

    // What others put there is seen as far as it fits.
    typed(&app.service(), "text/css;x", "files/css", "x").await;
    typed(&app.service(), "text/css", "files/longer", "0123456789a").await;
    typed(&app.service(), "textual/css", "files/other", "x").await;
    assert_eq!(names(&user, "files").await, ["css", "image", "text"]);
    assert_eq!(get(&user, "files/longer").await.json()["code"], "NoSuchKey");
    assert_eq!(get(&user, "files/other").await.json()["code"], "NoSuchKey");
    for (metadata, name) in
        [(r#"{"shared":"yes"}"#, "shared"), (r#"{"shared":"no"}"#, "not"), (r#"{"shared":true}"#, "true"), (r#"{"x":{"shared":"yes"}}"#, "deep")]
    {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, metadata);
        typed(&app.service().header("x-metadata", &encoded), "x/y", &format!("files/{name}"), "x").await;
    }
    assert_eq!(names(&user, "files").await, ["css", "image", "shared", "text"]);
    let removed = user.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": ["css", "longer", "other", "shared"] })).await.json();
    assert_eq!((removed.as_array().unwrap().len(), &removed[0]["name"]), (1, &json!("css")));

    // A URL to upload by is no way around.
    let signed = user.post("/storage/v1/object/upload/sign/files/signed", json!({})).await.json();
    let url = format!("/storage/v1{}", signed["url"].as_str().unwrap());
    let by_url = async |kind: &str, text: &'static str| app.nobody().header("content-type", kind).send(Method::PUT, &url, text).await;
    assert_eq!(by_url("image/gif", "x").await.json()["code"], "AccessDenied");
    assert_eq!(by_url("text/plain", "0123456789a").await.json()["code"], "AccessDenied");
    assert_eq!(by_url("text/plain", "0123456789").await.status, 200);
    // Nor is a copy with another type, or a move.
    let copy = json!({ "bucketId": "files", "sourceKey": "text", "destinationKey": "copy", "metadata": { "mimetype": "text/html" } });
    assert_eq!(user.post("/storage/v1/object/copy", copy).await.status, 200);
    let copy = json!({ "bucketId": "files", "sourceKey": "text", "destinationKey": "copy2", "metadata": { "mimetype": "a/b" } });
    assert_eq!(user.post("/storage/v1/object/copy", copy).await.json()["code"], "AccessDenied");
}

#[tokio::test]
async fn a_rule_that_changes_during_an_upload_counts_at_its_end() {
    let app = app().await;
    let ann = app.user("ann@example.org", &["admin"]).await;
    let tus = ann.client.clone().header("tus-resumable", "1.0.0");
    let of = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let told = format!("bucketName {},objectName {},contentType {}", of("files"), of("a"), of("text/plain"));
    let created =
        tus.clone().header("upload-metadata", &told).header("upload-length", "10").send(Method::POST, "/storage/v1/upload/resumable", "").await;
    let place = url::Url::parse(created.header("location")).unwrap().path().to_owned();
    let bytes = tus.header("content-type", "application/offset+octet-stream");
    assert_eq!(bytes.clone().header("upload-offset", "0").send(Method::PATCH, &place, "hello").await.status, 204);
    set_rules(&app, json!([{ "name": "small", "roles": ["admin"], "actions": ["insert"], "max_size": 9 }])).await;
    assert_eq!(bytes.clone().header("upload-offset", "5").send(Method::PATCH, &place, "world").await.status, 403);
    set_rules(&app, json!([{ "name": "all", "roles": ["admin"], "actions": ["insert"] }])).await;
    assert_eq!(bytes.header("upload-offset", "5").send(Method::PATCH, &place, "world").await.status, 204);
    assert_eq!(get(&app.service(), "files/a").await.text(), "helloworld");
}

#[tokio::test]
async fn claims_decide_who_a_rule_is_for() {
    let app = with_rules(json!([
        { "name": "one", "roles": ["authenticated"], "actions": ["select"], "claims": { "email": "ann@example.org", "aal": "aal1" } },
        { "name": "safe", "roles": ["authenticated"], "actions": ["insert"], "claims": { "aal": "aal2" } },
    ]))
    .await;
    put_ok(&app.service(), "files/a", "a").await;
    let (ann, bob) = (app.user("ann@example.org", &[]).await.client, app.user("bob@example.org", &[]).await.client);
    assert_eq!(names(&ann, "files").await, ["a"]);
    assert_eq!(names(&bob, "files").await, [""; 0]);
    assert_eq!(put(&ann, "files/b", "b").await.status, 400, "that needs a second factor");
}

#[tokio::test]
async fn sealed_buckets_are_there_only_for_rules_that_say_so() {
    let app = with_rules(json!([
        { "name": "all", "roles": ["authenticated"], "actions": ["select", "insert", "update", "delete", "create_bucket", "read_bucket", "update_bucket", "delete_bucket"] },
        { "name": "sealed", "buckets": ["slips"], "sealed": "only", "roles": ["payroll"], "actions": ["select"] },
        { "name": "both", "sealed": "too", "roles": ["auditor"], "actions": ["list"] },
    ]))
    .await;
    make_bucket(&app.service(), json!({ "name": "slips" })).await;
    put_ok(&app.service(), "slips/a", "pay").await;
    put_ok(&app.service(), "files/a", "a").await;
    let user = app.user("ann@example.org", &["admin", "owner"]).await.client;
    let payroll = app.user("pay@example.org", &["payroll"]).await.client;
    let auditor = app.user("audit@example.org", &["auditor"]).await.client;
    assert_eq!((names(&user, "files").await, names(&user, "slips").await), (vec!["a".to_owned()], vec![]));
    assert_eq!(put(&user, "slips/b", "x").await.json()["code"], "AccessDenied");
    assert_eq!(user.delete("/storage/v1/bucket/slips").await.json()["code"], "NoSuchBucket");
    assert_eq!(get(&payroll, "slips/a").await.text(), "pay");
    assert_eq!(names(&auditor, "slips").await, ["a"]);
    assert_eq!(get(&auditor, "slips/a").await.json()["code"], "NoSuchKey");
}

#[tokio::test]
async fn users_can_have_buckets_of_their_own() {
    let app = with_rules(json!([
        { "name": "make", "buckets": ["user-*"], "roles": ["authenticated"], "actions": ["create_bucket", "read_bucket", "update_bucket", "delete_bucket"], "owner": "self" },
    ]))
    .await;
    let (ann, bob) = (app.user("ann@example.org", &[]).await, app.user("bob@example.org", &[]).await.client);
    make_bucket(&ann.client, json!({ "name": "user-ann" })).await;
    assert_eq!(ann.client.get("/storage/v1/bucket/user-ann").await.json()["owner"], json!(ann.id));
    assert_eq!(bob.get("/storage/v1/bucket/user-ann").await.json()["code"], "NoSuchBucket");
    assert_eq!(bob.get("/storage/v1/bucket").await.json(), json!([]));
    assert_eq!(bob.post("/storage/v1/bucket/user-ann/empty", json!({})).await.status, 403);
    assert_eq!(ann.client.post("/storage/v1/bucket", json!({ "name": "other" })).await.json()["code"], "AccessDenied");
    assert_eq!(ann.client.post("/storage/v1/bucket/user-ann/empty", json!({})).await.status, 200);
    assert_eq!(ann.client.delete("/storage/v1/bucket/user-ann").await.status, 200);
}

#[tokio::test]
async fn rules_explain_themselves() {
    let app = app().await;
    let ann = app.user("ann@example.org", &[]).await;
    let can = async |client: &Client, question: Value| {
        let reply = client.post("/storage/v1/rules/can", question).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let answer = can(&ann.client, json!({ "action": "insert", "bucket": "files", "key": format!("{}/a", ann.id) })).await;
    assert_eq!((&answer["allowed"], &answer["rule"]), (&json!(true), &json!("users upload below the folder of their user id")));
    assert_eq!(answer.get("missing"), None);
    let answer = can(&ann.client, json!({ "action": "insert", "bucket": "files", "key": "a" })).await;
    assert_eq!((&answer["allowed"], &answer["rule"], &answer["missing"]), (&json!(false), &Value::Null, &json!("insert")));
    let because: Vec<&str> = answer["rules"].as_array().unwrap().iter().map(|rule| rule["because"].as_str().unwrap()).collect();
    assert_eq!(because, ["action", "path", "path", "role", "sealed", "sealed", "sealed"]);
    let answer = can(&ann.client, json!({ "action": "delete_bucket", "bucket": "files" })).await;
    assert_eq!((&answer["allowed"], &answer["missing"]), (&json!(false), &json!("delete_bucket")));

    // Of what it may not see the caller learns nothing.
    put_ok(&app.service(), "files/hidden", "x").await;
    let question = |key: &str| json!({ "action": "get", "bucket": "files", "key": key });
    let mut hidden = can(&ann.client, question("hidden")).await;
    hidden["rules"].take();
    let mut nothing = can(&ann.client, question("nothing")).await;
    nothing["rules"].take();
    assert_eq!(hidden, nothing);

    // A secret key asks for anybody, and tries rules out.
    let service = app.service();
    let of = json!({ "user_id": ann.id, "roles": ["editor"], "app_metadata": { "org": "acme" } });
    let rules = json!([{ "name": "editors", "roles": ["editor"], "actions": ["update"], "path": "{app_metadata.org}/**", "mime": ["text/*"] }]);
    let mut question = json!({ "action": "update", "bucket": "files", "key": "acme/a", "as": of, "rules": rules,
        "object": { "owner": "somebody", "content_type": "text/css", "size": 9 } });
    assert_eq!(can(&service, question.clone()).await["rule"], "editors");
    question["object"]["content_type"] = "image/png".into();
    assert_eq!(can(&service, question.clone()).await["rules"], json!([{ "rule": "editors", "allows": false, "because": "mime" }]));
    question.as_object_mut().unwrap().remove("rules");
    assert_eq!(can(&service, question.clone()).await["allowed"], json!(false));
    assert_eq!(can(&service, json!({ "action": "list", "bucket": "files", "key": "a", "as": {} })).await["allowed"], json!(false));
    assert_eq!(can(&service, json!({ "action": "list", "bucket": "files", "key": "a" })).await["allowed"], json!(true));
    let function = app.function("storage.files:read").await;
    for (action, allowed) in [("get", true), ("insert", false), ("read_bucket", true), ("delete_bucket", false)] {
        assert_eq!(can(&function, json!({ "action": action, "bucket": "files", "key": "a" })).await["allowed"], json!(allowed), "{action}");
    }
    for client in [&ann.client, &function, &app.anonymous()] {
        assert_eq!(
            refusal(&client.post("/storage/v1/rules/can", question.clone()).await),
            "403 403 Unauthorized AccessDenied: Access denied: Invalid role"
        );
        assert_eq!(client.get("/storage/v1/rules").await.status, 403);
    }
    let three = service.post("/storage/v1/rules/can", json!({ "action": "select", "bucket": "files", "key": "a" })).await;
    assert_eq!(refusal(&three), "400 400 Error InvalidRequest: body/action select is three: ask for get, list or sign");
    let shown = service.get("/storage/v1/rules").await.json();
    assert_eq!(shown["rules"].as_array().unwrap().len(), 7);
    assert_eq!(shown["presets"]["own_folder"]["path"], "{user_id}/**");
    // What is shown can be set.
    set_rules(&app, shown["presets"].as_object().unwrap().values().cloned().collect()).await;
    assert_eq!(put(&ann.client, &format!("files/{}/a", ann.id), "x").await.status, 200);
    assert_eq!(put(&ann.client, "files/private/a", "x").await.status, 200);
    assert_eq!(put(&ann.client, "files/admin/assets/a", "x").await.status, 400);
    typed(&service, "image/png", "files/public/a.png", "x").await;
    typed(&service, "text/html", "files/public/a.html", "x").await;
    assert_eq!(names(&app.anonymous(), "files").await, ["public/a.png"]);
}

#[tokio::test]
async fn a_rule_that_cannot_be_is_refused_by_its_name() {
    let app = app().await;
    for (change, why) in [
        (json!({ "path": "a//b" }), "no empty segments"),
        (json!({ "path": "../a" }), "nor . and .."),
        (json!({ "path": "**/a/**" }), "** once at most"),
        (json!({ "path": "a**" }), "a segment of its own"),
        (json!({ "path": "{user_id}x" }), "a template fills a whole one"),
        (json!({ "path": "{jwt.x}" }), "is not known of a caller"),
        (json!({ "claims": { "sub": "x" } }), "is not known of a caller"),
        (json!({ "mime": ["*"] }), "is no type"),
        (json!({ "user_metadata": { "$.a": "x" } }), "can't be asked of metadata"),
        (json!({ "roles": [] }), "at least one of roles"),
        (json!({ "actions": ["read"] }), "unknown variant `read`"),
        (json!({ "owner": "other" }), "unknown variant `other`"),
        (json!({ "when": "x" }), "unknown field `when`"),
        (json!({ "max_size": -1 }), "invalid value"),
    ] {
        let mut rule = json!({ "name": "mine", "roles": ["authenticated"], "actions": ["select"] });
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "storage": { "rules": [rule] } } })).await;
        assert!(reply.status.is_client_error() && reply.text().contains(why), "{change}: {} {}", reply.status, reply.text());
    }
}
