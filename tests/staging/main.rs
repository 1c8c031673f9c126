//! What stands in staging, whatever happens, and what can be proved of it.
#![cfg(test)]

mod evidence;
mod importer;
mod importers_group;
mod killed;
mod reconciliation;
mod restage;
mod room;
mod stage;
mod verify;

#[path = "../support/mod.rs"]
pub mod support;
