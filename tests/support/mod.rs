//! Real servers and programs for the tests, and a few servers that misbehave on purpose.
//!
//! A test binary says `#![cfg(test)]` and `pub mod support;`: public, so that what it leaves unused is no dead code.
#![expect(clippy::missing_panics_doc, reason = "in a test, a panic is a result")]

pub mod archive;
pub mod daemon;
pub mod firm;
pub mod gpg;
pub mod http;
pub mod planted;
pub mod proxy;
pub mod scripted;
pub mod sinks;
pub mod sshd;
