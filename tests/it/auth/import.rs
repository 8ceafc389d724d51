//! Users from elsewhere: each product's files, and the sign-in with the old password.

use std::path::{Path, PathBuf};

use basalt::{
    auth::{FirebaseHash, Source, UserImport, UserReport, import_users},
    crypto::{PasswordSettings, Passwords},
    tenants,
};
use serde_json::{Value, json};

use super::{SIGN_IN, assert_refused, holder, refresh, set};
use crate::support::{TENANT, TestApp};

const HORSE: &str = "correct horse";
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

async fn import(app: &TestApp, source: Source, files: &[&Path], dry_run: bool) -> UserReport {
    let tenant = app.app.tenants.active(TENANT).await.unwrap();
    let import = UserImport { files: files.iter().map(|path| path.to_path_buf()).collect(), source, dry_run };
    import_users(&app.app, &tenant, import, |_| ()).await.unwrap()
}

fn whys(report: &UserReport) -> Vec<String> {
    report.refused.iter().chain(&report.incomplete).map(|record| format!("{}: {}", record.line, record.why)).collect()
}

async fn stored_hash(app: &TestApp, email: &str) -> String {
    let conn = app.app.db.read().await.unwrap();
    let (hash,): (String,) =
        conn.query("SELECT encrypted_password FROM users WHERE tenant_id = 1 AND email = $1").bind(email).fetch_one().await.unwrap();
    hash
}

