//! SQLite, run in place.
//!
//! Reads: connections taken from a stack, each request in one read transaction, on the async thread. A progress handler stops a
//! statement that runs past [`QUICK`]; `query.rs` then runs it again where it may block.
//!
//! Writes: one thread owns the one writing connection. It takes all that waits, runs each operation in a savepoint, commits once, then
//! answers: what was answered is on disk (`synchronous=FULL`).

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, config::DbConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Conn, Engine, Settings, Tx, busy, functions, migrate, value::Value};
use crate::error::{Constraint, ConstraintKind, Error, Result};

/// How long a statement may hold an async thread.
const QUICK: Duration = Duration::from_millis(2);
/// Operations in one commit, at the most.
const GROUP: usize = 256;
/// Operations that may wait for the writer.
const QUEUE: usize = 4096;
/// What is said when the disk is full.
const FULL: &str = "the disk of the database is full";
/// Commits between two checkpoints.
const CHECKPOINT_EVERY: u32 = 512;
/// How often the progress handler is asked, in steps of SQLite's machine.
const PROGRESS_STEPS: i32 = 1000;

/// A SQLite database file.
pub(super) struct Sqlite {
    path: PathBuf,
    statement_timeout: Duration,
    acquire_timeout: Duration,
    idle: Arc<Mutex<Vec<Session>>>,
    permits: Arc<Semaphore>,
    writer: Mutex<Option<Writer>>,
    jobs: mpsc::SyncSender<Job>,
}

struct Writer {
    thread: thread::JoinHandle<()>,
}

/// What the writer thread is handed: the operation, and what to do once its fate is known.
enum Job {
    Run(Operation),
    Stop,
}

type Operation = Box<dyn FnOnce(&Arc<SqliteConn>) -> Outcome + Send>;

/// An operation that has run but is not yet committed.
struct Outcome {
    succeeded: bool,
    answer: Box<dyn FnOnce(Fate) + Send>,
}

/// What became of the transaction that operations shared.
#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Undone,
    /// Undone, as the disk is full.
    NoRoom,
}

impl Sqlite {
    pub(super) fn open(path: &Path, settings: &Settings) -> Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let turn = take_turn(path);
        make_private_file(path);
        let mut connection = connect(path)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000;")
            .map_err(Error::internal)?;
        migrate::sqlite(&mut connection)?;
        drop(turn);

        let (jobs, waiting) = mpsc::sync_channel(QUEUE);
        let conn = SqliteConn::new(Session::new(connection), settings.statement_timeout, Home::Writer);
        let checkpoints = checkpointer(path)?;
        let thread = thread::Builder::new().name("sqlite-writer".into()).spawn(move || write_all(&conn, &waiting, &checkpoints))?;
        Ok(Self {
            path: path.to_owned(),
            statement_timeout: settings.statement_timeout,
            acquire_timeout: settings.acquire_timeout,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(settings.max_connections as usize)),
            writer: Mutex::new(Some(Writer { thread })),
            jobs,
        })
    }

    /// A connection in a read transaction of its own; it goes back when dropped.
    pub(super) async fn reader(&self) -> Result<Arc<SqliteConn>> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| busy())?
                .map_err(Error::internal)?,
        };
        let kept = lock(&self.idle).pop();
        let session = if let Some(session) = kept {
            session
        } else {
            let connection = connect(&self.path)?;
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000; PRAGMA mmap_size = 268435456").map_err(Error::internal)?;
            Session::new(connection)
        };
        let home = Home::Reader { idle: Arc::clone(&self.idle), _permit: permit };
        let conn = SqliteConn::new(session, self.statement_timeout, home);
        conn.batch("BEGIN")?;
        Ok(conn)
    }

    /// Hands the operation to the writer thread and waits until it is on disk.
    pub(super) async fn write<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Operation = Box::new(move |conn| {
            let result = run_operation(operation, conn);
            let succeeded = result.is_ok();
            // A caller that has gone away does not need the answer.
            let answer = move |fate| {
                drop(sender.send(match fate {
                    Fate::Kept => result,
                    Fate::Undone => Err(undone(result.err(), "the change could not be kept; try again in a second")),
                    Fate::NoRoom => Err(undone(result.err(), FULL)),
                }));
            };
            Outcome { succeeded, answer: Box::new(answer) }
        });
        self.jobs.try_send(Job::Run(job)).map_err(|_| busy())?;
        receiver.await.map_err(|_| busy())?
    }

    /// Ends the writer thread after what waits.
    pub(super) fn close(&self) {
        if let Some(writer) = lock(&self.writer).take() {
            // Both can only fail when the thread has ended already.
            let _ = self.jobs.send(Job::Stop);
            let _ = writer.thread.join();
        }
        lock(&self.idle).clear();
    }
}

