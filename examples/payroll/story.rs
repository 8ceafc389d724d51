//! The story itself: each step says what it is about, calls, and checks what came back.

use std::{process::Stdio, time::Duration};

use basalt::{
    app::App,
    clock::Clock,
    config::{Config, Sources},
    records, server,
    tenants::{self, FirstStart},
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    Options,
    function::BUCKET,
    shell::{Failure, Reply, Shell, say},
};

const PERIOD: &str = "2000-01";
const PASSWORD: &str = "correct horse battery staple";
/// Employees, payslips and cents that the known companies come to.
const KNOWN: [(u64, u64, i64); 2] = [(1_000, 865, 479_046_912), (10_000, 8_673, 4_800_129_727)];

/// A server, and the keys that open it.
struct Stage {
    url: String,
    tenant: String,
    publishable: String,
    secret: String,
    operator: String,
    /// Of the server in this process, if there is one.
    own: Option<Own>,
}

struct Own {
    app: App,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<basalt::error::Result<()>>,
    _directory: TempDir,
}

impl Stage {
    fn shell(&self, key: &str) -> Shell {
        Shell::new(&self.url, key).shown()
    }

    fn service(&self) -> Shell {
        Shell::new(&self.url, &self.secret)
    }
}

pub(crate) async fn play(options: Options) -> Result<(), Failure> {
    let (data, stay) = (options.data.clone(), options.stay);
    let stage = open(options).await?;
    if let Some(own) = &stage.own {
        title("The company moves in");
        let report = records::import_employees(&own.app, &stage.tenant, &data, |_| {}).await?;
        let made: Vec<String> = report.made.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
        say(&format!("loaded {}; refused {} lines\n", made.join(", "), report.refused.len()));
    }
    let employees = count(&stage.service(), "/rest/v1/employees?select=id").await?;
    check(employees > 0, "there are employees; load them with: basalt import employees examples/company --tenant default")?;

    let mut people = sign_everybody_in(&stage).await?;
    link_employees(&stage, &mut people).await?;
    search(&stage, &people).await?;
    pay(&stage, employees).await?;
    let slip = open_own_slip(&stage, &people).await?;
    refuse_everything_else(&stage, &people).await?;
    show_the_neighbour_nothing(&stage, &people, &slip).await?;
    approve_and_correct(&stage, &people).await?;
    say("The story is over, and everything in it held.");
    close(stage, stay).await
}

// The stage

async fn open(options: Options) -> Result<Stage, Failure> {
    if let (Some(url), Some(publishable), Some(secret), Some(operator)) =
        (options.url, options.publishable_key, options.secret_key, options.operator_key)
    {
        return Ok(Stage { url, tenant: options.tenant, publishable, secret, operator, own: None });
    }
    let directory = tempfile::tempdir()?;
    let mut flags =
        vec![("data_dir".to_owned(), directory.path().join("data").display().to_string()), ("listen".to_owned(), "127.0.0.1:0".to_owned())];
    flags.extend(options.database_url.map(|url| ("database_url".to_owned(), url)));
    let config = Config::load(Sources { file: None, environment: Vec::new(), flags })?;
    let (app, listener) = server::open(config, Clock::System).await?;
    let FirstStart { operator_key, publishable_key, secret_key } =
        tenants::first_start(&app).await?.ok_or("the database has been used; take an empty one")?;
    let (url, stop) = (app.config.public_url(), CancellationToken::new());
    let serving = tokio::spawn(server::serve(app.clone(), listener, stop.clone()));
    say(&format!("Basalt answers at {url}\n"));
    Ok(Stage {
        url,
        tenant: app.config.default_tenant.clone(),
        publishable: publishable_key.reveal().to_owned(),
        secret: secret_key.reveal().to_owned(),
        operator: operator_key.reveal().to_owned(),
        own: Some(Own { app, stop, serving, _directory: directory }),
    })
}

async fn close(stage: Stage, stay: bool) -> Result<(), Failure> {
    let Some(own) = stage.own else { return Ok(()) };
    if stay {
        say(&format!("The server stays at {} until Ctrl-C.", stage.url));
        tokio::signal::ctrl_c().await?;
    }
    own.stop.cancel();
    Ok(own.serving.await??)
}

// The people

