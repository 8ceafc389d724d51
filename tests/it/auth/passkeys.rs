use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use basalt::crypto::{base64url, from_base64url, random, sha256};
use serde_json::{Value, json};

use super::{assert_refused, factors::claims, holder, set, sign_in};
use crate::support::{Client, Reply, TestApp};

const BEGIN_REGISTRATION: &str = "/auth/v1/passkeys/registration/options";
const REGISTRATION: &str = "/auth/v1/passkeys/registration/verify";
const BEGIN_SIGN_IN: &str = "/auth/v1/passkeys/authentication/options";
const SIGN_IN: &str = "/auth/v1/passkeys/authentication/verify";
const ORIGIN: &str = "https://app.example.com";
const PARTY: &str = "app.example.com";

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const NEW_KEY: u8 = 0x40;

/// Settings under which the authenticator below is one of the tenant's.
pub(super) fn settings() -> Value {
    json!({ "mfa": { "passkeys_enabled": true, "webauthn_enroll_enabled": true, "webauthn_verify_enabled": true,
        "rp_id": PARTY, "rp_name": "The App", "origins": [ORIGIN] } })
}

/// A security key in software, together with the browser that asks it.
pub(super) struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    counter: AtomicU32,
    pub(super) origin: &'static str,
    pub(super) party: &'static str,
    user: std::sync::Mutex<String>,
}

impl Authenticator {
    pub(super) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { key, id: random::<16>().to_vec(), counter: AtomicU32::new(0), origin: ORIGIN, party: PARTY, user: std::sync::Mutex::default() }
    }

    /// Answers `navigator.credentials.create`.
    fn create(&self, options: &Value) -> Value {
        let user = from_base64url(options["user"]["id"].as_str().unwrap()).unwrap();
        *self.user.lock().unwrap() = base64url(&user);
        let public = self.key.public_key().as_ref();
        let (x, y) = public[1..].split_at(32);
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}: a key of P-256 for ES256.
        let cose = [&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20][..], x, &[0x22, 0x58, 0x20], y].concat();
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [self.data(PRESENT | VERIFIED | NEW_KEY), vec![0; 16], length.to_vec(), self.id.clone(), cose].concat();
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let head = [&[0xa3, 0x63][..], b"fmt", &[0x64], b"none", &[0x67], b"attStmt", &[0xa0, 0x68], b"authData", &[0x58]].concat();
        let object = [head, vec![u8::try_from(data.len()).unwrap()], data].concat();
        let client = self.client_data("webauthn.create", options);
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": "public-key", "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": { "attestationObject": base64url(&object), "clientDataJSON": base64url(&client), "transports": ["internal", "smart-card"] },
        })
    }

    /// Answers `navigator.credentials.get`.
    fn get(&self, options: &Value) -> Value {
        let data = self.data(PRESENT | VERIFIED);
        let client = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), &sha256(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": { "authenticatorData": base64url(&data), "clientDataJSON": base64url(&client),
                "signature": base64url(signature.as_ref()), "userHandle": *self.user.lock().unwrap() },
        })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        [&sha256(self.party.as_bytes())[..], &[flags], &counter.to_be_bytes()].concat()
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        json!({ "type": ceremony, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false }).to_string().into_bytes()
    }

    /// Becomes a passkey of a user.
    pub(super) async fn register(&self, client: &Client) -> Reply {
        let asked = client.post(BEGIN_REGISTRATION, json!({})).await;
        if asked.status != 200 {
            return asked;
        }
        let asked = asked.json();
        client.post(REGISTRATION, json!({ "challenge_id": asked["challenge_id"], "credential": self.create(&asked["options"]) })).await
    }

    /// Signs in as a passkey.
    pub(super) async fn sign_in(&self, client: &Client) -> Reply {
        let asked = client.post(BEGIN_SIGN_IN, json!({})).await.json();
        client.post(SIGN_IN, json!({ "challenge_id": asked["challenge_id"], "credential": self.get(&asked["options"]) })).await
    }

    /// Proves a second factor, whether it is new or known.
    pub(super) async fn verify_factor(&self, client: &Client, factor: &str) -> Reply {
        let asked = client.post(&format!("/auth/v1/factors/{factor}/challenge"), json!({})).await;
        if asked.status != 200 {
            return asked;
        }
        let asked = asked.json();
        let options = &asked["webauthn"]["credential_options"]["publicKey"];
        let answer = if asked["webauthn"]["type"] == "create" { self.create(options) } else { self.get(options) };
        let proof = json!({ "type": asked["webauthn"]["type"], "credential_response": answer });
        client.post(&format!("/auth/v1/factors/{factor}/verify"), json!({ "challenge_id": asked["id"], "webauthn": proof })).await
    }
}

