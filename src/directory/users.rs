//! The users as they were said so far, and which of them have a mailbox. Knows no network: changes go in, mailboxes come
//! out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::page::{Change, Field};
use crate::export::{ImId, trim};
use crate::mailbox::{Mailbox, MailboxError};
use crate::resolve::{Directory, Member, ReadDirectory};

/// What is known of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The user principal name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The primary address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// All addresses with their kind, as in `smtp:amy@contoso.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
    /// Whether the account may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `Member` or `Guest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether a plan with a mailbox is assigned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// What the configured property holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub im_id: Option<String>,
}

/// All users, by their object id, and where what changes is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// By object id.
    pub all: BTreeMap<String, User>,
    /// Where Graph is asked for what changes from here on.
    pub link: String,
}

/// Why a user has no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMailbox {
    /// Of another tenant.
    Guest,
    /// There is no `mail`.
    NoMail,
    /// `mail` is none that a mailbox can be called by.
    Malformed(MailboxError),
    /// Exchange does not know them.
    NoProxy,
    /// Enabled, and nothing assigned that comes with a mailbox.
    NoPlan,
}

impl fmt::Display for NoMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("is a guest of the tenant, whose mailbox is elsewhere"),
            Self::NoMail => f.write_str("has no mail property"),
            Self::Malformed(error) => write!(f, "has a mail property that names no mailbox: {error}"),
            Self::NoProxy => f.write_str("has no SMTP address among proxyAddresses, so Exchange has no mailbox for it"),
            Self::NoPlan => f.write_str("is enabled and has no plan with a mailbox (Exchange) assigned"),
        }
    }
}

/// The snapshot that the users make.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// Who has a mailbox.
    pub read: ReadDirectory,
    /// How many users have none.
    pub without: u64,
    /// How many further addresses and `ImId`s are malformed, and count for nobody.
    pub skipped: u64,
}

impl Judged {
    /// What several users claim and none has, a line each.
    pub fn contested(&self) -> Vec<String> {
        let names = |claimants: &[Mailbox]| claimants.iter().map(Mailbox::as_str).collect::<Vec<_>>().join(", ");
        let im_ids = self.read.contested.iter();
        let im_ids = im_ids.map(|(im_id, by)| format!("the ImId {im_id} is that of several users: {}", names(by)));
        let addresses = self.read.addresses.iter();
        let addresses =
            addresses.map(|(address, by)| format!("{address} is an address of several users: {}", names(by)));
        im_ids.chain(addresses).collect()
    }
}

impl User {
    /// The mailbox, or why there is none. A disabled account may be that of a shared mailbox, a room or somebody who left:
    /// it needs no plan.
    ///
    /// # Errors
    /// Why there is none.
    pub fn mailbox(&self) -> Result<Mailbox, NoMailbox> {
        if self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("Guest")) {
            return Err(NoMailbox::Guest);
        }
        let mail = self.mail.as_deref().map(trim).filter(|mail| !mail.is_empty()).ok_or(NoMailbox::NoMail)?;
        let primary = Mailbox::parse(mail).map_err(NoMailbox::Malformed)?;
        if self.smtp().next().is_none() {
            return Err(NoMailbox::NoProxy);
        }
        if self.enabled.unwrap_or(true) && !self.plan {
            return Err(NoMailbox::NoPlan);
        }
        Ok(primary)
    }

    /// The addresses of the SMTP kind, as they are written.
    fn smtp(&self) -> impl Iterator<Item = &str> {
        self.proxies.iter().filter_map(|proxy| {
            let (kind, address) = proxy.split_once(':')?;
            kind.trim().eq_ignore_ascii_case("smtp").then_some(trim(address))
        })
    }

    /// Whether an address is one of this user's, without case: `mail`, a proxy address, or the user principal name.
    pub fn has(&self, address: &str) -> bool {
        let named = [self.mail.as_deref(), self.name.as_deref()].into_iter().flatten().map(trim);
        named.chain(self.smtp()).any(|own| own.eq_ignore_ascii_case(address))
    }

    /// With how many of its values were malformed.
    fn member(&self) -> Result<(Member, u64), NoMailbox> {
        let primary = self.mailbox()?;
        let mut skipped = 0;
        let mut read = |address: &str| Mailbox::parse(address).inspect_err(|_| skipped += 1).ok();
        let further = self.smtp().filter_map(&mut read).collect();
        // It stands in a line of the ledger, and in logs.
        let im_id = self.im_id.as_deref().map(trim).filter(|im_id| !im_id.is_empty());
        let is_plain = |im_id: &&str| !im_id.contains(char::is_control);
        skipped += u64::from(im_id.is_some_and(|im_id| !is_plain(&im_id)));
        Ok((Member { primary, further, im_id: im_id.filter(is_plain).and_then(ImId::new) }, skipped))
    }

    fn apply(&mut self, change: Change) {
        let Change { name, mail, proxies, enabled, kind, plan, im_id, .. } = change;
        set(&mut self.name, name);
        set(&mut self.mail, mail);
        set(&mut self.enabled, enabled);
        set(&mut self.kind, kind);
        set(&mut self.im_id, im_id);
        if let Some(proxies) = proxies {
            self.proxies = proxies.unwrap_or_default();
        }
        if let Some(plan) = plan {
            self.plan = plan.unwrap_or_default();
        }
    }
}

