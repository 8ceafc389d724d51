//! `/scim/v2`, as directories call it: the requests that Okta and Entra ID document, and what RFC 7644 asks for besides.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A directory: its key as a bearer token, at the tenant's own path.
struct Directory {
    client: Client,
}

impl Directory {
    async fn new(app: &TestApp) -> Self {
        Self { client: app.function("scim:read scim:write").await }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Reply {
        let client = self.client.clone().header("content-type", "application/scim+json");
        let path = format!("/t/default/scim/v2{path}");
        if body.is_null() { client.send(method, &path, "").await } else { client.send(method, &path, body.to_string()).await }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, &path.replace(' ', "%20").replace('"', "%22"), &Value::Null).await
    }

    async fn found(&self, path: &str) -> Vec<Value> {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()["Resources"].as_array().unwrap().clone()
    }

    async fn made(&self, path: &str, body: &Value) -> Value {
        let reply = self.send(Method::POST, path, body).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/scim+json");
        reply.json()
    }

    async fn patch(&self, path: &str, operations: Value) -> Reply {
        let mut body = json!({ "schemas": [PATCH] });
        body["Operations"] = operations;
        self.send(Method::PATCH, path, &body).await
    }
}

fn refused(reply: &Reply, status: u16, kind: Option<&str>) {
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), body["scimType"].as_str()), (status, kind), "{body}");
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], status.to_string());
}

fn at(resource: &Value) -> String {
    let kind = if resource["schemas"][0] == GROUP { "Groups" } else { "Users" };
    format!("/{kind}/{}", resource["id"].as_str().unwrap())
}

fn okta_user() -> Value {
    json!({
        "schemas": [USER], "userName": "Bea.Lang@example.com", "name": { "givenName": "Bea", "familyName": "Lang" },
        "emails": [{ "primary": true, "value": "bea.lang@example.com", "type": "work" }], "displayName": "Bea Lang", "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": true
    })
}

#[tokio::test]
async fn a_joiner_from_okta_becomes_an_employee_and_a_leaver_is_suspended() {
    let app = TestApp::new().await;
    let okta = Directory::new(&app).await;
    // It tries the connection, then asks whether somebody is there.
    let first = okta.get("/Users?startIndex=1&count=2").await.json();
    assert_eq!((&first["totalResults"], &first["itemsPerPage"], &first["startIndex"]), (&json!(0), &json!(0), &json!(1)));
    assert_eq!(okta.found("/Users?filter=userName eq \"bea.lang@example.com\"&startIndex=1&count=100").await, Vec::<Value>::new());
    let made = okta.send(Method::POST, "/Users", &okta_user()).await;
    let user = made.json();
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, "\"1\""), "{user}");
    assert_eq!(made.header("location"), user["meta"]["location"].as_str().unwrap());
    assert!(made.header("location").ends_with(&format!("/t/default/scim/v2{}", at(&user))));
    assert_eq!((&user["userName"], &user["active"], user.get("password")), (&json!("bea.lang@example.com"), &json!(true), None));
    let employee = app.service().get("/rest/v1/employees?work_email=eq.bea.lang@example.com").await.json()[0].clone();
    assert_eq!((&employee["status"], &employee["given_name"], &employee["external_id"]), (&json!("active"), &json!("Bea"), &user["externalId"]));
    assert_eq!(app.service().get("/rest/v1/employees/_search?q=bea&select=id").await.json(), json!([{ "id": user["id"] }]));
    refused(&okta.send(Method::POST, "/Users", &okta_user()).await, 409, Some("uniqueness"));
    // It updates by PUT of what it read, changed.
    let mut whole = okta.get(&at(&user)).await.json();
    whole["name"]["familyName"] = json!("Kurz");
    whole["title"] = json!("Pilot");
    let put = okta.send(Method::PUT, &at(&user), &whole).await;
    assert_eq!(
        (put.status.as_u16(), &put.json()["name"]["familyName"], &put.json()["title"]),
        (200, &json!("Kurz"), &json!("Pilot")),
        "{}",
        put.text()
    );
    assert_eq!(put.json()["meta"]["version"], "\"2\"");
    // Nothing new is nothing written.
    assert_eq!(okta.send(Method::PUT, &at(&user), &put.json()).await.json()["meta"]["version"], "\"2\"");
    // A leaver: a replacement without a path.
    let left = okta.patch(&at(&user), json!([{ "op": "replace", "value": { "active": false } }])).await;
    assert_eq!((left.status.as_u16(), &left.json()["active"]), (200, &json!(false)), "{}", left.text());
    let state = async || app.service().get(&format!("/rest/v1/employees?id=eq.{}", user["id"].as_str().unwrap())).await.json()[0]["status"].clone();
    assert_eq!(state().await, "suspended");
    assert_eq!(okta.found("/Users?filter=active eq false").await.len(), 1);
    let back = okta.patch(&at(&user), json!([{ "op": "replace", "value": { "active": true } }])).await;
    assert_eq!((&back.json()["active"], state().await), (&json!(true), json!("active")));
    let history = app.service().get(&format!("/rest/v1/changes?row_id=eq.{}&select=actor&order=id", user["id"].as_str().unwrap())).await.json();
    assert_eq!(history[0]["actor"], "key");
}