#[tokio::test]
async fn a_passkey_signs_in() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    assert_refused(&user.client.post(BEGIN_REGISTRATION, json!({})).await, 404, "passkey_disabled");
    assert_refused(&app.anonymous().post(BEGIN_SIGN_IN, json!({})).await, 404, "passkey_disabled");
    set(&app, settings()).await;
    assert_eq!(app.anonymous().get("/auth/v1/settings").await.json()["passkeys_enabled"], true);

    let asked = user.client.post(BEGIN_REGISTRATION, json!({})).await.json();
    assert_eq!(asked["expires_at"], app.app.clock.now().seconds() + 300);
    let options = &asked["options"];
    assert_eq!((&options["rp"], &options["user"]["name"]), (&json!({ "id": PARTY, "name": "The App" }), &json!("ada@example.com")));
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("preferred")));
    assert_eq!(options["attestation"], "none");

    let key = Authenticator::new();
    let made = key.register(&user.client).await;
    assert_eq!((made.status.as_u16(), &made.json()["friendly_name"]), (200, &json!("Passkey")), "{}", made.text());
    assert_refused(&key.register(&user.client).await, 422, "webauthn_credential_exists");
    let id = made.json()["id"].as_str().unwrap().to_owned();

    let asked = app.anonymous().post(BEGIN_SIGN_IN, json!({})).await.json();
    assert_eq!((&asked["options"]["allowCredentials"], &asked["options"]["rpId"]), (&json!([]), &json!(PARTY)));
    let reply = key.sign_in(&app.anonymous()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let session = reply.json();
    assert_eq!((&claims(&session)["aal"], &claims(&session)["amr"][0]["method"]), (&json!("aal1"), &json!("passkey")));
    assert_eq!(session["user"]["id"], user.id.as_str());

    let client = holder(&app, &session);
    let listed = client.get("/auth/v1/passkeys").await.json();
    assert!(listed.as_array().unwrap().len() == 1 && listed[0]["last_used_at"].is_string(), "{listed}");
    let renamed = client.patch(&format!("/auth/v1/passkeys/{id}"), json!({ "friendly_name": "Laptop" })).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["friendly_name"]), (200, &json!("Laptop")));
    for name in ["", &"x".repeat(121)] {
        assert_refused(&client.patch(&format!("/auth/v1/passkeys/{id}"), json!({ "friendly_name": name })).await, 400, "validation_failed");
    }
    let eve = app.user("eve@example.com", &[]).await;
    assert_refused(&eve.client.patch(&format!("/auth/v1/passkeys/{id}"), json!({ "friendly_name": "Mine" })).await, 404, "validation_failed");
    assert_refused(&eve.client.delete(&format!("/auth/v1/passkeys/{id}")).await, 404, "validation_failed");
    assert_refused(&eve.client.delete("/auth/v1/passkeys/nonsense").await, 404, "validation_failed");
    assert_eq!(client.delete(&format!("/auth/v1/passkeys/{id}")).await.status, 204);
    assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
}

