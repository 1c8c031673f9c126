//! Whatever dies, fills up or breaks, staging and books come out the same.
#![cfg(test)]

mod clocks;
mod death;
mod disks;
mod emptied;
mod faults;
mod instances;
mod ledgers;
mod local;
mod power;
mod scene;
mod several;
mod strace;

#[path = "../support/mod.rs"]
pub mod support;
