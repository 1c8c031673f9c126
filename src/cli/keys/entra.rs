//! `keys init --entra`, and which certificates there are.

use jiff::Timestamp;
use serde_json::json;

use super::{Failure, output, place};
use crate::config::{Credential, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys::{self, KeyFile, Made};

/// The certificates in use. Before the section is there, the one that `keys init --entra` makes, once it did.
pub(super) fn certificates(config: &KeysConfig) -> impl Iterator<Item = &Credential> {
    config.certificates.iter().filter(|certificate| config.has_entra || certificate.path().is_some())
}

/// Those of them that are there: what ICE gets does not wait for the others.
pub(super) fn standing(config: &KeysConfig) -> impl Iterator<Item = &Credential> {
    config.certificates.iter().filter(|certificate| certificate.path().is_some())
}

pub(super) fn init(config: &KeysConfig, json: bool) -> Result<(), Failure> {
    let Some(newest) = config.certificates.first() else {
        return Err(Failure::new(ExitCode::Config, "entra.certificate must name a credential"));
    };
    let path = place(newest);
    let made = keys::init_entra(path, config.firm_code.as_deref(), Timestamp::now())?;
    let shown = keys::show_entra(&[KeyFile::read(newest.name(), path)?])?;
    if json {
        return output::print_json(
            &json!([{"kind": "entra", "path": path, "made": made, "certificate": shown.first()}]),
        );
    }
    let what = match made {
        Made::New => "made",
        Made::Kept => "kept as it is",
    };
    output::print(&format!("entra certificate: {what}: {}", path.display()))?;
    for certificate in shown {
        output::print(&format!("{}, until {}", certificate.thumbprint, certificate.expires))?;
    }
    output::print(
        "next: icechatd keys export DIR writes the .cer that an administrator uploads at the app registration; then set \
         entra.tenant and entra.client_id, and icechatd check tries it (docs/entra.md)",
    )
}
