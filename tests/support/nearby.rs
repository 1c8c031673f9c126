//! A site on this machine as a configuration has it, for those who use the download room without one.

use std::time::Duration;

use glob::Pattern;
use icechatd::config;

/// The site at this port, of which everything may be taken at once.
pub fn site(port: u16, user: &str, host_key: &str, directory: &str) -> config::Site {
    config::Site {
        host: "127.0.0.1".to_owned(),
        port,
        firm_code: user.to_owned(),
        host_keys: vec![host_key.to_owned()],
        directory: directory.to_owned(),
        files: vec![Pattern::new("*.pgp").unwrap()],
        password: None,
        settle: Duration::ZERO,
        delete_after: false,
        source_address: None,
        egress_ip: Vec::new(),
        initial_date: None,
    }
}

/// Limits that nothing reaches but one.
pub fn limits(transfer_deadline: Duration) -> config::Limits {
    config::Limits {
        max_plaintext: 1 << 36,
        max_ratio: 1000,
        max_message: 1 << 24,
        max_attachment: 1 << 30,
        max_participants: 1 << 20,
        transfer_deadline,
        workers: 0,
    }
}
