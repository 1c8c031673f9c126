//! `mailboxes`: the tenant's users asked now, and why an address is valid or not.

use std::fmt::Write as _;
use std::path::Path;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::place::Place;
use super::{Failure, output};
use crate::cause::chain;
use crate::config::Config;
use crate::directory::User;
use crate::exit_code::ExitCode;
use crate::inputs::{self, Asked, Good, News, RulesFrom, Snapshot};
use crate::ledger::{DirectoryStanding, Ledger, invoked_by};
use crate::mailbox::Mailbox;
use crate::owner;
use crate::resolve::RuleSet;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Ask Microsoft Graph for the tenant's users now, and put them in force
    Refresh {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Why an address is valid or not, what it resolves to, and whose it is in the tenant; nobody is asked
    Show {
        /// The address
        address: String,

        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn mailboxes(place: &Place, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Refresh { json } => refresh(&place.config()?, *json),
        Verb::Show { address, json } => show(place.file(), address, *json),
    }
}

fn refresh(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    let not_configured =
        || Failure::new(ExitCode::Config, "mailboxes.graph is not configured; set it and [entra], see docs/entra.md");
    // Before a state folder is made.
    config.mailboxes.graph.as_ref().ok_or_else(not_configured)?;
    owner::of_state(config)?;
    let ledger = Ledger::open(&config.state.directory)?;
    let asked = inputs::ask_tenant(config, &ledger, true)?.ok_or_else(not_configured)?;
    let good = Good { tenant: Some(asked.clone()), ..Good::default() };
    let put_by = format!("{} (mailboxes refresh)", invoked_by());
    let news = inputs::put_in_force(config, &ledger, &good, &put_by, Timestamp::now())?;
    let snapshot = match &asked {
        Asked::Good(snapshot) | Asked::Rejected(snapshot, _) | Asked::Confirmed(snapshot, _) => Some(snapshot.as_ref()),
        Asked::Failed(_) => None,
    };
    let why = match &asked {
        Asked::Good(_) => None,
        Asked::Rejected(_, dwindled) => {
            Some(format!("rejected, the last good one (if any) stays in force: {dwindled}"))
        }
        Asked::Failed(error) | Asked::Confirmed(_, error) => Some(chain(error.as_ref())),
    };
    if json {
        output::print_json(&refreshed_json(snapshot, news.first(), why.as_deref()))?;
    } else if let Some(snapshot) = snapshot {
        output::print(&refreshed(snapshot, news.first()))?;
    }
    inputs::say_tenant(&asked);
    Ok(if why.is_none() { ExitCode::Complete } else { ExitCode::Failed })
}

fn refreshed_json(snapshot: Option<&Snapshot>, news: Option<&News>, why: Option<&str>) -> Value {
    let mut facts = json!({"in_force": why.is_none(), "error": why, "changed": news.map(News::numbers)});
    if let Some(Snapshot { users, judged, set, .. }) = snapshot {
        facts["users"] = json!(users.all.len());
        facts["mailboxes"] = json!(set.mailboxes.mailboxes());
        facts["without_mailbox"] = json!(judged.without);
        facts["im_ids"] = json!(set.im_ids.len());
        facts["malformed"] = json!(judged.skipped);
        facts["contested"] = json!(judged.contested());
    }
    facts
}

fn refreshed(Snapshot { users, judged, set, .. }: &Snapshot, news: Option<&News>) -> String {
    let changed = news.map_or_else(|| "nothing that counts changed".to_owned(), News::numbers);
    let mut text = format!(
        "{} users, {} with a mailbox, {} without; {} ImIds; {changed}",
        users.all.len(),
        set.mailboxes.mailboxes(),
        judged.without,
        set.im_ids.len()
    );
    for line in judged.contested() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{line}; it counts for none of them");
    }
    text
}

/// What is known of one address.
struct Known {
    address: String,
    /// What it resolves to.
    mailbox: Option<Mailbox>,
    /// `list`, `graph` or `domains`: who decides.
    source: &'static str,
    why: String,
    /// The tenant's users who have it, with their object ids.
    users: Vec<(String, User)>,
    standing: Option<DirectoryStanding>,
}

