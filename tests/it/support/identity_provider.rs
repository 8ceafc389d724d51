//! Somebody else's sign-in, on a socket of this machine: a provider that keeps to the rules, or breaks one of them.
//!
//! It answers at the paths of several products, each told by how a path ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::body::Body;
use basalt::{
    clock::Clock,
    crypto::{base64url, sha256},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::StandIn;

/// What it does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The token endpoint refuses.
    Refuses,
    /// The token endpoint answers with megabytes.
    Huge,
    /// The token endpoint answers and never ends.
    Slow,
    /// There is no ID token.
    NoIdToken,
    /// The ID token is signed by nobody.
    Unsigned,
    /// The ID token is signed with a key that is not in the set.
    UnknownKey,
    /// The answers are no JSON.
    Garbled,
    /// The user's page is of somebody else than the ID token.
    OtherUser,
}

pub(crate) const CLIENT_ID: &str = "basalt-app";
pub(crate) const CLIENT_SECRET: &str = "a secret of the app";

/// A user of it who agreed.
struct Grant {
    asked: HashMap<String, String>,
    claims: Value,
}

struct State {
    clock: Clock,
    keys: Vec<(String, EcdsaKeyPair)>,
    grants: HashMap<String, Grant>,
    pages: HashMap<String, Value>,
    emails: Value,
    fault: Fault,
}

/// The provider.
pub(crate) struct IdentityProvider {
    server: StandIn,
    state: Arc<Mutex<State>>,
}

