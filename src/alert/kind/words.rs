//! What an operator reads of each kind of alert. Names and ids are the same for ever; docs/alerts.md lists them.

use super::Severity;

/// What is kept of a kind.
pub(super) struct Words {
    pub(super) name: &'static str,
    pub(super) message_id: &'static str,
    pub(super) severity: Severity,
    pub(super) means: &'static str,
    pub(super) advice: &'static str,
}

pub(super) const RUN_FAILED: Words = Words {
    name: "run_failed",
    message_id: "6877b92c835141ceaf088655baa3da05",
    severity: Severity::Critical,
    means: "The last run at the site failed, and not for one of the three reasons below; or a replay that is due did.",
    advice: "`icechatd report` shows how far it came; put the cause right, and the daemon tries again by itself.",
};

pub(super) const LOGIN_REFUSED: Words = Words {
    name: "login_refused",
    message_id: "c1fa64fb56644c43a4a58f515f9610f3",
    severity: Severity::Critical,
    means: "The site refuses the login.",
    advice: "Ask ICE whether the key and the address are registered; `icechatd check` shows both. The daemon tries once an hour.",
};

pub(super) const SITE_UNREACHABLE: Words = Words {
    name: "site_unreachable",
    message_id: "3d3d1d84b4f04692b9a09b2447b14232",
    severity: Severity::Critical,
    means: "The site could not be reached from the first try until the day's deadline.",
    advice: "`icechatd check` says at which step it ends; look at network and firewall, then ask ICE.",
};

pub(super) const STAGING_FULL: Words = Words {
    name: "staging_full",
    message_id: "47be2ad8108f45aaad44d64df0dba726",
    severity: Severity::Critical,
    means: "Staging has less room than `staging.min_free`: no run starts.",
    advice: "See that the importer takes what stands there, make room, or give it a larger disk; the daemon tries again by itself.",
};

pub(super) const EXPORT_MISSING: Words = Words {
    name: "export_missing",
    message_id: "b5027556f7bc42dca6293b379f069aa6",
    severity: Severity::Critical,
    means: "A day that has an export has none, and its deadline has passed.",
    advice: "Ask ICE for it; the next run takes it, or `icechatd ingest FILE`. A day without one belongs into the file of `schedule.holidays`.",
};

pub(super) const FILE_HELD: Words = Words {
    name: "file_held",
    message_id: "c318f4560c2a4a7ca0c6f80e055a202a",
    severity: Severity::Critical,
    means: "A file cannot be authenticated, decrypted or read whole, or what it places meets something else in staging.",
    advice: "Mend what the reason says, then `icechatd ingest`; or `icechatd held dismiss`.",
};

pub(super) const ITEMS_HELD: Words = Words {
    name: "items_held",
    message_id: "7ed451da944a46958a578a3d54976471",
    severity: Severity::Warning,
    means: "Items of an export have no mailbox at all, and are not staged.",
    advice: "`icechatd mapping unresolved` lists whom to map; the daemon replays by itself. Or `icechatd held dismiss`.",
};

pub(super) const UNRESOLVED: Words = Words {
    name: "unresolved",
    message_id: "1515f8814c44479fa080e4955d1ca69d",
    severity: Severity::Warning,
    means: "A participant of yours has no mailbox; their copies are missing.",
    advice: "`icechatd mapping unresolved` prints a CSV to fill in and drop into the mapping folder.",
};

pub(super) const RECORD_REJECTED: Words = Words {
    name: "record_rejected",
    message_id: "230be67355ed4aaf8969115f0375b4ca",
    severity: Severity::Critical,
    means: "Records of an export are no items: not whole, or beyond a limit.",
    advice: "`icechatd report` names them with their reasons; ask ICE for the export again, widen the limit and `icechatd replay`, or `icechatd held dismiss`.",
};

pub(super) const ATTACHMENT_MISSING: Words = Words {
    name: "attachment_missing",
    message_id: "29451a09564245ec81b5e414a55fd4bc",
    severity: Severity::Critical,
    means: "An export names attachments that are in no archive that came; they are marked as missing in its mails.",
    advice: "Ask ICE for the archive; the next run takes it, or `icechatd ingest FILE`, and the attachments follow.",
};

