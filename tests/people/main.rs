//! Who gets what: mapping, resolution, and what nobody gets.
#![cfg(test)]

mod catch_all;
mod coverage;
mod dismissed;
mod held;
mod mapping;
mod resolution;

#[path = "../support/mod.rs"]
pub mod support;
