//! The whole job with nothing set up, on this machine alone.

pub mod site;