fn show(file: &Path, address: &str, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(file)?;
    let ledger = Ledger::read(&config.state.directory)?.map_or_else(Ledger::none, Ok)?;
    let rules = inputs::rules(&config, &ledger, RulesFrom::Folder)?;
    let kept = inputs::kept_users(&config, &ledger)?;
    let address = address.trim();
    let users = kept.iter().flat_map(|kept| kept.users.with(address));
    let users: Vec<(String, User)> = users.map(|(id, user)| (id.to_owned(), user.clone())).collect();
    let (mailbox, why) = judged(&rules, address, &users);
    let source = match (&rules.list, &rules.directory) {
        (Some(_), _) => "list",
        (None, Some(_)) => "graph",
        (None, None) => "domains",
    };
    let standing = if config.mailboxes.graph.is_some() { ledger.directory_standing()? } else { None };
    let known = Known { address: address.to_owned(), mailbox, source, why, users, standing };
    if json {
        output::print_json(&known.to_json())?;
    } else {
        output::print(&known.to_text())?;
    }
    Ok(ExitCode::Complete)
}

/// What an address resolves to, and the reason in a few words.
fn judged(rules: &RuleSet, address: &str, users: &[(String, User)]) -> (Option<Mailbox>, String) {
    let mailbox = match Mailbox::parse(address) {
        Ok(mailbox) => mailbox,
        Err(error) => return (None, error.to_string()),
    };
    let found = rules.valid(&mailbox);
    let why = match (&found, &rules.list, &rules.directory) {
        (Some(_), Some(_), _) => "mailboxes.list has it".to_owned(),
        (None, Some(_), _) => "mailboxes.list has no such address, and it alone counts".to_owned(),
        (Some(_), None, Some(_)) => "the tenant has a user with a mailbox of this address".to_owned(),
        (None, None, Some(_)) => not_in_tenant(users),
        (Some(_), None, None) => format!("{} is one of mailboxes.domains", mailbox.domain()),
        (None, None, None) => format!("{} is none of mailboxes.domains", mailbox.domain()),
    };
    (found, why)
}

fn not_in_tenant(users: &[(String, User)]) -> String {
    match users {
        [] => "the tenant has no user with this address".to_owned(),
        [(_, user)] => match user.mailbox() {
            Err(why) => format!("the tenant's user {why}"),
            Ok(_) => "the tenant's user has a mailbox, but this is no SMTP address of it, or it is not in force yet"
                .to_owned(),
        },
        several => format!("{} users of the tenant have this address, so it is nobody's", several.len()),
    }
}

impl Known {
    fn to_json(&self) -> Value {
        let users = self.users.iter().map(|(id, user)| {
            json!({
                "id": id,
                "user_principal_name": user.name,
                "mail": user.mail,
                "type": user.kind,
                "enabled": user.enabled,
                "mailbox_plan": user.plan,
                "im_id": user.im_id,
                "mailbox": user.mailbox().ok(),
                "no_mailbox_because": user.mailbox().err().map(|why| why.to_string()),
            })
        });
        json!({
            "address": self.address,
            "valid": self.mailbox.is_some(),
            "mailbox": self.mailbox,
            "source": self.source,
            "why": self.why,
            "users": users.collect::<Vec<_>>(),
            "refreshed": self.standing.as_ref().and_then(|standing| standing.refreshed),
        })
    }

    fn to_text(&self) -> String {
        let source = match self.source {
            "list" => "mailboxes.list",
            "graph" => "mailboxes.graph",
            _ => "mailboxes.domains",
        };
        let verdict = match &self.mailbox {
            Some(mailbox) => format!("valid, resolves to {mailbox}"),
            None => "not valid".to_owned(),
        };
        let mut lines = vec![format!("{}: {verdict}", self.address), format!("by {source}: {}", self.why)];
        for (id, user) in &self.users {
            let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let enabled = if user.enabled.unwrap_or(true) { "enabled" } else { "disabled" };
            let plan = if user.plan { "a plan with a mailbox" } else { "no plan with a mailbox" };
            let im_id = user.im_id.as_ref().map_or_else(String::new, |im_id| format!(", ImId {im_id}"));
            let (name, mail, kind) = (said(&user.name), said(&user.mail), said(&user.kind));
            lines.push(format!("user {id}: {name}, mail {mail}, {kind}, {enabled}, {plan}{im_id}"));
        }
        if let Some(refreshed) = self.standing.as_ref().and_then(|standing| standing.refreshed) {
            lines.push(format!("the tenant's users as of {refreshed}"));
        }
        lines.join("\n")
    }
}
