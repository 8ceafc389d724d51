//! Basalt: the back end that serverless apps call instead of writing one.
//!
//! The map, in reading order: `main` parses and calls [`cli`], which opens an [`app::App`] and runs the [`server`]; [`router`] mounts the
//! rooms ([`tenants`], [`auth`], [`records`], [`storage`]) above the ground floor (everything else here, which knows no room).

pub mod app;
pub mod audit;
pub mod auth;
pub mod blobs;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod error;
pub mod health;
pub mod http;
pub mod jobs;
pub mod logging;
pub mod mail;
pub mod outbound;
mod priority;
pub mod records;
pub mod router;
pub mod server;
pub mod storage;
pub mod tenants;