fn set<T>(value: &mut Option<T>, said: Field<T>) {
    if let Some(said) = said {
        *value = said;
    }
}

impl Users {
    /// Takes in what is said of one user.
    pub(super) fn apply(&mut self, change: Change) {
        if change.removed {
            self.all.remove(&change.id);
            return;
        }
        self.all.entry(change.id.clone()).or_default().apply(change);
    }

    /// The users as bytes, to keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::json!(self.all).to_string().into_bytes()
    }

    /// Reads what was kept; none where it is something else.
    pub fn from_bytes(bytes: &[u8], link: String) -> Option<Self> {
        Some(Self { all: serde_json::from_slice(bytes).ok()?, link })
    }

    /// Who of them has a mailbox.
    pub fn judge(&self) -> Judged {
        let mut judged = Judged::default();
        let mut members = Vec::with_capacity(self.all.len());
        for user in self.all.values() {
            match user.member() {
                Ok((member, skipped)) => {
                    judged.skipped += skipped;
                    members.push(member);
                }
                Err(_) => judged.without += 1,
            }
        }
        judged.read = Directory::of(members);
        judged
    }

    /// The users who have an address, with their object ids.
    pub fn with<'a>(&'a self, address: &'a str) -> impl Iterator<Item = (&'a str, &'a User)> {
        self.all.iter().filter(move |(_, user)| user.has(address)).map(|(id, user)| (id.as_str(), user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User {
            name: Some("amy@contoso.onmicrosoft.com".to_owned()),
            mail: Some("Amy@contoso.com".to_owned()),
            proxies: ["SMTP:Amy@contoso.com", "smtp:a.adams@contoso.com", "SIP:amy@contoso.com", "X500:/o=x"]
                .map(str::to_owned)
                .to_vec(),
            enabled: Some(true),
            kind: Some("Member".to_owned()),
            plan: true,
            im_id: Some(" AMY1 ".to_owned()),
        }
    }

    #[test]
    fn who_has_a_mailbox() {
        assert_eq!(user().mailbox().unwrap().as_str(), "amy@contoso.com");
        let none = |change: fn(&mut User)| {
            let mut user = user();
            change(&mut user);
            user.mailbox().err()
        };
        assert_eq!(none(|user| user.kind = Some("guest".to_owned())), Some(NoMailbox::Guest));
        assert_eq!(none(|user| user.kind = None), None, "accounts from before there were guests have no kind");
        assert_eq!(none(|user| user.mail = None), Some(NoMailbox::NoMail));
        assert_eq!(none(|user| user.mail = Some(" ".to_owned())), Some(NoMailbox::NoMail));
        assert!(matches!(none(|user| user.mail = Some("a b@c.com".to_owned())), Some(NoMailbox::Malformed(_))));
        assert_eq!(none(|user| user.proxies.clear()), Some(NoMailbox::NoProxy));
        assert_eq!(none(|user| user.proxies.retain(|proxy| proxy.starts_with("SIP"))), Some(NoMailbox::NoProxy));
        assert_eq!(none(|user| user.plan = false), Some(NoMailbox::NoPlan));
        assert_eq!(none(|user| (user.plan, user.enabled) = (false, None)), Some(NoMailbox::NoPlan));
        assert_eq!(none(|user| (user.plan, user.enabled) = (false, Some(false))), None, "it may be a shared mailbox");
    }

    #[test]
    fn addresses_match_without_case_and_lead_to_the_primary_one() {
        let mut users = Users::default();
        users.all.insert("1".to_owned(), user());
        let Judged { read, without, skipped } = users.judge();
        let primary = |address: &str| read.directory.mailboxes.resolve(address).map(ToString::to_string);
        for address in ["amy@contoso.com", "a.adams@contoso.com"] {
            assert_eq!(primary(address).as_deref(), Some("amy@contoso.com"));
        }
        assert_eq!(primary("amy@contoso.onmicrosoft.com"), None, "a user principal name is no address of a mailbox");
        assert_eq!((read.directory.im_ids.len(), without, skipped), (1, 0, 0));
        assert_eq!(users.with("A.ADAMS@contoso.com").count(), 1);
        assert_eq!(users.with("AMY@contoso.onmicrosoft.com").count(), 1);
        assert_eq!(users.with("b@contoso.com").count(), 0);
    }

    #[test]
    fn what_is_malformed_counts_for_nobody_and_is_counted() {
        let mut odd = user();
        odd.proxies.push("smtp:a b@contoso.com".to_owned());
        odd.im_id = Some("a\tb".to_owned());
        let users = Users { all: [("1".to_owned(), odd)].into(), link: String::new() };
        let judged = users.judge();
        assert_eq!((judged.skipped, judged.read.directory.im_ids.len()), (2, 0));
        assert_eq!(judged.read.directory.mailboxes.len(), 2);
    }

    #[test]
    fn a_change_says_what_changed_and_leaves_the_rest() {
        let mut users = Users::default();
        let id = || "1".to_owned();
        let text = |text: &str| Some(Some(text.to_owned()));
        let all = Change {
            id: id(),
            name: text("n"),
            mail: text("a@c.com"),
            proxies: Some(Some(vec!["smtp:a@c.com".to_owned()])),
            enabled: Some(Some(true)),
            kind: text("Member"),
            plan: Some(Some(true)),
            im_id: text("A"),
            ..Change::default()
        };
        users.apply(all);
        let before = users.clone();
        users.apply(Change { id: id(), ..Change::default() });
        assert_eq!(users, before);
        users.apply(Change { id: id(), plan: Some(Some(false)), im_id: Some(None), ..Change::default() });
        let user = &users.all["1"];
        assert_eq!((user.plan, user.im_id.as_deref(), user.mail.as_deref()), (false, None, Some("a@c.com")));
        users.apply(Change { id: id(), proxies: Some(None), ..Change::default() });
        assert!(users.all["1"].proxies.is_empty());
        let kept = Users::from_bytes(&users.to_bytes(), users.link.clone()).unwrap();
        assert_eq!(kept, users);
        users.apply(Change { id: id(), removed: true, ..Change::default() });
        users.apply(Change { id: "unknown".to_owned(), removed: true, ..Change::default() });
        assert!(users.all.is_empty() && Users::from_bytes(b"nonsense", String::new()).is_none());
    }

    #[test]
    #[ignore = "prints a figure"]
    fn how_long_a_large_tenant_takes() {
        let mut users = Users::default();
        for number in 0..100_000 {
            let mail = format!("user{number}@contoso.com");
            let proxies = vec![format!("SMTP:{mail}"), format!("smtp:u{number}@contoso.com"), format!("SIP:{mail}")];
            let user = User { mail: Some(mail.clone()), name: Some(mail), proxies, ..user() };
            users.all.insert(format!("{number:036}"), User { im_id: Some(format!("trader{number}")), ..user });
        }
        let begun = std::time::Instant::now();
        let bytes = users.to_bytes();
        println!("{} bytes kept: {:?}", bytes.len(), begun.elapsed());
        let begun = std::time::Instant::now();
        let read = Users::from_bytes(&bytes, String::new()).unwrap();
        println!("read: {:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        let directory = read.judge().read.directory;
        println!("judged: {:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        println!("{} bytes of a version: {:?}", directory.canonical().len(), begun.elapsed());
    }
}
