//! Resolving a participant allocates nothing: it is done for each of every item, and all that it needs was worked out when
//! mapping and list were read. Alone in its program: the allocator counts all of it.

#![cfg(test)]

use std::sync::Arc;

use icechatd::domain::Domain;
use icechatd::export::{Email, ImId, Person};
use icechatd::resolve::{MailboxList, Mapping, Outcome, RuleSet, Rules};
use jiff::civil::date;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const LIST: &str = "DisplayName,PrimarySmtpAddress,UserPrincipalName,EmailAddresses\n\
                    Amy Adams,amy.adams@contoso.com,aadams@contoso.com,SMTP:amy.adams@contoso.com smtp:amy@contoso.com\n\
                    Bob Baker,bob@contoso.com,bob@contoso.com,SMTP:bob@contoso.com\n";

fn rules(list: Option<&str>) -> Rules {
    let files = [("mapping.csv".to_owned(), b"ImId,Mailbox\nadams17,amy@contoso.com\nwire,external\n".to_vec())];
    let list = list.map(|list| Arc::new(MailboxList::parse("mailboxes.csv", list.as_bytes()).unwrap().list));
    Rules(vec![Arc::new(RuleSet {
        mapping: Arc::new(Mapping::parse(&files).unwrap().mapping),
        list,
        directory: None,
        domains: Domain::parse("contoso.com").into_iter().collect(),
        companies: vec!["Contoso".to_owned()],
        automatic: true,
    })])
}

fn person(im_id: &str, email: &str) -> Person {
    Person { im_id: ImId::new(im_id), email: Email::new(email), name: None, company: Some("Northern Brokers".into()) }
}

/// What becomes of someone, once it was made sure that to say so allocates nothing.
fn resolved(rules: &Rules, someone: &Person) -> Outcome {
    let before = dhat::HeapStats::get().total_blocks;
    let outcome = rules.resolve(someone, date(2026, 11, 19));
    let allocated = dhat::HeapStats::get().total_blocks - before;
    assert_eq!(allocated, 0, "{someone:?}");
    outcome
}

fn has_mailbox(outcome: &Outcome, address: &str) -> bool {
    matches!(outcome, Outcome::Mailbox(mailbox) if mailbox.as_str() == address)
}

#[test]
fn resolving_allocates_nothing() {
    let _counting = dhat::Profiler::builder().testing().build();
    let listed = rules(Some(LIST));
    assert!(has_mailbox(&resolved(&listed, &person("ADAMS17", "")), "amy.adams@contoso.com"), "by the mapping");
    assert!(has_mailbox(&resolved(&listed, &person("baker", "Bob@Contoso.com")), "bob@contoso.com"), "by the e-mail");
    assert_eq!(resolved(&listed, &person("wire", "wire@northern.example")), Outcome::External);
    assert_eq!(resolved(&listed, &person("nils", "nils@northern.example")), Outcome::External);
    assert_eq!(resolved(&listed, &person("ghost", "ghost@contoso.com")), Outcome::Unresolved);
    // By the e-mail a mailbox is made where there is no list to take it from: that alone allocates.
    let unlisted = rules(None);
    assert!(has_mailbox(&resolved(&unlisted, &person("adams17", "")), "amy@contoso.com"), "by the mapping alone");
    assert_eq!(resolved(&unlisted, &person("nils", "nils@northern.example")), Outcome::External);
}
