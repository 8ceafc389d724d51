//! Authenticators and browsers that do not keep to the rules (W3C `WebAuthn` Level 3, 7.1 and 7.2), one rule at a time.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use basalt::crypto::{base64url, from_base64url, random, sha256};
use ciborium::Value as Cbor;
use serde_json::{Value, json};

use super::{assert_refused, factors, holder, passkeys::settings, set, sign_in};
use crate::support::{Client, Reply, TestApp};

const BEGIN_REGISTRATION: &str = "/auth/v1/passkeys/registration/options";
const REGISTRATION: &str = "/auth/v1/passkeys/registration/verify";
const BEGIN_SIGN_IN: &str = "/auth/v1/passkeys/authentication/options";
const SIGN_IN: &str = "/auth/v1/passkeys/authentication/verify";

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// What is said in the next answer. The fields start as a good authenticator has them.
#[derive(Clone)]
struct Says {
    flags: u8,
    counter: u32,
    party: String,
    after: Vec<u8>,
    client: Value,
    cose: Option<Cbor>,
    id: Option<Vec<u8>>,
    id_length: Option<u16>,
    object: Option<Vec<(&'static str, Cbor)>>,
    kind: &'static str,
}

/// A key in software, of which every word can be bent.
struct Key {
    pair: EcdsaKeyPair,
    id: Vec<u8>,
    user: String,
}

fn int(number: i64) -> Cbor {
    Cbor::from(number)
}

fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

impl Key {
    fn new() -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(), id: random::<16>().to_vec(), user: String::new() }
    }

    fn cose(&self) -> Vec<(i64, Cbor)> {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        vec![(1, int(2)), (3, int(-7)), (-1, int(1)), (-2, Cbor::from(x.to_vec())), (-3, Cbor::from(y.to_vec()))]
    }

    fn says(ceremony: &str, options: &Value, flags: u8, counter: u32) -> Says {
        let client = json!({ "type": ceremony, "challenge": options["challenge"], "origin": "https://app.example.com", "crossOrigin": false });
        Says {
            flags,
            counter,
            party: "app.example.com".to_owned(),
            after: Vec::new(),
            client,
            cose: None,
            id: None,
            id_length: None,
            object: None,
            kind: "public-key",
        }
    }

    fn data(&self, says: &Says) -> Vec<u8> {
        let mut data = [&sha256(says.party.as_bytes())[..], &[says.flags], &says.counter.to_be_bytes()].concat();
        if says.flags & HAS_CREDENTIAL != 0 {
            let id = says.id.as_ref().unwrap_or(&self.id);
            data.extend([0; 16]);
            data.extend(says.id_length.unwrap_or(u16::try_from(id.len()).unwrap()).to_be_bytes());
            data.extend(id);
            data.extend(says.cose.as_ref().map_or_else(|| cbor(&map(self.cose())), cbor));
        }
        [data, says.after.clone()].concat()
    }

    fn created(&self, says: &Says) -> Value {
        let data = self.data(says);
        let entries = says
            .object
            .clone()
            .unwrap_or_else(|| vec![("fmt", Cbor::from("none")), ("attStmt", Cbor::Map(Vec::new())), ("authData", Cbor::from(data.clone()))]);
        let object = Cbor::Map(entries.into_iter().map(|(name, value)| (Cbor::from(name), value)).collect());
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": says.kind, "clientExtensionResults": {},
            "response": { "attestationObject": base64url(&cbor(&object)), "clientDataJSON": base64url(says.client.to_string().as_bytes()) },
        })
    }

    fn signed(&self, says: &Says) -> Value {
        let (data, client) = (self.data(says), says.client.to_string().into_bytes());
        let signature = self.pair.sign(&SystemRandom::new(), &[data.as_slice(), &sha256(&client)].concat()).unwrap();
        json!({
            "id": base64url(&self.id), "rawId": base64url(&self.id), "type": says.kind, "clientExtensionResults": {},
            "response": { "authenticatorData": base64url(&data), "clientDataJSON": base64url(&client), "signature": base64url(signature.as_ref()),
                "userHandle": self.user },
        })
    }

    async fn register(&mut self, client: &Client, flags: u8, bend: impl FnOnce(&mut Says)) -> Reply {
        let asked = client.post(BEGIN_REGISTRATION, json!({})).await.json();
        asked["options"]["user"]["id"].as_str().unwrap().clone_into(&mut self.user);
        let mut says = Self::says("webauthn.create", &asked["options"], flags | HAS_CREDENTIAL, 1);
        bend(&mut says);
        client.post(REGISTRATION, json!({ "challenge_id": asked["challenge_id"], "credential": self.created(&says) })).await
    }

    async fn sign_in(&self, client: &Client, flags: u8, counter: u32, bend: impl FnOnce(&mut Says)) -> Reply {
        let asked = client.post(BEGIN_SIGN_IN, json!({})).await.json();
        let mut says = Self::says("webauthn.get", &asked["options"], flags, counter);
        bend(&mut says);
        client.post(SIGN_IN, json!({ "challenge_id": asked["challenge_id"], "credential": self.signed(&says) })).await
    }
}

