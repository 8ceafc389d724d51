//! The name search: what of an employee is found, and how well.
//!
//! The index is fed here and not by the database, so that both engines find the same rows in the same order: an [`Entry`] is made of an
//! employee when it is written, a [`Terms`] of what was asked, with the same folding. Every term is led by the tenant's number (`7xlina`),
//! so no search can see another tenant. Only directory fields enter.
//!
//! Start with `fold.rs`; `entry.rs` is what is kept, `query.rs` what is asked.

mod entry;
mod fold;
mod query;

pub(super) use self::{
    entry::{Entry, Names, display_name, name_phonetic, name_sort},
    query::{Fts, Terms, parse},
};
