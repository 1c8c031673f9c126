//! Where items are placed: `[staging]` for a folder of this machine, `[staging.azure]` for a container at Azure.

use std::path::PathBuf;

use super::document::{Problem, Section, Value};
use super::load::{credential, path};
use super::{ConfigError, Credential, Places, Room, Secrecy, values};

/// Uploads in flight where nothing else is said.
const UPLOADS: usize = 16;
/// A hundred years.
const LONGEST: u32 = 36_500;

/// `[staging]`: a folder, a container, or both; never neither.
#[derive(Debug, Clone, PartialEq)]
pub struct Staging {
    /// The root of the mailboxes' folders on this machine.
    pub local: Option<PathBuf>,
    /// A file of its own for each mailbox.
    pub copies: bool,
    /// The group that imports, if it is not the program's own.
    pub group: Option<String>,
    /// Whether the group removes what it took.
    pub importer_may_delete: bool,
    /// Below this no run starts.
    pub min_free: Room,
    /// The container at Azure.
    pub azure: Option<Azure>,
}

/// `[staging.azure]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// The service's address, without a slash at its end; none where the credential says it.
    pub endpoint: Option<String>,
    /// The container's name.
    pub container: String,
    /// What all names in it begin with, without a slash at either end; may be empty.
    pub prefix: String,
    /// As whom.
    pub sign_in: SignIn,
    /// Uploads in flight.
    pub uploads: usize,
    /// How long nobody may change or remove what is placed.
    pub immutability: Option<Immutability>,
}

/// As whom a container is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Whoever holds a shared access signature.
    Sas(Credential),
    /// The identity that Azure gives this machine: its own, or the one with this client id.
    Managed(Option<String>),
    /// The app registration of `[entra]`.
    App,
}

/// A blob's own immutability policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Immutability {
    /// From the upload on.
    pub days: u32,
    /// Whether it can only be prolonged.
    pub is_locked: bool,
}

pub(super) fn staging(
    section: &Section<'_>,
    azure_section: &Section<'_>,
    places: &Places,
) -> Result<Staging, ConfigError> {
    let base = places.beside.as_path();
    let azure = azure_section.is_there().then(|| azure(azure_section, places)).transpose()?;
    let staging = Staging {
        local: section.get("local", |value| path(value, base))?,
        copies: section.get("copies", Value::flag)?.unwrap_or(false),
        group: section.get("group", values::word)?,
        importer_may_delete: section.get("importer_may_delete", Value::flag)?.unwrap_or(false),
        min_free: section.get("min_free", values::room)?.unwrap_or_default(),
        azure,
    };
    match (&staging.local, &staging.azure) {
        (None, None) => {
            let what = "missing; add local = \"/var/lib/icechatd/staging\" to [staging], or a section [staging.azure]";
            Err(section.complain("local", what))
        }
        (None, Some(_)) => of_local_alone(section).map(|()| staging),
        (Some(_), _) => Ok(staging),
    }
}

/// Keys that say something of a folder only.
fn of_local_alone(section: &Section<'_>) -> Result<(), ConfigError> {
    let keys = ["copies", "group", "importer_may_delete", "min_free"];
    keys.into_iter().find(|key| section.has(key)).map_or(Ok(()), |key| {
        Err(section.complain(key, "concerns staging.local alone, which is not set; remove the line"))
    })
}