/// Polls the operation once: its only waits are statements, which run in place.
fn run_operation<T, F, Fut>(operation: F, conn: &Arc<SqliteConn>) -> Result<T>
where
    F: FnOnce(Tx) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let tx = Tx(Arc::new(Conn { engine: Engine::Sqlite(Arc::clone(conn)) }));
    let run = AssertUnwindSafe(|| {
        let mut future = pin!(operation(tx));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(Error::internal("a write waited for something other than its own transaction")),
        }
    });
    std::panic::catch_unwind(run).unwrap_or_else(|_| Err(Error::internal("a write panicked and was rolled back")))
}

/// The writer thread: takes all that waits, commits once, then answers.
fn write_all(conn: &Arc<SqliteConn>, waiting: &mpsc::Receiver<Job>, checkpoints: &mpsc::SyncSender<()>) {
    let mut commits = 0_u32;
    while let Ok(Job::Run(first)) = waiting.recv() {
        let mut group = vec![first];
        let mut stop = false;
        while group.len() < GROUP && !stop {
            match waiting.try_recv() {
                Ok(Job::Run(operation)) => group.push(operation),
                Ok(Job::Stop) => stop = true,
                Err(_) => break,
            }
        }
        write_group(conn, group);
        commits = commits.wrapping_add(1);
        if commits.is_multiple_of(CHECKPOINT_EVERY) {
            // Full means that one is on its way.
            let _ = checkpoints.try_send(());
        }
        if stop {
            return;
        }
    }
}

fn write_group(conn: &Arc<SqliteConn>, group: Vec<Operation>) {
    if let Err(error) = conn.batch("BEGIN IMMEDIATE") {
        // Operations that are dropped before they ran tell their callers to come back.
        tracing::error!(%error, "the database refused a transaction");
        return;
    }
    let alone = group.len() == 1;
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(group.len());
    let mut whole = Ok(());
    for operation in group {
        // Never go on once the transaction is gone: outside of one SAVEPOINT opens it, and RELEASE commits.
        whole = if alone { Ok(()) } else { conn.batch("SAVEPOINT operation") };
        if whole.is_err() {
            break;
        }
        let outcome = operation(conn);
        whole = settle(conn, alone, outcome.succeeded);
        outcomes.push(outcome);
        if whole.is_err() {
            break;
        }
    }
    let fate = match whole.and_then(|()| if conn.is_autocommit() { Ok(()) } else { conn.batch("COMMIT") }) {
        Ok(()) => Fate::Kept,
        Err(error) => {
            tracing::error!(%error, operations = outcomes.len(), "a transaction could not be kept");
            if !conn.is_autocommit() {
                let _ = conn.batch("ROLLBACK");
            }
            if matches!(&error, Error::Unavailable(why) if why == FULL) { Fate::NoRoom } else { Fate::Undone }
        }
    };
    for outcome in outcomes {
        (outcome.answer)(fate);
    }
}

/// Keeps or undoes what one operation did. An error means that the whole transaction is gone.
fn settle(conn: &SqliteConn, alone: bool, succeeded: bool) -> Result<()> {
    match (succeeded, alone) {
        (false, true) if conn.is_autocommit() => Ok(()),
        // SQLite itself ends the transaction when the disk is full, at an I/O error, and when a change takes too long.
        _ if conn.is_autocommit() => Err(Error::internal("the database ended it")),
        (true, true) => Ok(()),
        (true, false) => conn.batch("RELEASE operation"),
        (false, true) => conn.batch("ROLLBACK"),
        (false, false) => conn.batch("ROLLBACK TO operation; RELEASE operation"),
    }
}

