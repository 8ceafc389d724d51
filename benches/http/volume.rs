//! What a million employees cost who asks about a few: the time of an answer, and beside it that of the bare SQL on the same database.
//!
//! `BENCH_VOLUME=1000000 cargo bench`, with or without `BENCH_DATABASE_URL`. The people are made from a seed, half of them with Chinese
//! names, and go in through the door in one load.

use std::{path::Path, time::Instant};

use reqwest::{Body, RequestBuilder};
use rusqlite::OpenFlags;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{Bench, Server, call, print};

const DEPARTMENTS: u64 = 200;
/// How often each question is asked.
const TIMES: u64 = 200;
const GIVEN: [&str; 24] = [
    "José", "Anna", "Søren", "Ewa", "Georgi", "Zoë", "Maria", "Josef", "Łukasz", "Ines", "Olga", "Peter", "Joshua", "Ada", "Kemal", "Rosa", "Ivan",
    "Mina", "Tariq", "Lena", "Hugo", "Nora", "Pavel", "Sofia",
];
const FAMILY: [&str; 20] = [
    "García",
    "Müller",
    "Kowalska",
    "Facello",
    "Østergård",
    "Smith",
    "Ivanova",
    "Rossi",
    "Novák",
    "Silva",
    "Haddad",
    "Okafor",
    "Jensen",
    "Dupont",
    "Yilmaz",
    "Popescu",
    "Horváth",
    "Larsen",
    "Costa",
    "Weiß",
];
const SURNAMES: [&str; 20] =
    ["李", "王", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马", "欧阳"];
const LETTERS: [&str; 24] =
    ["娜", "伟", "芳", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀", "霞", "平", "刚", "桂", "英", "华"];

/// Numbers that look random and are the same each time.
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pick<'w>(words: &[&'w str], random: u64) -> &'w str {
    words[usize::try_from(random).unwrap_or_default() % words.len()]
}

fn department(n: u64) -> String {
    format!("00000000-0000-7000-8000-{n:012}")
}

/// A line of NDJSON. The id is one that sorts by number.
fn line(n: u64) -> String {
    let random = mixed(n);
    let (given, family) = if n.is_multiple_of(2) {
        let second = if random.is_multiple_of(3) { "" } else { pick(&LETTERS, random >> 24) };
        (format!("{}{second}", pick(&LETTERS, random >> 8)), pick(&SURNAMES, random >> 16).to_owned())
    } else {
        // Some family names are rare, as they are everywhere.
        let family = pick(&FAMILY, random >> 8);
        let family = if random.is_multiple_of(4) { format!("{family}{}", pick(&FAMILY, random >> 32).to_lowercase()) } else { family.to_owned() };
        (pick(&GIVEN, random >> 16).to_owned(), family)
    };
    let row = serde_json::json!({
        "id": format!("01900000-0000-7000-8000-{n:012}"),
        "employee_number": format!("{n:07}"),
        "given_name": given,
        "family_name": family,
        "work_email": format!("e{n}@example.com"),
        "job_title": "Engineer",
        "status": if random.is_multiple_of(10) { "leave" } else { "active" },
        "hired_on": format!("{}-{:02}-{:02}", 1990 + random % 35, 1 + random % 12, 1 + random % 28),
        "department_id": department(random % DEPARTMENTS),
    });
    format!("{row}\n")
}

/// A question, the values that it asks with, and its bare SQL.
struct Question {
    name: &'static str,
    path: fn(&Asked) -> String,
    sql: &'static str,
    values: fn(&Asked) -> Vec<String>,
}

/// What is asked with, the n-th time.
struct Asked {
    n: u64,
    count: u64,
    /// A cursor in the middle of all, and the row it stands at.
    cursor: String,
    name_sort: String,
    id: String,
}