/// V13
#[tokio::test]
async fn an_answer_is_good_once_and_for_what_was_asked() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let key = Authenticator::new();
    assert_eq!(key.register(&user.client).await.status, 200);
    let begin = async || app.anonymous().post(BEGIN_SIGN_IN, json!({})).await.json();
    let answer = async |asked: &Value, credential: Value| {
        app.anonymous().post(SIGN_IN, json!({ "challenge_id": asked["challenge_id"], "credential": credential })).await
    };

    // V13
    let asked = begin().await;
    let good = key.get(&asked["options"]);
    let many = (0..50).map(|_| {
        let (client, body) = (app.anonymous(), json!({ "challenge_id": asked["challenge_id"], "credential": good }));
        tokio::spawn(async move { client.post(SIGN_IN, body).await })
    });
    let replies: Vec<_> = futures_util::future::join_all(many).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_refused(reply, 400, "webauthn_challenge_not_found");
    }

    // A good answer to another question, a changed signature, another user, an old counter.
    let asked = begin().await;
    assert_refused(&answer(&asked, good).await, 400, "webauthn_verification_failed");
    let asked = begin().await;
    let mut changed = key.get(&asked["options"]);
    let mut signature = from_base64url(changed["response"]["signature"].as_str().unwrap()).unwrap();
    *signature.last_mut().unwrap() ^= 1;
    changed["response"]["signature"] = json!(base64url(&signature));
    assert_refused(&answer(&asked, changed).await, 400, "webauthn_verification_failed");
    let eve = app.user("eve@example.com", &[]).await;
    for handle in [json!(base64url(eve.id.as_bytes())), Value::Null] {
        let asked = begin().await;
        let mut other = key.get(&asked["options"]);
        other["response"]["userHandle"] = handle;
        assert_refused(&answer(&asked, other).await, 400, "webauthn_verification_failed");
    }
    key.counter.store(0, Ordering::Relaxed);
    assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
    key.counter.store(100, Ordering::Relaxed);

    // From another site, or for one.
    for (origin, party) in [("https://evil.example.com", PARTY), ("http://app.example.com", PARTY), (ORIGIN, "evil.example.com")] {
        let elsewhere = Authenticator { origin, party, ..Authenticator::new() };
        assert_refused(&elsewhere.register(&user.client).await, 400, "webauthn_verification_failed");
    }

    let asked = begin().await;
    app.app.clock.advance(Duration::from_mins(5));
    assert_refused(&answer(&asked, key.get(&asked["options"])).await, 400, "webauthn_challenge_expired");
    for credential in [json!({}), json!("x"), json!({ "rawId": "AA" }), json!([])] {
        assert_refused(&answer(&begin().await, credential).await, 400, "webauthn_verification_failed");
    }
    assert_refused(&app.anonymous().post(SIGN_IN, json!({})).await, 400, "validation_failed");
    assert_refused(&app.anonymous().post(SIGN_IN, json!({ "challenge_id": "x", "credential": {} })).await, 400, "validation_failed");

    // What a user was asked is no question to everybody, nor to another user.
    let asked = user.client.post(BEGIN_REGISTRATION, json!({})).await.json();
    assert_refused(&answer(&asked, json!({})).await, 400, "webauthn_challenge_not_found");
    let body = json!({ "challenge_id": asked["challenge_id"], "credential": Authenticator::new().create(&asked["options"]) });
    assert_refused(&eve.client.post(REGISTRATION, body).await, 400, "webauthn_challenge_not_found");
    assert_eq!(key.sign_in(&app.anonymous()).await.status, 200);
}

/// V23, V33
#[tokio::test]
async fn who_may_not_sign_in_does_not_by_passkey() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let key = Authenticator::new();
    assert_eq!(key.register(&user.client).await.status, 200);
    let at = format!("/auth/v1/admin/users/{}", user.id);
    app.service().put(&at, json!({ "ban_duration": "1h" })).await;
    assert_refused(&key.sign_in(&app.anonymous()).await, 403, "user_banned");
    app.service().put(&at, json!({ "ban_duration": "none" })).await;
    assert_eq!(key.sign_in(&app.anonymous()).await.status, 200);
    // A credential of one tenant is none of another.
    let other = app.nobody().key(&app.other.publishable_key);
    let settings = settings().as_object().unwrap().clone();
    let change = basalt::tenants::TenantChange { settings: Some(settings), ..Default::default() };
    basalt::tenants::update_tenant(&app.app, "other", change).await.unwrap();
    assert_refused(&key.sign_in(&other).await, 400, "webauthn_verification_failed");
    app.service().delete(&at).await;
    assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
}

#[tokio::test]
async fn an_admin_sees_and_removes_passkeys() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let key = Authenticator::new();
    let made = key.register(&user.client).await.json();
    let at = format!("/auth/v1/admin/users/{}/passkeys", user.id);
    let listed = app.service().get(&at).await;
    assert_eq!((listed.status.as_u16(), &listed.json()[0]["id"]), (200, &made["id"]));
    let one = format!("{at}/{}", made["id"].as_str().unwrap());
    let bob = app.user("bob@example.com", &[]).await;
    assert_refused(&app.service().delete(&one.replace(&user.id, &bob.id)).await, 404, "validation_failed");
    assert_eq!(app.service().delete(&one).await.status, 204);
    assert_refused(&app.service().delete(&one).await, 404, "validation_failed");
    assert_eq!(app.service().get(&at).await.json(), json!([]));
}

