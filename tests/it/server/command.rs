//! `basalt serve` as the operator meets it: a process.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::sync::Barrier;

/// `basalt` in this directory, with nothing of this process's environment.
fn basalt(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.env_clear().current_dir(directory).args(arguments).stdin(Stdio::null());
    command
}

fn run(directory: &TempDir, arguments: &[&str]) -> Output {
    basalt(directory.path(), arguments).output().unwrap()
}

/// What is said of a start that is refused.
fn refusal(arguments: &[&str], file: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    if !file.is_empty() {
        fs::write(directory.path().join("basalt.toml"), file).unwrap();
    }
    let output = run(&directory, arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(!directory.path().join("basalt-data").exists(), "nothing is made by a start that is refused");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_unknown_or_unsafe_is_refused_by_name_and_with_the_cure() {
    insta::assert_snapshot!(refusal(&["serve"], "[http]\ndrain_second = 5\n"), @"basalt: http.drain_second (from basalt.toml) is not a setting; did you mean http.drain_seconds?");
    insta::assert_snapshot!(refusal(&["serve", "--listen", "0.0.0.0:0"], ""), @r#"basalt: listen = "0.0.0.0:0" (from --listen): can be reached from other machines, and public_url is empty; set public_url to the address clients use, as in public_url = "https://api.example.com", or listen on 127.0.0.1"#);
    insta::assert_snapshot!(refusal(&["serve", "--config", "missing.toml"], ""), @"basalt: the configuration file missing.toml can't be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(refusal(&["serve"], "listen =\n").lines().next().unwrap(), @"basalt: the configuration file basalt.toml can't be read: TOML parse error at line 1, column 9");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&["serve", "--listen", &address], "");
    assert!(said.contains(&format!("{address} can't be listened on")), "{said}");
}

#[test]
fn the_settings_are_shown_with_secrets_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&directory, &["serve", "--print-config", "--database-url", "postgres://me:hunter2@db/basalt"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !shown.contains("hunter2"), "{shown}");
    let path = directory.path().join("basalt.toml");
    fs::write(&path, shown.replace("[hidden]", "hunter2")).unwrap();
    let again = run(&directory, &["serve", "--print-config"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), shown, "what is shown can be used as a file");
}

/// A server that was started, and what it printed before it answered.
struct Started {
    process: Child,
    url: String,
    printed: String,
}

fn start(directory: &TempDir) -> Started {
    let printed = directory.path().join("printed");
    let mut command = basalt(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let mut process = command.stdout(File::create(&printed).unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let url = loop {
        let line = log.next().expect("the server answers before it ends").unwrap();
        if let Some((_, url)) = line.split_once(" answers at ") {
            break url.split_whitespace().next().unwrap().to_owned();
        }
    };
    // Somebody must go on reading the log: a full pipe would hold the server up.
    std::thread::spawn(move || log.for_each(drop));
    Started { process, url, printed: fs::read_to_string(printed).unwrap() }
}

impl Started {
    fn stop(&mut self, signal: &str) -> ExitStatus {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_first_start_makes_everything_and_only_it_shows_the_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let mut first = start(&directory);
    assert!(first.printed.contains("sb_publishable_") && first.printed.contains("sb_secret_") && first.printed.contains("basalt_operator_"));
    assert_eq!(first.printed.lines().filter(|line| line.trim_start().starts_with("curl ")).count(), 3, "{}", first.printed);
    let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("basalt-data"), mode("basalt-data/master.key")), (0o700, 0o600));
    assert_eq!(reqwest::get(format!("{}/ready", first.url)).await.unwrap().status(), 200);
    assert!(first.stop("-TERM").success());

    let mut second = start(&directory);
    assert_eq!(second.printed, "");
    assert_eq!(reqwest::get(format!("{}/ready", second.url)).await.unwrap().status(), 200);
    assert!(second.stop("-INT").success());
}

#[test]
fn two_signals_at_once_are_one_wish() {
    let directory = tempfile::tempdir().unwrap();
    let mut started = start(&directory);
    let id = started.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let _ = Command::new("kill").args(["-INT", &id]).status();
    assert!(started.process.wait().unwrap().success());
}

#[test]
fn the_printed_curl_lines_work() {
    let directory = tempfile::tempdir().unwrap();
    let mut started = start(&directory);
    let lines: Vec<&str> = started.printed.lines().map(str::trim_start).filter(|line| line.starts_with("curl ")).collect();
    for (line, expected) in lines.iter().zip([r#""access_token":"#, "[", r#""Key":"files/hello.txt""#]) {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && answer.contains(expected) && !answer.contains("error"), "{line}\n{answer}");
    }
    assert!(started.stop("-TERM").success());
}

/// Every request that was answered at all was answered well, and none was cut off, while the server was told to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_because_the_server_is_told_to_stop() {
    const CLIENTS: usize = 8;
    let directory = tempfile::tempdir().unwrap();
    let mut started = start(&directory);
    let all_were_answered = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, all_were_answered) = (format!("{}/auth/v1/health", started.url), Arc::clone(&all_were_answered));
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut answered = 0;
                loop {
                    match client.get(&url).send().await {
                        Ok(response) => {
                            assert_eq!(response.status(), 200);
                            response.bytes().await.unwrap();
                            answered += 1;
                            if answered == 1 {
                                all_were_answered.wait().await;
                            }
                        }
                        // The door is closed.
                        Err(error) if error.is_connect() => return answered,
                        Err(error) => panic!("cut off after {answered} answers: {error:?}"),
                    }
                }
            })
        })
        .collect();
    all_were_answered.wait().await;
    assert!(started.stop("-TERM").success());
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}