fn map(entries: Vec<(i64, Cbor)>) -> Cbor {
    Cbor::Map(entries.into_iter().map(|(label, value)| (int(label), value)).collect())
}

type Bend = (&'static str, Box<dyn Fn(&mut Says)>);

fn bend(what: &'static str, how: impl Fn(&mut Says) + 'static) -> Bend {
    (what, Box::new(how))
}

/// What a browser, and the head of every authenticator's answer, can say wrong.
fn in_either() -> Vec<Bend> {
    let mut bends = vec![
        bend("nobody was there", |says| says.flags &= !PRESENT),
        bend("backed up, and can't be", |says| says.flags = says.flags & !ELIGIBLE | BACKED_UP),
        bend("for another party", |says| "evil.example.com".clone_into(&mut says.party)),
        bend("for a part of the name", |says| "example.com".clone_into(&mut says.party)),
        bend("for the origin", |says| "https://app.example.com".clone_into(&mut says.party)),
        bend("for nobody", |says| says.party.clear()),
        bend("a byte more", |says| says.after.push(0)),
        bend("no extensions after all", |says| says.flags |= HAS_EXTENSIONS),
        bend("extensions that are not said", |says| says.after = cbor(&Cbor::Map(Vec::new()))),
        bend("another kind of credential", |says| says.kind = "password"),
        bend("no kind", |says| says.kind = ""),
        bend("across origins", |says| says.client["crossOrigin"] = json!(true)),
        bend("odd across origins", |says| says.client["crossOrigin"] = json!("false")),
    ];
    for origin in [
        "https://evil.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://APP.example.com",
        "https://app.example.com.evil.example",
        "https://example.com",
        "https://app.example.com@evil.example",
        "null",
        "",
    ] {
        bends.push(bend(origin, move |says| says.client["origin"] = json!(origin)));
    }
    for kind in ["webauthn.get ", "WEBAUTHN.GET", "payment.get", "", "navigator.id.getAssertion"] {
        bends.push(bend("another ceremony", move |says| says.client["type"] = json!(kind)));
    }
    bends.push(bend("the other ceremony", |says| {
        let other = if says.client["type"] == "webauthn.get" { "webauthn.create" } else { "webauthn.get" };
        says.client["type"] = json!(other);
    }));
    for name in ["type", "challenge", "origin"] {
        bends.push(bend("a member is missing", move |says| drop(says.client.as_object_mut().unwrap().remove(name))));
        bends.push(bend("a member is null", move |says| says.client[name] = Value::Null));
        bends.push(bend("a member is a list", move |says| says.client[name] = json!([says.client[name]])));
    }
    for change in
        [|text: &str| text[..text.len() - 1].to_owned(), |text: &str| format!("{text}A"), |_: &str| String::new(), |text: &str| format!("{text}=")]
    {
        bends.push(bend("another challenge", move |says| says.client["challenge"] = json!(change(says.client["challenge"].as_str().unwrap()))));
    }
    bends
}

#[tokio::test]
async fn what_an_authenticator_says_is_held_to_every_rule_when_it_is_new() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let plain = Key::new();
    let point = |label: i64, value: Cbor| {
        let mut cose = plain.cose();
        for entry in &mut cose {
            if entry.0 == label {
                entry.1 = value.clone();
            }
        }
        map(cose)
    };
    let mut bends = in_either();
    let zeros = |length: usize| Cbor::from(vec![0; length]);
    for (what, cose) in [
        ("a point off the curve", point(-3, Cbor::from(vec![1; 32]))),
        ("a point at nothing", map(vec![(1, int(2)), (3, int(-7)), (-1, int(1)), (-2, zeros(32)), (-3, zeros(32))])),
        ("a short coordinate", point(-2, Cbor::from(vec![1; 31]))),
        ("a long coordinate", point(-2, Cbor::from(vec![1; 33]))),
        ("a compressed point", point(-3, Cbor::from(true))),
        ("another curve", point(-1, int(2))),
        ("another algorithm than its type", point(3, int(-8))),
        ("an algorithm that was not asked for", point(3, int(-35))),
        ("no algorithm", point(3, Cbor::Null)),
        ("the algorithm none", point(3, int(0))),
        ("HMAC", map(vec![(1, int(4)), (3, int(5)), (-1, Cbor::from(vec![1; 32]))])),
        ("another type", point(1, int(3))),
        ("a small RSA key", map(vec![(1, int(3)), (3, int(-257)), (-1, Cbor::from(vec![0xff; 128])), (-2, Cbor::from(vec![1, 0, 1]))])),
        (
            "an RSA key with a large exponent",
            map(vec![(1, int(3)), (3, int(-257)), (-1, Cbor::from(vec![0xff; 256])), (-2, Cbor::from(vec![0xff; 64]))]),
        ),
        ("a label twice", map([plain.cose(), vec![(3, int(-7))]].concat())),
        ("no map", Cbor::from("key")),
    ] {
        bends.push(bend(what, move |says| says.cose = Some(cose.clone())));
    }
    bends.push(bend("no credential", |says| says.flags &= !HAS_CREDENTIAL));
    bends.push(bend("another id", |says| says.id = Some(vec![7; 16])));
    bends.push(bend("no id", |says| says.id = Some(Vec::new())));
    bends.push(bend("an id that ends too late", |says| says.id_length = Some(u16::MAX)));
    bends.push(bend("an id that ends too early", |says| says.id_length = Some(3)));
    bends.push(bend("an id that is too long", |says| says.id = Some(vec![7; 1024])));
    bends.push(bend("no data", |says| says.object = Some(vec![("fmt", Cbor::from("none")), ("attStmt", Cbor::Map(Vec::new()))])));
    bends.push(bend("data that are a text", |says| says.object = Some(vec![("authData", Cbor::from("data"))])));
    bends.push(bend("cut data", |says| says.object = Some(vec![("authData", Cbor::from(vec![0; 36]))])));
    for (what, bend) in bends {
        let mut key = Key { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(), ..Key::new() };
        let reply = key.register(&user.client, PRESENT | VERIFIED, |says| bend(says)).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-sb-error-code")), (400, "webauthn_verification_failed"), "{what}: {}", reply.text());
    }
    assert_eq!(user.client.get("/auth/v1/passkeys").await.json(), json!([]));
    // What may be said: extensions that are read past, and that it is on several devices.
    let mut key = Key::new();
    let reply = key
        .register(&user.client, PRESENT | ELIGIBLE | BACKED_UP | HAS_EXTENSIONS, |says| {
            says.after = cbor(&Cbor::Map(vec![(Cbor::from("x"), int(1))]));
        })
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn what_an_authenticator_says_is_held_to_every_rule_when_it_signs() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let anonymous = app.anonymous();
    let mut key = Key::new();
    assert_eq!(key.register(&user.client, PRESENT | VERIFIED, |_| {}).await.status, 200);
    let mut bends = in_either();
    bends.push(bend("nobody made sure", |says| says.flags &= !VERIFIED));
    bends.push(bend("can be copied now", |says| says.flags |= ELIGIBLE));
    bends.push(bend("the count stands still", |says| says.counter = 1));
    bends.push(bend("the count went back", |says| says.counter = 0));
    for (what, bend) in bends {
        let reply = key.sign_in(&anonymous, PRESENT | VERIFIED, 50, |says| bend(says)).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-sb-error-code")), (400, "webauthn_verification_failed"), "{what}: {}", reply.text());
    }
    // Another key behind the same name, and a signature of something else.
    let stranger = Key { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(), id: key.id.clone(), user: key.user.clone() };
    assert_refused(&stranger.sign_in(&anonymous, PRESENT | VERIFIED, 50, |_| {}).await, 400, "webauthn_verification_failed");
    let begin = async || anonymous.post(BEGIN_SIGN_IN, json!({})).await.json();
    let answer = async |asked: &Value, credential: &Value| {
        anonymous.post(SIGN_IN, json!({ "challenge_id": asked["challenge_id"], "credential": credential })).await
    };
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let wrong_signatures: [Vec<u8>; 6] = [
        Vec::new(),
        vec![0; 64],
        vec![0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00],
        other.sign(&SystemRandom::new(), b"x").unwrap().as_ref().to_vec(),
        ed25519.sign(b"x").as_ref().to_vec(),
        vec![0x30; 2000],
    ];
    for signature in wrong_signatures {
        let asked = begin().await;
        let mut said = key.signed(&Key::says("webauthn.get", &asked["options"], PRESENT | VERIFIED, 60));
        said["response"]["signature"] = json!(base64url(&signature));
        assert_refused(&answer(&asked, &said).await, 400, "webauthn_verification_failed");
    }
    // What is signed is what is sent: not one byte of either can be another.
    for part in ["authenticatorData", "clientDataJSON"] {
        let asked = begin().await;
        let mut said = key.signed(&Key::says("webauthn.get", &asked["options"], PRESENT | VERIFIED, 60));
        let mut bytes = from_base64url(said["response"][part].as_str().unwrap()).unwrap();
        if part == "authenticatorData" {
            *bytes.last_mut().unwrap() ^= 0x40;
        } else {
            bytes.push(b' ');
        }
        said["response"][part] = json!(base64url(&bytes));
        assert_refused(&answer(&asked, &said).await, 400, "webauthn_verification_failed");
    }
    // Whose it is.
    let eve = app.user("eve@example.com", &[]).await;
    let mut eves = Key::new();
    assert_eq!(eves.register(&eve.client, PRESENT | VERIFIED, |_| {}).await.status, 200);
    for handle in [json!(eves.user), json!(base64url(b"x")), json!(""), json!(null), json!(user.id), json!(7), json!("=")] {
        let asked = begin().await;
        let mut said = key.signed(&Key::says("webauthn.get", &asked["options"], PRESENT | VERIFIED, 60));
        said["response"]["userHandle"] = handle.clone();
        let reply = answer(&asked, &said).await;
        assert_eq!(reply.header("x-sb-error-code"), "webauthn_verification_failed", "{handle}: {}", reply.text());
    }
    // None of it moved the count, and a challenge of one tenant is none of another.
    let asked = begin().await;
    let said = key.signed(&Key::says("webauthn.get", &asked["options"], PRESENT | VERIFIED, 2));
    let elsewhere = app.nobody().key(&app.other.publishable_key);
    let change = basalt::tenants::TenantChange { settings: Some(settings().as_object().unwrap().clone()), ..Default::default() };
    basalt::tenants::update_tenant(&app.app, "other", change).await.unwrap();
    let body = json!({ "challenge_id": asked["challenge_id"], "credential": said });
    assert_refused(&elsewhere.post(SIGN_IN, body).await, 400, "webauthn_challenge_not_found");
    let session = answer(&asked, &said).await;
    assert_eq!((session.status.as_u16(), &session.json()["user"]["id"]), (200, &json!(user.id)), "{}", session.text());
}

