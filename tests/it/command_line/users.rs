//! Users from files, and lists of passwords that none of them may choose.

use std::fs;

use serde_json::json;

use super::{Place, refusals::refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_passwords_is_made_and_heeded() {
    let place = Place::new().await;
    fs::write(place.path("words.txt"), "the quiet lake at dawn\nanother lake\n").unwrap();
    let said = place.say(&["password-list", "build", "words.txt", "--output", "breached.list"]).await;
    assert!(said.starts_with("breached.list: 2 passwords of 1 files, ") && said.contains("once in 65,536 times"), "{said}");
    place.say(&["tenant", "create", "acme"]).await;
    let create = |password: &str, list: &str| {
        let mut command = place.command(&["user", "create", "--tenant", "acme", "--email", "ada@example.com", "--password", password]);
        command.env("BASALT_AUTH__PASSWORD_LISTS", list);
        command
    };
    refused(create("the quiet lake at dawn", "breached.list"), &["known to be weak and easy to guess"]).await;
    refused(create("a deep lake at dawn", "words.txt"), &["auth.password_lists", "words.txt", "basalt password-list build"]).await;
    refused(create("a deep lake at dawn", "nowhere.list"), &["auth.password_lists", "nowhere.list"]).await;
    let output = super::run(create("a deep lake at dawn", "breached.list")).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    refused(place.command(&["password-list", "build", "nowhere.txt", "--output", "breached.list"]), &["nowhere.txt"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_move_in_after_a_look_at_what_would_be_done() {
    let place = Place::new().await;
    place.say(&["tenant", "create", "acme"]).await;
    let hash = "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
    let lines = [
        json!({ "user_id": "auth0|1", "email": "ada@example.com", "email_verified": true, "password_hash": hash, "mfa_factors": [{ "totp": { "secret": "JBSWY3DPEHPK3PXP" } }] }).to_string(),
        "{ broken".to_owned(),
        json!({ "user_id": "auth0|2", "email": "ADA@example.com" }).to_string(),
        json!({ "user_id": "auth0|3", "email": "bob@example.com", "custom_password_hash": { "algorithm": "md5", "hash": { "value": "x" } } }).to_string(),
    ];
    fs::write(place.path("users.ndjson"), lines.join("\n")).unwrap();
    let import = ["user", "import", "users.ndjson", "--from", "auth0", "--tenant", "acme"];
    let told = "refused users.ndjson, line 2: this is no JSON object: key must be a string at column 3\n\
                refused users.ndjson, line 3: another user has its mail address or phone number\n\
                without its password users.ndjson, line 4: its hash is by md5, which no longer keeps a password safe\n";
    let rest = "2 of them have a new id, derived from the one they had, which was no UUID\nTOTP factors: 1\n";
    let foreseen = place.say(&[&import[..], &["--dry-run"]].concat()).await;
    assert_eq!(foreseen, format!("{told}users: 2 would be made, 0 there already, 2 refused\n{rest}"));
    let done = place.say(&import).await;
    assert_eq!(done, format!("{told}users: 2 made, 0 there already, 2 refused\n{rest}"));
    let again = place.say(&import).await;
    assert!(again.ends_with("users: 0 made, 2 there already, 2 refused\n"), "{again}");
    refused(place.command(&["user", "import", "users.json", "--from", "firebase", "--tenant", "acme"]), &["--hash-config"]).await;
    refused(place.command(&["user", "import", "nowhere.json", "--from", "auth0", "--tenant", "acme"]), &["nowhere.json"]).await;
}
