//! Real servers and programs for the tests, and a few servers that misbehave on purpose.
//!
//! A test binary is a theme with a file for each matter: linking one takes longer than building most of its files. It says
//! `#![cfg(test)]` and `pub mod support;`: public, so that what it leaves unused is no dead code.
#![expect(clippy::missing_panics_doc, reason = "in a test, a panic is a result")]

pub mod archive;
pub mod azurite;
pub mod daemon;
pub mod firm;
pub mod gpg;
pub mod handshake;
pub mod http;
pub mod lies;
pub mod measured;
pub mod nearby;
pub mod packets;
pub mod planted;
pub mod proxy;
pub mod rack;
pub mod rude;
pub mod scripted;
pub mod shelf;
pub mod sinks;
pub mod sshd;
pub mod tenant;
pub mod web;

/// Has what the tests of this binary make from now on lie in memory, for those that kill a program: a kill loses nothing that
/// was written, synced or not, so a disk would make them slower and no truer.
pub fn in_memory() {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        // Another test of the binary may have said so already.
        let _ = tempfile::env::override_temp_dir(memory);
    }
}
