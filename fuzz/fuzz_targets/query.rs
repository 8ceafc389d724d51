//! The query string of `/rest/v1`, from its grammar to the statements of both engines: no text may make it panic or take long.
//!
//! `cargo +nightly fuzz run query -- -timeout=1 -dict=fuzz/query.dict` from the root of the repository.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| basalt::records::fuzz::query(text));