#[tokio::test]
async fn a_user_has_as_many_passkeys_as_the_tenant_lets() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    set(&app, json!({ "mfa": { "max_passkeys": 2 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    for _ in 0..2 {
        assert_eq!(Authenticator::new().register(&user.client).await.status, 200);
    }
    assert_refused(&Authenticator::new().register(&user.client).await, 422, "too_many_passkeys");
    // One credential is one user's.
    let eve = app.user("eve@example.com", &[]).await;
    let key = Authenticator::new();
    assert_eq!(key.register(&eve.client).await.status, 200);
    let bob = app.user("bob@example.com", &[]).await;
    assert_refused(&key.register(&bob.client).await, 422, "webauthn_credential_exists");
}

#[tokio::test]
async fn a_security_key_is_a_second_factor() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let enrolled = user.client.post("/auth/v1/factors", json!({ "factor_type": "webauthn", "friendly_name": "key" })).await;
    assert_eq!((enrolled.status.as_u16(), &enrolled.json()["type"]), (200, &json!("webauthn")));
    let factor = enrolled.json()["id"].as_str().unwrap().to_owned();
    let key = Authenticator::new();
    let reply = key.verify_factor(&user.client, &factor).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((&claims(&reply.json())["aal"], &claims(&reply.json())["amr"][0]["method"]), (&json!("aal2"), &json!("mfa/webauthn")));

    let client = holder(&app, &sign_in(&app, "ada@example.com").await);
    let asked = client.post(&format!("/auth/v1/factors/{factor}/challenge"), json!({})).await.json();
    assert_eq!((&asked["type"], &asked["webauthn"]["type"]), (&json!("webauthn"), &json!("request")));
    let allowed = &asked["webauthn"]["credential_options"]["publicKey"]["allowCredentials"];
    assert_eq!(allowed[0]["id"], json!(base64url(&key.id)));
    // Another key, or the answer to another kind of question, is no proof.
    let other = Authenticator::new();
    assert_refused(&other.verify_factor(&client, &factor).await, 422, "mfa_verification_failed");
    let verify = format!("/auth/v1/factors/{factor}/verify");
    let options = &asked["webauthn"]["credential_options"]["publicKey"];
    for (proof, status, code) in [
        (Value::Null, 400, "validation_failed"),
        (json!({ "type": "hat" }), 400, "validation_failed"),
        (json!({ "type": "request" }), 400, "validation_failed"),
        (json!({ "type": "create", "credential_response": key.get(options) }), 422, "mfa_verification_failed"),
    ] {
        assert_refused(&client.post(&verify, json!({ "challenge_id": asked["id"], "webauthn": proof })).await, status, code);
    }
    // Both wrong answers left their mark, after that of the right one.
    let log = app.service().get("/auth/v1/admin/audit?query=action:verification_attempted").await.json();
    let successes: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["payload"]["traits"]["success"]).collect();
    assert_eq!(successes, [&json!(false), &json!(false), &json!(true)], "{log}");
    let proof = json!({ "type": "request", "credential_response": key.get(options) });
    let raised = client.post(&verify, json!({ "challenge_id": asked["id"], "webauthn": proof })).await;
    assert_eq!((raised.status.as_u16(), &claims(&raised.json())["aal"]), (200, &json!("aal2")), "{}", raised.text());
    let client = holder(&app, &raised.json());
    assert_refused(&client.post(&verify, json!({ "challenge_id": asked["id"], "webauthn": proof })).await, 422, "mfa_ip_address_mismatch");
    assert_eq!(client.delete(&format!("/auth/v1/factors/{factor}")).await.status, 200);
}

#[tokio::test]
async fn settings_of_the_relying_party_are_checked() {
    let app = TestApp::new().await;
    let change = async |settings: Value| app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "mfa": settings } })).await;
    for wrong in [
        json!({ "rp_id": "https://example.com" }),
        json!({ "rp_id": "Example.com" }),
        json!({ "origins": ["https://example.com/path"] }),
        json!({ "origins": ["example.com"] }),
        json!({ "max_passkeys": 0 }),
    ] {
        assert_eq!(change(wrong.clone()).await.status, 422, "{wrong}");
    }
    let good = json!({ "rp_id": "example.com", "origins": ["https://app.example.com", "http://localhost:3000", "android:apk-key-hash:abc"] });
    let reply = change(good).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}
