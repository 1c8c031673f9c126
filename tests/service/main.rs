//! The daemon and those who watch it.
#![cfg(test)]

mod alerts;
mod daemon;
mod logs;
mod metrics;
mod schedule;
mod supervision;
mod upset;

#[path = "../support/mod.rs"]
pub mod support;
