//! What people read and write: arguments, configuration, documents, man pages, units; and how the house is built.
#![cfg(test)]

mod check;
mod cli;
mod config;
mod docs;
mod house;
mod manual;
mod systemd;

#[path = "../support/mod.rs"]
pub mod support;
