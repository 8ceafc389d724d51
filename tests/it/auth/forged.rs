//! Forged tokens, before everything that reads one: bearers, API keys in token form, refresh tokens, signed URLs. (ID tokens of others have
//! keys of their own: `id_token.rs`.)

use aws_lc_rs::hmac;
use basalt::tenants::{self, SigningKeyImport, TokenKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::support::{Reply, TENANT, TestApp};

const SECRET: &str = "a secret of at least thirty-two bytes";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts(token)[1]).unwrap()).unwrap()
}

/// The claims of what may be no token at all.
fn claims_of_any(token: &str) -> Value {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default()
}

/// Header and claims as they stand, signed with a secret.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let text = format!("{}.{}", b64(header), b64(claims));
    format!("{text}.{}", b64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes())))
}

/// The tenant's public key in every form in which it could be taken for a secret.
fn public_forms(jwk: &Value) -> Vec<Vec<u8>> {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], part("x"), part("y")].concat();
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
        0x03, 0x42, 0x00,
    ];
    let der = [head.to_vec(), point.clone()].concat();
    let text = STANDARD.encode(&der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n");
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----");
    let mut forms = vec![der, pem.clone().into_bytes(), format!("{pem}\n").into_bytes(), text.into_bytes(), point.clone(), point[1..].to_vec()];
    forms.extend([part("x"), part("y"), jwk["x"].to_string().into_bytes(), jwk["x"].as_str().unwrap().as_bytes().to_vec()]);
    forms.extend([jwk.to_string().into_bytes(), json!({ "keys": [jwk] }).to_string().into_bytes()]);
    forms.extend([jwk["kid"].as_str().unwrap().as_bytes().to_vec(), b"secret".to_vec(), vec![0], vec![0; 32]]);
    forms
}

/// Every bent form of a token that the tenant's own key has signed (RFC 8725; `typ` is that of its kind).
fn bent(good: &str, jwk: &Value, typ: &str) -> Vec<(String, String)> {
    let [head, body, signature] = parts(good);
    let (kid, claims) = (&jwk["kid"], String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap());
    let mut bent: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| bent.push((what.to_owned(), token));
    let algorithms = ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "PS256", "ES384", "EdDSA", "dir", "A128KW", "es256"];
    for alg in algorithms.iter().map(|alg| json!(alg)).chain([json!(null), json!([]), json!(["ES256"]), json!(0), json!({})]) {
        for header in [json!({ "alg": alg, "kid": kid, "typ": typ }), json!({ "alg": alg, "typ": typ })] {
            let header = b64(header.to_string());
            for signature in ["", signature, &b64([0; 64])] {
                add(&format!("alg {alg}"), format!("{header}.{body}.{signature}"));
            }
            add(&format!("alg {alg}, two parts"), format!("{header}.{body}"));
        }
    }
    add("no alg", format!("{}.{body}.{signature}", b64(json!({ "kid": kid, "typ": typ }).to_string())));
    for secret in public_forms(jwk) {
        for alg in ["HS256", "ES256"] {
            add("a public key as secret", signed(&json!({ "alg": alg, "kid": kid, "typ": typ }).to_string(), &claims, &secret));
            add("a public key as secret, without kid", signed(&json!({ "alg": alg, "typ": typ }).to_string(), &claims, &secret));
        }
    }
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let der_integer = |bytes: &[u8]| [&[2, 33, 0][..], bytes].concat();
    let der = [vec![0x30, 70], der_integer(&raw[..32]), der_integer(&raw[32..])].concat();
    let mut signatures =
        vec![Vec::new(), vec![0; 64], vec![0; 32], vec![0xff; 64], raw[..63].to_vec(), raw[..32].to_vec(), [&raw[..], &[0]].concat(), der];
    for place in [0, 31, 32, 63] {
        let mut flipped = raw.clone();
        flipped[place] ^= 1;
        signatures.push(flipped);
    }
    for signature in signatures {
        add("another signature", format!("{head}.{body}.{}", b64(signature)));
    }
    // 64 bytes are 86 letters, of whose last one four bits mean nothing.
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = letters.iter().position(|letter| *letter == *signature.as_bytes().last().unwrap()).unwrap();
    let cut = &signature[..signature.len() - 1];
    add("a last letter that is not canonical", format!("{head}.{body}.{cut}{}", char::from(letters[last | 1])));
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    add("padded", format!("{}.{}.{}", padded(head), padded(body), padded(signature)));
    add("the other alphabet", format!("{head}.{body}.{}", STANDARD.encode([&raw[..63], &[0xff]].concat())));
    for (what, token) in [
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{head}.{body}.{signature}.x.y")),
        ("two parts", format!("{head}.{body}")),
        ("one part", head.to_owned()),
        ("nothing", "..".to_owned()),
        ("dots", format!(".{good}")),
        ("a dot more", format!("{good}.")),
        ("a blank inside", format!("{head}.{body}. {signature}")),
        ("JSON", json!({ "protected": head, "payload": body, "signature": signature }).to_string()),
        ("nested", format!("{}.{}.{signature}", b64(json!({ "alg": "ES256", "kid": kid, "typ": typ, "cty": "JWT" }).to_string()), b64(good))),
        ("swapped", format!("{body}.{head}.{signature}")),
        ("large", format!("{head}.{body}.{}", "A".repeat(64 * 1024 + 1))),
        ("large claims", format!("{head}.{}.{signature}", b64(json!({ "sub": "x".repeat(64 * 1024) }).to_string()))),
        ("another's claims", format!("{head}.{}.{signature}", b64(claims.replacen("exp", "exq", 1)))),
    ] {
        add(what, token);
    }
    bent
}

