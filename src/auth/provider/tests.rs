//! What each adapter makes of its provider's answer.

use serde_json::{Value, json};

use super::*;
use crate::tenants::PROVIDERS;

fn provider(name: &str) -> Provider {
    let builtin = TABLE.iter().find(|builtin| builtin.name == name).unwrap();
    let settings = ProviderSettings {
        client_id: "app".to_owned(),
        url: if name == "keycloak" { "https://id.example.com/realms/main" } else { "" }.to_owned(),
        ..ProviderSettings::default()
    };
    Provider::builtin(builtin, &settings, None)
}

fn read(name: &str, told: &Value) -> Profile {
    let provider = provider(name);
    let (email, is_verified) = (provider.field(told, "email"), provider.verified.holds(told));
    provider.read(told, None, email.as_deref(), is_verified).unwrap()
}

#[test]
fn every_provider_that_can_be_set_is_known() {
    let known: Vec<&str> = TABLE.iter().map(|builtin| builtin.name).collect();
    assert_eq!(known, PROVIDERS);
    for name in PROVIDERS {
        let provider = provider(name);
        for url in [&provider.authorize, &provider.token].into_iter().chain(&provider.jwks).chain(&provider.userinfo) {
            assert!(Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host()) && !url.contains('{'), "{name}: {url}");
        }
        assert!(provider.userinfo.is_some() || provider.has_id_tokens(), "{name}: nowhere is the user told");
    }
}

/// Where each adapter looks for the word that an address is the user's, and an answer without it.
fn answers() -> Vec<(&'static str, &'static str, Value)> {
    let open_id = || json!({ "sub": "1", "email": "ada@example.com", "preferred_username": "ada@example.com", "upn": "ada@example.com" });
    vec![
        ("apple", "email_verified", open_id()),
        ("azure", "xms_edov", open_id()),
        ("discord", "verified", json!({ "id": "1", "email": "ada@example.com", "username": "ada" })),
        ("google", "email_verified", open_id()),
        ("keycloak", "email_verified", open_id()),
        ("linkedin_oidc", "email_verified", open_id()),
        ("slack_oidc", "email_verified", open_id()),
        ("zoom", "verified", json!({ "id": "1", "email": "ada@example.com" })),
    ]
}

// V4
#[test]
fn an_address_is_verified_only_by_the_providers_word() {
    for (name, word, answer) in answers() {
        let is_verified = |value: Option<Value>| {
            let mut told = answer.clone();
            if let Some(value) = value {
                told[word] = value;
            }
            let profile = read(name, &told);
            assert_eq!(profile.email.as_ref().unwrap().as_str(), "ada@example.com");
            assert_eq!(profile.claims["email_verified"], profile.is_verified);
            profile.is_verified
        };
        assert!(!is_verified(None), "{name}: absent");
        for no in [json!(false), json!("false"), json!(null), json!(0), json!("0"), json!(""), json!("no"), json!([true]), json!({}), json!("True ")]
        {
            assert!(!is_verified(Some(no.clone())), "{name}: {no}");
        }
        assert!(is_verified(Some(json!(true))) || name == "zoom" && is_verified(Some(json!(1))), "{name}");
        assert!(name == "discord" || is_verified(Some(json!("true"))), "{name}: as Apple spells it");
    }
    for (name, told) in [
        ("facebook", json!({ "id": "1", "email": "ada@example.com", "verified": true, "email_verified": true })),
        ("figma", json!({ "id": "1", "email": "ada@example.com", "verified": true })),
        ("notion", json!({ "bot": { "owner": { "user": { "id": "1", "person": { "email": "ada@example.com" } } } } })),
        ("spotify", json!({ "id": "1", "email": "ada@example.com", "email_verified": true })),
        ("gitlab", json!({ "id": 1, "email": "ada@example.com" })),
        ("gitlab", json!({ "id": 1, "email": "ada@example.com", "confirmed_at": null })),
        ("gitlab", json!({ "id": 1, "email": "ada@example.com", "confirmed_at": "" })),
        ("azure", json!({ "sub": "1", "email": "ada@example.com", "email_verified": true })),
    ] {
        let profile = read(name, &told);
        assert!(!profile.is_verified && profile.email.is_some(), "{name} {told}");
    }
    assert!(read("gitlab", &json!({ "id": 1, "email": "ada@example.com", "confirmed_at": "2024-01-01T00:00:00Z" })).is_verified);
    assert!(read("x", &json!({ "data": { "id": "1", "confirmed_email": "ada@example.com" } })).is_verified);
    assert!(!read("x", &json!({ "data": { "id": "1" } })).is_verified, "there is no address to be verified");
    assert!(read("azure", &json!({ "sub": "1", "preferred_username": "ada@example.com", "xms_edov": true })).email.is_none(), "a UPN is no address");
}

// V4
#[test]
fn of_a_list_the_verified_address_is_taken() {
    let emails = |name: &str| TABLE.iter().find(|builtin| builtin.name == name).unwrap().emails.as_ref().unwrap();
    let github = |list: Value| chosen_email(&list, emails("github"));
    let some = |address: &str| Some(address.to_owned());
    let entry = |address: &str, primary: Value, verified: Value| json!({ "email": address, "primary": primary, "verified": verified });
    assert_eq!(github(json!([entry("a@e.x", json!(false), json!(true)), entry("b@e.x", json!(true), json!(true))])), (some("b@e.x"), true));
    assert_eq!(github(json!([entry("a@e.x", json!(false), json!(true)), entry("b@e.x", json!(true), json!(false))])), (some("a@e.x"), true));
    for no in [json!(false), json!("true"), json!(null), json!(1)] {
        assert_eq!(github(json!([entry("b@e.x", json!(true), no)])), (some("b@e.x"), false));
    }
    assert_eq!(github(json!([{ "email": "b@e.x", "primary": true }])), (some("b@e.x"), false));
    assert_eq!(github(json!([])), (None, false));
    assert_eq!(github(json!({ "message": "no" })), (None, false));
    let bitbucket = json!({ "values": [{ "email": "a@e.x", "is_primary": true, "is_confirmed": true }] });
    assert_eq!(chosen_email(&bitbucket, emails("bitbucket")), (some("a@e.x"), true));
}

#[test]
fn a_user_is_named_by_an_id_and_by_nothing_that_changes() {
    for name in PROVIDERS {
        let provider = provider(name);
        for told in
            [json!({}), json!({ "email": "ada@example.com", "login": "ada", "username": "ada" }), json!({ "sub": null, "id": null }), json!([])]
        {
            assert!(provider.read(&told, None, Some("ada@example.com"), true).is_err(), "{name} {told}");
        }
    }
    assert_eq!(read("github", &json!({ "id": 583_231, "login": "ada" })).subject, "583231");
}

#[test]
fn what_is_too_large_to_keep_is_left_out() {
    let told = json!({ "sub": "1", "email": "ada@example.com", "picture": "x".repeat(2000), "name": "Ada\u{0}" });
    let claims = read("google", &told).claims;
    assert!(!claims.contains_key("picture") && !claims.contains_key("name"));
    let proof = proof_of("token", &"secret".to_owned().into());
    assert_eq!(proof.len(), 64);
}
