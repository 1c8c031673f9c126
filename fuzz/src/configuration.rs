//! Any bytes as a configuration; after a NUL, what stands in the file of its holidays. It is taken or refused, always in the
//! same way, and what is refused names a line that is there.

use std::path::Path;

use icechatd::config::{Config, ConfigText};

/// # Panics
/// Where that is not so.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (toml, holidays) = text.split_once('\0').map_or((text, None), |(toml, holidays)| (toml, Some(holidays)));
    let text = ConfigText { toml: toml.to_owned(), holidays: holidays.map(str::to_owned) };
    let read = || Config::of_text(Path::new("/etc/icechatd/config.toml"), &text);
    match (read(), read()) {
        (Ok(config), Ok(again)) => {
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            check(&config);
        }
        (Err(error), Err(again)) => {
            assert_eq!(error.to_string(), again.to_string());
            assert!(!error.to_string().is_empty(), "refused without a reason");
        }
        (one, other) => panic!("taken or refused by chance: {one:?}, {other:?}"),
    }
}

/// What a run relies on.
fn check(config: &Config) {
    assert!(!config.site.host.is_empty() && !config.site.firm_code.is_empty() && !config.site.host_keys.is_empty());
    assert!(!config.mailboxes.domains.is_empty());
    assert!(config.staging.local.is_some() || config.staging.azure.is_some());
    assert!(config.state.directory.is_absolute() && config.mapping.directory.is_absolute());
    assert!(config.staging.local.as_ref().is_none_or(|local| *local != config.state.directory));
    assert!(config.limits.max_ratio > 0 && config.limits.max_message > 0 && config.limits.max_plaintext > 0);
}