const COLUMNS: &str = "select=id,employee_number,display_name,work_email";
const QUESTIONS: [Question; 8] = [
    Question {
        name: "one by id",
        path: |asked| format!("employees?{COLUMNS}&id=eq.01900000-0000-7000-8000-{:012}", mixed(asked.n) % asked.count),
        sql: "SELECT id, employee_number, display_name, work_email FROM employees WHERE tenant_id = 1 AND id = $1",
        values: |asked| vec![format!("01900000-0000-7000-8000-{:012}", mixed(asked.n) % asked.count)],
    },
    Question {
        name: "filtered page of 50",
        path: |asked| {
            format!("employees?{COLUMNS}&department_id=eq.{}&status=eq.active&order=name_sort,id&limit=50", department(asked.n % DEPARTMENTS))
        },
        sql: "SELECT id, employee_number, display_name, work_email FROM employees WHERE tenant_id = 1 AND department_id = $1 AND status = 'active' ORDER BY name_sort, id LIMIT 50",
        values: |asked| vec![department(asked.n % DEPARTMENTS)],
    },
    Question {
        name: "deep keyset page of 50",
        path: |asked| format!("employees?{COLUMNS}&order=name_sort,id&limit=50&after=cursor.{}", asked.cursor),
        sql: "SELECT id, employee_number, display_name, work_email FROM employees WHERE tenant_id = 1 AND (name_sort, id) > ($2, $1) ORDER BY name_sort, id LIMIT 50",
        values: |asked| vec![asked.id.clone(), asked.name_sort.clone()],
    },
    Question {
        name: "the same as or=(…)",
        path: |asked| {
            let (name, id) = (asked.name_sort.replace(' ', "%20"), &asked.id);
            format!("employees?{COLUMNS}&order=name_sort,id&limit=50&or=(name_sort.gt.{name},and(name_sort.eq.{name},id.gt.{id}))")
        },
        sql: "SELECT id, employee_number, display_name, work_email FROM employees WHERE tenant_id = 1 AND (name_sort, id) > ($2, $1) ORDER BY name_sort, id LIMIT 50",
        values: |asked| vec![asked.id.clone(), asked.name_sort.clone()],
    },
    Question { name: "search 李娜", path: |_| found("李娜"), sql: NAMED, values: |_| range("李娜") },
    Question { name: "search jos…", path: |_| found("jos"), sql: NAMED, values: |_| range("jos") },
    Question { name: "search lina", path: |_| found("lina"), sql: SAID, values: |_| range("lina") },
    Question { name: "search kowalksa (typo)", path: |_| found("kowalksa"), sql: NAMED, values: |_| range("kowalska") },
];

const NAMED: &str = "SELECT e.id, e.employee_number, e.display_name, e.work_email FROM employee_search AS s JOIN employees AS e ON e.tenant_id = s.tenant_id AND e.id = s.employee_id WHERE s.tenant_id = 1 AND s.name >= $1 AND s.name < $2 ORDER BY s.name, s.employee_id LIMIT 20";
const SAID: &str = "SELECT e.id, e.employee_number, e.display_name, e.work_email FROM employee_search AS s JOIN employees AS e ON e.tenant_id = s.tenant_id AND e.id = s.employee_id WHERE s.tenant_id = 1 AND s.sound >= $1 AND s.sound < $2 ORDER BY s.sound, s.employee_id LIMIT 20";

fn found(what: &str) -> String {
    let what: String = url::form_urlencoded::byte_serialize(what.as_bytes()).collect();
    format!("employees/_search?{COLUMNS}&limit=20&q={what}")
}

fn range(from: &str) -> Vec<String> {
    vec![from.to_owned(), format!("{from}\u{10FFFF}")]
}

