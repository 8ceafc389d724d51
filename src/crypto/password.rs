//! Argon2id on a pool of its own, so that a storm of sign-ins never slows the other requests. Hashes that other products made are verified there, too.
//!
//! One low-priority thread per core, each with one block of memory that it uses again; a short queue, and beyond it the caller is told
//! to come back. Threads start with the first password and end after a minute without work, and their memory with them.

use std::{
    collections::VecDeque,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;

use super::foreign::{self, Foreign};
use crate::{
    error::{Error, Result},
    priority,
};

/// How long a thread keeps its memory without work.
const IDLE: Duration = Duration::from_mins(1);

/// A stored hash that asks for more than this was not made by us, whose settings end here, too, and could be made to stop us.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// What hashing may cost and how much of it may wait.
#[derive(Clone, Debug)]
pub struct PasswordSettings {
    /// Memory per hash in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes, computed one after the other.
    pub lanes: u32,
    /// Threads; `None` is one per core.
    pub threads: Option<usize>,
    /// How many hashes may wait before the next is refused.
    pub queue: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, threads: None, queue: 64 }
    }
}

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    pool: Arc<Pool>,
}

/// What verifying a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The password is the right one.
    pub ok: bool,
    /// It is right, and its hash was made with other costs than those of today: hash it again.
    pub needs_rehash: bool,
}

impl Passwords {
    /// A pool that starts its threads when the first password comes.
    pub fn new(settings: &PasswordSettings) -> Result<Self> {
        let params = Params::new(settings.memory_kib, settings.passes, settings.lanes, None)
            .map_err(|error| Error::invalid("passwords", format!("these costs of Argon2 can't be used: {error}")))?;
        let most = settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)).max(1);
        let state = Mutex::new(State { waiting: VecDeque::new(), threads: 0, running: 0 });
        Ok(Self { pool: Arc::new(Pool { params, most, queue: settings.queue, state, work: Condvar::new(), asked: AtomicU64::new(0) }) })
    }

    /// Brings a hash made elsewhere to the form that is stored and that [`Self::verify`] takes.
    ///
    /// # Errors
    /// A kind of hash that is not known, or one that asks for too much work.
    pub fn take_over(hash: &str) -> Result<String> {
        let hash = foreign::canonical(hash)?;
        match Foreign::read(&hash) {
            Some(read) => read.map(|_| hash),
            None if Stored::read(&hash).is_ok() => Ok(hash),
            None => {
                let known = "bcrypt, scrypt, Firebase's scrypt, PBKDF2, or Argon2i or Argon2id in PHC form, within our limits";
                Err(Error::invalid("password_hash", format!("password_hash should be a hash by {known}")))
            }
        }
    }

    /// Hashes a password into a PHC string with a fresh salt.
    pub async fn hash(&self, password: &str) -> Result<String> {
        match self.pool.submit(Task::Hash(Password::new(password))).await? {
            Done::Hash(phc) => Ok(phc),
            Done::Verified(_) => Err(Error::internal("the password pool answered another question")),
        }
    }

    /// How many passwords were hashed or compared, each as much work as any other.
    pub fn work_done(&self) -> u64 {
        self.pool.asked.load(Ordering::Relaxed)
    }

    /// Compares a password with a stored hash. Without one, the same work is done for nothing and the answer is no: how long it takes
    /// does not tell whether there is such a user.
    pub async fn verify(&self, password: &str, phc: Option<&str>) -> Result<Verified> {
        match self.pool.submit(Task::Verify(Password::new(password), phc.map(str::to_owned))).await? {
            Done::Verified(verified) => Ok(verified),
            Done::Hash(_) => Err(Error::internal("the password pool answered another question")),
        }
    }
}

/// A password. One typed on two keyboards is one password: NIST SP 800-63B asks for one normal form, and NFC changes the least.
struct Password {
    normalised: SecretString,
    /// As it came, where that differs: who hashed it elsewhere may have taken it so.
    typed: Option<SecretString>,
}

impl Password {
    fn new(password: &str) -> Self {
        let normalised: String = password.nfc().collect();
        let typed = (normalised != password).then(|| password.into());
        Self { normalised: normalised.into(), typed }
    }

    fn forms(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.normalised).chain(&self.typed)
    }
}

struct Pool {
    params: Params,
    most: usize,
    queue: usize,
    state: Mutex<State>,
    work: Condvar,
    /// Passwords that were taken in.
    asked: AtomicU64,
}

struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    running: usize,
}

struct Job {
    task: Task,
    answer: oneshot::Sender<Result<Done>>,
}