/// V31: a copy and its original, both with the count that comes next, at the same moment.
#[tokio::test]
async fn of_two_copies_that_sign_at_once_one_is_let_in() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let user = app.user("ada@example.com", &[]).await;
    let mut key = Key::new();
    assert_eq!(key.register(&user.client, PRESENT, |_| {}).await.status, 200);
    let anonymous = app.anonymous();
    let replies = futures_util::future::join_all((0..20).map(|_| key.sign_in(&anonymous, PRESENT, 2, |_| {}))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_refused(reply, 400, "webauthn_verification_failed");
    }
}

/// V31: guesses that come at the same moment are as many as those that come one after the other.
#[tokio::test]
async fn fifty_guesses_at_once_are_ten() {
    let app = TestApp::new().await;
    let (_, totp, _) = factors::user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &sign_in(&app, "ada@example.com").await);
    let path = format!("/auth/v1/factors/{}", totp.id);
    let asked = client.post(&format!("{path}/challenge"), json!({})).await.json()["id"].clone();
    let right = totp.code(&app);
    let wrong = |number: usize| format!("{:06}", (right.parse::<usize>().unwrap() + 1000 + number) % 1_000_000);
    let many = (0..50).map(|number| {
        let (client, path, asked, code) = (client.clone(), format!("{path}/verify"), asked.clone(), wrong(number));
        tokio::spawn(async move { client.post(&path, json!({ "challenge_id": asked, "code": code })).await })
    });
    let replies: Vec<_> = futures_util::future::join_all(many).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 422).count(), 10);
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 40);
    let reply = client.post(&format!("{path}/verify"), json!({ "challenge_id": asked, "code": right })).await;
    assert_refused(&reply, 429, "over_request_rate_limit");
}