/// What the caller of an operation is told whose transaction was undone.
fn undone(own: Option<Error>, why: &'static str) -> Error {
    match own {
        Some(own @ (Error::Timeout | Error::Unavailable(_) | Error::Internal(_))) => own,
        // A refusal may rest on what another operation had written, and that is undone as well.
        _ => Error::unavailable(why),
    }
}

/// A thread that moves the write-ahead log into the database, off the commit path.
fn checkpointer(path: &Path) -> Result<mpsc::SyncSender<()>> {
    let connection = connect(path)?;
    let (sender, receiver) = mpsc::sync_channel::<()>(1);
    thread::Builder::new().name("sqlite-checkpoint".into()).spawn(move || {
        while receiver.recv().is_ok() {
            if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                tracing::warn!(%error, "checkpoint failed; the next one tries again");
            }
        }
    })?;
    Ok(sender)
}

/// Processes that open a new database together take turns: for the change to a write-ahead log, SQLite itself does not wait.
fn take_turn(path: &Path) -> Option<std::fs::File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // Where directories can't be locked, who comes at the same moment may have to start again.
    let directory = std::fs::File::open(directory).ok()?;
    directory.lock().ok()?;
    Some(directory)
}

/// What is in the database is for its owner alone. SQLite gives its other files the mode of this one.
fn make_private_file(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // It is there already, or opening it as a database will tell what is wrong.
    let _ = options.open(path);
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(Error::internal)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.busy_timeout(Duration::from_secs(5)).map_err(Error::internal)?;
    // Without it SQLite plans a kept statement anew whenever a bound value changes, which costs more than most of our reads.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(Error::internal)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;").map_err(Error::internal)?;
    functions::add_to(&connection).map_err(Error::internal)?;
    Ok(connection)
}

/// Where a connection goes when it is dropped.
enum Home {
    Writer,
    Reader { idle: Arc<Mutex<Vec<Session>>>, _permit: OwnedSemaphorePermit },
}

/// A connection that stops a statement at its deadline.
struct Session {
    connection: Connection,
    deadline: Arc<AtomicU64>,
}

impl Session {
    fn new(mut connection: Connection) -> Self {
        let deadline = Arc::new(AtomicU64::new(u64::MAX));
        let seen = Arc::clone(&deadline);
        // Fails only for a connection that is closed.
        let _ = connection.progress_handler(PROGRESS_STEPS, Some(move || ticks() > seen.load(Ordering::Relaxed)));
        Self { connection, deadline }
    }
}

/// One connection: in its read transaction, or the writer's.
pub(super) struct SqliteConn {
    session: Mutex<Option<Session>>,
    statement_timeout: Duration,
    home: Home,
}

impl SqliteConn {
    fn new(session: Session, statement_timeout: Duration, home: Home) -> Arc<Self> {
        Arc::new(Self { session: Mutex::new(Some(session)), statement_timeout, home })
    }

    /// True on the writer thread, where waiting harms nobody.
    pub(super) fn may_block(&self) -> bool {
        matches!(self.home, Home::Writer)
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64> {
        self.within(self.statement_timeout, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            if statement.column_count() > 0 {
                let mut rows = statement.raw_query();
                let mut count = 0;
                while rows.next()?.is_some() {
                    count += 1;
                }
                return Ok(count);
            }
            statement.raw_execute().map(|count| count as u64)
        })
    }