#[tokio::test]
async fn entra_changes_users_in_its_own_way() {
    let app = TestApp::new().await;
    let entra = Directory::new(&app).await;
    // It tries the connection with a name that nobody has.
    assert!(entra.found("/Users?filter=userName eq \"0c3f1a4e-e9a5-41b0-a7f5-4a2a6e0f8c11\"").await.is_empty());
    let user = json!({
        "schemas": [USER, ENTERPRISE], "externalId": "58342554-38d6-4ec8-948c-50044d0a33fd", "userName": "Test_User_ca1@testuser.com", "active": true,
        "displayName": "Test User", "emails": [{ "type": "work", "value": "testing@bob2.com", "primary": true }],
        "meta": { "resourceType": "User" }, "name": { "formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName" }, "roles": [],
        ENTERPRISE: { "employeeNumber": "701984", "department": "Tours", "division": "Parks", "organization": "Universal", "costCenter": "4130" }
    });
    let boss = entra.made("/Users", &json!({ "schemas": [USER], "userName": "boss@example.com", "active": true })).await;
    let user = entra.made("/Users", &user).await;
    let row = async || {
        let select = "employee_number,user_name,work_email,work_phone,job_title,status,departments(name,parent:parent_id(name)),legal_entities(name),manager_id,employee_private(mobile)";
        app.service().get(&format!("/rest/v1/employees?id=eq.{}&select={select}", user["id"].as_str().unwrap())).await.json()[0].clone()
    };
    let first = row().await;
    assert_eq!(
        (&first["employee_number"], &first["user_name"], &first["work_email"]),
        (&json!("701984"), &json!("test_user_ca1@testuser.com"), &json!("testing@bob2.com"))
    );
    assert_eq!(
        (&first["departments"], &first["legal_entities"]),
        (&json!({ "name": "Tours", "parent": { "name": "Parks" } }), &json!({ "name": "Universal" }))
    );
    let operations = json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@microsoft.com" },
        { "op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 555" },
        { "op": "Replace", "path": "name.familyName", "value": "updatedFamilyName" },
        { "op": "Add", "path": "title", "value": "Guide" },
        { "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": boss["id"] },
        { "op": "Replace", "path": format!("{ENTERPRISE}:department"), "value": "Sales" },
        { "op": "Replace", "value": { "displayName": "Bob", "name.givenName": "Robert", (format!("{ENTERPRISE}:costCenter")): "99" } },
    ]);
    let changed = entra.patch(&at(&user), operations).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let shown = changed.json();
    assert_eq!(
        (&shown["name"]["familyName"], &shown["name"]["givenName"], &shown["displayName"]),
        (&json!("updatedFamilyName"), &json!("Robert"), &json!("Bob"))
    );
    assert_eq!(shown[ENTERPRISE]["manager"]["value"], boss["id"]);
    assert_eq!((&shown[ENTERPRISE]["costCenter"], &shown[ENTERPRISE]["department"]), (&json!("99"), &json!("Sales")));
    let now = row().await;
    assert_eq!(
        (&now["work_email"], &now["job_title"], &now["employee_private"]["mobile"]),
        (&json!("updatedemail@microsoft.com"), &json!("Guide"), &json!("+1 555"))
    );
    let cleared =
        entra.patch(&at(&user), json!([{ "op": "Remove", "path": format!("{ENTERPRISE}:manager") }, { "op": "Remove", "path": "title" }])).await;
    assert_eq!((row().await["manager_id"].clone(), cleared.json().get("title")), (Value::Null, None));
    // A leaver: a truth value that is a text.
    assert_eq!(entra.patch(&at(&user), json!([{ "op": "Replace", "path": "active", "value": "False" }])).await.json()["active"], false);
    assert_eq!(row().await["status"], "suspended");
    // Later it removes them, who are gone for it and stay in the books.
    assert_eq!(entra.send(Method::DELETE, &at(&user), &Value::Null).await.status, 204);
    assert_eq!(row().await["status"], "terminated");
    refused(&entra.get(&at(&user)).await, 404, None);
    assert!(entra.found("/Users?filter=emails[type eq \"work\"].value eq \"updatedemail@microsoft.com\"").await.is_empty());
    refused(&entra.patch(&at(&user), json!([{ "op": "Replace", "path": "active", "value": true }])).await, 404, None);
    // Who comes back is the employee that was there.
    let again = json!({ "schemas": [USER], "userName": "again@example.com", "emails": [{ "type": "work", "value": "updatedEmail@microsoft.com" }], "active": true });
    let back = entra.made("/Users", &again).await;
    assert_eq!((&back["id"], row().await["status"].clone()), (&user["id"], json!("active")));
}

