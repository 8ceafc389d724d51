//! Changes while requests are under way: whoever asks after one was made feels it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{Client, TestApp};

/// Callers who go on asking, so that look-ups are always under way.
struct Traffic {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(client: &Client, path: &'static str) -> Self {
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = (0..6).map(|_| {
            let (client, is_over, answered) = (client.clone(), Arc::clone(&is_over), Arc::clone(&answered));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    client.get(path).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        Self { callers: callers.collect(), is_over, answered }
    }

    /// Waits until so many more were answered.
    async fn more(&self, count: usize) {
        let end = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < end {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
    }
}

const DEFAULT: &str = "/admin/v1/tenants/default";

/// V24: a key is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_look_up_under_way_brings_a_revoked_key_back() {
    let app = TestApp::new().await;
    for _ in 0..25 {
        let made = app.operator().post(&format!("{DEFAULT}/keys"), json!({ "kind": "secret" })).await.json();
        let client = app.nobody().key(made["key"].as_str().unwrap());
        let traffic = Traffic::start(&client, "/auth/v1/settings");
        traffic.more(10).await;
        assert_eq!(app.operator().delete(&format!("{DEFAULT}/keys/{}", made["id"].as_str().unwrap())).await.status, 204);
        for _ in 0..10 {
            assert_eq!(client.get("/auth/v1/settings").await.status, 401);
        }
        traffic.more(10).await;
        assert_eq!(client.get("/auth/v1/settings").await.status, 401);
        traffic.stop().await;
    }
}

/// V24: a tenant is suspended and comes back, changes its settings, and takes another signing key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_look_up_under_way_brings_an_old_tenant_back() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let traffic = Traffic::start(&user.client, "/auth/v1/user");
    for round in 0..25 {
        for (status, expected) in [("suspended", 401), ("active", 200)] {
            assert_eq!(app.operator().patch(DEFAULT, json!({ "status": status })).await.status, 200);
            traffic.more(5).await;
            for _ in 0..5 {
                assert_eq!(user.client.get("/auth/v1/user").await.status, expected, "{status}");
            }
        }
        let change = json!({ "settings": { "sign_up": { "enabled": round % 2 == 0 } } });
        assert_eq!(app.operator().patch(DEFAULT, change).await.status, 200);
        traffic.more(5).await;
        assert_eq!(app.anonymous().get("/auth/v1/settings").await.json()["disable_signup"], round % 2 == 1);
    }
    traffic.stop().await;
    let keys = app.operator().get(&format!("{DEFAULT}/signing-keys")).await.json();
    let traffic = Traffic::start(&user.client, "/auth/v1/user");
    traffic.more(10).await;
    assert_eq!(app.operator().post(&format!("{DEFAULT}/signing-keys/rotate"), json!({})).await.status, 201);
    let old = format!("{DEFAULT}/signing-keys/{}", keys[0]["kid"].as_str().unwrap());
    assert_eq!(app.operator().delete(&old).await.status, 204);
    for _ in 0..10 {
        assert_eq!(user.client.get("/auth/v1/user").await.status, 403);
        traffic.more(5).await;
    }
    traffic.stop().await;
}

/// V9, V24: a role goes and comes back, a user is banned and let in again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_look_up_under_way_brings_a_role_back() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let at = format!("/auth/v1/admin/users/{}", user.id);
    let traffic = Traffic::start(&user.client, "/rest/v1/departments?select=cost_center");
    for _ in 0..25 {
        for (change, status) in [
            (json!({ "app_metadata": { "roles": [] } }), 403),
            (json!({ "app_metadata": { "roles": ["hr"] } }), 200),
            (json!({ "ban_duration": "1h" }), 401),
            (json!({ "ban_duration": "none" }), 200),
        ] {
            assert_eq!(app.service().put(&at, change.clone()).await.status, 200);
            let reply = user.client.get("/rest/v1/departments?select=cost_center").await;
            assert_eq!(reply.status, status, "{change}: {}", reply.text());
            traffic.more(5).await;
            assert_eq!(user.client.get("/rest/v1/departments?select=cost_center").await.status, status, "{change}");
        }
    }
    traffic.stop().await;
}
