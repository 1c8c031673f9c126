//! What each event worth a rule of its own is called in the log: its `message_id`, which the journal keeps as `MESSAGE_ID`
//! (systemd.journal-fields(7)). An id stays what it is when the words beside it are mended; docs/logs.md lists them.

/// The daemon waits and starts runs from here on.
pub const DAEMON_STARTED: &str = "df54e1de1b794c88b5f954103478d8a1";
/// The daemon ended as it was told to.
pub const DAEMON_STOPPED: &str = "059d063cd0724fcaae4132e1d599ebce";
/// A run that the daemon started is done; something may need a person all the same.
pub const RUN_DONE: &str = "d6c18ea5ca7248f4a6b41a8562ec2631";
/// A run that the daemon started failed, and will be tried again.
pub const RUN_FAILED: &str = "de8484104bcd47028e4054ab44c358b3";
/// An export is staged and committed.
pub const EXPORT_TAKEN: &str = "4439f242ac48495ba9d4acb96c7ce5ae";
/// An export is held: nothing of it is staged until its cause is mended.
pub const EXPORT_HELD: &str = "8f0e74cfd1f549039a8b3b14bf32b407";
/// What had no mailbox before in an export has been looked at again.
pub const EXPORT_REPLAYED: &str = "469989790bfe492888e66adf4b8a1818";
/// An export could not be looked at again.
pub const EXPORT_NOT_REPLAYED: &str = "8043996ec5724ae7bba4d67bf663b61a";
/// What had been placed of an export was put there again.
pub const EXPORT_RESTAGED: &str = "f9cb8245fe7e4dbb9d81998a3f908b37";
/// What had been placed of an export could not all be put there again.
pub const EXPORT_NOT_RESTAGED: &str = "a8a512794bce4205814bf85ec35e221d";
/// A run added to the chain: whoever keeps the log elsewhere keeps the newest hash.
pub const EVIDENCE_ADDED: &str = "b6d562de9bf242bd95b49b937f5261c0";
/// An archive of attachments was read to its end.
pub const ARCHIVE_READ: &str = "8adbef4efc3846f3a129907035dc7c3e";
/// An export is not staged yet, because an archive of its attachments may still come.
pub const EXPORT_WAITS: &str = "90ddcceeab1b4f79a35e3cc34fa7a07f";
/// Attachments that came after their export were staged as items of their own.
pub const ATTACHMENTS_FOLLOWED: &str = "3e234298842845ddb1e05d70feb87f4f";
/// A new mapping or mailbox list is in force.
pub const RULES_ACCEPTED: &str = "4b1b9afd9a9d4d7fa77a5b9953623c84";
/// A mapping or mailbox list does not count; the last good one stays in force.
pub const RULES_REJECTED: &str = "f1f8c5866586495c86a453c7c70d4092";
/// The configuration is invalid.
pub const CONFIGURATION_REJECTED: &str = "925348fa567f467581748d0cf3913aee";
/// Metrics cannot be served.
pub const METRICS_NOT_SERVED: &str = "cf8a9e210b0143bd9727537b75e91631";
/// The tenant's users could not be read anew; the last good snapshot stays in force.
pub const DIRECTORY_FAILED: &str = "7f926d13e34a4994b82d187b47d78e92";
