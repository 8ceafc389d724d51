//! The name search: what of an employee is found, and how well.
//!
//! The index is fed here and not by the database, so that both engines find the same rows in the same order: an [`Entry`] is made of an
//! employee when it is written, a [`Terms`] of what was asked, with the same folding. Every term is led by the tenant's number (`7xlina`),
//! so no search can see another tenant. Only directory fields enter.
//!
//! Start with `fold.rs`; `entry.rs` is what is kept, `query.rs` what is asked, `typo.rs` what is nearly the same. How well an employee was
//! found is in `ranked.rs`, beside the room's other reads.

mod entry;
mod fold;
mod query;
mod typo;

pub(super) use self::{
    entry::{Entry, FORM, Names, display_name, name_phonetic, name_sort},
    query::{Fts, Terms, parse},
    typo::{nearest, variants},
};