fn azure(section: &Section<'_>, places: &Places) -> Result<Azure, ConfigError> {
    let account = section.get("account", account)?;
    let endpoint = section.get("endpoint", endpoint)?;
    let sas =
        section.get("sas", |value| credential(value, "staging.azure.sas", Secrecy::Secret, places))?.map(SignIn::Sas);
    let identity = section.get("identity", identity)?;
    let client_id = section.get("client_id", values::word)?;
    let sign_in = match (sas, identity) {
        (Some(_), Some(_)) => {
            return Err(section.complain("identity", "one way to sign in is enough; remove this line, or sas"));
        }
        (None, Some(SignIn::Managed(_))) => SignIn::Managed(client_id),
        (Some(one), None) | (None, Some(one)) if client_id.is_none() => one,
        (None, None) => {
            let what = "no way to sign in; name the credential that holds a shared access signature, or set identity";
            return Err(section.complain("sas", what));
        }
        _ => {
            let what = "goes with identity = \"managed\" alone; remove the line";
            return Err(section.complain("client_id", what));
        }
    };
    let endpoint = match (account, endpoint) {
        (Some(_), Some(_)) => return Err(section.complain("endpoint", "says the same as account; remove one of them")),
        (None, None) if !matches!(sign_in, SignIn::Sas(_)) => {
            let what = "missing; add the storage account's name, or endpoint = \"https://...\"";
            return Err(section.complain("account", what));
        }
        // A connection string has it.
        (account, endpoint) => account.or(endpoint),
    };
    Ok(Azure {
        endpoint,
        container: section.require("container", "\"icechat\"", container)?,
        prefix: section.get("prefix", prefix)?.unwrap_or_default(),
        sign_in,
        uploads: section.get("uploads", |value| value.number(1..=256))?.unwrap_or(UPLOADS),
        immutability: section.get("immutability", immutability)?,
    })
}

/// A storage account's name, as the address of its blobs.
fn account(value: Value<'_>) -> Result<String, Problem> {
    let name = values::filled(value)?;
    let is_good = (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let what =
        "no storage account's name, which has 3 to 24 lower-case letters and digits; write the address in endpoint";
    if is_good { Ok(format!("https://{name}.blob.core.windows.net")) } else { Err(value.problem(what)) }
}

fn endpoint(value: Value<'_>) -> Result<String, Problem> {
    values::service(values::filled(value)?).map_err(|what| value.problem(what))
}

fn container(value: Value<'_>) -> Result<String, Problem> {
    let name = values::filled(value)?;
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_good = (3..=63).contains(&name.len())
        && name.bytes().all(letters)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    let what = "no container's name, which has 3 to 63 lower-case letters, digits and single hyphens within; write it as in \
                \"icechat\"";
    if is_good { Ok(name.to_owned()) } else { Err(value.problem(what)) }
}

/// Names of the program's own begin with a dot; a prefix that does would hide everything.
fn prefix(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?.trim_matches('/');
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.');
    if text.len() > 512 || text.contains(['\\', '?', '#', '%']) || !text.split('/').all(is_part) {
        return Err(value.problem("no prefix for names; write it as in \"acme\" or \"archive/acme\""));
    }
    Ok(text.to_owned())
}

fn identity(value: Value<'_>) -> Result<SignIn, Problem> {
    match value.text()? {
        "managed" => Ok(SignIn::Managed(None)),
        "app" => Ok(SignIn::App),
        _ => Err(value.problem("neither \"managed\" nor \"app\"; write one of them, or name a credential in sas")),
    }
}

fn immutability(value: Value<'_>) -> Result<Immutability, Problem> {
    let what = "write it as in { days = 2555, mode = \"unlocked\" }, or \"locked\"";
    let entries = value.entries().ok_or_else(|| value.problem(format_args!("not a table; {what}")))?;
    let (mut days, mut is_locked) = (None, None);
    for (key, value) in entries {
        match key {
            "days" => days = Some(value.number(1..=LONGEST)?),
            "mode" => match value.text()? {
                "locked" => is_locked = Some(true),
                "unlocked" => is_locked = Some(false),
                _ => return Err(value.problem(format_args!("neither locked nor unlocked; {what}"))),
            },
            _ => return Err(value.problem(format_args!("unknown key; {what}"))),
        }
    }
    match (days, is_locked) {
        (Some(days), Some(is_locked)) => Ok(Immutability { days, is_locked }),
        _ => Err(value.problem(format_args!("days or mode is missing; {what}"))),
    }
}