enum Task {
    Hash(Password),
    Verify(Password, Option<String>),
    #[cfg(test)]
    Panic,
}

enum Done {
    Hash(String),
    Verified(Verified),
}

impl Pool {
    async fn submit(self: &Arc<Self>, task: Task) -> Result<Done> {
        let (answer, result) = oneshot::channel();
        self.enqueue(Job { task, answer })?;
        result.await.map_err(|_| Error::internal("a password thread ended before it answered"))?
    }

    fn enqueue(self: &Arc<Self>, job: Job) -> Result<()> {
        let mut state = self.lock();
        let most = self.most + self.queue;
        if state.waiting.len() + state.running >= most {
            // Who has gone away waits no longer.
            state.waiting.retain(|job| !job.answer.is_closed());
        }
        if state.waiting.len() + state.running >= most {
            return Err(Error::unavailable("too many passwords are being checked; try again in a second"));
        }
        state.waiting.push_back(job);
        self.asked.fetch_add(1, Ordering::Relaxed);
        if state.waiting.len() + state.running > state.threads && state.threads < self.most {
            let pool = Arc::clone(self);
            std::thread::Builder::new().name("password".to_owned()).spawn(move || pool.run())?;
            state.threads += 1;
        }
        self.work.notify_one();
        Ok(())
    }

    fn run(&self) {
        priority::lower();
        let mut memory = Vec::new();
        while let Some(job) = self.next() {
            // Who no longer waits for the answer is not worth 19 MiB of work.
            let done = (!job.answer.is_closed()).then(|| self.perform_safely(job.task, &mut memory));
            // Before the answer: who has it may come again at once, and finds this thread free.
            self.lock().running -= 1;
            if let Some(done) = done {
                let _ = job.answer.send(done);
            }
        }
    }

    /// The next job; `None` after a minute without one, and then this thread has left the count.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.running += 1;
                return Some(job);
            }
            let (again, waited) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            if waited.timed_out() && state.waiting.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// A panic is an error of this job: the thread goes on, and its place is not lost.
    fn perform_safely(&self, task: Task, memory: &mut Vec<Block>) -> Result<Done> {
        catch_unwind(AssertUnwindSafe(|| self.perform(task, memory))).unwrap_or_else(|_| {
            *memory = Vec::new();
            Err(Error::internal("hashing a password panicked"))
        })
    }

    fn perform(&self, task: Task, memory: &mut Vec<Block>) -> Result<Done> {
        match task {
            Task::Hash(password) => self.hash(&password.normalised, memory).map(Done::Hash),
            Task::Verify(password, Some(phc)) => self.verify(&password, &phc, memory).map(Done::Verified),
            Task::Verify(password, None) => {
                self.hash(&password.normalised, memory)?;
                Ok(Done::Verified(Verified { ok: false, needs_rehash: false }))
            }
            #[cfg(test)]
            Task::Panic => panic!("asked to"),
        }
    }

    fn hash(&self, password: &SecretString, memory: &mut Vec<Block>) -> Result<String> {
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Error::internal("the machine gave no random bytes"))?;
        let output = derive(Algorithm::Argon2id, Version::V0x13, &self.params, password, &salt, Params::DEFAULT_OUTPUT_LEN, memory)?;
        let hash = PasswordHash {
            algorithm: Ident::from(Algorithm::Argon2id),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(refused)?,
            salt: Some(Salt::new(&salt).map_err(refused)?),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    fn verify(&self, password: &Password, phc: &str, memory: &mut Vec<Block>) -> Result<Verified> {
        if let Some(foreign) = Foreign::read(phc) {
            let foreign = foreign?;
            let mut ok = false;
            for form in password.forms() {
                ok |= foreign.verify(form.expose_secret().as_bytes())?;
            }
            return Ok(Verified { ok, needs_rehash: ok });
        }
        let Stored { algorithm, version, params, salt, expected } = Stored::read(phc)?;
        let mut ok = false;
        for form in password.forms() {
            // `Output` compares in constant time.
            ok |= derive(algorithm, version, &params, form, salt.as_ref(), expected.len(), memory)? == expected;
        }
        let as_of_today = algorithm == Algorithm::Argon2id && version == Version::V0x13 && same_costs(&params, &self.params);
        Ok(Verified { ok, needs_rehash: ok && !as_of_today })
    }

    /// A thread that panicked held no half-done state: every change under this lock is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stored hash, taken apart.
struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    expected: Output,
}