/// Headers that no token of ours has, and claims of odd types, all signed by a secret that the tenant believes.
fn believed_and_bent(claims: &Value, kid: &str, typ: &str, names: &[&str]) -> Vec<(String, String)> {
    let good = json!({ "alg": "HS256", "kid": kid, "typ": typ });
    let text = claims.to_string();
    let mut bent = Vec::new();
    let mut add = |what: String, header: &str, claims: &str| bent.push((what, signed(header, claims, SECRET.as_bytes())));
    for (name, value) in [
        ("typ", json!(if typ == "JWT" { "url+jwt" } else { "JWT" })),
        ("typ", json!("at+jwt")),
        ("typ", json!("refresh+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!(7)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("b64")),
        ("kid", json!(7)),
        ("kid", json!(["x"])),
        ("alg", json!("HS384")),
        ("alg", json!("ES256")),
        ("alg", json!("none")),
    ] {
        let mut header = good.clone();
        header[name] = value.clone();
        add(format!("{name} {value}"), &header.to_string(), &text);
    }
    let twice = |object: &str, name: &str, value: &Value| format!("{},\"{name}\":{value}}}", &object[..object.len() - 1]);
    for name in ["alg", "kid", "typ"] {
        add(format!("{name} twice"), &twice(&good.to_string(), name, &good[name]), &text);
    }
    add("a byte order mark".to_owned(), &format!("\u{feff}{good}"), &text);
    add("a byte order mark in the claims".to_owned(), &good.to_string(), &format!("\u{feff}{text}"));
    add("no object".to_owned(), &good.to_string(), "[]");
    add("deep".to_owned(), &good.to_string(), &format!("{{\"a\":{}{}", "[".repeat(2000), "]".repeat(2000)));
    for name in names {
        let now = claims["exp"].clone();
        for value in [
            json!(now.to_string()),
            json!(1.5),
            json!(1e300),
            json!([now]),
            json!([claims[name]]),
            json!({}),
            json!(null),
            json!(true),
            json!("\u{0}"),
        ] {
            let mut changed = claims.clone();
            changed[name] = value.clone();
            add(format!("{name} = {value}"), &good.to_string(), &changed.to_string());
        }
        add(format!("{name} twice"), &good.to_string(), &twice(&text, name, &claims[name]));
        add(format!("{name} twice"), &good.to_string(), &twice(&text, name, &json!(null)));
    }
    bent
}

async fn believed(app: &TestApp) -> String {
    imported(app, &SigningKeyImport::Hs256Secret(SECRET.to_owned()), false).await
}

/// Imports the one key, and answers what it is called.
async fn imported(app: &TestApp, key: &SigningKeyImport, sign: bool) -> String {
    tenants::import_signing_keys(&app.app, TENANT, key, sign).await.unwrap().remove(0)
}

async fn public_key(app: &TestApp) -> Value {
    app.nobody().get("/auth/v1/.well-known/jwks.json").await.json()["keys"][0].clone()
}

fn percent(token: &str) -> String {
    url::form_urlencoded::byte_serialize(token.as_bytes()).collect()
}

#[track_caller]
fn assert_out(reply: &Reply, what: &str, token: &str) {
    let told = reply.json()["statusCode"].as_str().and_then(|told| told.parse().ok()).unwrap_or(reply.status.as_u16());
    assert!(matches!(told, 400 | 401 | 403 | 404), "{what}: {told} {} {}", reply.text(), &token[..token.len().min(300)]);
}

/// V17, V18, V19 and RFC 8725 (2c.1 2c.2 2c.3 2c.4 2c.6 2c.7 2c.8 2c.10 2c.11 2c.12), against bearers and keys.
#[tokio::test]
async fn no_forged_token_is_a_bearer_or_a_key() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let good = user.session["access_token"].as_str().unwrap();
    let jwk = public_key(&app).await;
    let mut forged = bent(good, &jwk, "JWT");
    let kid = believed(&app).await;
    let names = ["exp", "nbf", "iat", "sub", "aud", "iss", "role", "session_id"];
    forged.extend(believed_and_bent(&claims_of(good), &kid, "JWT", &names));
    // A key in token form has no user, and little to check besides.
    let end = claims_of(good)["exp"].clone();
    let key = json!({ "role": "service_role", "iss": "supabase", "iat": 1, "exp": end });
    forged.extend(believed_and_bent(&key, &kid, "JWT", &["exp", "nbf", "iat", "role", "iss", "session_id"]));
    // Whatever a role says, what has a session is its user's; and a key may be from anywhere.
    forged.retain(|(what, token)| !(what.starts_with("role = \"") || what.starts_with("iss = \"") && claims_of_any(token)["role"] == "service_role"));
    for (what, token) in &forged {
        let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
        let bearer = app.anonymous().header("authorization", value.to_str().unwrap());
        for path in ["/auth/v1/user", "/auth/v1/admin/users", "/rest/v1/employees", "/storage/v1/bucket"] {
            assert_out(&bearer.get(path).await, &format!("{what} at {path}"), token);
        }
        assert_out(&app.nobody().key(token).get("/auth/v1/admin/users").await, &format!("{what} as a key"), token);
        assert_out(&app.nobody().key(token).get("/auth/v1/settings").await, &format!("{what} as a key"), token);
        assert_out(&app.anonymous().post(super::REFRESH, json!({ "refresh_token": token })).await, &format!("{what} for a refresh"), token);
    }
    assert!(forged.len() > 250, "{}", forged.len());
    // In a query a key is read, too.
    for (what, token) in forged.iter().step_by(5) {
        assert_out(&app.nobody().get(&format!("/auth/v1/settings?apikey={}", percent(token))).await, what, token);
    }
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let whole = signed(&json!({ "alg": "HS256", "kid": kid, "typ": "JWT" }).to_string(), &key.to_string(), SECRET.as_bytes());
    assert_eq!(app.nobody().key(&whole).get("/auth/v1/admin/users").await.status, 200, "the secret is believed");
    assert_out(&app.nobody().get(&format!("/auth/v1/settings?apikey={whole}")).await, "all rights in a URL", &whole);
}

/// V17, V18, V19 and RFC 8725 (2c.1 2c.2 2c.3 2c.6 2c.7 2c.8 2c.10 2c.11 2c.12), against signed URLs.
#[tokio::test]
async fn no_forged_token_opens_a_file() {
    let app = TestApp::new().await;
    let service = app.service();
    assert_eq!(service.post("/storage/v1/bucket", json!({ "name": "files" })).await.status, 200);
    assert_eq!(service.send(http::Method::POST, "/storage/v1/object/files/a", "hello").await.status, 200);
    let url = service.post("/storage/v1/object/sign/files/a", json!({ "expiresIn": 60 })).await.json()["signedURL"].clone();
    let good = url.as_str().unwrap().split_once("token=").unwrap().1.to_owned();
    let open = async |token: &str| app.nobody().get(&format!("/t/default/storage/v1/object/sign/files/a?token={}", percent(token))).await;
    assert_eq!(open(&good).await.text(), "hello");
    let jwk = public_key(&app).await;
    let mut forged = bent(&good, &jwk, "url+jwt");
    let kid = believed(&app).await;
    let claims = claims_of(&good);
    forged.extend(believed_and_bent(&claims, &kid, "url+jwt", &["exp", "nbf", "iat", "iss", "url", "scope", "object"]));
    let mut with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        let header = json!({ "alg": "HS256", "kid": kid, "typ": "url+jwt" }).to_string();
        forged.push((format!("{name} = {}", changed[name]), signed(&header, &changed.to_string(), SECRET.as_bytes())));
    };
    for (name, value) in [
        ("url", json!("files/b")),
        ("url", json!("files/A")),
        ("url", json!("files/a/")),
        ("url", json!("files//a")),
        ("url", json!("files/%61")),
        ("scope", json!("upload")),
        ("scope", json!("")),
        ("object", json!("00000000-0000-4000-8000-000000000001")),
        ("iss", json!("http://127.0.0.1:8787/t/default/auth/v1/")),
        ("iss", json!("http://127.0.0.1:8787/t/Default/auth/v1")),
        ("iss", json!("supabase")),
        ("iat", json!(claims["iat"].as_i64().unwrap() + 60)),
        ("exp", json!(claims["iat"].as_i64().unwrap() - 11)),
        ("exp", json!(-1)),
    ] {
        with(name, value);
    }
    for name in ["exp", "iss", "url", "scope", "object"] {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name);
        let header = json!({ "alg": "HS256", "kid": kid, "typ": "url+jwt" }).to_string();
        forged.push((format!("no {name}"), signed(&header, &changed.to_string(), SECRET.as_bytes())));
    }
    // Tokens of other kinds.
    let user = app.user("ada@example.com", &["owner"]).await;
    forged.push(("an access token".to_owned(), user.session["access_token"].as_str().unwrap().to_owned()));
    let of_access = app.app.tenants.active(TENANT).await.unwrap().keys.sign(TokenKind::Access, &claims).unwrap();
    forged.push(("the claims in an access token".to_owned(), of_access));
    let of_other = app.app.tenants.active("other").await.unwrap().keys.sign(TokenKind::StorageUrl, &claims).unwrap();
    forged.push(("another tenant's".to_owned(), of_other));
    for (what, token) in &forged {
        if token.len() > 60_000 {
            // No URL is as long.
            continue;
        }
        let reply = open(token).await;
        assert!(!reply.text().contains("hello"), "{what}");
        assert_out(&reply, what, token);
    }
    assert!(forged.len() > 250, "{}", forged.len());
    assert_eq!(open(&good).await.text(), "hello");
}

