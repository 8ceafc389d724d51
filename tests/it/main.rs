//! One binary with all tests that go through the door.

mod server;
