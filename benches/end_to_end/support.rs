//! The servers and programs of the tests, as far as they are needed here.
#![expect(clippy::missing_panics_doc, reason = "in a bench, a panic is a result")]

#[path = "../../tests/support/gpg.rs"]
pub mod gpg;
#[path = "../../tests/support/measured.rs"]
pub mod measured;
#[path = "../../tests/support/nearby.rs"]
pub mod nearby;
#[path = "../../tests/support/proxy.rs"]
pub mod proxy;
#[path = "../../tests/support/sshd.rs"]
pub mod sshd;
