//! Employees and what belongs to them, on the wire of PostgREST.
//!
//! One pipeline, a file or folder for each step: [`parse`] reads the grammar, [`resolve`] finds names, types values and adds tenant and
//! rights, [`plan`] is what comes out, [`render`] spells it for an engine, [`execute`] runs it, [`shape`] puts the rows into the answer;
//! `api.rs` calls them in that order. What there is to ask for is in [`catalog`], who may ask for it in [`rights`].
//!
//! Rules: SQL is spelled in `render/` and `sql.rs` alone; no table is named there without its tenant; rights are conditions of the plan,
//! so counts, embedded rows, searches and writes obey them like lists do. A column that the caller may never read is refused with 42501 in
//! the same words as one that does not exist; only who may read everything is told 42703 or PGRST204. A column that may be read in some
//! rows is null in the others, for output, filters and order alike.
//!
//! Beyond the wire: `/{table}/_search`; a PATCH or DELETE that names no filter is refused (21000); one that names rows which the caller
//! sees and may not change is refused (42501) instead of passing them over. `version`, `created_at` and `updated_at` are the server's;
//! a body may bring them back and they are passed over.

mod answer;
mod api;
mod batch;
mod body;
pub mod catalog;
mod document;
mod error;
mod execute;
mod export;
mod function;
#[cfg(fuzzing)]
pub mod fuzz;
mod history;
mod idempotency;
mod import;
mod job;
mod keyset;
mod load;
mod parse;
mod plan;
mod policy;
mod ranked;
mod reindex;
mod render;
mod resolve;
pub mod rights;
mod rules;
mod scim;
mod search;
mod shape;
mod sql;
mod upkeep;
mod zone;

pub use self::{
    api::router,
    error::RestError,
    export::export_rows,
    idempotency::{SWEEP_EVERY, keep_swept},
    import::{Progress, Refused, Report, import_employees},
    load::{Format, Loaded, load_rows},
    policy::{NewRules, RuleBook, replace_rules_of, rules_of},
    reindex::keep_search_current,
    sql::delete_rows_of,
    upkeep::{LOOK_EVERY, keep_up},
};
