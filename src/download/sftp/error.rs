//! What can go wrong between here and the site, in an operator's words, and what happens next.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::durable::PathError;

/// Whatever a library said; boxed, so that no library's type is part of this room's interface.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// What went wrong, and at which site.
#[derive(Debug)]
pub struct SiteError {
    at: String,
    trouble: Trouble,
}

impl SiteError {
    pub(super) fn new(at: &str, trouble: Trouble) -> Self {
        Self { at: at.to_owned(), trouble }
    }

    /// What went wrong.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether trying again is vain until somebody or something changes. Where it is not, a handful of tries has been
    /// made already: the next run may find the site well.
    pub fn is_final(&self) -> bool {
        self.trouble.is_final()
    }

    /// Whether the site was asked to let us in, and did not.
    pub fn is_refused_login(&self) -> bool {
        matches!(self.trouble, Trouble::Login { .. })
    }

    /// Whether there was no connection, or it broke.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Resolve(_)
                | Trouble::SourceAddress { .. }
                | Trouble::Connect(_)
                | Trouble::Deadline { .. }
                | Trouble::Endless { .. }
                | Trouble::Slow { .. }
                | Trouble::Lost { .. }
        )
    }

    /// Whether it concerns one file only, so that the others of this run can go on.
    pub fn is_about_one_file(&self) -> bool {
        self.trouble.is_about_one_file()
    }
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {}: {}", self.at, self.trouble)
    }
}

impl Error for SiteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.trouble.source()
    }
}

/// The kinds of trouble. Text that comes from the site is escaped; no secret is in any of them.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A private key that cannot be used.
    #[error("ssh key `{name}` in keys.ssh {why}")]
    Key {
        /// The credential.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A password or passphrase that cannot be used.
    #[error("credential `{name}` is not UTF-8 text")]
    NotText {
        /// The credential.
        name: String,
    },
    /// Neither key nor password.
    #[error("nothing to log in with; name a key in keys.ssh or a site.password")]
    NothingToLogInWith,
    /// The machine refused something that has nothing to do with the site.
    #[error("the network runtime cannot be started")]
    Runtime(#[source] io::Error),
    /// The name has no address.
    #[error("the host name cannot be resolved; check site.host and this machine's DNS")]
    Resolve(#[source] io::Error),
    /// The local address cannot be used.
    #[error(
        "cannot connect from site.source_address {address}; is it an address of this machine, and of the host's kind?"
    )]
    SourceAddress {
        /// As configured.
        address: IpAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No TCP connection.
    #[error("cannot connect; check site.host, site.port, the firewall, and that this machine's address is registered")]
    Connect(#[source] io::Error),
    /// An answer did not come in time.
    #[error("no answer within {} s while {doing}", limit.as_secs_f32())]
    Deadline {
        /// What was going on.
        doing: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The host showed none of the pinned keys; no login was tried.
    #[error("host key refused: offered {}, pinned in site.host_keys {}; pin another only after ICE has confirmed it by another way", offered.join(" and "), listed(pinned))]
    HostKey {
        /// Fingerprints that were offered, each with its kind.
        offered: Vec<String>,
        /// Fingerprints that are accepted.
        pinned: Vec<String>,
    },
    /// The host showed a certificate, which a pinned key says nothing about.
    #[error("host key refused: a host certificate was offered; only plain keys can be pinned in site.host_keys")]
    HostCertificate,
    /// Nothing safe in common.
    #[error("no {kind} that both sides accept; the site offers {theirs}")]
    NoCommonAlgorithm {
        /// Of which kind.
        kind: String,
        /// What the site offers, escaped.
        theirs: String,
    },
    /// The site does not let us in.
    #[error(
        "login as `{user}` refused ({tried}); check site.firm_code, and that the site knows this public key (`icechatd keys show`)"
    )]
    Login {
        /// The firm code.
        user: String,
        /// What was tried, and anything the site said, escaped.
        tried: String,
    },
    /// The server has no SFTP.
    #[error("logged in, but the site refuses the sftp subsystem")]
    NoSftp,
    /// The remote folder is not there.
    #[error("site.directory `{0}` does not exist at the site; correct it, or ask ICE for the folder")]
    MissingDirectory(String),
    /// The remote folder or a file in it is not ours to read.
    #[error("the site denies permission for `{0}`")]
    Denied(String),
    /// The folder holds more than anyone could mean.
    #[error("site.directory holds more than {0} entries; clear it, or name another")]
    TooManyEntries(usize),
    /// A file of the listing is gone.
    #[error("`{0}` is no longer at the site")]
    Missing(String),
    /// A file is no longer what the listing showed.
    #[error("`{0}` changed at the site since it was listed; it is taken once it stands still")]
    Changed(String),
    /// A file takes too long.
    #[error("`{0}` was not here within limits.transfer_deadline")]
    TransferDeadline(String),
    /// Everything was answered in time, and yet there was no end of it.
    #[error("the site took longer than limits.transfer_deadline over {doing}")]
    Endless {
        /// What was going on.
        doing: &'static str,
    },
    /// The line carries next to nothing.
    #[error("`{name}` comes at less than {least} bytes a second")]
    Slow {
        /// The file.
        name: String,
        /// The least rate accepted.
        least: u64,
    },
    /// The connection broke, or the other side does not speak the protocol.
    #[error("connection lost while {doing}{}", hint(doing))]
    Lost {
        /// What was going on.
        doing: &'static str,
        /// What the library says.
        #[source]
        source: Cause,
    },
    /// The site answered with a failure of its own.
    #[error("the site failed while {doing}: {said}")]
    Failed {
        /// What was going on.
        doing: &'static str,
        /// What it said, escaped.
        said: String,
    },
    /// The spool could not be written.
    #[error("the spool cannot be written")]
    Spool(#[from] PathError),
}

impl Trouble {
    /// As [`SiteError::is_final`].
    pub(super) fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Resolve(_)
                | Self::Connect(_)
                | Self::Deadline { .. }
                | Self::Slow { .. }
                | Self::Lost { .. }
                | Self::Failed { .. }
        )
    }

    /// As [`SiteError::is_about_one_file`].
    pub(super) fn is_about_one_file(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Changed(_) | Self::Denied(_) | Self::TransferDeadline(_))
    }

    /// Whether the connection is as good as before, with nothing in flight.
    pub(super) fn leaves_session_usable(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Changed(_) | Self::Denied(_) | Self::Spool(_))
    }
}

/// What to look at where the other side hung up before a word of SSH.
fn hint(doing: &str) -> &'static str {
    if doing == "greeting the SSH server" {
        "; check that site.port is that of an SFTP server, and that this machine's address is registered"
    } else {
        ""
    }
}

fn listed(pinned: &[String]) -> String {
    if pinned.is_empty() { "none".to_owned() } else { pinned.join(", ") }
}
