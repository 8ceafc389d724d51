//! Tenants and their keys, as the operator handles them and as requests feel them.

mod changes;
mod keys_and_settings;

use aws_lc_rs::{
    encoding::AsBigEndian as _,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use basalt::crypto::base64url;
use serde_json::json;

use crate::support::TestApp;

/// V34
#[tokio::test]
async fn operator_makes_changes_and_deletes_a_tenant() {
    let app = TestApp::new().await;
    let operator = app.operator();
    let made = operator.post("/admin/v1/tenants", json!({ "ref": "acme", "name": "Acme" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["ref"], "acme");
    assert_eq!(made["issuer"], "http://127.0.0.1:8787/t/acme/auth/v1");
    assert_eq!(made["settings"]["sign_up"]["enabled"], true);

    let twice = operator.post("/admin/v1/tenants", json!({ "ref": "acme" })).await;
    assert_eq!(twice.status, 409);
    assert_eq!(twice.header("content-type"), "application/problem+json");
    assert!(twice.json()["detail"].as_str().unwrap().contains("acme"));

    let changed = operator.patch("/admin/v1/tenants/acme", json!({ "name": "Acme Ltd", "settings": { "sign_up": { "enabled": false } } })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["name"]), (200, &json!("Acme Ltd")));
    assert_eq!(changed.json()["settings"]["sign_up"]["enabled"], false);
    assert_eq!(changed.json()["settings"]["password"]["min_length"], 8);

    let listed = operator.get("/admin/v1/tenants?limit=2").await.json();
    assert_eq!(listed["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["ref"]).collect::<Vec<_>>(), ["acme", "default"]);
    assert_eq!(operator.get("/admin/v1/tenants?limit=2&after=default").await.json()["tenants"][0]["ref"], "other");

    assert_eq!(operator.delete("/admin/v1/tenants/acme").await.status, 204);
    assert_eq!(operator.get("/admin/v1/tenants/acme").await.status, 404);
    assert_eq!(operator.post("/admin/v1/tenants", json!({ "ref": "acme" })).await.status, 409, "a reference is never used again");
}

#[tokio::test]
async fn bad_input_of_the_operator_is_refused_by_name() {
    let app = TestApp::new().await;
    let operator = app.operator();
    let cases = [
        (json!({ "ref": "A" }), 422, "ref"),
        (json!({ "ref": "-a-" }), 422, "ref"),
        (json!({ "ref": "acme", "unknown": 1 }), 400, "unknown"),
        (json!({ "ref": "acme", "settings": { "password": { "min_length": 3 } } }), 422, "password.min_length"),
        (json!({ "ref": "acme", "domain": "Not A Domain" }), 422, "domain"),
        (json!({ "ref": "acme", "name": "" }), 422, "name"),
    ];
    for (body, status, word) in cases {
        let reply = operator.post("/admin/v1/tenants", body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains(word), "{body}: {}", reply.text());
    }
    assert_eq!(operator.send(http::Method::POST, "/admin/v1/tenants", "{").await.status, 400);
    for limit in ["0", "-1", "1.5", "1001", "x"] {
        assert_eq!(operator.get(&format!("/admin/v1/tenants?limit={limit}")).await.status, 422, "{limit}");
    }
    assert_eq!(operator.get("/admin/v1/tenants?limit=1000").await.json()["tenants"].as_array().unwrap().len(), 2);
}

/// V26, V32
#[tokio::test]
async fn only_an_operator_key_opens_the_admin_surface() {
    let app = TestApp::new().await;
    for caller in [app.nobody(), app.anonymous(), app.service(), app.other_service()] {
        let reply = caller.get("/admin/v1/tenants").await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (401, "application/problem+json"));
    }
}

/// V24
#[tokio::test]
async fn a_key_is_shown_once_and_felt_when_it_is_revoked() {
    let app = TestApp::new().await;
    let operator = app.operator();
    let made = operator.post("/admin/v1/tenants/default/keys", json!({ "kind": "secret", "name": "payroll", "scopes": ["pay:read"] })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let caller = app.nobody().key(made["key"].as_str().unwrap());
    assert_eq!(caller.get("/auth/v1/settings").await.status, 200);

    let listed = operator.get("/admin/v1/tenants/default/keys").await;
    assert!(!listed.text().contains(made["key"].as_str().unwrap()));
    let keys = listed.json();
    let key = keys.as_array().unwrap().iter().find(|key| key["id"] == made["id"]).unwrap();
    assert_eq!((&key["name"], &key["scopes"], &key["kind"]), (&json!("payroll"), &json!("pay:read"), &json!("secret")));

    let path = format!("/admin/v1/tenants/default/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(operator.delete(&path.replace("default", "other")).await.status, 404, "another tenant's key is not there");
    assert_eq!(operator.delete(&path).await.status, 204);
    assert_eq!(operator.delete(&path).await.status, 404);
    assert_eq!(caller.get("/auth/v1/settings").await.status, 401);
}

/// V32
#[tokio::test]
async fn a_key_that_can_not_be_is_refused() {
    let app = TestApp::new().await;
    let cases = [
        (json!({ "kind": "operator" }), "kind"),
        (json!({ "kind": "publishable", "scopes": ["pay:read"] }), "scopes"),
        (json!({ "kind": "secret", "scopes": ["salaries:read"] }), "salaries:read"),
        (json!({ "kind": "secret", "scopes": ["pay:delete"] }), "pay:delete"),
        (json!({ "kind": "secret", "scopes": ["storage.:read"] }), "storage.:read"),
        (json!({ "kind": "secret", "expires_at": "2001-01-01T00:00:00Z" }), "expires_at"),
    ];
    for (body, word) in cases {
        let reply = app.operator().post("/admin/v1/tenants/default/keys", body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains(word), "{body}: {}", reply.text());
    }
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let app = TestApp::new().await;
    let end = app.app.clock.now().plus_seconds(60);
    let made = app.operator().post("/admin/v1/tenants/default/keys", json!({ "kind": "secret", "expires_at": end })).await.json();
    let caller = app.nobody().key(made["key"].as_str().unwrap());
    assert_eq!(caller.get("/auth/v1/settings").await.status, 200);
    app.app.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(caller.get("/auth/v1/settings").await.status, 401);
}

/// V23
#[tokio::test]
async fn a_suspended_tenant_is_refused_until_it_is_active_again() {
    let app = TestApp::new().await;
    let status = async |status: &str| app.operator().patch("/admin/v1/tenants/default", json!({ "status": status })).await.status;
    assert_eq!(app.service().get("/auth/v1/admin/users").await.status, 200);
    assert_eq!(status("suspended").await, 200);
    let refused = app.service().get("/auth/v1/admin/users").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(app.other_service().get("/auth/v1/admin/users").await.status, 200);
    assert_eq!(status("active").await, 200);
    assert_eq!(app.service().get("/auth/v1/admin/users").await.status, 200);
    assert_eq!(status("deleted").await, 422);
}

/// V26
#[tokio::test]
async fn path_key_and_token_must_mean_one_tenant() {
    let app = TestApp::new().await;
    assert_eq!(app.other_service().get("/t/other/auth/v1/admin/users").await.status, 200);
    assert_eq!(app.other_service().get("/t/default/auth/v1/admin/users").await.status, 401);
    assert_eq!(app.service().get("/t/nowhere/auth/v1/admin/users").await.status, 401);
    let user = app.user("ann@example.org", &[]).await;
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let mixed = user.client.clone().key(&app.other.publishable_key);
    assert_eq!(mixed.get("/auth/v1/user").await.status, 401);
    let two_keys = app.service().bearer(&app.default.publishable_key);
    assert_eq!(two_keys.get("/auth/v1/settings").await.status, 401, "a key and another key");
    let same_key_twice = app.anonymous().bearer(&app.default.publishable_key);
    assert_eq!(same_key_twice.get("/auth/v1/settings").await.status, 200);
}

#[tokio::test]
async fn a_host_names_its_tenant_and_never_another() {
    let app = TestApp::with(|config| config.base_domain = "example.org".to_owned()).await;
    let changed = app.operator().patch("/admin/v1/tenants/other", json!({ "domain": "api.other.test" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let ask = async |client: crate::support::Client, host: &str| client.header("host", host).get("/auth/v1/admin/users").await.status.as_u16();
    for host in ["other.example.org", "OTHER.example.org:8787", "other.example.org.", "api.other.test", "api.other.test.:443"] {
        assert_eq!(ask(app.other_service(), host).await, 200, "{host}");
        assert_eq!(ask(app.service(), host).await, 401, "{host}");
    }
    for host in ["default.example.org", "localhost", "10.0.0.1:80", "[::1]:8787", "elsewhere.test", "example.org"] {
        assert_eq!(ask(app.service(), host).await, 200, "{host}");
    }
    for host in ["nobody.example.org", "a.other.example.org", "nobody.example.org."] {
        assert_eq!(ask(app.service(), host).await, 401, "{host}");
        let open = app.nobody().header("host", host).get("/auth/v1/.well-known/jwks.json").await;
        assert_eq!(open.status, 401, "{host} is not taken for the default tenant");
    }
}

/// V12, V26
#[tokio::test]
async fn a_key_comes_once_and_a_secret_one_never_in_the_url() {
    let app = TestApp::new().await;
    let (publishable, secret) = (&app.default.publishable_key, &app.default.secret_key);
    let settings = async |client: crate::support::Client, query: &str| client.get(&format!("/auth/v1/settings{query}")).await.status.as_u16();
    assert_eq!(settings(app.nobody(), &format!("?apikey={publishable}")).await, 200);
    assert_eq!(settings(app.anonymous(), &format!("?apikey={publishable}")).await, 200);
    assert_eq!(settings(app.nobody(), &format!("?apikey={secret}")).await, 401);
    assert_eq!(settings(app.service(), &format!("?apikey={publishable}")).await, 401);
    assert_eq!(settings(app.nobody(), &format!("?apikey={publishable}&apikey={publishable}")).await, 401);
    assert_eq!(settings(app.anonymous().also("apikey", secret), "").await, 401);
    assert_eq!(settings(app.anonymous().also("apikey", publishable), "").await, 401);
    let twice = app.anonymous().bearer(publishable).also("authorization", &format!("Bearer {secret}"));
    assert_eq!(settings(twice, "").await, 401);
    let operators = app.operator().also("authorization", "Bearer x");
    assert_eq!(operators.get("/admin/v1/tenants").await.status, 401);
}

/// V24
#[tokio::test]
async fn a_suspension_is_not_undone_by_a_change_at_the_same_time() {
    let app = TestApp::new().await;
    for round in 0..10 {
        let operator = app.operator();
        let rename = |name: String| {
            let operator = operator.clone();
            async move { operator.patch("/admin/v1/tenants/other", json!({ "name": name })).await.status }
        };
        let suspend = operator.patch("/admin/v1/tenants/other", json!({ "status": "suspended" }));
        let renames = futures_util::future::join_all((0..6).map(|number| rename(format!("Other {round} {number}"))));
        let (statuses, suspended) = tokio::join!(renames, suspend);
        assert!(statuses.iter().all(|status| *status == 200) && suspended.status == 200);
        assert_eq!(operator.get("/admin/v1/tenants/other").await.json()["status"], "suspended");
        assert_eq!(operator.patch("/admin/v1/tenants/other", json!({ "status": "active" })).await.status, 200);
    }
}

#[tokio::test]
async fn of_keys_rotated_at_once_one_signs() {
    let app = TestApp::new().await;
    let operator = app.operator();
    let rotations = futures_util::future::join_all((0..6).map(|_| operator.post("/admin/v1/tenants/default/signing-keys/rotate", json!({})))).await;
    assert!(rotations.iter().all(|rotated| rotated.status == 201));
    let conn = app.app.db.read().await.unwrap();
    let current = conn.query("SELECT count(*) FROM signing_keys WHERE status = 'current' AND tenant_id = 1").fetch_one::<(i64,)>().await.unwrap();
    assert_eq!(current, (1,));
}

#[tokio::test]
async fn a_rotated_signing_key_signs_at_once_and_the_old_one_still_verifies() {
    let app = TestApp::new().await;
    let user = app.user("ann@example.org", &[]).await;
    let kids = async || {
        let set = app.anonymous().get("/auth/v1/.well-known/jwks.json").await.json();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kids().await.len(), 1);
    let rotated = app.operator().post("/admin/v1/tenants/default/signing-keys/rotate", json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let kid = rotated.json()["kid"].as_str().unwrap().to_owned();
    assert!(kids().await.contains(&kid));
    assert_eq!(kids().await.len(), 2);
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let fresh = app.user("bob@example.org", &[]).await;
    let header = fresh.session["access_token"].as_str().unwrap().split('.').next().unwrap();
    let header: serde_json::Value = serde_json::from_slice(&basalt::crypto::from_base64url(header).unwrap()).unwrap();
    assert_eq!((&header["kid"], &header["alg"]), (&json!(kid), &json!("ES256")));
}

/// 2c.9
#[tokio::test]
async fn an_imported_secret_is_believed_and_never_published() {
    let app = TestApp::new().await;
    let import = async |body| app.operator().post("/admin/v1/tenants/default/signing-keys/import", body).await;
    let short = import(json!({ "key": { "hs256_secret": "too short" } })).await;
    assert_eq!(short.status, 422, "{}", short.text());
    let secret = "a-secret-that-came-from-elsewhere-and-is-long";
    assert_eq!(import(json!({ "key": { "hs256_secret": secret } })).await.status, 201);
    let end = app.app.clock.now().plus_seconds(600).seconds();
    let claims = json!({ "role": "service_role", "iss": "supabase", "iat": end - 600, "exp": end });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    assert_eq!(app.nobody().key(&token).get("/auth/v1/admin/users").await.status, 200);
    let set = app.anonymous().get("/auth/v1/.well-known/jwks.json").await;
    assert_eq!(set.json()["keys"].as_array().unwrap().len(), 1);
    assert!(!set.text().contains("oct"));
    let public = json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" });
    assert_eq!(import(json!({ "key": { "jwk": public }, "sign": true })).await.status, 422);
}

/// V34
#[tokio::test]
async fn a_whole_set_of_keys_is_taken_over_or_none_of_it() {
    let app = TestApp::new().await;
    let import = async |body| app.operator().post("/admin/v1/tenants/default/signing-keys/import", body).await;
    let count = async || app.operator().get("/admin/v1/tenants/default/signing-keys").await.json().as_array().unwrap().len();
    let secret = "a-secret-that-came-from-elsewhere-and-is-long";
    let checks = json!({ "kty": "oct", "k": base64url(secret.as_bytes()), "kid": "old-1", "alg": "HS256", "key_ops": ["verify"] });
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (point, private) = (pair.public_key().as_ref(), pair.private_key().as_be_bytes().unwrap());
    let (x, y, d) = (base64url(&point[1..33]), base64url(&point[33..]), base64url(private.as_ref()));
    let signs = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d, "kid": "old-2", "alg": "ES256", "key_ops": ["sign", "verify"] });
    let mut unmarked = signs.clone();
    unmarked["key_ops"] = json!(["verify"]);
    for (keys, why) in [
        (json!([]), "at least one key"),
        (json!([checks, { "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }]), "EC (P-256), RSA or oct"),
        (json!([checks, { "kty": "RSA", "n": base64url(&[255; 256]), "e": "AQAB", "alg": "RS512" }]), "RS512"),
        (json!([checks, unmarked]), "several keys could sign"),
    ] {
        let refused = import(json!({ "key": { "jwks": keys }, "sign": true })).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    assert_eq!(count().await, 1);
    let imported = import(json!({ "key": { "jwks": { "keys": [checks, signs] } }, "sign": true })).await;
    assert_eq!((imported.status.as_u16(), imported.json()), (201, json!({ "kids": ["old-1", "old-2"] })), "{}", imported.text());
    assert_eq!(import(json!({ "key": { "jwks": [{ "kty": "oct", "k": base64url(&[1; 32]), "kid": "new" }, checks] } })).await.status, 409);
    assert_eq!(count().await, 3);
    // What the project signed is believed, and the next token is as it would have been there.
    let now = app.app.clock.now().seconds();
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let claims = json!({ "role": "service_role", "iss": "supabase", "exp": now + 600 });
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    assert_eq!(app.nobody().key(&token).get("/auth/v1/admin/users").await.status, 200);
    let user = app.user("ann@example.org", &[]).await;
    let header = jsonwebtoken::decode_header(user.session["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(header.kid.as_deref(), Some("old-2"));
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let published = app.anonymous().get("/auth/v1/.well-known/jwks.json").await.json();
    let published = published["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "old-2").unwrap().clone();
    assert_eq!((&published["x"], published.get("d")), (&json!(x), None));
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_tenant_and_nothing_is_missing_of_another() {
    let app = TestApp::new().await;
    let fill = async |service: crate::support::Client, tenant| {
        let user = app.user_of(tenant, "ann@example.org", &[]).await;
        let boss = json!({ "employee_number": "1", "given_name": "Grace", "family_name": "Hopper", "hired_on": "2001-01-01", "user_id": user.id });
        let made = service.clone().header("prefer", "return=representation").post("/rest/v1/employees", boss).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let boss = made.json()[0]["id"].clone();
        let department = json!({ "code": "d1", "name": "One", "head_employee_id": boss });
        assert_eq!(service.post("/rest/v1/departments", department).await.status, 201);
        let second = json!({ "employee_number": "2", "given_name": "Ada", "family_name": "Lovelace", "hired_on": "2001-01-01", "manager_id": boss });
        assert_eq!(service.post("/rest/v1/employees", second).await.status, 201);
        assert_eq!(service.post("/storage/v1/bucket", json!({ "id": "b", "name": "b" })).await.status, 200);
        assert_eq!(service.send(http::Method::POST, "/storage/v1/object/b/k", "bytes").await.status, 200);
    };
    fill(app.service(), &app.default).await;
    fill(app.other_service(), &app.other).await;
    assert_eq!(app.operator().delete("/admin/v1/tenants/other").await.status, 204);

    let conn = app.app.db.read().await.unwrap();
    let owners = "SELECT tenant_id, 'user' FROM users UNION ALL SELECT tenant_id, 'session' FROM sessions \
                  UNION ALL SELECT tenant_id, 'employee' FROM employees UNION ALL SELECT tenant_id, 'name' FROM employee_search \
                  UNION ALL SELECT tenant_id, 'department' FROM departments UNION ALL SELECT tenant_id, 'bucket' FROM buckets \
                  UNION ALL SELECT tenant_id, 'object' FROM objects UNION ALL SELECT tenant_id, 'key' FROM api_keys \
                  UNION ALL SELECT tenant_id, 'signing key' FROM signing_keys ORDER BY 1, 2";
    let left: Vec<(i64, String)> = conn.query(owners).fetch_all().await.unwrap();
    let default = left[0].0;
    assert!(left.iter().all(|(tenant, _)| *tenant == default), "{left:?}");
    let kinds: std::collections::BTreeSet<&str> = left.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds.len(), 9, "all of the other tenant is there: {kinds:?}");
    let loose: Vec<(i64, String)> = conn.query("SELECT tenant_id, state FROM loose_blobs").fetch_all().await.unwrap();
    assert!(loose.len() == 1 && loose[0].0 != default && loose[0].1 == "garbage", "{loose:?}");
    drop(conn);
    assert_eq!(app.service().get("/storage/v1/object/b/k").await.text(), "bytes");
}