/// V24, V34: a key that took the name of one that was removed does not stand for what that one signed.
#[tokio::test]
async fn a_key_is_not_believed_for_its_name() {
    let app = TestApp::new().await;
    let oct = |text: &str| SigningKeyImport::Jwk(json!({ "kty": "oct", "kid": "shared", "k": b64(text) }));
    let import = async |text: &str| imported(&app, &oct(text), false).await;
    import(SECRET).await;
    let end = app.app.clock.now().seconds() + 600;
    let key = json!({ "role": "service_role", "exp": end }).to_string();
    let token = signed(&json!({ "alg": "HS256", "kid": "shared" }).to_string(), &key, SECRET.as_bytes());
    let ask = async || app.nobody().key(&token).get("/auth/v1/admin/users").await.status.as_u16();
    assert_eq!(ask().await, 200);
    tenants::remove_signing_key(&app.app, TENANT, "shared").await.unwrap();
    assert_eq!(ask().await, 403);
    import("another secret that is as long as it should be").await;
    assert_eq!(ask().await, 403, "the leaked secret is gone for good");
}

/// V24, 2c.13: two keys live while one takes the other's place, and the old one not longer.
#[tokio::test]
async fn a_key_that_was_replaced_is_believed_for_two_days() {
    let app = TestApp::new().await;
    let kid = imported(&app, &SigningKeyImport::Hs256Secret(SECRET.to_owned()), true).await;
    let end = app.app.clock.now().seconds() + 1_000_000;
    let key = json!({ "role": "service_role", "exp": end }).to_string();
    let headers = [json!({ "alg": "HS256", "kid": kid }), json!({ "alg": "HS256" })];
    let tokens = headers.map(|header| signed(&header.to_string(), &key, SECRET.as_bytes()));
    let ask = async || {
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(app.nobody().key(token).get("/auth/v1/admin/users").await.status.as_u16());
        }
        statuses
    };
    assert_eq!(ask().await, [200, 200]);
    tenants::rotate_signing_key(&app.app, TENANT).await.unwrap();
    app.app.clock.advance(std::time::Duration::from_hours(48) - std::time::Duration::from_secs(1));
    assert_eq!(ask().await, [200, 200]);
    app.app.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ask().await, [403, 403], "also where its signature was checked before");
}

/// V28: a token ends by the server's clock, whatever was done meanwhile, and a clock that is put right changes nothing else.
#[tokio::test]
async fn a_token_ends_on_time_after_an_idle_hour() {
    use std::time::Duration;
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let get = async || user.client.get("/auth/v1/user").await.status.as_u16();
    assert_eq!(get().await, 200);
    app.app.clock.advance(Duration::from_mins(10));
    assert_eq!(get().await, 200);
    // Nothing is asked for the rest of the hour; what was remembered of the token is of no use then.
    app.app.clock.advance(Duration::from_mins(50) + Duration::from_secs(1));
    assert_eq!(get().await, 403);
    app.app.clock.advance(Duration::from_hours(90 * 24));
    assert_eq!(get().await, 403);
    let next = super::refresh(&app, &user.session["refresh_token"]).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(super::holder(&app, &next.json()).get("/auth/v1/user").await.status, 200);
}
