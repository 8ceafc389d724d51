//! Several processes on one installation.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{Place, Server, words};

#[tokio::test(flavor = "multi_thread")]
async fn of_three_first_starts_at_once_one_makes_everything() {
    let place = Place::new().await;
    let servers = join_all((0..3).map(|_| place.serve())).await;
    let said = join_all(servers.into_iter().map(Server::stop)).await;
    let shown: Vec<&str> = said.iter().map(|(said, _)| said.as_str()).filter(|said| !said.is_empty()).collect();
    assert_eq!(shown.len(), 1, "{said:?}");
    let server = place.serve().await;
    assert_eq!(server.get(words(shown[0], "sb_secret_")[0], "/auth/v1/admin/users").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_changes_a_server_feels_within_a_second() {
    let place = Place::new().await;
    let server = place.serve().await;
    let (_, operator) = make_key(&place, &["--operator"]).await;
    let (operator_id, other_operator) = make_key(&place, &["--operator"]).await;
    let (key_id, key) = make_key(&place, &["--secret"]).await;
    let (_, other_key) = make_key(&place, &["--secret"]).await;

    let revoke = ["key", "revoke", &key_id];
    felt(&place, &server, (&key, "/auth/v1/admin/users"), &revoke).await;
    assert_eq!(server.get(&other_key, "/auth/v1/admin/users").await, 200);
    let revoke = ["key", "revoke", "--operator", &operator_id];
    felt(&place, &server, (&other_operator, "/admin/v1/tenants"), &revoke).await;
    assert_eq!(server.get(&operator, "/admin/v1/tenants").await, 200);
    let listed = place.say(&["key", "list", "--operator"]).await;
    assert!(listed.lines().any(|line| line.starts_with(&operator_id) && line.contains("revoked")), "{listed}");
    felt(&place, &server, (&other_key, "/auth/v1/admin/users"), &["tenant", "suspend", "default"]).await;
}

async fn make_key(place: &Place, kind: &[&str]) -> (String, String) {
    let made = place.say(&[&["key", "create", "--json"], kind].concat()).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

/// Calls all the while, runs the command, and looks when the last call succeeded.
async fn felt(place: &Place, server: &Server, (key, path): (&str, &str), command: &[&str]) {
    assert_eq!(server.get(key, path).await, 200);
    let ended = async {
        place.say(command).await;
        Instant::now()
    };
    let refused = async {
        loop {
            let asked = Instant::now();
            match server.get(key, path).await {
                200 => tokio::task::yield_now().await,
                401 => return asked,
                status => panic!("{command:?}: {status}"),
            }
        }
    };
    let (ended, refused) = tokio::join!(ended, refused);
    let took = refused.saturating_duration_since(ended);
    assert!(took <= Duration::from_secs(1), "{command:?} was felt after {took:?}");
}
