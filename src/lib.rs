//! `icechatd` archives a firm's ICE Chat: once a day it takes the encrypted exports from the firm's SFTP site and places
//! every chat item, as an EML, in the `ICE Chat` folder of every participant's mailbox.
//!
//! # The flow
//! `RemoteFile` → [`download::Ciphertext`] → plaintext (unauthenticated) → `Authenticated` → [`export::ChatItem`]
//! → resolved → `Eml` → staged, then committed in the ledger.
//!
//! # The rooms, in the order in which an export passes them
//! - [`ingest`]: the pipeline, one run readable as a paragraph; the only room that knows all stages.
//! - [`download`]: from the site's listing, or a local file, to a ciphertext in the spool.
//! - [`decrypt`]: from ciphertext to plaintext, and the proof that it is authentic.
//! - [`export`]: from plaintext to conversations, as a profile describes them.
//! - [`resolve`]: from participants to mailboxes.
//! - [`eml`]: from an item to the bytes of a mail.
//! - [`stage`]: from bytes to files, or blobs, that an importer may take.
//! - [`ledger`]: what was done, for ever.
//!
//! Around them: [`cli`] (one file for each verb), [`daemon`] and [`schedule`], [`demo`], [`check`], [`verify`] and [`evidence`], [`keys`],
//! [`report`], [`held`], [`alert`], [`in_flight`], [`waiting`] and [`metrics`], [`inputs`] (keys, profile, mapping and list as a run is
//! given them), [`entra`] (who we are to the firm's Microsoft tenant), [`directory`] (its users), [`config`].
//!
//! Below them small rooms hold what several need and none owns: [`books`], [`digest`], [`domain`] and [`mailbox`]
//! (values known everywhere), [`cause`], [`durable`] (the seam to the file system), [`events`], [`exit_code`], [`lock`],
//! and [`owner`] (whose state and staging are).
//!
//! # What the rooms do not know
//! - `export`, `resolve`, `eml`, `schedule` and the report's formatting know no files, clock, network, async or logging.
//! - Nothing but `ingest` knows two stages.
//! - Staging does not know the ledger: the ledger never says more than the disk holds.
//! - Nothing of an export can be staged without the proof that all of it verified: the proof is a parameter.

#![forbid(unsafe_code)]

pub mod alert;
pub mod archive;
pub mod books;
pub mod cause;
pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decrypt;
pub mod demo;
pub mod digest;
pub mod directory;
pub mod domain;
pub mod download;
pub mod durable;
pub mod eml;
pub mod entra;
pub mod events;
pub mod evidence;
pub mod exit_code;
pub mod export;
pub mod held;
pub mod in_flight;
pub mod ingest;
pub mod inputs;
pub mod keys;
pub mod ledger;
pub mod lock;
pub mod mailbox;
pub mod metrics;
pub mod owner;
pub mod report;
pub mod resolve;
pub mod schedule;
pub mod stage;
pub mod template;
pub mod verify;
pub mod waiting;

/// What `--version` says: the package's version and the commit it was built from.
pub const VERSION: &str = env!("ICECHATD_VERSION");
