//! The way of an export to the program: the site, the keys, what is encrypted.
#![cfg(test)]

mod decrypt;
mod keys;
mod lies;
mod rotation;
mod site;

#[path = "../support/mod.rs"]
pub mod support;
