//! What is at Microsoft: the container, the sign-in, the tenant's users.
#![cfg(test)]

mod azure;
mod entra;
mod graph;

#[path = "../support/mod.rs"]
pub mod support;