struct Person {
    email: &'static str,
    user_id: String,
    token: String,
    employee_id: String,
}

struct People {
    hr: Person,
    ann: Person,
    bob: Person,
}

async fn sign_everybody_in(stage: &Stage) -> Result<People, Failure> {
    title("An HR user and two employees sign up and in");
    let mut people = Vec::new();
    for email in ["hr@example.com", "ann@example.com", "bob@example.com"] {
        let anonymous = stage.shell(&stage.publishable);
        let credentials = json!({ "email": email, "password": PASSWORD });
        let up = anonymous.call(Method::POST, "/auth/v1/signup", Some(&credentials), &[]).await?;
        // Who played before is there already.
        check(up.status == 200 || up.text.contains("user_already_exists"), "sign-up works")?;
        let session = anonymous.call(Method::POST, "/auth/v1/token?grant_type=password", Some(&credentials), &[]).await?;
        check(session.status == 200, "sign-in works")?;
        let session = session.json();
        people.push(Person { email, user_id: text(&session["user"]["id"])?, token: text(&session["access_token"])?, employee_id: String::new() });
    }
    let [hr, ann, bob] = <[Person; 3]>::try_from(people).map_err(|_| "three people sign in")?;
    let roles = json!({ "app_metadata": { "roles": ["hr", "payroll"] } });
    let made = stage.shell(&stage.secret).call(Method::PUT, &format!("/auth/v1/admin/users/{}", hr.user_id), Some(&roles), &[]).await?;
    check(made.status == 200, "the secret key gives the HR user its roles")?;
    Ok(People { hr, ann, bob })
}

async fn link_employees(stage: &Stage, people: &mut People) -> Result<(), Failure> {
    title("HR links the two to their employee records");
    let hr = stage.shell(&stage.publishable).with_token(&people.hr.token);
    let paid = "/rest/v1/compensations?select=employee:employees(id,employee_number,display_name)&effective_from=lte.2000-01-01\
                &or=(effective_to.is.null,effective_to.gt.2000-01-31)&order=employee_id&limit=2";
    let found = hr.call(Method::GET, paid, None, &[]).await?.json();
    for (index, person) in [&mut people.ann, &mut people.bob].into_iter().enumerate() {
        person.employee_id = text(&found[index]["employee"]["id"])?;
        let path = format!("/rest/v1/employees?id=eq.{}&select=employee_number,display_name,user_id", person.employee_id);
        let link = json!({ "user_id": person.user_id });
        let linked = hr.call(Method::PATCH, &path, Some(&link), &[("prefer", "return=representation")]).await?;
        check(linked.status == 200 && linked.json()[0]["user_id"] == person.user_id, &format!("{} is linked", person.email))?;
    }
    Ok(())
}

// The functions

async fn make_function_key(stage: &Stage, name: &str, scopes: &[&str]) -> Result<String, Failure> {
    let operator = Shell::new(&stage.url, "").with_token(&stage.operator).shown();
    let wanted = json!({ "kind": "secret", "name": name, "scopes": scopes });
    let made = operator.call(Method::POST, &format!("/admin/v1/tenants/{}/keys", stage.tenant), Some(&wanted), &[]).await?;
    check(made.status == 201, "the operator makes a function key")?;
    text(&made.json()["key"])
}

async fn search(stage: &Stage, people: &People) -> Result<(), Failure> {
    title("The employee-search function finds people and can't see pay");
    let function = stage.shell(&make_function_key(stage, "employee-search", &["employees:read"]).await?);
    let ann = stage
        .service()
        .get(&format!("/rest/v1/employees?select=given_name,family_name,department:departments!department_id(name)&id=eq.{}", people.ann.employee_id))
        .await?;
    let (given, department) = (text(&ann[0]["given_name"])?, text(&ann[0]["department"]["name"])?);
    let columns = "select=id,employee_number,display_name,department:departments!department_id!inner(name)";
    let found = function
        .call(
            Method::GET,
            &format!("/rest/v1/employees?{columns}&search=wfts.{given}&department.name=eq.{}", department.replace(' ', "%20")),
            None,
            &[],
        )
        .await?;
    let finds_ann = found.json().as_array().is_some_and(|rows| rows.iter().any(|row| row["id"] == people.ann.employee_id));
    check(found.status == 200 && finds_ann, "search finds by name and department")?;
    let by_name =
        function.call(Method::GET, &format!("/rest/v1/employees/_search?q={given}&limit=3&select=employee_number,display_name"), None, &[]).await?;
    check(by_name.json().as_array().is_some_and(|rows| !rows.is_empty()), "search finds by name")?;
    for path in [
        "/rest/v1/compensations?select=base_minor&limit=1",
        "/rest/v1/employees?select=display_name,compensations(base_minor)&limit=1",
        "/rest/v1/payslips?limit=1",
    ] {
        let refused = function.call(Method::GET, path, None, &[]).await?;
        check(refused.status == 403, "pay is refused to a key without the scope")?;
    }
    Ok(())
}