impl IdentityProvider {
    /// A provider whose clock is the app's.
    pub(crate) async fn new(clock: &Clock) -> Self {
        let state = State {
            clock: clock.clone(),
            keys: vec![new_key("one")],
            grants: HashMap::new(),
            pages: HashMap::new(),
            emails: json!([]),
            fault: Fault::None,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = StandIn::new(move |request| answer(&mut shared.lock().unwrap(), request)).await;
        Self { server, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// What it was asked since the last look.
    pub(crate) fn asked(&self) -> Vec<Request<Bytes>> {
        self.server.asked()
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// What GitHub tells of a user's mail addresses.
    pub(crate) fn set_emails(&self, emails: Value) {
        self.state.lock().unwrap().emails = emails;
    }

    /// Signs with a new key from now on.
    pub(crate) fn rotate_key(&self, id: &str) {
        self.state.lock().unwrap().keys.insert(0, new_key(id));
    }

    /// A user was sent to `location` and agrees; the query with which it is sent back.
    pub(crate) fn consent(&self, location: &str, claims: Value) -> String {
        let asked: HashMap<String, String> = Url::parse(location).unwrap().query_pairs().into_owned().collect();
        let code = base64url(&basalt::crypto::random::<12>());
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("code", &code).append_pair("state", &asked["state"]).finish();
        self.state.lock().unwrap().grants.insert(code, Grant { asked, claims });
        query
    }

    /// An ID token of this issuer, with these claims over the usual ones.
    pub(crate) fn id_token(&self, issuer: &str, claims: &Value) -> String {
        let state = self.state.lock().unwrap();
        state.sign(&state.claims(issuer, claims))
    }
}

impl IdentityProvider {
    /// Claims of this issuer as their text stands, signed with this `typ`.
    pub(crate) fn token_of(&self, typ: &Value, claims: &str) -> String {
        let state = self.state.lock().unwrap();
        let (id, key) = &state.keys[0];
        let head = json!({ "alg": "ES256", "kid": id, "typ": typ });
        let text = format!("{}.{}", base64url(head.to_string().as_bytes()), base64url(claims.as_bytes()));
        format!("{text}.{}", base64url(key.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref()))
    }
}

fn new_key(id: &str) -> (String, EcdsaKeyPair) {
    (id.to_owned(), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

impl State {
    fn claims(&self, issuer: &str, told: &Value) -> Value {
        let now = self.clock.now().seconds();
        let mut claims = json!({ "iss": issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 600 });
        for (name, value) in told.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn sign(&self, claims: &Value) -> String {
        let (id, key) = &self.keys[0];
        let (header, signer) = match self.fault {
            Fault::Unsigned => return format!("{}.{}.", base64url(br#"{"alg":"none","typ":"JWT"}"#), base64url(claims.to_string().as_bytes())),
            Fault::UnknownKey => (json!({ "alg": "ES256", "kid": "elsewhere" }), new_key("elsewhere").1),
            _ => {
                let head = json!({ "alg": "ES256", "kid": id, "typ": "JWT" });
                let text = format!("{}.{}", base64url(head.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
                let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
                return format!("{text}.{}", base64url(signature.as_ref()));
            }
        };
        let text = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let signature = signer.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", base64url(signature.as_ref()))
    }

    fn jwks(&self) -> Value {
        let keys = self.keys.iter().map(|(id, key)| {
            let point = key.public_key().as_ref();
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": base64url(&point[1..33]), "y": base64url(&point[33..65]) })
        });
        let mut keys: Vec<Value> = keys.collect();
        // Of a kind that nobody knows here.
        keys.push(json!({ "kty": "NEW", "kid": "future", "value": "x" }));
        json!({ "keys": keys })
    }
}

fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Body> {
    let path = request.uri().path();
    let host = request.headers()["host"].to_str().unwrap();
    let base = |ending: &str| format!("http://{host}{}", path.strip_suffix(ending).unwrap_or_default());
    if let Some(issuer) = path.strip_suffix("/.well-known/openid-configuration") {
        let issuer = format!("http://{host}{issuer}");
        return json_answer(&json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/oidc/token"),
            "jwks_uri": format!("{issuer}/oidc/keys"),
            "authorization_response_iss_parameter_supported": issuer.ends_with("/named"),
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }));
    }
    if path.ends_with("/keys") || path.ends_with("/certs") {
        return json_answer(&state.jwks());
    }
    if path.ends_with("/emails") {
        return json_answer(&state.emails);
    }
    if path.ends_with("/token") || path.ends_with("/access_token") {
        let issuer = if path.ends_with("/oidc/token") {
            base("/oidc/token")
        } else if path.ends_with("/oauth2/v2.0/token") {
            String::new()
        } else {
            base("/protocol/openid-connect/token")
        };
        return exchange(state, request, &issuer);
    }
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    match token.and_then(|token| state.pages.get(token)) {
        Some(_) if state.fault == Fault::Garbled => Response::new(Body::from("<html>")),
        Some(page) => json_answer(page),
        None => refuse("invalid_token"),
    }
}

fn exchange(state: &mut State, request: &Request<Bytes>, issuer: &str) -> Response<Body> {
    match state.fault {
        Fault::Refuses => return refuse("invalid_client"),
        Fault::Huge => return Response::new(Body::from(vec![b' '; 3 * 1024 * 1024])),
        Fault::Slow => return Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())),
        Fault::Garbled => return Response::new(Body::from("<html>")),
        _ => {}
    }
    let form: HashMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let Some(grant) = state.grants.remove(given("code")) else { return refuse("invalid_grant") };
    let is_met = grant.asked.get("code_challenge").is_none_or(|challenge| *challenge == base64url(&sha256(given("code_verifier").as_bytes())));
    let is_same = grant.asked["redirect_uri"] == given("redirect_uri");
    if !is_met
        || !is_same
        || given("client_id") != CLIENT_ID
        || given("client_secret") != CLIENT_SECRET
        || given("grant_type") != "authorization_code"
    {
        return refuse("invalid_grant");
    }
    let access_token = format!("at-{}", given("code"));
    let mut claims = state.claims(issuer, &grant.claims);
    if let (Some(nonce), None) = (grant.asked.get("nonce"), claims.get("nonce")) {
        claims["nonce"] = json!(nonce);
    }
    let mut page = grant.claims;
    if state.fault == Fault::OtherUser {
        page["sub"] = json!("somebody else");
    }
    state.pages.insert(access_token.clone(), page);
    let mut body = json!({ "access_token": access_token, "refresh_token": "rt", "token_type": "bearer", "id_token": state.sign(&claims) });
    if state.fault == Fault::NoIdToken {
        body.as_object_mut().unwrap().remove("id_token");
    }
    json_answer(&body)
}

fn json_answer(body: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

fn refuse(error: &str) -> Response<Body> {
    let mut response = json_answer(&json!({ "error": error, "error_description": "words of the provider" }));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