/// RFC 6238 with what apps take for granted: SHA-1, 30 seconds, 6 digits.
fn totp(secret: &[u8], seconds: i64) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = aws_lc_rs::hmac::sign(&key, &(seconds / 30).to_be_bytes());
    let at = usize::from(mac.as_ref()[19] & 15);
    let number = u32::from_be_bytes(mac.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Signs in with the old password, finds the hash made anew, and signs in with that.
async fn moves_in(app: &TestApp, email: &str, password: &str) -> Value {
    let before = stored_hash(app, email).await;
    assert!(!before.starts_with("$argon2id$v=19$m=64,"), "{before}");
    let wrong = app.anonymous().post(SIGN_IN, json!({ "email": email, "password": "another password" })).await;
    assert_refused(&wrong, 400, "invalid_credentials");
    let mut session = Value::Null;
    for _ in 0..2 {
        let reply = app.anonymous().post(SIGN_IN, json!({ "email": email, "password": password })).await;
        assert_eq!(reply.status, 200, "{email}: {}", reply.text());
        let after = stored_hash(app, email).await;
        assert!(after.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{after}");
        session = reply.json();
    }
    session
}

#[tokio::test]
async fn a_dump_of_supabase_moves_in_with_its_sessions() {
    let app = TestApp::new().await;
    let (ada, bob, session) =
        ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333");
    let dump = format!(
        "--\n-- PostgreSQL database dump\n--\n\nCOPY auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at, id) FROM stdin;\n\
         {ada}\t{ada}\t{{\"sub\": \"{ada}\", \"email\": \"ada@example.com\"}}\temail\t2024-01-02 03:04:05.678+00\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\t44444444-4444-4444-8444-444444444444\n\
         g-77\t{bob}\t{{\"sub\": \"g-77\", \"email\": \"bob@example.com\", \"name\": \"Bob \\\\\"B\\\\\" \\\\\\\\ tab\"}}\tgoogle\t\\N\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\t55555555-5555-4555-8555-555555555555\n\
         \\.\n\nCOPY auth.refresh_tokens (instance_id, id, token, user_id, revoked, created_at, updated_at, parent, session_id) FROM stdin;\n\
         \\N\t1\tabcdefghij22\t{ada}\tt\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\t\\N\t{session}\n\
         \\N\t2\tabcdefghij33\t{ada}\tf\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\tabcdefghij22\t{session}\n\
         \\.\n\nCOPY auth.sessions (id, user_id, created_at, updated_at, factor_id, aal, not_after, refreshed_at, user_agent, ip, tag) FROM stdin;\n\
         {session}\t{ada}\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\t\\N\taal1\t\\N\t2024-01-02 03:04:05\tcurl\t10.0.0.1\t\\N\n\
         \\.\n\nCOPY auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, phone, banned_until, is_anonymous, deleted_at) FROM stdin;\n\
         00000000-0000-0000-0000-000000000000\t{ada}\tauthenticated\tauthenticated\tAda@Example.com\t{BCRYPT}\t2024-01-02 03:04:05+00\t{{\"provider\": \"email\", \"providers\": [\"email\"], \"roles\": [\"hr\"]}}\t{{\"full_name\": \"Ada\"}}\t2024-01-02 03:04:05+00\t\\N\t\\N\tf\t\\N\n\
         00000000-0000-0000-0000-000000000000\t{bob}\tauthenticated\tauthenticated\tbob@example.com\t\t2024-01-02 03:04:05+00\t{{\"provider\": \"google\", \"providers\": [\"google\"]}}\t{{}}\t2024-01-02 03:04:05+00\t\\N\t2999-01-01 00:00:00+00\tf\t\\N\n\
         00000000-0000-0000-0000-000000000000\tx\tauthenticated\tauthenticated\tx@example.com\t\t\\N\t{{}}\t{{}}\t\\N\t\\N\t\\N\tf\t\\N\n\
         \\.\n\nCOPY public.todos (id) FROM stdin;\n1\n\\.\n"
    );
    let files = Files::new();
    let dump = files.write("dump.sql", &dump);
    let foreseen = import(&app, Source::Supabase, &[&dump], true).await;
    assert_eq!((foreseen.made, foreseen.refused.len()), (2, 1), "{foreseen:?}");
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "0", "a dry run writes nothing");
    let report = import(&app, Source::Supabase, &[&dump], false).await;
    assert_eq!((report.made, report.kept, report.identities, report.sessions, report.tokens), (2, 0, 1, 1, 1), "{report:?}");
    assert_eq!(whys(&report), ["22: id is missing or no UUID"]);
    let again = import(&app, Source::Supabase, &[&dump], false).await;
    assert_eq!((again.made, again.kept, again.identities, again.sessions, again.tokens), (0, 2, 0, 0, 0), "{again:?}");

    let user = app.service().get(&format!("/auth/v1/admin/users/{bob}")).await.json();
    assert_eq!((&user["identities"][0]["id"], &user["identities"][0]["provider"]), (&json!("g-77"), &json!("google")));
    assert_eq!(user["identities"][0]["identity_data"]["name"], "Bob \"B\" \\ tab");
    assert_eq!((&user["banned_until"], user["identities"].as_array().unwrap().len()), (&json!("2999-01-01T00:00:00Z"), 1));
    let user = app.service().get(&format!("/auth/v1/admin/users/{ada}")).await.json();
    assert_eq!((&user["app_metadata"]["roles"], &user["user_metadata"]["full_name"]), (&json!(["hr"]), &json!("Ada")));
    assert_eq!((&user["email"], &user["created_at"]), (&json!("ada@example.com"), &json!("2024-01-02T03:04:05Z")));

    // The session goes on: its token is exchanged for ours, as often as its answer was lost, and ours goes on alone.
    let first = refresh(&app, &json!("abcdefghij33")).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let ours = first.json()["refresh_token"].clone();
    assert_eq!(refresh(&app, &json!("abcdefghij33")).await.json()["refresh_token"], ours);
    assert_eq!(holder(&app, &first.json()).get("/auth/v1/user").await.json()["id"], ada);
    let next = refresh(&app, &ours).await;
    assert_eq!(next.status, 200, "{}", next.text());
    app.app.clock.advance(std::time::Duration::from_mins(1));
    assert_refused(&refresh(&app, &json!("abcdefghij33")).await, 400, "refresh_token_already_used");
    assert_refused(&refresh(&app, &next.json()["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_refused(&refresh(&app, &json!("abcdefghij22")).await, 400, "refresh_token_not_found");
    assert_refused(&refresh(&app, &json!("short")).await, 400, "validation_failed");
    moves_in(&app, "ada@example.com", HORSE).await;
}

#[tokio::test]
async fn rows_of_supabase_come_as_csv_and_as_json_too() {
    let app = TestApp::new().await;
    let files = Files::new();
    let csv = files.write(
        "users.csv",
        &format!("id,email,encrypted_password,email_confirmed_at,raw_app_meta_data,raw_user_meta_data,phone,created_at\n\
                  11111111-1111-4111-8111-111111111111,ada@example.com,{BCRYPT},2024-01-02 03:04:05+00,\"{{\"\"providers\"\": [\"\"email\"\"]}}\",{{}},NULL,2024-01-02 03:04:05+00\n\
                  22222222-2222-4222-8222-222222222222,no address,,,,,,\nshort,line\n"),
    );
    let json = files.write(
        "more.json",
        &format!("{}\n{}\n", json!({ "id": "66666666-6666-4666-8666-666666666666", "phone": "+49 170 123456", "phone_confirmed_at": "2024-01-02T03:04:05Z", "encrypted_password": BCRYPT }),
            json!({ "id": "77777777-7777-4777-8777-777777777777", "email": "ada@example.com" })),
    );
    let foreseen = import(&app, Source::Supabase, &[&csv, &json], true).await;
    let report = import(&app, Source::Supabase, &[&csv, &json], false).await;
    assert_eq!(report.made, 2, "{report:?}");
    assert_eq!(report, foreseen, "a dry run says what will be");
    assert_eq!(
        whys(&report),
        ["3: Unable to validate email address: invalid format", "4: 2 fields where 8 belong", "2: another user has its mail address or phone number",]
    );
    moves_in(&app, "ada@example.com", HORSE).await;
    let user = app.service().get("/auth/v1/admin/users/66666666-6666-4666-8666-666666666666").await.json();
    assert_eq!((&user["phone"], &user["identities"][0]["provider"]), (&json!("49170123456"), &json!("phone")));
}

#[tokio::test]
async fn a_factor_of_supabase_goes_on_making_codes() {
    let app = TestApp::new().await;
    let files = Files::new();
    let ada = "11111111-1111-4111-8111-111111111111";
    let dump = files.write(
        "dump.sql",
        &format!(
            "SET session_replication_role = replica;\n\nCOPY \"auth\".\"mfa_factors\" (\"id\", \"user_id\", \"friendly_name\", \"factor_type\", \"status\", \"created_at\", \"updated_at\", \"secret\") FROM stdin;\n\
             44444444-4444-4444-8444-444444444444\t{ada}\tPhone\ttotp\tverified\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\tJBSWY3DPEHPK3PXP\n\
             55555555-5555-4555-8555-555555555555\t{ada}\tKey\twebauthn\tverified\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\t\\N\n\
             66666666-6666-4666-8666-666666666666\t77777777-7777-4777-8777-777777777777\tLost\ttotp\tverified\t2024-01-02 03:04:05+00\t2024-01-02 03:04:05+00\tJBSWY3DPEHPK3PXP\n\
             \\.\n\nCOPY \"auth\".\"users\" (\"id\", \"email\", \"encrypted_password\", \"email_confirmed_at\", \"raw_app_meta_data\", \"raw_user_meta_data\") FROM stdin;\n\
             {ada}\tada@example.com\t{BCRYPT}\t2024-01-02 03:04:05+00\t{{\"provider\": \"email\", \"providers\": [\"email\"]}}\t{{}}\n\\.\n"
        ),
    );
    let foreseen = import(&app, Source::Supabase, &[&dump], true).await;
    let report = import(&app, Source::Supabase, &[&dump], false).await;
    assert_eq!((report.made, report.factors), (1, 1), "{report:?}");
    assert_eq!(whys(&report), ["6: there is no user 77777777-7777-4777-8777-777777777777"]);
    assert_eq!(report, foreseen, "a dry run says what will be");
    let session = moves_in(&app, "ada@example.com", HORSE).await;
    let client = holder(&app, &session);
    let at = "/auth/v1/factors/44444444-4444-4444-8444-444444444444";
    let challenge = client.post(&format!("{at}/challenge"), json!({})).await.json();
    let code = totp(b"Hello!\xde\xad\xbe\xef", app.app.clock.now().seconds());
    let reply = client.post(&format!("{at}/verify"), json!({ "challenge_id": challenge["id"], "code": code })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn what_is_no_export_that_can_be_read_says_how_to_make_one() {
    let app = TestApp::new().await;
    let files = Files::new();
    let inserts = "SET session_replication_role = replica;\n\nINSERT INTO \"auth\".\"users\" (\"id\") VALUES\n\t('1'),\n\t('2');\nINSERT INTO \"auth\".\"identities\" VALUES\n";
    let report = import(&app, Source::Supabase, &[&files.write("data.sql", inserts)], false).await;
    assert_eq!((report.made, report.refused.len(), report.refused[0].line), (0, 1, 3), "{report:?}");
    assert!(report.refused[0].why.contains("--use-copy"), "{report:?}");
    let tenant = app.app.tenants.active(TENANT).await.unwrap();
    let archive = UserImport { files: vec![files.write("dump", "PGDMP\u{1}\u{10}")], source: Source::Supabase, dry_run: false };
    assert!(import_users(&app.app, &tenant, archive, |_| ()).await.unwrap_err().to_string().contains("pg_restore"));
    let report =
        import(&app, Source::Firebase(None), &[&files.write("users.csv", "abc,ada@example.com,true\ndef,bob@example.com,true\n")], false).await;
    assert!(report.refused[0].why.contains("users.json"), "{report:?}");
    let realm = files.write("realm.json", "{ \"id\": \"acme\", \"realm\": \"acme\", \"clients\": [] }\n");
    let report = import(&app, Source::Keycloak, &[&realm], false).await;
    assert!(report.refused[0].why.contains("--users"), "{report:?}");
}

#[tokio::test]
async fn a_line_that_is_no_json_costs_no_other_line() {
    let app = TestApp::new().await;
    let files = Files::new();
    let line = |number: usize| json!({ "user_id": format!("auth0|{number}"), "email": format!("u{number}@example.com") }).to_string();
    let lines = files.write("users.ndjson", &format!("{}\n{{\"user_id\": \"auth0|2\", \"email\n\n[]\n7\n{}", line(1), line(5)));
    let report = import(&app, Source::Auth0, &[&lines], false).await;
    assert_eq!(report.made, 2, "{report:?}");
    assert_eq!(report.refused.iter().map(|record| record.line).collect::<Vec<_>>(), [2, 4, 5]);
    assert!(report.refused[0].why.starts_with("this is no JSON object: ") && !report.refused[0].why.contains("line 1"), "{report:?}");
    // In a list what is wrong is told in its place, too, as far as it is JSON at all.
    let list = files.write("users.json", &format!("[{}, 7, \"x\", null, true, {}]", line(6), line(7)));
    let report = import(&app, Source::Auth0, &[&list], false).await;
    assert_eq!((report.made, whys(&report)), (2, vec!["1: it is no object".to_owned(); 3]), "{report:?}");
}

#[tokio::test]
async fn firebase_users_keep_their_passwords() {
    let app = TestApp::new().await;
    let files = Files::new();
    let hash = FirebaseHash::read(
        "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,\n  \
         base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n",
    );
    assert!(hash.is_some());
    let users = json!({ "users": [
        { "localId": "abcDEF123", "email": "user1@example.com", "emailVerified": true, "displayName": "One", "createdAt": "1700000000000",
          "passwordHash": "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==", "salt": "42xEC+ixf3L2lw==",
          "customAttributes": "{\"roles\":[\"hr\"]}", "providerUserInfo": [{ "providerId": "google.com", "rawId": "g1", "email": "user1@example.com" }, { "providerId": "password", "rawId": "x" }] },
        { "localId": "gone", "email": "gone@example.com", "disabled": true, "createdAt": "1700000000000" },
        7,
    ] });
    let path = files.write("users.json", &serde_json::to_string_pretty(&users).unwrap());
    let report = import(&app, Source::Firebase(hash), &[&path], false).await;
    assert_eq!((report.made, report.derived), (2, 2), "{report:?}");
    assert_eq!(report.refused.len(), 1);
    let session = moves_in(&app, "user1@example.com", "user1password").await;
    let user = &session["user"];
    assert_eq!((&user["app_metadata"]["roles"], &user["user_metadata"]["firebase_uid"]), (&json!(["hr"]), &json!("abcDEF123")));
    assert_eq!(user["app_metadata"]["providers"], json!(["google", "email"]));
    assert_eq!(user["identities"].as_array().unwrap().len(), 2);
    let without = import(&TestApp::new().await, Source::Firebase(None), &[&path], false).await;
    assert!(without.incomplete[0].why.contains("--hash-config"), "{without:?}");
}

#[tokio::test]
async fn auth0_users_and_their_hashes_come_in_two_files() {
    let app = TestApp::new().await;
    let files = Files::new();
    let users = files.write(
        "users.ndjson",
        &[
            json!({ "user_id": "auth0|5f1", "email": "ada@example.com", "email_verified": true, "name": "Ada", "created_at": "2024-01-02T03:04:05.678Z",
                    "app_metadata": { "plan": "gold" }, "identities": [{ "provider": "auth0", "user_id": "5f1" }, { "provider": "google-oauth2", "user_id": "g9" }] }),
            json!({ "user_id": "auth0|5f2", "email": "bob@example.com", "blocked": true }),
            json!({ "user_id": "auth0|euclid", "email": "euclid@example.com", "email_verified": true, "name": "Euclid" }),
        ]
        .map(|line| line.to_string())
        .join("\n"),
    );
    let hashes = files.write(
        "hashes.ndjson",
        &[
            json!({ "_id": { "$oid": "5f1" }, "email_verified": true, "email": "ada@example.com", "passwordHash": BCRYPT,
                    "password_set_date": { "$date": "2019-12-06T18:36:12.412Z" }, "tenant": "acme", "connection": "Users", "_tmp_is_unique": true }),
            // Its id in the file of users is the one that it was given.
            json!({ "_id": { "$oid": "5f3" }, "alt_id": "euclid", "passwordHash": BCRYPT, "tenant": "acme", "connection": "Users",
                    "identifiers": [{ "type": "email", "value": "euclid@example.com", "verified": true }] }),
            json!({ "_id": { "$oid": "5f4" }, "passwordHash": BCRYPT, "tenant": "acme", "connection": "Users",
                    "identifiers": [{ "type": "email", "value": "fay@example.com", "verified": true }] }),
        ]
        .map(|line| line.to_string())
        .join("\n"),
    );
    let bulk = files.write(
        "bulk.json",
        &json!([
            { "email": "cy@example.com", "email_verified": true, "mfa_factors": [{ "totp": { "secret": "JBSWY3DPEHPK3PXP" } }],
              "custom_password_hash": { "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-sha512$i=1000,l=64$c2Vhc2FsdA$CBx2rkpvjyEAoopNVuRZWOOxTTRwoV6JjrHARZAmWoRGf7Bll/+N6ttV/4gWvtd16NJ94OpVpZHm44IdMrFULg" } } },
            { "email": "di@example.com", "email_verified": true, "custom_password_hash": { "algorithm": "scrypt", "cost": 1024, "keylen": 64,
              "hash": { "encoding": "base64", "value": "b9vqOe0B5HZh2f10Q9RPN9OFNPtmb+ezp5YOlnZsJQ0vQ5I3eq8Zt7GFMuqQ58xCxTIvVL1QCL/PTXEWr+RNHA==" },
              "salt": { "encoding": "utf8", "value": "seasalt" } } },
            { "email": "ed@example.com", "custom_password_hash": { "algorithm": "md5", "hash": { "value": "5f4dcc3b5aa765d61d8327deb882cf99", "encoding": "hex" } } },
        ])
        .to_string(),
    );
    let report = import(&app, Source::Auth0, &[&users, &hashes, &bulk], false).await;
    assert_eq!((report.made, report.kept, report.refused.len()), (7, 0, 0), "{report:?}");
    assert_eq!(whys(&report), ["1: its hash is by md5, which no longer keeps a password safe"]);
    let session = moves_in(&app, "ada@example.com", HORSE).await;
    assert_eq!(session["user"]["app_metadata"]["plan"], "gold");
    assert_eq!(report.factors, 1);
    let session = moves_in(&app, "cy@example.com", HORSE).await;
    // The authenticator app goes on making codes: those of RFC 4648's "Hello!\u{de}\u{ad}\u{be}\u{ef}".
    let cy = holder(&app, &session);
    let factor = session["user"]["factors"][0].clone();
    assert_eq!((&factor["factor_type"], &factor["status"]), (&json!("totp"), &json!("verified")));
    let at = format!("/auth/v1/factors/{}", factor["id"].as_str().unwrap());
    let challenge = cy.post(&format!("{at}/challenge"), json!({})).await.json();
    let code = totp(b"Hello!\xde\xad\xbe\xef", app.app.clock.now().seconds());
    let reply = cy.post(&format!("{at}/verify"), json!({ "challenge_id": challenge["id"], "code": code })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    moves_in(&app, "di@example.com", HORSE).await;
    assert_eq!(moves_in(&app, "euclid@example.com", HORSE).await["user"]["user_metadata"]["full_name"], "Euclid");
    moves_in(&app, "fay@example.com", HORSE).await;
    let banned = app.service().get("/auth/v1/admin/users?filter=bob@").await.json();
    assert_eq!(banned["users"][0]["banned_until"], "9999-12-31T00:00:00Z");
}

#[tokio::test]
async fn a_realm_of_keycloak_moves_in() {
    let app = TestApp::new().await;
    let files = Files::new();
    let password = |data: Value, secret: Value| json!({ "type": "password", "credentialData": data.to_string(), "secretData": secret.to_string() });
    let realm = json!({ "realm": "acme", "clients": [{ "id": "x" }], "users": [
        { "id": "88888888-8888-4888-8888-888888888888", "username": "ada", "email": "ada@example.com", "emailVerified": true, "enabled": true,
          "createdTimestamp": 1_700_000_000_000_i64, "firstName": "Ada", "lastName": "L", "realmRoles": ["admin"],
          "federatedIdentities": [{ "identityProvider": "github", "userId": "42", "userName": "ada" }],
          "credentials": [password(json!({ "hashIterations": 1000, "algorithm": "pbkdf2-sha256" }), json!({ "value": "mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=", "salt": "c2Vhc2FsdA==" })),
                          { "type": "otp", "credentialData": "{\"subType\":\"totp\",\"digits\":6,\"period\":30,\"algorithm\":\"HmacSHA1\"}", "secretData": "{\"value\":\"HqGKJpZ8dYkB2yx3vQ0w\"}" }] },
        { "id": "99999999-9999-4999-8999-999999999999", "username": "bob@example.com", "emailVerified": true, "enabled": false,
          "credentials": [password(json!({ "hashIterations": 1000, "algorithm": "pbkdf2" }), json!({ "value": "aUfE2vx5Q7zgbb0jx49AaNpXUQQVW6pePKN5ab37G40CjX2bMTkDcCwFngZ2OyqCChhH4ZgScMIsuF9Oq2gqbw==", "salt": "MDEyMzQ1Njc4OWFiY2RlZg==" }))] },
    ], "roles": {} });
    let path = files.write("realm.json", &serde_json::to_string_pretty(&realm).unwrap());
    let report = import(&app, Source::Keycloak, &[&path], false).await;
    assert_eq!((report.made, report.derived, report.refused.len(), report.incomplete.len()), (2, 0, 0, 0), "{report:?}");
    assert_eq!(report.factors, 1);
    let session = moves_in(&app, "ada@example.com", HORSE).await;
    let user = &session["user"];
    assert_eq!((&user["id"], &user["user_metadata"]["full_name"]), (&json!("88888888-8888-4888-8888-888888888888"), &json!("Ada L")));
    // A role of the realm is none here.
    assert_eq!((&user["app_metadata"]["realm_roles"], &user["app_metadata"]["roles"]), (&json!(["admin"]), &Value::Null));
    let banned = app.anonymous().post(SIGN_IN, json!({ "email": "bob@example.com", "password": HORSE })).await;
    assert_refused(&banned, 400, "user_banned");
}

#[tokio::test]
async fn every_realm_of_a_file_moves_in_whatever_it_hashes_with() {
    let app = TestApp::new().await;
    let files = Files::new();
    let argon2 = PasswordSettings { memory_kib: 7168, passes: 5, ..PasswordSettings::default() };
    let argon2 = Passwords::new(&argon2).unwrap().hash(HORSE).await.unwrap();
    let mut parts = argon2.rsplit('$');
    let (value, salt) = (parts.next().unwrap(), parts.next().unwrap());
    let user = |name: &str, data: Value, secret: Value| {
        json!({ "id": uuid::Uuid::new_v4(), "username": name, "email": format!("{name}@example.com"), "emailVerified": true, "enabled": true,
                "createdTimestamp": 1_700_000_000_000_i64, "totp": false, "disableableCredentialTypes": [], "requiredActions": [], "realmRoles": ["default-roles-acme"],
                "credentials": [{ "id": uuid::Uuid::new_v4(), "type": "password", "userLabel": "My password", "createdDate": 1_690_887_741_455_i64,
                                  "secretData": secret.to_string(), "credentialData": data.to_string() }] })
    };
    let realms = json!([
        { "id": "acme", "realm": "acme", "roles": {}, "users": [
            user("ada", json!({ "hashIterations": 5, "algorithm": "argon2", "additionalParameters": { "hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"] } }),
                 json!({ "value": value, "salt": salt, "additionalParameters": {} })),
        ], "clients": [] },
        { "id": "widgets", "realm": "widgets", "users": [
            user("bob", json!({ "hashIterations": 1000, "algorithm": "pbkdf2-sha512", "additionalParameters": {} }),
                 json!({ "value": "CBx2rkpvjyEAoopNVuRZWOOxTTRwoV6JjrHARZAmWoRGf7Bll/+N6ttV/4gWvtd16NJ94OpVpZHm44IdMrFULg==", "salt": "c2Vhc2FsdA==", "additionalParameters": {} })),
        ] },
    ]);
    let report = import(&app, Source::Keycloak, &[&files.write("realms.json", &serde_json::to_string_pretty(&realms).unwrap())], false).await;
    assert_eq!((report.made, report.refused.len(), report.incomplete.len()), (2, 0, 0), "{report:?}");
    moves_in(&app, "ada@example.com", HORSE).await;
    moves_in(&app, "bob@example.com", HORSE).await;
}

#[tokio::test]
async fn pocketbase_lists_are_wrapped_and_its_records_may_have_fields_of_any_name() {
    let app = TestApp::new().await;
    let files = Files::new();
    let record = |id: &str, email: &str| {
        json!({ "collectionId": "_pb_users_auth_", "collectionName": "users", "id": id, "email": email, "emailVisibility": false, "verified": true,
                "items": ["pen"], "users": ["friend"], "created": "2024-01-02 03:04:05.678Z", "updated": "2024-01-02 03:04:05.678Z" })
    };
    let page = json!({ "page": 1, "perPage": 30, "totalItems": 1, "totalPages": 1, "items": [record("abcdefghij12345", "ada@example.com")] });
    let page = files.write("page.json", &page.to_string());
    let lines =
        files.write("lines.json", &format!("{}\n{}\n", record("bbcdefghij12345", "bob@example.com"), record("cbcdefghij12345", "cy@example.com")));
    let list = files.write("list.json", &serde_json::to_string_pretty(&json!([record("dbcdefghij12345", "di@example.com")])).unwrap());
    let report = import(&app, Source::PocketBase, &[&page, &lines, &list], false).await;
    assert_eq!((report.made, report.refused.len()), (4, 0), "{report:?}");
    let users = app.service().get("/auth/v1/admin/users?filter=di@").await.json();
    assert_eq!((&users["users"][0]["user_metadata"]["items"], &users["users"][0]["user_metadata"]["users"]), (&json!(["pen"]), &json!(["friend"])));
}

#[tokio::test]
async fn pocketbase_users_come_with_what_they_sign_in_with() {
    let app = TestApp::new().await;
    let files = Files::new();
    let users = files.write(
        "users.json",
        &json!([{ "id": "abcdefghij12345", "email": "ada@example.com", "verified": true, "password": BCRYPT, "tokenKey": "secret", "name": "Ada",
                  "created": "2024-01-02 03:04:05.678Z", "updated": "2024-01-02 03:04:05.678Z", "team": "blue" }])
        .to_string(),
    );
    let externals = files.write("externals.csv", "id,collectionRef,recordRef,provider,providerId,created,updated\n1,_pb_users_auth_,abcdefghij12345,google,g5,2024-01-02 03:04:05.678Z,2024-01-02 03:04:05.678Z\n2,x,nobody,google,g6,,\n");
    let report = import(&app, Source::PocketBase, &[&externals, &users], false).await;
    assert_eq!((report.made, report.identities, report.refused.len()), (1, 1, 1), "{report:?}");
    let session = moves_in(&app, "ada@example.com", HORSE).await;
    let user = &session["user"];
    assert_eq!((&user["user_metadata"]["team"], &user["app_metadata"]["providers"]), (&json!("blue"), &json!(["email", "google"])));
    assert!(!user.to_string().contains("secret"));
}

#[tokio::test]
async fn our_own_csv_has_named_columns() {
    let app = TestApp::new().await;
    let files = Files::new();
    let good = files.write(
        "users.csv",
        &format!("email,email_confirmed,password_hash,user_metadata.team,app_metadata\nada@example.com,true,pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=,blue,\"{{\"\"roles\"\":[\"\"hr\"\"]}}\"\nbob@example.com,true,{BCRYPT},,\nbob@example.com,true,,,\ncy@example.com,,plaintext,,\n"),
    );
    let foreseen = import(&app, Source::Csv, &[&good], true).await;
    let report = import(&app, Source::Csv, &[&good], false).await;
    assert_eq!((report.made, report.kept), (3, 1), "{report:?}");
    assert_eq!(report, foreseen, "a dry run says what will be");
    assert!(report.incomplete[0].why.contains("bcrypt"), "{report:?}");
    assert_eq!(moves_in(&app, "ada@example.com", HORSE).await["user"]["app_metadata"]["roles"], json!(["hr"]));
    moves_in(&app, "bob@example.com", HORSE).await;
    let wrong = files.write("wrong.csv", "email,is_admin\nx@example.com,true\n");
    assert!(whys(&import(&app, Source::Csv, &[&wrong], false).await)[0].contains("\"is_admin\" is no column"));
    let broken = files.write("broken.json", "[{\"email\": \"y@example.com\"}, {\"email\": ");
    assert_eq!(import(&app, Source::Csv, &[&broken], false).await.made, 1);
    let log = app.operator().get("/admin/v1/tenants/default/audit?action=users_imported&limit=1").await.json();
    assert_eq!(log["entries"][0]["traits"], json!({ "made": 1, "kept": 0, "refused": 1 }));
}

#[tokio::test]
async fn a_large_file_is_written_chunk_by_chunk_and_goes_on_where_it_stopped() {
    let app = TestApp::new().await;
    let files = Files::new();
    let line = |number: usize| json!({ "user_id": format!("auth0|{number}"), "email": format!("u{number}@example.com") }).to_string();
    let half = files.write("half.ndjson", &(0..700).map(line).collect::<Vec<_>>().join("\n"));
    let whole = files.write("whole.ndjson", &(0..1000).map(line).collect::<Vec<_>>().join("\n"));
    assert_eq!(import(&app, Source::Auth0, &[&half], false).await.made, 700);
    let report = import(&app, Source::Auth0, &[&whole], false).await;
    assert_eq!((report.made, report.kept), (300, 700));
}

#[tokio::test]
async fn all_bad_lines_are_counted_and_the_first_ten_thousand_told() {
    let app = TestApp::new().await;
    let files = Files::new();
    let csv = files.write("users.csv", &format!("email,phone\n{}ada@example.com,\n", "nobody,\n".repeat(10_005)));
    let report = import(&app, Source::Csv, &[&csv], false).await;
    assert_eq!((report.made, report.refusals, report.refused.len(), report.untold), (1, 10_005, 10_000, 5));
    assert_eq!((report.refused[0].line, report.refused[9_999].line), (2, 10_001));
}

#[tokio::test]
async fn an_admin_gives_a_user_a_hash_from_elsewhere() {
    let app = TestApp::new().await;
    let users = "/auth/v1/admin/users";
    let made = app.service().post(users, json!({ "email": "ada@example.com", "password_hash": BCRYPT, "email_confirm": true })).await;
    assert_eq!(made.status, 200, "{}", made.text());
    moves_in(&app, "ada@example.com", HORSE).await;
    let path = format!("{users}/{}", made.json()["id"].as_str().unwrap());
    let hash = "$pbkdf2-sha256$1000$c2Vhc2FsdA$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso";
    assert_eq!(app.service().put(&path, json!({ "password_hash": hash })).await.status, 200);
    moves_in(&app, "ada@example.com", HORSE).await;
    for wrong in ["5f4dcc3b5aa765d61d8327deb882cf99", "$2b$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"] {
        assert_refused(&app.service().put(&path, json!({ "password_hash": wrong })).await, 400, "validation_failed");
    }
}

#[tokio::test]
async fn a_project_moves_and_nobody_is_signed_out() {
    let app = TestApp::new().await;
    let files = Files::new();
    let (ada, session, moment) = ("11111111-1111-4111-8111-111111111111", "33333333-3333-4333-8333-333333333333", "2024-01-02T03:04:05Z");
    let rows = [
        json!({ "id": ada, "email": "ada@example.com", "encrypted_password": BCRYPT, "email_confirmed_at": moment, "created_at": moment }),
        json!({ "id": session, "user_id": ada, "aal": "aal1", "created_at": moment }),
        json!({ "token": "abcdefghij33", "session_id": session, "user_id": ada, "revoked": false }),
    ];
    let rows = files.write("rows.ndjson", &rows.map(|row| row.to_string()).join("\n"));
    let report = import(&app, Source::Supabase, &[&rows], false).await;
    assert_eq!((report.made, report.sessions, report.tokens), (1, 1, 1), "{report:?}");
    let secret = "a secret of at least thirty-two bytes";
    tenants::import_signing_keys(&app.app, TENANT, &tenants::SigningKeyImport::Hs256Secret(secret.to_owned()), false).await.unwrap();
    let issuer = "https://abcdefghijklmnopqrst.supabase.co/auth/v1";
    set(&app, json!({ "sessions": { "accepted_issuers": [issuer] } })).await;
    let now = app.app.clock.now().seconds();
    let token = |claims: Value| {
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    // The keys that apps and servers have, as the project has made them: good for ten years.
    let key =
        |role: &str| token(json!({ "iss": "supabase", "ref": "abcdefghijklmnopqrst", "role": role, "iat": now - 1000, "exp": now + 315_360_000 }));
    let (anon, service) = (app.nobody().key(&key("anon")), app.nobody().key(&key("service_role")));
    assert_eq!(service.get("/auth/v1/admin/users").await.json()["users"][0]["id"], ada);
    assert_eq!(service.get("/rest/v1/employees").await.status, 200);
    assert_refused(&anon.get("/auth/v1/admin/users").await, 403, "not_admin");
    // The token that a browser holds at this moment.
    let held = token(json!({ "iss": issuer, "sub": ada, "aud": "authenticated", "role": "authenticated", "iat": now - 3000, "exp": now + 600,
        "email": "ada@example.com", "phone": "", "app_metadata": {}, "user_metadata": {}, "aal": "aal1", "amr": [], "session_id": session, "is_anonymous": false }));
    let browser = anon.clone().bearer(&held);
    assert_eq!(browser.get("/auth/v1/user").await.json()["id"], ada);
    // Records know the user as well: as one who has no role.
    assert_eq!(browser.get("/rest/v1/employees").await.json()["code"], "42501");
    // What it does next: it exchanges the token that the project gave it, and goes on with ours.
    let exchanged = anon.post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": "abcdefghij33" })).await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.text());
    let fresh = exchanged.json();
    let claims: Value =
        serde_json::from_slice(&basalt::crypto::from_base64url(fresh["access_token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&claims["session_id"], &claims["sub"]), (&json!(session), &json!(ada)));
    let browser = anon.clone().bearer(fresh["access_token"].as_str().unwrap());
    assert_eq!(browser.get("/auth/v1/user").await.status, 200);
    let next = anon.post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": fresh["refresh_token"] })).await;
    assert_eq!(next.status, 200, "{}", next.text());
    // Who signs out is out, by the old token, too.
    assert_eq!(browser.post("/auth/v1/logout", json!({})).await.status, 204);
    assert_refused(&anon.bearer(&held).get("/auth/v1/user").await, 403, "session_not_found");
}

#[tokio::test]
async fn an_old_projects_tokens_are_believed_once_its_issuer_is() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let secret = "a secret of at least thirty-two bytes";
    tenants::import_signing_keys(&app.app, TENANT, &tenants::SigningKeyImport::Hs256Secret(secret.to_owned()), false).await.unwrap();
    let now = app.app.clock.now().seconds();
    let session: Value =
        serde_json::from_slice(&basalt::crypto::from_base64url(user.session["access_token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap())
            .unwrap();
    let issuer = "https://abcdefghijklmnopqrst.supabase.co/auth/v1";
    let token = |claims: Value| {
        // Supabase names its secret; nobody here knows the name.
        let header = jsonwebtoken::Header { kid: Some("MS7Lp2Bh0mW4".to_owned()), ..Default::default() };
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let claims = json!({ "iss": issuer, "sub": user.id, "aud": "authenticated", "role": "authenticated", "exp": now + 600, "iat": now, "session_id": session["session_id"] });
    let caller = app.anonymous().bearer(&token(claims));
    assert_refused(&caller.get("/auth/v1/user").await, 403, "bad_jwt");
    set(&app, json!({ "sessions": { "accepted_issuers": [issuer] } })).await;
    assert_eq!(caller.get("/auth/v1/user").await.json()["id"], user.id);
    // Long-lived keys without an end, where the tenant puts up with them.
    let endless = token(json!({ "role": "service_role", "iat": now }));
    let admin = app.nobody().bearer(&endless);
    assert_refused(&admin.get("/auth/v1/admin/users").await, 403, "bad_jwt");
    set(&app, json!({ "sessions": { "keys_without_expiry": true } })).await;
    assert_eq!(admin.get("/auth/v1/admin/users").await.status, 200);
    // V26: what may do everything has no place in a URL.
    assert_eq!(app.nobody().get(&format!("/auth/v1/settings?apikey={endless}")).await.status, 401);
    let endless_user =
        token(json!({ "iss": issuer, "sub": user.id, "aud": "authenticated", "role": "authenticated", "session_id": session["session_id"] }));
    assert_refused(&app.anonymous().bearer(&endless_user).get("/auth/v1/user").await, 403, "bad_jwt");
}
