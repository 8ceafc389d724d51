//! The program as its user starts it: processes of their own, their output, and what they leave on the disk.

mod files;
mod object_store;
mod refusals;
mod resumable;
mod rules;
mod start;
mod together;
mod users;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::empty_database_url;

/// The place of an installation: a directory, and a database in it or on a server.
struct Place {
    directory: TempDir,
    database: Option<String>,
}

impl Place {
    async fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), database: empty_database_url().await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
        // The whole environment would bring along BASALT_ settings of whoever runs the tests.
        command.env_clear().current_dir(self.directory.path()).args(arguments).stdin(Stdio::null());
        command.envs(self.database.iter().map(|url| ("BASALT_DATABASE_URL", url)));
        command
    }

    /// Runs a command to its end.
    async fn run(&self, arguments: &[&str]) -> Output {
        run(self.command(arguments)).await
    }

    /// Runs a command that must succeed, and answers what it said.
    async fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a server on a free port and waits until it answers.
    async fn serve(&self) -> Server {
        Server::start(self.command(&["serve", "--listen", "127.0.0.1:0"]), self.path(&format!("log-{}", uuid::Uuid::now_v7()))).await
    }
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A running server; killed when dropped.
struct Server {
    child: Child,
    log: PathBuf,
    url: String,
}

impl Server {
    async fn start(mut command: Command, log: PathBuf) -> Self {
        command.env("BASALT_LOG__LEVEL", "debug").stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let url = loop {
            let text = fs::read_to_string(&log).unwrap();
            if let Some(at) = text.find("answers at http://") {
                break text[at + "answers at ".len()..].split_whitespace().next().unwrap().to_owned();
            }
            assert!(child.try_wait().unwrap().is_none(), "{text}");
            look.tick().await;
        };
        Self { child, log, url }
    }

    async fn get(&self, key: &str, path: &str) -> u16 {
        reqwest::Client::new().get(format!("{}{path}", self.url)).header("apikey", key).send().await.unwrap().status().as_u16()
    }

    /// Asks the server to stop, and answers what it said on standard output, and its log.
    async fn stop(mut self) -> (String, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let mut said = self.child.stdout.take().unwrap();
        let text = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            said.read_to_string(&mut text).unwrap();
            text
        });
        let text = text.await.unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        (text, fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words in a text that begin like this.
fn words<'t>(text: &'t str, beginning: &str) -> Vec<&'t str> {
    let mut found: Vec<&str> = text.split([' ', '\n', '\'', '"']).filter(|word| word.starts_with(beginning)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