/// Fills a database and asks.
pub(super) async fn run(bench: &Bench, server: &Server, directory: &Path, count: u64) {
    fill(bench, server, count).await;
    let middle = call(bench.get(&format!("/rest/v1/employees?select=id,name_sort,_cursor&order=name_sort,id&limit=1&offset={}", count / 2))).await;
    let text = |name: &str| middle[0][name].as_str().unwrap_or_default().to_owned();
    let asked = |n| Asked { n, count, cursor: text("_cursor"), name_sort: text("name_sort"), id: text("id") };
    let mut bare = Bare::open(directory).await;
    print(&format!("{:<26}{:>12}{:>10}{:>14}{:>8}", "question", "median ms", "p99 ms", "bare SQL ms", "x"));
    for question in &QUESTIONS {
        let rows = call(bench.get(&format!("/rest/v1/{}", (question.path)(&asked(0))))).await;
        assert!(rows.as_array().is_some_and(|rows| !rows.is_empty()), "{}: {rows}", question.name);
        let answers = times(async |n| drop(call(ask(bench, &(question.path)(&asked(n)))).await)).await;
        let mut bare_times = Vec::new();
        for n in 0..TIMES {
            let values = (question.values)(&asked(n));
            let began = Instant::now();
            bare.ask(question.sql, &values).await;
            bare_times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        bare_times.sort_by(f64::total_cmp);
        let (median, p99, bare) = (answers[answers.len() / 2], answers[answers.len() * 99 / 100], bare_times[bare_times.len() / 2]);
        print(&format!("{:<26}{median:>12.2}{p99:>10.2}{bare:>14.3}{:>8.1}", question.name, median / bare));
    }
}

fn ask(bench: &Bench, path: &str) -> RequestBuilder {
    bench.get(&format!("/rest/v1/{path}"))
}

/// Milliseconds of each time, the shortest first.
async fn times(once: impl AsyncFn(u64)) -> Vec<f64> {
    let mut all = Vec::new();
    for n in 0..TIMES {
        let began = Instant::now();
        once(n).await;
        all.push(began.elapsed().as_secs_f64() * 1e3);
    }
    all.sort_by(f64::total_cmp);
    all
}

async fn fill(bench: &Bench, server: &Server, count: u64) {
    let departments: Vec<Value> =
        (0..DEPARTMENTS).map(|n| serde_json::json!({ "id": department(n), "code": format!("d{n}"), "name": "D" })).collect();
    call(bench.post("/rest/v1/departments", &departments.into())).await;
    let (began, cpu) = (Instant::now(), server.cpu());
    let lines = futures_util::stream::iter((0..count).step_by(100).map(move |from| {
        let some: String = (from..(from + 100).min(count)).map(line).collect();
        Ok::<_, std::io::Error>(some)
    }));
    let request = bench.http.post(format!("{}/rest/v1/employees/_load?mode=batches", bench.url)).header("apikey", &bench.secret);
    let request = request.header("content-type", "application/x-ndjson");
    let report = call(request.body(Body::wrap_stream(lines))).await;
    assert_eq!(report["made"].as_u64(), Some(count), "{report}");
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let took = began.elapsed().as_secs_f64();
    print(&format!(
        "{count} employees loaded in {took:.0} s: {:.0} us each, {:.0} us CPU; {:.1} MB in memory after it\n",
        each(took),
        each(server.cpu() - cpu),
        server.memory()
    ));
}

/// The database itself.
enum Bare {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl Bare {
    async fn open(directory: &Path) -> Self {
        if let Ok(url) = std::env::var("BENCH_DATABASE_URL") {
            return Self::Postgres(PgConnection::connect(&url).await.expect("the database is there"));
        }
        let path = directory.join("data/basalt.db");
        Self::Sqlite(rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database is there"))
    }

    /// Asks, and reads all of the answer.
    async fn ask(&mut self, sql: &'static str, values: &[String]) {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql).expect("the statement can be prepared");
                let mut rows = statement.query(rusqlite::params_from_iter(values)).expect("the statement can be run");
                while let Some(row) = rows.next().expect("rows come") {
                    row.get::<_, String>(0).expect("a row has an id");
                }
            }
            Self::Postgres(connection) => {
                let mut query = sqlx::query(sql);
                // Ids have a type of their own, and come first.
                for value in values {
                    query = match uuid::Uuid::parse_str(value) {
                        Ok(id) => query.bind(id),
                        Err(_) => query.bind(value),
                    };
                }
                for row in query.fetch_all(connection).await.expect("rows come") {
                    row.get::<uuid::Uuid, _>(0);
                }
            }
        }
    }
}