pub(super) const ATTACHMENT_ORPHAN: Words = Words {
    name: "attachment_orphan",
    message_id: "39ab4ef78763403c81bee79a8b18ac71",
    severity: Severity::Warning,
    means: "An archive holds files that no export names, or entries that are no files of a chat; none of these is in a mail.",
    advice: "`icechatd report` counts them. Ask ICE whether an export lacks what names them; then acknowledge it.",
};

pub(super) const FAILED_REPLAY: Words = Words {
    name: "failed_replay",
    message_id: "64b57aeb427e40e99843628ba3e8ac7d",
    severity: Severity::Critical,
    means: "A kept export could not be looked at again, so what it holds back stays so.",
    advice: "Put right what the reason says, then `icechatd replay`; `icechatd ingest FILE` puts a lost original back.",
};

pub(super) const EMPTY_EXPORT: Words = Words {
    name: "empty_export",
    message_id: "9d59ca0011f24802ace8e28bf87fe2ed",
    severity: Severity::Critical,
    means: "The export of a day that has one holds no items.",
    advice: "Ask ICE whether the day was really silent, and for the export again if not; then acknowledge it.",
};

pub(super) const NOTHING_RESOLVES: Words = Words {
    name: "nothing_resolves",
    message_id: "247cfca17add499480f79b1156c66294",
    severity: Severity::Critical,
    means: "An export holds items, and none of them has a mailbox.",
    advice: "Look at the mapping, the mailbox list and `mailboxes.domains`; then `icechatd replay`.",
};

pub(super) const FEWER_ITEMS: Words = Words {
    name: "fewer_items",
    message_id: "3be944af29394900b02594e14b1804a4",
    severity: Severity::Warning,
    means: "A day has less than a quarter of the items that are usual for its weekday.",
    advice: "Ask ICE whether the export is whole; then acknowledge it.",
};

pub(super) const UNEXPECTED_NAME: Words = Words {
    name: "unexpected_name",
    message_id: "cb1eb3a0e9c14b4bbd7c94865cf2590f",
    severity: Severity::Warning,
    means: "A file at the site matches no pattern of `site.files`, and is left alone.",
    advice: "If it holds chat, add a pattern to `site.files`; if not, ask ICE to take it away, or acknowledge it.",
};

pub(super) const UNKNOWN_ELEMENTS: Words = Words {
    name: "unknown_elements",
    message_id: "e14a4b6665444ade8280219d7b79eaf5",
    severity: Severity::Warning,
    means: "Exports hold an element or attribute that the profile does not name.",
    advice: "Find out what it means (`icechatd profile lint FILE`) and name it in the profile, or acknowledge it. It may carry chat.",
};

pub(super) const OTHER_FIRM: Words = Words {
    name: "other_firm",
    message_id: "a335cfafe40a4e42bc996188b9f5959e",
    severity: Severity::Critical,
    means: "An export says that it was made for another firm.",
    advice: "Ask ICE whose it is before anybody reads it.",
};

pub(super) const CHANGED_MESSAGES: Words = Words {
    name: "changed_messages",
    message_id: "292ec1776b7a4d769f39ba4c91c3e17b",
    severity: Severity::Warning,
    means: "Messages that were archived came again with other content, sender or time; both are staged.",
    advice: "Compare the two; ask ICE what was corrected, then acknowledge it.",
};

pub(super) const MAPPING_REJECTED: Words = Words {
    name: "mapping_rejected",
    message_id: "78d742e10ea0490a84c6d799cfa32b30",
    severity: Severity::Warning,
    means: "The mapping in the folder does not count; the last good one stays in force.",
    advice: "Mend what the `.error.txt` beside the file says; `icechatd mapping check FILE` tells whether it is good.",
};

pub(super) const LIST_REJECTED: Words = Words {
    name: "list_rejected",
    message_id: "0318c61c107e40a9a9a127084af5c9e3",
    severity: Severity::Warning,
    means: "The mailbox list does not count; the last good one stays in force.",
    advice: "Export it again and put it in its place.",
};

