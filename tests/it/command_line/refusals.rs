//! What is refused at the start, and in which words.

use std::{fs, net::TcpListener, process::Command};

use super::{Place, run};

/// The command fails, and says all of this.
pub(super) async fn refused(command: Command, words: &[&str]) {
    let text = format!("{command:?}");
    let output = run(command).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{text}");
    for word in words {
        assert!(said.contains(word), "{text}: {word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("internal error"), "{text}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_can_not_be_are_refused_by_name_with_the_cure() {
    let place = Place::new().await;
    let serve = |arguments: &[&str]| place.command(&[&["serve"], arguments].concat());
    let with = |name: &str, value: &str| {
        let mut command = serve(&["--listen", "127.0.0.1:0"]);
        command.env(name, value);
        command
    };
    refused(serve(&["--listen", "0.0.0.0:0"]), &["listen", "public_url", "https://api.example.com"]).await;
    refused(serve(&["--listen", "localhost:8787"]), &["listen", "127.0.0.1:8787"]).await;
    refused(with("BASALT_LISTN", "x"), &["BASALT_LISTN", "did you mean BASALT_LISTEN?"]).await;
    refused(with("BASALT_DEFAULT_TENANT", "My Firm"), &["default_tenant", "a-z"]).await;
    refused(with("BASALT_DATABASE_URL", "mysql://me:hunter2@x/y"), &["database_url", "sqlite:PATH", "[hidden]"]).await;
    refused(with("BASALT_DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/y"), &["database_url", "127.0.0.1:1", "refused"]).await;
    refused(serve(&["--config", "nowhere.toml"]), &["nowhere.toml"]).await;
    fs::write(place.path("basalt.toml"), "[http]\nmax_jason_bytes = 1\n").unwrap();
    refused(serve(&[]), &["http.max_jason_bytes", "basalt.toml", "did you mean http.max_json_bytes?"]).await;
    fs::remove_file(place.path("basalt.toml")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    refused(serve(&["--listen", &taken.local_addr().unwrap().to_string()]), &["listen", "another address"]).await;
    assert!(!place.path("basalt-data/master.key").exists(), "what is refused makes nothing");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_does_not_fit_is_refused_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().await;
    place.say(&["tenant", "create", "acme"]).await;
    let path = place.path("basalt-data/master.key");
    let key = fs::read(&path).unwrap();
    let list = || place.command(&["tenant", "list"]);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    refused(list(), &["master_key_file", "chmod 600"]).await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, basalt::crypto::base64url(&[7; 32])).unwrap();
    refused(list(), &["master_key_file", "is not the key", "put back"]).await;
    fs::write(&path, "short").unwrap();
    refused(list(), &["master_key_file", "32 bytes"]).await;
    fs::remove_file(&path).unwrap();
    refused(list(), &["master_key_file", "is not there", "put back"]).await;
    assert!(!path.exists(), "no other key is made in its place");
    fs::write(&path, key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(place.say(&["tenant", "list"]).await.contains("acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_not_be_used_is_named() {
    let place = Place::new().await;
    let file = place.path("junk.db");
    fs::write(&file, [7; 5000]).unwrap();
    let open = |url: String| place.command(&["tenant", "list", "--database-url", &url]);
    refused(open(format!("sqlite:{}", file.display())), &["database_url", "junk.db", "not a database"]).await;
    refused(open(format!("sqlite:{}", place.directory.path().display())), &["database_url", "unable to open"]).await;
    if let Some(url) = &place.database {
        refused(open(format!("{url}_not")), &["database_url", "does not exist"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_settings_are_set_by_name_and_shown_without_secrets() {
    let place = Place::new().await;
    place.say(&["tenant", "create", "acme"]).await;
    let set = |settings: &[&str]| place.command(&[&["tenant", "set", "acme"], settings].concat());
    let secret = "v1,whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";
    let hook =
        ["hooks.send_email.enabled=true", "hooks.send_email.url=https://hooks.example.com/mail", &format!("hooks.send_email.secrets={secret}")];
    let output = run(set(&[hook.as_slice(), &["captcha.enabled=true", "captcha.secret=hunter2", "limits.token.most=7"]].concat())).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = place.say(&["tenant", "set", "acme"]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), said);
    assert!(said.contains("\"most\": 7") && said.matches("[set]").count() == 2 && !said.contains("hunter2") && !said.contains(secret), "{said}");
    refused(set(&["limits.token.most=0"]), &["limits.token", "1 to 1000000"]).await;
    refused(set(&["limits.token.burst=1000000"]), &["limits.token", "more than a day"]).await;
    refused(set(&["hooks.send_sms.enabled=true"]), &["hooks.send_sms", "v1,whsec_"]).await;
    refused(set(&["captcha.provider=recaptcha"]), &["hcaptcha", "turnstile"]).await;
    if place.database.is_none() {
        for file in super::files(&place.path("basalt-data")) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(20).any(|part| part == &secret.as_bytes()[9..29]), "{} holds a secret in plain", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_without_secrets() {
    let place = Place::new().await;
    let mut command = place.command(&["serve", "--print-config", "--database-url", "postgres://me:hunter2@db/x"]);
    command.env("BASALT_METRICS__TOKEN", "hunter2hunter2hunter2").env("BASALT_BLOBS_S3__SECRET_ACCESS_KEY", "hunter2");
    let output = run(command).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("[hidden]") && !said.contains("hunter2"), "{said}");
    assert!(!place.path("basalt-data").exists());
}

/// Only `serve`, and who makes the first tenant, make an installation.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_installation_none_is_made_by_looking() {
    let place = Place::new().await;
    for command in [
        &["tenant", "list"][..],
        &["key", "list", "--tenant", "default"],
        &["signing-key", "list"],
        &["user", "create", "--email", "a@b.de", "--password", "a quiet morning lake"],
    ] {
        refused(place.command(command), &["there is no installation here", "basalt serve"]).await;
    }
    assert!(super::files(place.directory.path()).is_empty(), "{:?}", super::files(place.directory.path()));
    place.say(&["tenant", "create", "acme"]).await;
    assert!(place.say(&["tenant", "list"]).await.contains("acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_url_is_where_it_is_served() {
    let place = Place::new().await;
    fs::write(place.path("basalt.toml"), "listen = \"127.0.0.1:9123\"\n").unwrap();
    let said = place.say(&["tenant", "create", "acme"]).await;
    assert!(said.contains("http://127.0.0.1:9123/t/acme") && said.contains("\"basalt serve\" was told"), "{said}");
    let said = place.say(&["tenant", "show", "acme", "--public-url", "https://api.example.com"]).await;
    assert!(said.contains("https://api.example.com/t/acme\n"), "{said}");
}
