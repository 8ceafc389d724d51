//! One binary with all tests that go through the door. They run on SQLite, or on PostgreSQL when `TEST_DATABASE_URL` names one.

mod auth;
mod house;
mod server;
mod storage;
mod story;
mod support;
mod tenants;