    /// The rows, if they come quickly enough to be read on an async thread.
    pub(super) fn collect_quickly<T>(
        &self,
        sql: &str,
        values: &[Value],
        most: usize,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        match self.rows(QUICK, sql, values, most, read) {
            Err(Error::Timeout) => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) fn collect<T>(&self, sql: &str, values: &[Value], most: usize, read: impl Fn(&rusqlite::Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        self.rows(self.statement_timeout, sql, values, most, read)
    }

    fn rows<T>(&self, limit: Duration, sql: &str, values: &[Value], most: usize, read: impl Fn(&rusqlite::Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        self.within(limit, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            let writes = !statement.readonly();
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while found.len() < most {
                let Some(row) = rows.next()? else { break };
                match read(row) {
                    Ok(value) => found.push(value),
                    Err(error) => return Ok(Err(error)),
                }
            }
            // An INSERT … RETURNING must run to its end although only its first row was wanted.
            while writes && rows.next()?.is_some() {}
            Ok(Ok(found))
        })?
    }

    fn within<T>(&self, limit: Duration, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with_session(|session| {
            session.deadline.store(ticks().saturating_add(u64::try_from(limit.as_micros()).unwrap_or(u64::MAX)), Ordering::Relaxed);
            let result = run(&session.connection);
            session.deadline.store(u64::MAX, Ordering::Relaxed);
            result.map_err(translate)
        })
    }

    fn batch(&self, sql: &'static str) -> Result<()> {
        self.with_session(|session| {
            for sql in sql.split("; ") {
                let mut statement = session.connection.prepare_cached(sql).map_err(translate)?;
                statement.raw_execute().map_err(translate)?;
            }
            Ok(())
        })
    }

    fn is_autocommit(&self) -> bool {
        self.with_session(|session| session.connection.is_autocommit())
    }

    fn with_session<T>(&self, run: impl FnOnce(&Session) -> T) -> T {
        run(lock(&self.session).as_ref().expect("the session is only taken when this is dropped"))
    }
}

impl Drop for SqliteConn {
    fn drop(&mut self) {
        if let Home::Reader { idle, .. } = &self.home
            && self.batch("COMMIT").is_ok()
            && let Some(session) = lock(&self.session).take()
        {
            lock(idle).push(session);
        }
    }
}

/// Fills every placeholder `$n` with the n-th value, and refuses a statement whose values do not fit: SQLite itself would take a
/// forgotten one for NULL.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    let mut highest = 0;
    for index in 1..=statement.parameter_count() {
        let number = statement.parameter_name(index).and_then(|name| name[1..].parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.wrapping_sub(1)));
        let (Some(number), Some(value)) = (number, value) else {
            return Err(rusqlite::Error::InvalidParameterCount(values.len(), statement.parameter_count()));
        };
        highest = highest.max(number);
        statement.raw_bind_parameter(index, value)?;
    }
    if highest == values.len() { Ok(()) } else { Err(rusqlite::Error::InvalidParameterCount(values.len(), highest)) }
}

/// Microseconds since the process first asked; for deadlines only.
fn ticks() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQLite's words for a broken rule, in the terms both engines share.
fn translate(error: rusqlite::Error) -> Error {
    match (&error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::OperationInterrupted)) => Error::Timeout,
        (_, Some(ErrorCode::DatabaseBusy)) => busy(),
        (_, Some(ErrorCode::DiskFull)) => Error::unavailable(FULL),
        // What a sum has no room for, as PostgreSQL says it.
        (rusqlite::Error::SqliteFailure(_, Some(message)), _) if message == "integer overflow" => {
            let (table, columns, name, detail) = (None, Vec::new(), None, None);
            let message = "bigint out of range".to_owned();
            Error::Constraint(Box::new(Constraint { kind: ConstraintKind::Data(*b"22003"), table, columns, name, detail, message }))
        }
        (rusqlite::Error::SqliteFailure(failure, Some(message)), Some(ErrorCode::ConstraintViolation)) => {
            Error::Constraint(Box::new(constraint(failure.extended_code, message)))
        }
        _ => Error::internal(error),
    }
}

fn constraint(extended_code: i32, message: &str) -> Constraint {
    use rusqlite::ffi;
    let subject = message.split_once("constraint failed: ").map_or("", |(_, subject)| subject);
    let kind = match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => ConstraintKind::Unique,
        // Triggers keep the references that could not be declared.
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_DATATYPE => ConstraintKind::Data(*b"22P02"),
        _ => ConstraintKind::Check,
    };
    let (mut table, mut columns, mut name) = (None, Vec::new(), None);
    match kind {
        ConstraintKind::Unique | ConstraintKind::NotNull => {
            for part in subject.split(", ") {
                if let Some((of, column)) = part.split_once('.') {
                    table = Some(of.to_owned());
                    columns.push(column.to_owned());
                }
            }
        }
        ConstraintKind::Check => name = Some(subject.to_owned()),
        _ => {}
    }
    Constraint { kind, table, columns, name, detail: None, message: message.to_owned() }
}
