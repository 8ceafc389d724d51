//! Brings users from elsewhere: with their ids, hashes of passwords, ways to sign in, secrets of authenticator apps, and sessions.
//!
//! Files are read record by record and written some hundred at a time, so their size does not matter. A user who is there already is left alone:
//! an import that was stopped is simply run again. A record that can't be used is reported with its file and line and loses nothing else; a user
//! whose hash can't be used is made without a password and reported.
//!
//! `read.rs` knows files, `products.rs` what each product writes into them, `piece.rs` what that becomes; `store.rs` writes it.

mod fields;
mod piece;
mod products;
mod read;
mod store;

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

pub use self::products::{FirebaseHash, Source};
use self::{
    fields::Fields,
    piece::{Pass, Piece},
    read::{Item, read_file},
    store::{Foreseen, Outcome, Ready},
};
pub(super) use self::{
    piece::{Incoming, IncomingFactor, IncomingIdentity, IncomingSession},
    store::is_refresh_token,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::Timestamp,
    error::Result,
    tenants::Tenant,
};

/// Pieces in one transaction.
const CHUNK: usize = 300;
/// Lines that are kept to be told; of more only the number is.
const MOST_TOLD: usize = 10_000;

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct UserImport {
    /// The files, in any order.
    pub files: Vec<PathBuf>,
    /// Who wrote them.
    pub source: Source,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What an import of users did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserReport {
    /// Users made.
    pub made: usize,
    /// Users that were there already.
    pub kept: usize,
    /// Users made whose id was no UUID: they have one derived from it.
    pub derived: usize,
    /// Ways to sign in, besides those that came with their users.
    pub identities: usize,
    /// Secrets of authenticator apps.
    pub factors: usize,
    /// Sessions that go on.
    pub sessions: usize,
    /// Refresh tokens that can be exchanged.
    pub tokens: usize,
    /// How many records could not be used.
    pub refusals: usize,
    /// The first of them.
    pub refused: Vec<RefusedRecord>,
    /// Users that were made without the password they had.
    pub incomplete: Vec<RefusedRecord>,
    /// How many more there are of these two.
    pub untold: usize,
}

/// A record that could not be used, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// The file.
    pub file: PathBuf,
    /// The line at which the record ends, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Imports users into a tenant, telling `progress` how many records are done after every chunk.
pub async fn import_users(app: &App, tenant: &Tenant, import: UserImport, progress: impl FnMut(usize) + Send) -> Result<UserReport> {
    let mut run = Run {
        app,
        tenant,
        now: app.clock.now(),
        is_dry: import.dry_run,
        report: UserReport::default(),
        progress,
        done: 0,
        foreseen: Foreseen::default(),
    };
    for pass in [Pass::Users, Pass::Belongings, Pass::Tokens] {
        for file in &import.files {
            run.file(file, &import.source, pass).await?;
        }
    }
    let report = run.report;
    if !import.dry_run {
        let event = Event::new(Action::UsersImported).with("made", report.made).with("kept", report.kept).with("refused", report.refusals);
        let (tenant, now) = (tenant.id, app.clock.now());
        app.db.write(move |tx| async move { audit::note(&tx, tenant, now, &event).await }).await?;
    }
    Ok(report)
}

struct Run<'a, P> {
    app: &'a App,
    tenant: &'a Tenant,
    now: Timestamp,
    is_dry: bool,
    report: UserReport,
    progress: P,
    done: usize,
    foreseen: Foreseen,
}

/// A piece and where it stands.
struct Placed {
    line: u64,
    piece: Result<Piece, String>,
}

