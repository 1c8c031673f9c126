//! What there is to tell: the kinds of alerts, each with the name, the message id and the words that it keeps.

mod words;

use self::words::Words;

/// How soon a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Chat is missing from the archive, or soon will be. Its end is told as well.
    Critical,
    /// Somebody should look at it.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The last run at the site failed, and not for one of the three reasons below; or a replay that is due did.
    RunFailed,
    /// The site refuses the login.
    LoginRefused,
    /// The site could not be reached from the first try until the day's deadline.
    SiteUnreachable,
    /// Staging has less room than `staging.min_free`: no run starts.
    StagingFull,
    /// A day that has an export has none, and its deadline has passed.
    ExportMissing,
    /// A file cannot be authenticated, decrypted or read whole, or what it places meets something else in staging.
    FileHeld,
    /// Items of an export have no mailbox at all, and are not staged.
    ItemsHeld,
    /// A participant of yours has no mailbox; their copies are missing.
    Unresolved,
    /// Records of an export are no items: not whole, or beyond a limit.
    RecordRejected,
    /// An export names attachments that are in no archive that came.
    AttachmentMissing,
    /// An archive holds files that no export names, or entries that are no files.
    AttachmentOrphan,
    /// A kept export could not be looked at again, so what it holds back stays so.
    FailedReplay,
    /// The export of a day that has one holds no items.
    EmptyExport,
    /// An export holds items, and none of them has a mailbox.
    NothingResolves,
    /// A day has less than a quarter of the items that are usual for its weekday.
    FewerItems,
    /// A file at the site matches no pattern of `site.files`, and is left alone.
    UnexpectedName,
    /// Exports hold an element or attribute that the profile does not name.
    UnknownElements,
    /// An export says that it was made for another firm.
    OtherFirm,
    /// Messages that were archived came again with other content, sender or time; both are staged.
    ChangedMessages,
    /// The mapping in the folder does not count; the last good one stays in force.
    MappingRejected,
    /// The mailbox list does not count; the last good one stays in force.
    ListRejected,
    /// The configuration is invalid; the daemon goes on with the one that it had.
    ConfigurationRejected,
    /// A new mapping gives an ImId to another mailbox than before.
    MappingMoved,
    /// A new mapping sends somebody with a valid e-mail of yours to another mailbox.
    MappingOverrides,
    /// A new mapping lacks more than a twentieth of the entries of the one before.
    MappingRemoved,
    /// A new mailbox list lacks many of the mailboxes of the one before.
    ListShrunk,
    /// A PGP certificate of yours ends within 30 days, or has ended.
    KeyExpiry,
    /// The certificate that signs in to Microsoft Entra ends within 30 days, or has ended.
    EntraExpiry,
    /// The tenant's users do not count; the last good snapshot stays in force.
    DirectoryRejected,
    /// The tenant's users were not read for longer than `mailboxes.graph.max_age`.
    DirectoryStale,
    /// Several of the tenant's users claim one ImId or address, and none of them has it.
    ImIdContested,
    /// Messages by one channel were given up after three days, and none got through since.
    NotDelivered,
}

impl Kind {
    /// All of them, in the order of docs/alerts.md.
    pub const ALL: [Self; 32] = [
        Self::RunFailed,
        Self::LoginRefused,
        Self::SiteUnreachable,
        Self::StagingFull,
        Self::ExportMissing,
        Self::FileHeld,
        Self::ItemsHeld,
        Self::Unresolved,
        Self::RecordRejected,
        Self::AttachmentMissing,
        Self::AttachmentOrphan,
        Self::FailedReplay,
        Self::EmptyExport,
        Self::NothingResolves,
        Self::FewerItems,
        Self::UnexpectedName,
        Self::UnknownElements,
        Self::OtherFirm,
        Self::ChangedMessages,
        Self::MappingRejected,
        Self::ListRejected,
        Self::ConfigurationRejected,
        Self::MappingMoved,
        Self::MappingOverrides,
        Self::MappingRemoved,
        Self::ListShrunk,
        Self::KeyExpiry,
        Self::EntraExpiry,
        Self::DirectoryRejected,
        Self::DirectoryStale,
        Self::ImIdContested,
        Self::NotDelivered,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name, the same for ever.
    pub fn name(self) -> &'static str {
        self.words().name
    }

    /// Its id in the journal (`MESSAGE_ID`, systemd.journal-fields(7)), the same for ever.
    pub fn message_id(self) -> &'static str {
        self.words().message_id
    }

    /// How soon a person is needed.
    pub fn severity(self) -> Severity {
        self.words().severity
    }

    /// What it means, in a line.
    pub fn means(self) -> &'static str {
        self.words().means
    }

    /// What to do about it, in a line.
    pub fn advice(self) -> &'static str {
        self.words().advice
    }

    /// Whether it tells of something that happened once and is over: to acknowledge it is to settle it.
    pub fn is_event(self) -> bool {
        matches!(self, Self::MappingMoved | Self::MappingOverrides | Self::MappingRemoved | Self::ListShrunk)
    }

    fn words(self) -> &'static Words {
        match self {
            Self::RunFailed => &words::RUN_FAILED,
            Self::LoginRefused => &words::LOGIN_REFUSED,
            Self::SiteUnreachable => &words::SITE_UNREACHABLE,
            Self::StagingFull => &words::STAGING_FULL,
            Self::ExportMissing => &words::EXPORT_MISSING,
            Self::FileHeld => &words::FILE_HELD,
            Self::ItemsHeld => &words::ITEMS_HELD,
            Self::Unresolved => &words::UNRESOLVED,
            Self::RecordRejected => &words::RECORD_REJECTED,
            Self::AttachmentMissing => &words::ATTACHMENT_MISSING,
            Self::AttachmentOrphan => &words::ATTACHMENT_ORPHAN,
            Self::FailedReplay => &words::FAILED_REPLAY,
            Self::EmptyExport => &words::EMPTY_EXPORT,
            Self::NothingResolves => &words::NOTHING_RESOLVES,
            Self::FewerItems => &words::FEWER_ITEMS,
            Self::UnexpectedName => &words::UNEXPECTED_NAME,
            Self::UnknownElements => &words::UNKNOWN_ELEMENTS,
            Self::OtherFirm => &words::OTHER_FIRM,
            Self::ChangedMessages => &words::CHANGED_MESSAGES,
            Self::MappingRejected => &words::MAPPING_REJECTED,
            Self::ListRejected => &words::LIST_REJECTED,
            Self::ConfigurationRejected => &words::CONFIGURATION_REJECTED,
            Self::MappingMoved => &words::MAPPING_MOVED,
            Self::MappingOverrides => &words::MAPPING_OVERRIDES,
            Self::MappingRemoved => &words::MAPPING_REMOVED,
            Self::ListShrunk => &words::LIST_SHRUNK,
            Self::KeyExpiry => &words::KEY_EXPIRY,
            Self::EntraExpiry => &words::ENTRA_EXPIRY,
            Self::DirectoryRejected => &words::DIRECTORY_REJECTED,
            Self::DirectoryStale => &words::DIRECTORY_STALE,
            Self::ImIdContested => &words::IM_ID_CONTESTED,
            Self::NotDelivered => &words::NOT_DELIVERED,
        }
    }
}