#[tokio::test]
async fn groups_are_kept_as_directories_change_them() {
    let app = TestApp::new().await;
    let directory = Directory::new(&app).await;
    let user = async |name: &str| directory.made("/Users", &json!({ "schemas": [USER], "userName": name, "displayName": name })).await;
    let (ann, bob, cat) = (user("ann@example.com").await, user("bob@example.com").await, user("cat@example.com").await);
    let group = json!({ "schemas": [GROUP], "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "Drivers", "members": [{ "value": ann["id"] }] });
    let group = directory.made("/Groups", &group).await;
    assert_eq!(group["members"][0]["display"], "ann@example.com");
    let members = async || {
        let mut ids: Vec<Value> =
            directory.get(&at(&group)).await.json()["members"].as_array().unwrap().iter().map(|member| member["value"].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    let sorted = |users: &[&Value]| {
        let mut ids: Vec<Value> = users.iter().map(|user| user["id"].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    for (operations, now) in [
        (
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": bob["id"] }, { "value": cat["id"] }] }]),
            sorted(&[&ann, &bob, &cat]),
        ),
        (json!([{ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": bob["id"] }] }]), sorted(&[&ann, &cat])),
        (json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", cat["id"].as_str().unwrap()) }]), sorted(&[&ann])),
        (json!([{ "op": "replace", "path": "members", "value": [{ "value": bob["id"], "display": "bob" }] }]), sorted(&[&bob])),
        (json!([{ "op": "replace", "value": { "id": group["id"], "displayName": "Pilots" } }]), sorted(&[&bob])),
    ] {
        let reply = directory.patch(&at(&group), operations.clone()).await;
        assert_eq!(reply.status, 204, "{operations}: {}", reply.text());
        assert_eq!(members().await, now, "{operations}");
    }
    let found = directory.found("/Groups?excludedAttributes=members&filter=displayName eq \"pilots\"").await;
    assert_eq!((found.len(), found[0].get("members"), &found[0]["displayName"]), (1, None, &json!("Pilots")));
    assert_eq!(directory.get(&at(&bob)).await.json()["groups"][0]["display"], "Pilots");
    let put =
        directory.send(Method::PUT, &at(&group), &json!({ "schemas": [GROUP], "displayName": "Pilots", "members": [{ "value": ann["id"] }] })).await;
    assert_eq!((put.status.as_u16(), put.json()["members"].as_array().unwrap().len()), (200, 1), "{}", put.text());
    refused(
        &directory.patch(&at(&group), json!([{ "op": "add", "path": "members", "value": [{ "value": group["id"] }] }])).await,
        400,
        Some("invalidValue"),
    );
    refused(&directory.send(Method::POST, "/Groups", &json!({ "schemas": [GROUP], "displayName": "Pilots" })).await, 409, Some("uniqueness"));
    // Who is removed is in no group any more.
    assert_eq!(directory.send(Method::DELETE, &at(&ann), &Value::Null).await.status, 204);
    assert_eq!(members().await, Vec::<Value>::new());
    assert_eq!(directory.send(Method::DELETE, &at(&group), &Value::Null).await.status, 204);
    refused(&directory.get(&at(&group)).await, 404, None);
}

#[tokio::test]
async fn a_change_waits_for_no_other_and_an_error_says_what_is_wrong() {
    let app = TestApp::new().await;
    let directory = Directory::new(&app).await;
    let user = directory.made("/Users", &okta_user()).await;
    let matching = |tag: &str| Directory { client: directory.client.clone().header("if-match", tag) };
    let change = json!([{ "op": "replace", "path": "title", "value": "x" }]);
    refused(&matching("\"9\"").patch(&at(&user), change.clone()).await, 412, None);
    refused(&matching("\"9\"").send(Method::DELETE, &at(&user), &Value::Null).await, 412, None);
    assert_eq!(matching("W/\"1\"").patch(&at(&user), change).await.header("etag"), "\"2\"");
    let known = directory.client.clone().header("if-none-match", "\"2\"").get(&format!("/t/default/scim/v2{}", at(&user))).await;
    assert_eq!(known.status, 304);
    for (operation, kind) in [
        (json!({ "op": "replace", "path": "shoeSize", "value": 1 }), "invalidPath"),
        (json!({ "op": "replace", "path": "emails[type eq", "value": 1 }), "invalidPath"),
        (json!({ "op": "remove" }), "invalidPath"),
        (json!({ "op": "turn", "path": "title" }), "invalidSyntax"),
        (json!({ "op": "replace", "path": "active", "value": "maybe" }), "invalidValue"),
        (json!({ "op": "replace", "path": "userName", "value": "" }), "invalidValue"),
        (json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "boss" }), "invalidValue"),
        (json!({ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": user["id"] }), "invalidValue"),
        (json!({ "op": "replace", "path": "title", "value": { "a": 1 } }), "invalidValue"),
    ] {
        refused(&directory.patch(&at(&user), json!([operation])).await, 400, Some(kind));
    }
    for filter in ["userName eq", "shoeSize eq 1", "userName gt 1", "emails[shoe eq 1]"] {
        refused(&directory.get(&format!("/Users?filter={filter}")).await, 400, Some("invalidFilter"));
    }
    refused(&directory.send(Method::POST, "/Users", &json!([1])).await, 400, Some("invalidSyntax"));
    refused(&directory.get("/Users/somebody").await, 404, None);
    assert_eq!(directory.get(&at(&user)).await.json()["title"], "x");
}

#[tokio::test]
async fn filters_pages_and_attributes_are_those_that_were_asked_for() {
    let app = TestApp::new().await;
    let directory = Directory::new(&app).await;
    for (name, title) in [("ann", "Pilot"), ("bob", "100% pilot"), ("cat", "Cook")] {
        let user = json!({ "schemas": [USER], "userName": format!("{name}@example.com"), "title": title, "externalId": name, "active": name != "cat",
            "emails": [{ "type": "work", "value": format!("{name}@mail.example.com") }, { "type": "home", "value": format!("{name}@home.example.com") }] });
        directory.made("/Users", &user).await;
    }
    for (filter, names) in [
        ("userName eq \"ANN@example.com\"", "ann"),
        ("externalId eq \"bob\"", "bob"),
        ("externalId eq \"BOB\"", ""),
        ("title co \"pilot\"", "ann bob"),
        ("title sw \"100%\"", "bob"),
        ("title ew \"k\" or userName sw \"ann\"", "ann cat"),
        ("title pr and active eq true", "ann bob"),
        ("not (title co \"pilot\") and active eq False", "cat"),
        ("userName ne \"ann@example.com\"", "bob cat"),
        ("emails.value eq \"cat@mail.example.com\"", "cat"),
        ("emails[type eq \"work\" and value co \"bob\"]", "bob"),
        ("emails[type eq \"home\" and value co \"bob\"]", ""),
        ("meta.created lt \"1999-01-01T00:00:00Z\"", ""),
        ("id eq \"nobody\"", ""),
        ("title co \"'; DROP TABLE employees; --\"", ""),
    ] {
        let filter: String = url_escaped(filter);
        let mut found: Vec<String> =
            directory.found(&format!("/Users?filter={filter}")).await.iter().map(|user| user["externalId"].as_str().unwrap().to_owned()).collect();
        found.sort();
        assert_eq!(found.join(" "), names, "{filter}");
    }
    let page = directory.get("/Users?startIndex=2&count=1&attributes=userName,emails.value").await.json();
    assert_eq!((&page["totalResults"], &page["itemsPerPage"], &page["startIndex"]), (&json!(3), &json!(1), &json!(2)));
    let only: Vec<&String> = page["Resources"][0].as_object().unwrap().keys().collect();
    assert_eq!(only, ["schemas", "id", "userName", "emails"]);
    assert_eq!(directory.get("/Users?count=0").await.json()["totalResults"], 3);
    assert_eq!(directory.found("/Users?startIndex=-5&count=2").await.len(), 2);
}

fn url_escaped(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26")
}

#[tokio::test]
async fn a_directory_finds_out_what_there_is_and_opens_nothing_else() {
    let app = TestApp::new().await;
    let directory = Directory::new(&app).await;
    let config = directory.get("/ServiceProviderConfig").await.json();
    assert_eq!(
        (&config["patch"]["supported"], &config["etag"]["supported"], &config["bulk"]["supported"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let kinds = directory.found("/ResourceTypes").await;
    assert_eq!(kinds.iter().map(|kind| kind["id"].as_str().unwrap()).collect::<Vec<_>>(), ["User", "Group"]);
    assert_eq!(directory.get("/ResourceTypes/User").await.json()["schemaExtensions"][0]["schema"], ENTERPRISE);
    for schema in [USER, GROUP, ENTERPRISE] {
        assert_eq!(directory.get(&format!("/Schemas/{schema}")).await.json()["id"], schema);
    }
    assert_eq!(directory.found("/Schemas").await.len(), 3);
    refused(&directory.get("/Schemas/urn:x").await, 404, None);
    // Its key opens the directory, and a key of anything else does not.
    assert_eq!(directory.client.get("/rest/v1/employees").await.status, 403);
    let reader = Directory { client: app.function("scim:read").await };
    refused(&reader.send(Method::POST, "/Users", &okta_user()).await, 403, None);
    for client in [app.function("employees:read employees:write").await, app.anonymous(), app.user("o@example.com", &["owner"]).await.client] {
        refused(&Directory { client }.get("/Users").await, 403, None);
    }
    refused(&Directory { client: app.nobody() }.get("/Users").await, 401, None);
    // A tenant's directory sees its own people.
    let user = directory.made("/Users", &okta_user()).await;
    let elsewhere = app.other_service().get("/scim/v2/Users").await;
    assert_eq!((elsewhere.status.as_u16(), &elsewhere.json()["totalResults"]), (200, &json!(0)));
    assert_eq!(app.other_service().get(&format!("/scim/v2{}", at(&user))).await.status, 404);
    // Who was there before the directory is found by the address at work.
    let made =
        app.service().post("/rest/v1/employees", json!({ "employee_number": "5", "display_name": "Five", "work_email": "five@example.com" })).await;
    assert_eq!(made.status, 201);
    assert_eq!(directory.found("/Users?filter=userName eq \"five@example.com\"").await[0]["userName"], "five@example.com");
    let taken = json!({ "schemas": [USER], "userName": "five@example.com" });
    refused(&directory.send(Method::POST, "/Users", &taken).await, 409, Some("uniqueness"));
}