async fn pay(stage: &Stage, employees: u64) -> Result<(), Failure> {
    title("The payroll function pays January 2000: killed half-way, then run twice");
    let bucket = json!({ "id": BUCKET, "name": BUCKET, "public": false, "file_size_limit": "1MB" });
    let made = stage.shell(&stage.secret).call(Method::POST, "/storage/v1/bucket", Some(&bucket), &[]).await?;
    check(made.status == 200 || made.text.contains("Duplicate"), "the bucket of slips is there")?;
    let scopes = ["employees:read", "pay:read", "payslips:write", "storage.slips:write"];
    let key = make_function_key(stage, "payroll", &scopes).await?;

    let known = KNOWN.into_iter().find(|(size, ..)| *size == employees);
    let half = known.map_or(1, |(_, slips, _)| slips / 2);
    kill_half_way(stage, &key, half).await?;
    for _ in 0..2 {
        let paid = run_function(stage, &key).await?;
        say(&format!("  -> {paid}\n"));
        if let Some((_, slips, total)) = known {
            check(paid["slips"] == slips && paid["total_minor"] == total, &format!("the run comes to {slips} slips and {total} cents"))?;
        }
        let service = stage.service();
        let written = count(&service, &format!("/rest/v1/payslips?select=id&run_id=eq.{}", text(&paid["run_id"])?)).await?;
        check(paid["slips"] == written, "there is exactly one payslip each")?;
        let run = service.get("/rest/v1/payroll_runs?select=status,totals&idempotency_key=eq.payroll-2000-01").await?;
        check(
            run.as_array().map(Vec::len) == Some(1)
                && ["calculated", "approved"].iter().any(|status| run[0]["status"] == *status)
                && run[0]["totals"]["total_minor"] == paid["total_minor"],
            "there is one run, with the totals",
        )?;
    }
    Ok(())
}

fn function_process(stage: &Stage, key: &str) -> Result<tokio::process::Command, Failure> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args(["pay", &stage.url, key, PERIOD]).kill_on_drop(true);
    Ok(command)
}

async fn kill_half_way(stage: &Stage, key: &str, half: u64) -> Result<(), Failure> {
    say(&format!("payroll pay {} {key} {PERIOD}   # killed after {half} slips", stage.url));
    let mut process = function_process(stage, key)?.stdout(Stdio::null()).spawn()?;
    let service = stage.service();
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            ended = process.wait() => {
                check(ended?.success(), "the function did not fail by itself")?;
                say("  -> it was quicker than the kill\n");
                return Ok(());
            }
            _ = look.tick() => {}
        }
        if count(&service, "/rest/v1/payslips?select=id").await? >= half {
            process.kill().await?;
            let written = count(&service, "/rest/v1/payslips?select=id").await?;
            say(&format!("  -> killed with {written} payslips written\n"));
            return Ok(());
        }
    }
}