pub(super) const CONFIGURATION_REJECTED: Words = Words {
    name: "configuration_rejected",
    message_id: "ad3299c76af447db814354d04fcf486b",
    severity: Severity::Warning,
    means: "The configuration is invalid; the daemon goes on with the one that it had.",
    advice: "Mend it, try it with `icechatd check`, then `systemctl reload icechatd`. A restart would fail.",
};

pub(super) const MAPPING_MOVED: Words = Words {
    name: "mapping_moved",
    message_id: "6ab5a307077d4fa08b4edf2ce3ab8c9d",
    severity: Severity::Warning,
    means: "A new mapping gives an ImId to another mailbox than before.",
    advice: "Check that the person is the same; ValidFrom and ValidTo hand an ImId on. Then acknowledge it.",
};

pub(super) const MAPPING_OVERRIDES: Words = Words {
    name: "mapping_overrides",
    message_id: "09a1a78bb0734196b66734cdfde988aa",
    severity: Severity::Warning,
    means: "A new mapping sends somebody with a valid e-mail of yours to another mailbox.",
    advice: "Check that it is meant, then acknowledge it.",
};

pub(super) const MAPPING_REMOVED: Words = Words {
    name: "mapping_removed",
    message_id: "d03ffd9db01542de9c8d032727cb4be4",
    severity: Severity::Warning,
    means: "A new mapping lacks more than a twentieth of the entries of the one before.",
    advice: "Check that it is meant; drop the old file again if not. Then acknowledge it.",
};

pub(super) const LIST_SHRUNK: Words = Words {
    name: "list_shrunk",
    message_id: "8346e67935754730b3122319f66d0f27",
    severity: Severity::Warning,
    means: "A new mailbox list lacks many of the mailboxes of the one before.",
    advice: "Check that it is whole, then acknowledge it.",
};

pub(super) const KEY_EXPIRY: Words = Words {
    name: "key_expiry",
    message_id: "4430a83681904233993e11d1b91187ea",
    severity: Severity::Warning,
    means: "A PGP certificate of yours ends within 30 days, or has ended.",
    advice: "`icechatd keys extend` moves its end, or `icechatd keys rotate` makes a new one; send ICE what it writes.",
};

pub(super) const ENTRA_EXPIRY: Words = Words {
    name: "entra_expiry",
    message_id: "df1efdb830c440fb968f1062e5c511b2",
    severity: Severity::Warning,
    means: "The certificate that signs in to Microsoft Entra ends within 30 days, or has ended.",
    advice: "`icechatd keys rotate --entra`, `icechatd keys export DIR`, and have the `.cer` uploaded at the app registration.",
};

pub(super) const DIRECTORY_REJECTED: Words = Words {
    name: "directory_rejected",
    message_id: "ff184b2c543e40a1becd4592076e1b12",
    severity: Severity::Warning,
    means: "The tenant's users do not count, because far fewer have a mailbox or an ImId; the last good snapshot stays in force.",
    advice: "Look at the app's permissions and at licences; `icechatd mapping accept` confirms them as they are.",
};

pub(super) const DIRECTORY_STALE: Words = Words {
    name: "directory_stale",
    message_id: "f0c41105319a49e4acd446cd1095ce59",
    severity: Severity::Warning,
    means: "The tenant's users were not read for longer than `mailboxes.graph.max_age`; the last good snapshot stays in force.",
    advice: "`icechatd mailboxes refresh` says what keeps Microsoft Graph from answering; who joined since has no mailbox here.",
};

pub(super) const IM_ID_CONTESTED: Words = Words {
    name: "im_id_contested",
    message_id: "838ca175344b42618ee163644475b5c6",
    severity: Severity::Warning,
    means: "Several of the tenant's users claim one ImId or address, and none of them has it.",
    advice: "Correct the users in the tenant, or say in the mapping whose the ImId is.",
};

pub(super) const NOT_DELIVERED: Words = Words {
    name: "not_delivered",
    message_id: "174eb88b247c426da29793a95ca21238",
    severity: Severity::Warning,
    means: "Messages by one channel were given up after three days, and none got through since.",
    advice: "`icechatd alert test` tries every channel and says what is wrong.",
};
