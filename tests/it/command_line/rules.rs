//! Rules about records from a file.

use std::fs;

use serde_json::{Value, json};

use super::{Place, refusals::refused};

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_a_file_are_applied_and_shown() {
    let place = Place::new().await;
    place.say(&["tenant", "create", "acme"]).await;
    let rule = json!({ "name": "clerks see names", "roles": ["clerk"], "tables": ["employees"], "groups": ["directory"], "actions": ["read"] });
    fs::write(place.path("rules.json"), json!({ "rules": [rule] }).to_string()).unwrap();
    assert_eq!(place.say(&["rules", "apply", "rules.json", "--tenant", "acme"]).await, "Tenant acme has 1 rules of its own\n");
    let shown: Value = serde_json::from_str(&place.say(&["rules", "show", "--tenant", "acme"]).await).unwrap();
    assert_eq!((&shown["rules"][0]["name"], &shown["default_rules"]), (&json!("clerks see names"), &json!(true)));
    assert!(shown["defaults"].as_array().unwrap().len() > 20);
    fs::write(
        place.path("wrong.json"),
        json!({ "rules": [{ "name": "x", "roles": ["y"], "tables": ["z"], "groups": ["pay"], "actions": ["read"] }] }).to_string(),
    )
    .unwrap();
    refused(place.command(&["rules", "apply", "wrong.json", "--tenant", "acme"]), &["\"x\"", "there is no table \"z\""]).await;
    refused(place.command(&["rules", "apply", "nowhere.json", "--tenant", "acme"]), &["nowhere.json"]).await;
    refused(place.command(&["rules", "show", "--tenant", "nobody"]), &["nobody"]).await;
}