async fn run_function(stage: &Stage, key: &str) -> Result<Value, Failure> {
    say(&format!("payroll pay {} {key} {PERIOD}", stage.url));
    let output = function_process(stage, key)?.stderr(Stdio::inherit()).output().await?;
    check(output.status.success(), "the payroll function succeeds")?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

// Approved, and corrected

async fn approve_and_correct(stage: &Stage, people: &People) -> Result<(), Failure> {
    title("Payroll approves the run; what was paid stays as it is, and a correction is a run of its own");
    let payroll = stage.shell(&stage.publishable).with_token(&people.hr.token);
    let run = payroll.call(Method::GET, "/rest/v1/payroll_runs?select=id,totals&idempotency_key=eq.payroll-2000-01", None, &[]).await?.json();
    let (run_id, paid) = (text(&run[0]["id"])?, &run[0]["totals"]["total_minor"]);
    check(totals(&payroll, &run_id).await?["net_minor"] == *paid, "rpc/payroll_totals comes to what the function did")?;
    let run_path = format!("/rest/v1/payroll_runs?id=eq.{run_id}&select=status,approved_by,approved_at");
    let approved = payroll.call(Method::PATCH, &run_path, Some(&json!({ "status": "approved" })), &[("prefer", "return=representation")]).await?;
    check(approved.json()[0]["approved_by"] == people.hr.user_id, "it is written down who approved the run")?;
    let of_bob = format!("/rest/v1/payslips?run_id=eq.{run_id}&employee_id=eq.{}", people.bob.employee_id);
    for (method, change) in [(Method::PATCH, json!({ "net_minor": 1 })), (Method::DELETE, json!({}))] {
        let refused = payroll.call(method, &of_bob, Some(&change), &[]).await?;
        check(refused.status == 409, "a slip of an approved run can't be changed or removed")?;
    }
    let slip = payroll.call(Method::GET, &of_bob, None, &[]).await?.json()[0].clone();
    let correction = correct(&payroll, people, &slip).await?;
    check(totals(&payroll, &run_id).await?["net_minor"] == *paid, "the first run comes to what it came to")?;
    let corrected = totals(&payroll, &correction).await?;
    check(
        corrected["slips"] == 1 && corrected["net_minor"] == slip["net_minor"].as_i64().unwrap_or_default() + 1_000,
        "the correction adds ten dollars",
    )?;
    let bob = stage.shell(&stage.publishable).with_token(&people.bob.token);
    let own = bob
        .call(
            Method::GET,
            "/rest/v1/payslips?select=net_minor,replaced:replaces_id(net_minor),payslip_lines(component_name,amount_minor)&replaces_id=not.is.null",
            None,
            &[],
        )
        .await?
        .json();
    check(own[0]["replaced"]["net_minor"] == slip["net_minor"], "Bob sees which slip the new one stands for")?;
    check(own[0]["payslip_lines"].as_array().is_some_and(|lines| lines.len() == 2), "and what it is made of")
}

async fn totals(payroll: &Shell, run_id: &str) -> Result<Value, Failure> {
    let reply = payroll.call(Method::POST, "/rest/v1/rpc/payroll_totals", Some(&json!({ "run_id": run_id })), &[]).await?;
    Ok(reply.json()[0].clone())
}

/// Makes a run that pays Bob ten dollars more, once however often the story is played. Answers its id.
async fn correct(payroll: &Shell, people: &People, slip: &Value) -> Result<String, Failure> {
    let run = json!({ "type": "correction", "period_start": "2000-01-01", "period_end": "2000-01-31", "currency": "USD", "idempotency_key": "correction-2000-01" });
    let once = [("prefer", "resolution=ignore-duplicates")];
    let made = payroll.call(Method::POST, "/rest/v1/payroll_runs?on_conflict=idempotency_key", Some(&run), &once).await?;
    check(made.status == 201, "a correction run is made")?;
    let found = payroll.call(Method::GET, "/rest/v1/payroll_runs?select=id&idempotency_key=eq.correction-2000-01", None, &[]).await?;
    let run_id = text(&found.json()[0]["id"])?;
    let before = slip["net_minor"].as_i64().unwrap_or_default();
    let row = json!({ "run_id": run_id, "employee_id": people.bob.employee_id, "currency": "USD", "gross_minor": before + 1_000, "net_minor": before + 1_000,
        "status": "final", "replaces_id": slip["id"] });
    let made = payroll.call(Method::POST, "/rest/v1/payslips?on_conflict=run_id,employee_id", Some(&row), &once).await?;
    check(made.status == 201, "the correction has a slip that names the one it replaces")?;
    let found = payroll.call(Method::GET, &format!("/rest/v1/payslips?select=id&run_id=eq.{run_id}"), None, &[]).await?;
    let line = |seq: i64, code: &str, name: &str, amount: i64| json!({ "payslip_id": found.json()[0]["id"], "seq": seq, "component_code": code, "component_name": name, "kind": "earning", "amount_minor": amount });
    let lines = json!([line(1, "base", "Base pay", before), line(2, "extra", "Forgotten hours", 1_000)]);
    let made = payroll.call(Method::POST, "/rest/v1/payslip_lines?on_conflict=payslip_id,seq", Some(&lines), &once).await?;
    check(made.status == 201, "the slip has its lines")?;
    let approved = payroll.call(Method::PATCH, &format!("/rest/v1/payroll_runs?id=eq.{run_id}"), Some(&json!({ "status": "approved" })), &[]).await?;
    check(approved.status == 204, "the correction is approved")?;
    Ok(run_id)
}

// Who sees what

fn slip_path(person: &Person) -> String {
    format!("{BUCKET}/{}/{PERIOD}.txt", person.employee_id)
}

/// Answers the signed URL.
async fn open_own_slip(stage: &Stage, people: &People) -> Result<String, Failure> {
    title("Ann opens her own slip by a signed URL");
    let ann = stage.shell(&stage.publishable).with_token(&people.ann.token);
    let rows = ann.call(Method::GET, "/rest/v1/payslips?select=employee_id,net_minor,currency,status", None, &[]).await?.json();
    check(rows.as_array().is_some_and(|rows| rows.len() == 1) && rows[0]["employee_id"] == people.ann.employee_id, "Ann sees one payslip, her own")?;
    let signed =
        ann.call(Method::POST, &format!("/storage/v1/object/sign/{}", slip_path(&people.ann)), Some(&json!({ "expiresIn": 60 })), &[]).await?;
    let path = format!("/storage/v1{}", text(&signed.json()["signedURL"])?);
    say(&format!("curl '{}{path}'", stage.url));
    let slip = reqwest::get(format!("{}{path}", stage.url)).await?;
    check(slip.status() == 200, "the signed URL opens without any key")?;
    let slip = slip.text().await?;
    say(&format!("  -> 200 {}\n", slip.replace('\n', " ")));
    let net = rows[0]["net_minor"].as_i64().unwrap_or_default();
    check(slip.contains(&format!("USD {}.{:02}", net / 100, net % 100)), "the slip says what the payslip says")?;
    Ok(path)
}

async fn refuse_everything_else(stage: &Stage, people: &People) -> Result<(), Failure> {
    title("Ann is refused everybody else's pay, in every way");
    let ann = stage.shell(&stage.publishable).with_token(&people.ann.token);
    let bob = &people.bob.employee_id;
    let empty = |reply: &Reply| matches!(reply.status.as_u16(), 401 | 403 | 404) || reply.json() == json!([]);
    let attempts = [
        ("select", format!("/rest/v1/payslips?select=net_minor&employee_id=eq.{bob}")),
        ("select", format!("/rest/v1/compensations?select=base_minor&employee_id=eq.{bob}")),
        ("filter", "/rest/v1/compensations?select=employee_id&base_minor=gt.0".to_owned()),
        ("filter", format!("/rest/v1/payslips?select=id&net_minor=gt.0&employee_id=neq.{}", people.ann.employee_id)),
        ("filter", "/rest/v1/employees?select=id,compensations()&compensations.base_minor=gt.0&compensations=not.is.null".to_owned()),
        ("order", "/rest/v1/compensations?select=employee_id&order=base_minor.desc&limit=1".to_owned()),
        ("embed", format!("/rest/v1/employees?select=display_name,compensations(base_minor)&id=eq.{bob}")),
        ("embed", format!("/rest/v1/employees?select=display_name,payslips!inner(net_minor)&id=eq.{bob}")),
        ("search", "/rest/v1/employees?select=display_name,compensations(base_minor)&search=wfts.a".to_owned()),
        ("search", "/rest/v1/employees/_search?q=a&select=display_name,compensations(base_minor)".to_owned()),
    ];
    for (way, path) in attempts {
        let reply = ann.call(Method::GET, &path, None, &[]).await?;
        check(empty(&reply), &format!("{way} shows nothing"))?;
    }
    let counted = ann
        .call(Method::HEAD, &format!("/rest/v1/payslips?select=id&employee_id=neq.{}", people.ann.employee_id), None, &[("prefer", "count=exact")])
        .await?;
    check(counted.range == "[*/0] " || counted.status == 403, "count counts nothing")?;
    let counted = ann.call(Method::HEAD, "/rest/v1/compensations?select=id", None, &[("prefer", "count=exact")]).await?;
    check(counted.status == 403, "count is refused")?;
    let change = json!({ "net_minor": 1 });
    let changed = ann.call(Method::PATCH, &format!("/rest/v1/payslips?employee_id=eq.{}", people.ann.employee_id), Some(&change), &[]).await?;
    check(changed.status == 403, "her own payslip can't be changed")?;
    for path in [
        format!("/storage/v1/object/{}", slip_path(&people.bob)),
        format!("/storage/v1/object/info/{}", slip_path(&people.bob)),
        format!("/storage/v1/object/public/{}", slip_path(&people.bob)),
    ] {
        let reply = ann.call(Method::GET, &path, None, &[]).await?;
        check(reply.status == 400, "the file of another is not there")?;
    }
    let signed =
        ann.call(Method::POST, &format!("/storage/v1/object/sign/{}", slip_path(&people.bob)), Some(&json!({ "expiresIn": 60 })), &[]).await?;
    check(signed.status == 400, "the file of another can't be signed")?;
    let listed = ann.call(Method::POST, &format!("/storage/v1/object/list/{BUCKET}"), Some(&json!({ "prefix": "" })), &[]).await?.json();
    let folders: Vec<_> = listed.as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect();
    check(folders == [people.ann.employee_id.as_str()], "a list shows her own folder alone")
}

async fn show_the_neighbour_nothing(stage: &Stage, people: &People, slip: &str) -> Result<(), Failure> {
    title("A second tenant sees nothing");
    let operator = Shell::new(&stage.url, "").with_token(&stage.operator).shown();
    let reference = format!("neighbour-{}", &people.hr.user_id[24..]);
    let made = operator.call(Method::POST, "/admin/v1/tenants", Some(&json!({ "ref": reference })), &[]).await?;
    check(made.status == 201 || made.status == 409, "the operator makes a second tenant")?;
    let key = operator.call(Method::POST, &format!("/admin/v1/tenants/{reference}/keys"), Some(&json!({ "kind": "secret" })), &[]).await?;
    let neighbour = stage.shell(&text(&key.json()["key"])?);
    for table in ["employees", "departments", "job_assignments", "compensations", "payroll_runs", "payslips"] {
        let rows = neighbour.call(Method::GET, &format!("/rest/v1/{table}?select=*"), None, &[]).await?;
        check(rows.json() == json!([]), "the second tenant has no rows")?;
    }
    let users = neighbour.call(Method::GET, "/auth/v1/admin/users", None, &[]).await?;
    check(users.json()["users"] == json!([]), "the second tenant has no users")?;
    let buckets = neighbour.call(Method::GET, "/storage/v1/bucket", None, &[]).await?;
    check(buckets.json() == json!([]), "the second tenant has no buckets")?;
    let file = neighbour.call(Method::GET, &format!("/storage/v1/object/{}", slip_path(&people.ann)), None, &[]).await?;
    check(file.status == 400, "the second tenant has no files")?;
    let crossed = neighbour.call(Method::GET, &format!("/t/{}/rest/v1/employees", stage.tenant), None, &[]).await?;
    check(crossed.status == 401, "its key does not open the first tenant")?;
    let crossed = reqwest::get(format!("{}/t/{reference}{slip}", stage.url)).await?;
    check(crossed.status() == 400, "the first tenant's signed URL opens nothing in the second")
}

// Small things

async fn count(shell: &Shell, path: &str) -> Result<u64, Failure> {
    let reply = shell.call(Method::HEAD, path, None, &[("prefer", "count=exact")]).await?;
    let total = reply.range.trim().trim_matches(['[', ']']).rsplit('/').next().and_then(|total| total.parse().ok());
    total.ok_or_else(|| format!("{path} was not counted: {}", reply.status).into())
}

fn text(value: &Value) -> Result<String, Failure> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("a text was expected, not {value}").into())
}

fn title(text: &str) {
    say(&format!("# {text}\n"));
}

fn check(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("this does not hold: {what}").into()) }
}
