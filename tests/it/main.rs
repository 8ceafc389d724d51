//! One binary with all tests that go through the door. They run on SQLite, or on PostgreSQL when `TEST_DATABASE_URL` names one.

#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop where it does")]

mod auth;
mod command_line;
mod database;
mod house;
mod mail;
mod outbound;
mod records;
mod server;
mod storage;
mod story;
mod support;
mod tenants;
