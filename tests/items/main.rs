//! From an export to items: profiles, attachments, transcripts, what comes again.
#![cfg(test)]

mod attachments;
mod grouping;
mod pipeline;
mod profiles;
mod reissue;

#[path = "../support/mod.rs"]
pub mod support;
