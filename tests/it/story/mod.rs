//! The story of the README, and the same payroll with server and function killed at every stage of it.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::database_url;

/// What January 2000 comes to in `examples/company`.
const SLIPS: u64 = 865;
const TOTAL_MINOR: i64 = 479_046_912;

#[tokio::test(flavor = "multi_thread")]
async fn the_story_plays_to_its_end() {
    let mut command = Command::new(payroll());
    if let Some(url) = database_url().await {
        command.args(["--database-url", &url]);
    }
    let output = run(command).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with("The story is over, and everything in it held."), "{text}");
    // A step is a line that can be pasted, and its outcome.
    assert!(text.lines().filter(|line| line.starts_with("curl ")).count() > 40, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payroll_survives_kill_9_of_server_and_function_at_every_stage() {
    let directory = tempfile::tempdir().unwrap();
    let mut place = Place::new(directory.path(), database_url().await);
    place.basalt(&["tenant", "create", "spare"]).await;
    let mut server = place.serve().await;
    place.basalt(&["import", "employees", &company(), "--tenant", "default"]).await;
    let service = place.make_key(&["--secret"]).await;
    let function_key = place.make_key(&["--scopes", "employees:read,pay:read,payslips:write,storage.slips:write"]).await;
    let bucket = json!({ "id": "slips", "name": "slips", "public": false });
    assert_eq!(place.post(&service, "/storage/v1/bucket", &bucket).await.status(), 200);

    let mut function = place.start_function(&function_key);
    for stage in 1..=8_u64 {
        // The server is killed at the even stages, the function at the odd ones; both begin anew with what the other left.
        let reached = place.until_slips(&service, SLIPS * stage / 10, &mut function).await;
        if stage % 2 == 0 {
            kill(&mut server);
            // It loses its server, and says so by its exit.
            let _ = function.wait();
            server = place.serve().await;
        } else {
            kill(&mut function);
        }
        let after = place.count_slips(&service).await;
        assert!(after >= reached, "stage {stage}: {reached} slips were answered, {after} are there");
        function = place.start_function(&function_key);
    }
    assert!(function.wait().unwrap().success(), "the last function ends its work");
    place.check_everything(&service).await;
    let again = place.start_function(&function_key).wait().unwrap();
    assert!(again.success(), "once more changes nothing");
    place.check_everything(&service).await;
    kill(&mut server);
}

/// A server's place: where its data is and how it is called.
struct Place {
    directory: PathBuf,
    database: Option<String>,
    address: SocketAddr,
    http: reqwest::Client,
}

impl Place {
    fn new(directory: &Path, database: Option<String>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { directory: directory.join("data"), database, address, http: reqwest::Client::new() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
        command.args(arguments).arg("--data-dir").arg(&self.directory).env("BASALT_LOG__LEVEL", "warn");
        if let Some(url) = &self.database {
            command.args(["--database-url", url]);
        }
        command
    }

    async fn basalt(&self, arguments: &[&str]) -> String {
        let output = run(self.command(arguments)).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn make_key(&self, kind: &[&str]) -> String {
        self.basalt(&[&["key", "create"], kind].concat()).await
    }

    async fn serve(&mut self) -> Child {
        let mut command = self.command(&["serve", "--listen", &self.address.to_string()]);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut tries = tokio::time::interval(Duration::from_millis(10));
        while self.http.get(self.url("/ready")).send().await.is_err() {
            tries.tick().await;
        }
        child
    }

    fn start_function(&self, key: &str) -> Child {
        Command::new(payroll()).args(["pay", &self.url(""), key, "2000-01"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, key: &str, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).header("apikey", key).header("prefer", "count=exact").send().await.unwrap()
    }

    async fn post(&self, key: &str, path: &str, body: &Value) -> reqwest::Response {
        self.http.post(self.url(path)).header("apikey", key).json(body).send().await.unwrap()
    }

    async fn count_slips(&self, service: &str) -> u64 {
        let reply = self.get(service, "/rest/v1/payslips?select=id&limit=1").await;
        let range = reply.headers()["content-range"].to_str().unwrap().to_owned();
        range.rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Waits until that many slips are written, or the function ended; answers how many there are.
    async fn until_slips(&self, service: &str, wanted: u64, function: &mut Child) -> u64 {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            let count = self.count_slips(service).await;
            if count >= wanted || function.try_wait().unwrap().is_some() {
                return count;
            }
            look.tick().await;
        }
    }

    /// Exactly one run, one slip each, the totals, and a file for every slip that says the same.
    async fn check_everything(&self, service: &str) {
        let runs: Value = self.get(service, "/rest/v1/payroll_runs?select=status,totals").await.json().await.unwrap();
        assert_eq!(runs, json!([{ "status": "calculated", "totals": { "slips": SLIPS, "total_minor": TOTAL_MINOR } }]));
        let slips: Value = self.get(service, "/rest/v1/payslips?select=employee_id,net_minor,document_path").await.json().await.unwrap();
        let slips = slips.as_array().unwrap();
        let employees: std::collections::BTreeSet<&str> = slips.iter().map(|slip| slip["employee_id"].as_str().unwrap()).collect();
        assert_eq!((slips.len() as u64, employees.len() as u64), (SLIPS, SLIPS));
        assert_eq!(slips.iter().map(|slip| slip["net_minor"].as_i64().unwrap()).sum::<i64>(), TOTAL_MINOR);
        for slip in slips {
            let path = format!("/storage/v1/object/slips/{}", slip["document_path"].as_str().unwrap());
            let file = self.get(service, &path).await.text().await.unwrap();
            let net = slip["net_minor"].as_i64().unwrap();
            assert!(file.contains(&format!("USD {}.{:02}\n", net / 100, net % 100)), "{path}: {file}");
        }
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The example, which cargo builds with the tests.
fn payroll() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_basalt")).parent().unwrap().join("examples/payroll");
    assert!(path.exists(), "the example is not built; run cargo test without --test, or: cargo build --example payroll");
    path
}

fn company() -> String {
    format!("{}/examples/company", env!("CARGO_MANIFEST_DIR"))
}