impl<P: FnMut(usize) + Send> Run<'_, P> {
    async fn file(&mut self, path: &Path, source: &Source, pass: Pass) -> Result<()> {
        // The reader waits when this side is slow: what is in memory stays little.
        let (sender, mut pieces) = mpsc::channel(CHUNK);
        let (file, source) = (path.to_owned(), source.clone());
        let reader = tokio::task::spawn_blocking(move || {
            read_file(&file, source.list_name(), &mut |item| {
                pieces_of(item, &source, pass).into_iter().all(|placed| sender.blocking_send(placed).is_ok())
            })
        });
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Some(placed) = pieces.recv().await {
            chunk.push(placed);
            if chunk.len() == CHUNK {
                self.chunk(path, std::mem::take(&mut chunk)).await?;
            }
        }
        self.chunk(path, chunk).await?;
        reader.await?
    }

    async fn chunk(&mut self, path: &Path, chunk: Vec<Placed>) -> Result<()> {
        self.done += chunk.len();
        let mut ready: Vec<(u64, Ready)> = Vec::with_capacity(chunk.len());
        for Placed { line, piece } in chunk {
            match piece.and_then(|piece| Ready::new(self.app, self.tenant, self.now, piece)) {
                Ok(piece) => ready.push((line, piece)),
                Err(why) => self.refuse(path, line, why),
            }
        }
        let (lines, ready): (Vec<u64>, Vec<Ready>) = ready.into_iter().unzip();
        let problems: Vec<Option<String>> = ready.iter().map(Ready::missing).collect();
        let (tenant, now) = (self.tenant.id, self.now);
        let outcomes = if self.is_dry {
            let conn = self.app.db.read().await?;
            let mut outcomes = Vec::with_capacity(ready.len());
            for piece in &ready {
                outcomes.push(piece.foresee(&conn, tenant, &mut self.foreseen).await?);
            }
            outcomes
        } else if ready.is_empty() {
            Vec::new()
        } else {
            self.app
                .db
                .write(move |tx| async move {
                    let mut outcomes = Vec::with_capacity(ready.len());
                    for piece in &ready {
                        outcomes.push(piece.store(&tx, tenant, now).await?);
                    }
                    Ok(outcomes)
                })
                .await?
        };
        for ((line, outcome), problem) in lines.into_iter().zip(outcomes).zip(problems) {
            self.count(path, line, outcome, problem);
        }
        (self.progress)(self.done);
        Ok(())
    }

    fn count(&mut self, path: &Path, line: u64, outcome: Outcome, problem: Option<String>) {
        let report = &mut self.report;
        match outcome {
            Outcome::Made { is_id_derived, factors } => {
                report.made += 1;
                report.derived += usize::from(is_id_derived);
                report.factors += factors;
                if let Some(why) = problem {
                    let place = RefusedRecord { file: path.to_owned(), line, why };
                    if report.incomplete.len() < MOST_TOLD { report.incomplete.push(place) } else { report.untold += 1 }
                }
            }
            Outcome::Kept => report.kept += 1,
            Outcome::Identity => report.identities += 1,
            Outcome::Factor => report.factors += 1,
            Outcome::Session => report.sessions += 1,
            Outcome::Token => report.tokens += 1,
            Outcome::Nothing => {}
            Outcome::Refused(why) => self.refuse(path, line, why),
        }
    }

    fn refuse(&mut self, path: &Path, line: u64, why: String) {
        self.report.refusals += 1;
        if self.report.refused.len() < MOST_TOLD {
            self.report.refused.push(RefusedRecord { file: path.to_owned(), line, why });
        } else {
            self.report.untold += 1;
        }
    }
}

/// What a record holds for this pass. What is wrong with a file is told the first time it is read, else where it belongs.
fn pieces_of(item: Item, source: &Source, pass: Pass) -> Vec<Placed> {
    let line = item.line;
    let pieces = item.fields.and_then(|fields| source.read(item.table.as_deref(), &Fields(fields)));
    match pieces {
        Ok(pieces) => pieces.into_iter().filter(|piece| piece.pass() == pass).map(|piece| Placed { line, piece: Ok(piece) }).collect(),
        Err(why) if pass == Pass::Users => vec![Placed { line, piece: Err(why) }],
        Err(_) => Vec::new(),
    }
}
