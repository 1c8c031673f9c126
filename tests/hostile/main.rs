//! Hostile content, whatever way it comes in: altered and cut exports, bombs, XML without measure, operators' files that were
//! cut, and the fuzz targets' corpora on a stable toolchain.
#![cfg(test)]

mod altered;
mod bombs;
mod chunks;
mod corpora;
mod cut;
mod xml;

#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;
#[path = "../support/mod.rs"]
pub mod support;