impl Stored {
    fn read(phc: &str) -> Result<Self> {
        let stored = PasswordHash::new(phc).map_err(refused)?;
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(refused)?;
        let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(refused)?;
        let params = Params::try_from(&stored).map_err(refused)?;
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
            return Err(Error::internal("a stored password hash has no salt or no output"));
        };
        if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
            return Err(Error::internal("a stored password hash asks for more work than is allowed"));
        }
        Ok(Self { algorithm, version, params, salt, expected })
    }
}

fn derive(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    password: &SecretString,
    salt: &[u8],
    length: usize,
    memory: &mut Vec<Block>,
) -> Result<Output> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length).ok_or_else(|| Error::internal("a stored password hash is too long"))?;
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(password.expose_secret().as_bytes(), salt, output, &mut memory[..blocks])
        .map_err(refused)?;
    Output::new(output).map_err(refused)
}

fn same_costs(one: &Params, other: &Params) -> bool {
    (one.m_cost(), one.t_cost(), one.p_cost()) == (other.m_cost(), other.t_cost(), other.p_cost())
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("Argon2 refused: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> PasswordSettings {
        PasswordSettings { memory_kib: 8, passes: 1, lanes: 1, threads: Some(1), queue: 4 }
    }

    #[tokio::test]
    async fn the_whole_password_is_verified_in_one_normal_form() {
        let passwords = Passwords::new(&cheap()).unwrap();
        let long = format!("{}\u{e9}", "x".repeat(100));
        let phc = passwords.hash(&long).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        let decomposed = format!("{}e\u{301}", "x".repeat(100));
        assert_eq!(passwords.verify(&decomposed, Some(&phc)).await.unwrap(), Verified { ok: true, needs_rehash: false });
        assert!(!passwords.verify(&"x".repeat(100), Some(&phc)).await.unwrap().ok);
        assert!(!passwords.verify(&long, None).await.unwrap().ok);
    }

    #[tokio::test]
    async fn a_hash_of_other_costs_is_to_be_made_again() {
        let old = Passwords::new(&cheap()).unwrap().hash("correct horse").await.unwrap();
        let passwords = Passwords::new(&PasswordSettings { passes: 2, ..cheap() }).unwrap();
        assert_eq!(passwords.verify("correct horse", Some(&old)).await.unwrap(), Verified { ok: true, needs_rehash: true });
        assert_eq!(passwords.verify("wrong horse", Some(&old)).await.unwrap(), Verified { ok: false, needs_rehash: false });
    }

    #[tokio::test]
    async fn a_stored_hash_can_not_ask_for_all_the_memory() {
        let passwords = Passwords::new(&cheap()).unwrap();
        let greedy = "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(passwords.verify("x", Some(greedy)).await.is_err());
    }

    #[tokio::test]
    async fn a_hash_from_elsewhere_is_verified_and_to_be_made_again() {
        let passwords = Passwords::new(&cheap()).unwrap();
        let bcrypt = Passwords::take_over("bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e").unwrap();
        assert!(bcrypt.starts_with("$2b$04$"));
        assert_eq!(passwords.verify("correct horse", Some(&bcrypt)).await.unwrap(), Verified { ok: true, needs_rehash: true });
        assert_eq!(passwords.verify("wrong horse", Some(&bcrypt)).await.unwrap(), Verified { ok: false, needs_rehash: false });
        for unknown in [
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "$2b$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
            "",
            "$argon2d$v=19$m=8,t=1,p=1$c2FsdA$AAAA",
        ] {
            assert!(Passwords::take_over(unknown).is_err(), "{unknown}");
        }
    }

    #[tokio::test]
    async fn a_panic_costs_no_thread() {
        let passwords = Passwords::new(&cheap()).unwrap();
        for _ in 0..20 {
            assert!(passwords.pool.submit(Task::Panic).await.is_err());
        }
        assert!(passwords.hash("correct horse").await.is_ok());
        assert_eq!(passwords.pool.lock().running, 0);
    }

    #[tokio::test]
    async fn what_does_not_fit_in_the_queue_is_refused_at_once() {
        let passwords = Passwords::new(&PasswordSettings { memory_kib: 19 * 1024, queue: 1, ..cheap() }).unwrap();
        let all = (0..8).map(|_| {
            let passwords = passwords.clone();
            async move { passwords.hash("correct horse").await }
        });
        let results = futures_util::future::join_all(all).await;
        let refused = results.iter().filter(|result| matches!(result, Err(Error::Unavailable(_)))).count();
        assert!(results[0].is_ok() && results[1].is_ok() && (1..=6).contains(&refused), "{refused} of 8 were refused");
    }
}
