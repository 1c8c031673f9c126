//! Exports as other vendors might write them: what is proposed reads them completely, and says none of what they hold.

use super::*;
use crate::export::testing::SAMPLE;

#[test]
fn show() {
    let proposal = infer("x", Some("ACME-20261119.xml"), SAMPLE.as_bytes()).unwrap();
    println!("{}", proposal.text);
}
