//! Who is valid, by the tenant itself: pages, deltas and faults of Microsoft Graph, and what a run makes of its users. The
//! tenant is one on loopback, everything else as in a firm.

use crate::support;

use std::fs;
use std::process::Command;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::daemon::{Daemon, around_now};
use support::firm::{Firm, Said, Settings, export, message};
use support::planted;
use support::tenant::{Asked, CLIENT, Fault, TENANT, Tenant, member};

const AMY: &str = "amy.adams@contoso.com";
const BOB: &str = "bob@contoso.com";

/// A firm whose valid users are those of a tenant.
struct Office {
    firm: Firm,
    tenant: Tenant,
}

impl Office {
    fn new() -> Self {
        Self::with("graph = true\n", "")
    }

    /// With these lines in `[mailboxes]`, and sections.
    fn with(mailboxes: &str, more: &str) -> Self {
        let tenant = Tenant::start();
        let firm = Firm::with(&Self::settings(&tenant, mailboxes, more));
        firm.run(&["keys", "init", "--entra"]).expect(0);
        planted::keep_secrets_of(firm.dir.path());
        Self { firm, tenant }
    }

    fn settings(tenant: &Tenant, mailboxes: &str, more: &str) -> Settings {
        Settings {
            mailboxes: format!("domains = [\"contoso.com\"]\n{mailboxes}"),
            more: tenant.entra() + more,
            ..Settings::default()
        }
    }

    /// Amy with two addresses, Bob, and `more` others, each with a mailbox.
    fn staff(&self, more: usize) {
        self.tenant.set("1", &member("Amy.Adams@contoso.com", &["SMTP:Amy.Adams@contoso.com", "smtp:amy@contoso.com"]));
        self.tenant.set("2", &member(BOB, &["SMTP:bob@contoso.com", "SIP:bob@contoso.com"]));
        for number in 0..more {
            let mail = format!("user{number}@contoso.com");
            self.tenant.set(&format!("x{number:03}"), &member(&mail, &[&format!("SMTP:{mail}")]));
        }
    }

    fn refresh(&self, code: i32) -> Value {
        self.firm.run(&["mailboxes", "refresh", "--json"]).expect(code).json()
    }

    fn show(&self, address: &str) -> Value {
        self.firm.run(&["mailboxes", "show", address, "--json"]).expect(0).json()
    }

    /// Of what was asked since the last call, what is Graph's.
    fn pages(&self) -> Vec<Asked> {
        self.tenant.take_asked().into_iter().filter(|asked| asked.line.contains("/users")).collect()
    }

    fn ask(&self, sql: &str) -> i64 {
        let connection = Connection::open(self.firm.path("state/ledger.db")).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn check(&self, code: i32) -> Vec<(String, String, String)> {
        let said = self.firm.run(&["check", "--json"]).expect(code).json();
        let lines = said["checks"].as_array().unwrap().iter();
        let word = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        lines.map(|line| (word(line, "name"), word(line, "level"), word(line, "text"))).collect()
    }
}

/// The lines of `check` with this name.
fn named(lines: &[(String, String, String)], name: &str) -> Vec<(String, String)> {
    lines.iter().filter(|line| line.0 == name).map(|line| (line.1.clone(), line.2.clone())).collect()
}

fn statuses(asked: &[Asked]) -> Vec<u16> {
    asked.iter().map(|asked| asked.status).collect()
}

#[test]
fn all_users_come_page_by_page_and_then_what_changed() {
    let office = Office::new();
    office.staff(3);
    let facts = office.refresh(0);
    assert_eq!((&facts["users"], &facts["mailboxes"], &facts["without_mailbox"]), (&json!(5), &json!(5), &json!(0)));
    let pages = office.pages();
    assert_eq!(pages.len(), 3, "{pages:?}");
    let first = &pages[0].line;
    for property in ["id", "userPrincipalName", "mail", "proxyAddresses", "accountEnabled", "userType", "assignedPlans"]
    {
        assert!(first.split(['=', ',']).any(|word| word == property), "{first}");
    }
    assert!(first.starts_with("GET /v1.0/users/delta?$select=") && pages[2].line.contains("$skiptoken=4"));

    // A delta says what changed, and not the rest.
    office.tenant.set("2", &json!({"accountEnabled": false, "assignedPlans": []}));
    office.tenant.set("1", &json!({"proxyAddresses": ["SMTP:Amy.Adams@contoso.com", "smtp:a@contoso.com"]}));
    office.tenant.remove("x001");
    office.tenant.set("x000", &json!({"assignedPlans": []}));
    office.tenant.set("new", &member("new@contoso.com", &["SMTP:new@contoso.com"]));
    let facts = office.refresh(0);
    let pages = office.pages();
    assert!(pages.iter().all(|asked| asked.line.contains("$deltatoken=5")) && pages.len() == 3, "{pages:?}");
    assert_eq!((&facts["users"], &facts["mailboxes"], &facts["without_mailbox"]), (&json!(5), &json!(4), &json!(1)));
    for (address, mailbox) in [
        (BOB, Some(BOB)),
        ("A@contoso.com", Some(AMY)),
        ("amy@contoso.com", None),
        ("user1@contoso.com", None),
        ("user0@contoso.com", None),
        ("new@contoso.com", Some("new@contoso.com")),
    ] {
        assert_eq!(office.show(address)["mailbox"], json!(mailbox), "{address}");
    }
    // Nothing changed: one page, no version.
    let versions = office.ask("SELECT count(*) FROM versions WHERE kind = 'directory'");
    assert_eq!(office.refresh(0)["changed"], Value::Null);
    assert_eq!(office.pages().len(), 1);
    assert_eq!(office.ask("SELECT count(*) FROM versions WHERE kind = 'directory'"), versions);
    assert_eq!(office.firm.run(&["mapping", "history"]).expect(0).out.matches("directory").count(), 2);
    planted::look_through_state(&office.firm.path("state"));
}

#[test]
fn a_forgotten_delta_is_asked_for_anew_and_what_is_gone_is_gone() {
    let office = Office::new();
    office.staff(0);
    office.refresh(0);
    office.pages();
    office.tenant.remove("2");
    office.tenant.set("3", &member("cat@contoso.com", &["smtp:cat@contoso.com"]));
    let gone = json!({"error": {"code": "resyncRequired", "message": "x"}}).to_string();
    office.tenant.fail(Fault::new("$deltatoken", 410, gone));
    assert_eq!(office.refresh(0)["users"], 2);
    let pages = office.pages();
    assert_eq!(statuses(&pages), [410, 200]);
    assert!(pages[1].line.contains("$select="));
    assert_eq!(
        (office.show(BOB)["valid"].clone(), office.show("cat@contoso.com")["valid"].clone()),
        (json!(false), json!(true))
    );
}

#[test]
fn a_token_that_ends_between_two_pages_is_renewed_and_a_busy_server_waited_for() {
    let office = Office::new();
    office.staff(3);
    office.tenant.fail(Fault::new(
        "$skiptoken=2",
        401,
        json!({"error": {"code": "InvalidAuthenticationToken"}}).to_string(),
    ));
    office.tenant.fail(Fault::new("$skiptoken=4", 429, "{}").with("Retry-After: 4"));
    office.tenant.fail(Fault::new("$skiptoken=4", 503, "<html>").with("Retry-After: 0"));
    let begun = std::time::Instant::now();
    assert_eq!(office.refresh(0)["users"], 5);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(4), "it waits as long as it is asked to");
    assert_eq!(office.tenant.sign_ins(), 2, "a token for all pages, and one in place of the one that ended");
    let pages = office.pages();
    assert_eq!(statuses(&pages), [200, 401, 200, 429, 503, 200]);
    assert_ne!(pages[1].bearer, pages[2].bearer);
    assert_eq!(pages[2].bearer, pages[5].bearer);

    // A tenant that takes no token at all is not asked for ever.
    for _ in 0..2 {
        office.tenant.fail(Fault::new("$deltatoken", 401, "{}"));
    }
    let facts = office.refresh(1);
    assert!(facts["error"].as_str().unwrap().contains("HTTP 401"), "{facts}");
    assert_eq!(statuses(&office.pages()), [401, 401]);
}

#[test]
fn links_that_lead_elsewhere_get_no_token() {
    let office = Office::new();
    let other = Tenant::start();
    let page = json!({"value": [], "@odata.nextLink": format!("{}/v1.0/users/delta?x", other.endpoint())}).to_string();
    office.tenant.fail(Fault::new("/users", 200, page));
    assert!(office.refresh(1)["error"].as_str().unwrap().contains("lead elsewhere"));
    office.tenant.fail(Fault::new("/users", 302, "").with(&format!("Location: {}/x", other.endpoint())));
    office.refresh(1);
    assert!(other.asked().is_empty());
}

/// Down, refused, or talking nonsense: the last good snapshot stays, the run goes on, and it is loud.
#[test]
fn the_last_good_snapshot_stays_in_force_whatever_the_tenant_does() {
    let office = Office::new();
    office.staff(0);
    let firm = &office.firm;
    firm.deliver_export("a.xml.pgp", &export(&message("m-1", AMY, &["new@contoso.com"], "one")));
    firm.run(&["ingest"]).expect(3);
    assert_eq!(firm.placements()["m-1"], [AMY.to_owned()].into(), "new@ is of our domain, and no user");
    let whole = office.ask("SELECT count(*) FROM rule_sets WHERE directory IS NOT NULL AND list IS NULL");
    assert_eq!(whole, 1);

    let page = |value: Value| json!({"value": value, "@odata.deltaLink": "x"}).to_string();
    for (number, (on, status, body)) in [
        ("/token", 400, json!({"error": "x", "error_description": "AADSTS90002: Tenant 'x' not found."}).to_string()),
        (
            "/users",
            403,
            json!({"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}})
                .to_string(),
        ),
        ("/users", 404, "{}".to_owned()),
        ("/users", 200, "<html>".to_owned()),
        ("/users", 200, page(json!([{"mail": "x@contoso.com"}]))),
    ]
    .into_iter()
    .enumerate()
    {
        office.tenant.fail(Fault::new(on, status, body));
        let id = format!("n-{number}");
        firm.deliver_export(&format!("{id}.xml.pgp"), &export(&message(&id, AMY, &["bob@contoso.com"], "more")));
        let said = firm.run(&["ingest"]).expect(3);
        assert!(said.err.contains("the last good snapshot (if any) stays in force"), "{status}: {said:?}");
        assert_eq!(firm.placements()[&id], [AMY.to_owned(), BOB.to_owned()].into());
    }
    assert_eq!(office.tenant.faults_left(), 0);
    assert_eq!(office.show(BOB)["valid"], true);
    let connection = Connection::open(firm.path("state/ledger.db")).unwrap();
    let error: String = connection.query_row("SELECT error FROM directory", [], |row| row.get(0)).unwrap();
    assert!(error.contains("no page of users"), "{error}");

    // Older than it may be, it is told; and a dry run records nothing.
    connection.execute("UPDATE directory SET refreshed = refreshed - 3 * 86400", []).unwrap();
    office.tenant.fail(Fault::new("/token", 400, "{}"));
    let lines = office.check(3);
    assert!(
        named(&lines, "tenant").iter().any(|(level, text)| level == "warning" && text.contains("max_age")),
        "{lines:?}"
    );
    assert_eq!(named(&lines, "sign-in")[0].0, "warning", "a run goes on without it");
    let before = office.ask("SELECT refreshed + tried FROM directory");
    firm.run(&["ingest", "--dry-run"]).expect(3);
    assert_eq!(office.ask("SELECT refreshed + tried FROM directory"), before);
}

#[test]
fn without_any_snapshot_nobody_is_taken_for_valid() {
    let office = Office::new();
    let firm = &office.firm;
    firm.deliver_export("a.xml.pgp", &export(&message("m-1", AMY, &[BOB], "one")));
    let denied =
        json!({"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges to complete."}});
    office.tenant.fail(Fault::new("/users", 403, denied.to_string()));
    let said = firm.run(&["ingest"]).expect(1);
    let consent = format!("{}/{TENANT}/adminconsent?client_id={CLIENT}", office.tenant.endpoint());
    assert!(said.err.contains("User.Read.All") && said.err.contains(&consent), "{said:?}");
    assert!(firm.staged().is_empty());
    assert!(firm.run(&["ingest", "--in-force"]).expect(1).err.contains("icechatd mailboxes refresh"));
    // `check` says the same, and that a run would fail.
    office.tenant.fail(Fault::new("/users", 403, denied.to_string()));
    let lines = office.check(1);
    let tenant = named(&lines, "tenant");
    assert!(tenant[0].0 == "failure" && tenant[0].1.contains(&consent), "{lines:?}");
    assert_eq!(named(&lines, "sign-in")[0].0, "ok");
    // An empty tenant is a permission that is missing more often than a fact.
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("0 users with a mailbox") && !said.err.contains("mapping accept"), "{said:?}");
    office.staff(0);
    firm.run(&["ingest"]).expect(0);
    assert_eq!(firm.placements()["m-1"], [AMY.to_owned(), BOB.to_owned()].into());
}

#[test]
fn users_that_dwindle_count_when_a_person_says_so() {
    let office = Office::new();
    office.staff(10);
    office.refresh(0);
    for number in 0..8 {
        office.tenant.set(&format!("x{number:03}"), &json!({"assignedPlans": []}));
    }
    let facts = office.refresh(1);
    assert_eq!((&facts["in_force"], &facts["mailboxes"]), (&json!(false), &json!(4)));
    assert!(facts["error"].as_str().unwrap().contains("4 users with a mailbox, the snapshot in force 12"), "{facts}");
    let shown = office.show("user0@contoso.com");
    assert_eq!((&shown["valid"], &shown["users"][0]["mailbox_plan"]), (&json!(true), &json!(false)), "{shown}");
    let status = office.firm.run(&["status"]).expect(0).out;
    assert!(status.contains("tenant     REJECTED since") && status.contains("tenant     in force since"), "{status}");
    // The next answers are the same delta further on, and rejected as well.
    assert_eq!(office.refresh(1)["mailboxes"], 4);
    let accepted = office.firm.run(&["mapping", "accept", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(accepted["accepted"][0]["kind"], "directory");
    assert_eq!(office.show("user0@contoso.com")["valid"], true);
    // A person's word counts also while the tenant is silent: for what it said last.
    office.tenant.fail(Fault::new("/token", 400, "{}"));
    let said = office.firm.run(&["mapping", "accept"]).expect(0);
    assert!(said.out.contains("snapshot of the tenant's users: +0 -8") && said.err.contains("said last"), "{said:?}");
    assert_eq!(office.show("user0@contoso.com")["valid"], false);
    assert_eq!(office.refresh(0)["changed"], Value::Null);
    assert!(!office.firm.run(&["status"]).expect(0).out.contains("REJECTED"));
}

#[test]
fn im_ids_that_dwindle_count_when_a_person_says_so_and_a_tenant_without_mailboxes_never_does() {
    let office =
        Office::with("graph = { im_id_attribute = \"onPremisesExtensionAttributes.extensionAttribute7\" }\n", "");
    office.staff(12);
    let im_id = |of: Option<&str>| json!({"onPremisesExtensionAttributes": {"extensionAttribute7": of}});
    for number in 0..12 {
        office.tenant.set(&format!("x{number:03}"), &im_id(Some(&format!("trader{number}"))));
    }
    office.refresh(0);
    for number in 0..9 {
        office.tenant.set(&format!("x{number:03}"), &im_id(None));
    }
    let facts = office.refresh(1);
    assert!(facts["error"].as_str().unwrap().contains("3 ImIds, the snapshot in force 12"), "{facts}");
    office.firm.run(&["mapping", "accept"]).expect(0);
    office.refresh(0);

    // Nobody means a tenant without anybody; and who accepts a list does not accept what nobody has seen.
    for number in 0..12 {
        office.tenant.set(&format!("x{number:03}"), &json!({"assignedPlans": []}));
    }
    let said = office.firm.run(&["mapping", "accept"]).expect(1);
    assert!(said.err.contains("2 users with a mailbox, the snapshot in force 14"), "{said:?}");
    for id in ["1", "2"] {
        office.tenant.set(id, &json!({"assignedPlans": []}));
    }
    let facts = office.refresh(1);
    assert!(!facts["error"].as_str().unwrap().contains("mapping accept"), "{facts}");
    office.firm.run(&["mapping", "accept"]).expect(1);
    assert_eq!(office.show(BOB)["valid"], true);
}

#[test]
fn without_a_tenant_there_is_nothing_to_refresh() {
    let firm = Firm::new();
    let said = firm.run(&["mailboxes", "refresh"]).expect(78);
    assert!(said.err.contains("mailboxes.graph is not configured"), "{said:?}");
    assert!(!firm.path("state").exists(), "and nothing is made");
}

#[test]
fn another_firms_state_is_left_alone() {
    let office = Office::new();
    office.staff(1);
    office.refresh(0);
    fs::write(office.firm.path("state/firm"), "OTHER\n").unwrap();
    for verb in [&["mailboxes", "refresh"][..], &["mapping", "accept"]] {
        let said = office.firm.run(verb).expect(1);
        assert!(said.err.contains("OTHER"), "{said:?}");
    }
}

/// Every change of the tenant makes a replay due; with an export of which a record can never be read, each would leave a set of
/// rules behind.
#[test]
fn a_replay_that_moves_nothing_leaves_nothing_behind() {
    let office = Office::new();
    office.staff(1);
    let no_time =
        message("m-2", AMY, &[BOB], "no time").replace("<DateTimeUTC>", "<X>").replace("</DateTimeUTC>", "</X>");
    office.firm.deliver_export("day.xml.pgp", &export(&(message("m-1", AMY, &[BOB], "one") + &no_time)));
    office.firm.ingest(3);
    let left = || (office.ask("SELECT count(*) FROM file_rule_sets"), office.ask("SELECT count(*) FROM manifests"));
    let before = left();
    for number in 0..3 {
        let mail = format!("new{number}@contoso.com");
        office.tenant.set(&format!("n{number}"), &member(&mail, &[&format!("SMTP:{mail}")]));
        let report = office.firm.replay(3);
        assert_eq!(report["items"]["rejected"], 1, "{report:#}");
    }
    assert_eq!(left(), before);
    assert_eq!(office.ask("SELECT count(*) FROM replaying"), 0);
    office.firm.run(&["verify"]).expect(0);
}

/// From the tenant to the mailbox folders: aliases, guests, shared mailboxes, `ImId`s behind the mapping.
#[test]
fn an_export_is_placed_by_the_tenants_users_and_replayed_when_one_gets_a_mailbox() {
    let attribute = "graph = { im_id_attribute = \"onPremisesExtensionAttributes.extensionAttribute7\" }\n";
    let office = Office::with(attribute, "");
    office.staff(0);
    let im_id = |id: &str, value: &str| {
        office.tenant.set(id, &json!({"onPremisesExtensionAttributes": {"extensionAttribute7": value}}));
    };
    im_id("1", "AMY1");
    im_id("2", "desk2");
    let shared = json!({"accountEnabled": false, "assignedPlans": []});
    office.tenant.set("3", &member("desk@contoso.com", &["SMTP:desk@contoso.com"]));
    office.tenant.set("3", &shared);
    office.tenant.set("4", &member("guest@partner.com", &["SMTP:guest@partner.com"]));
    office.tenant.set("4", &json!({"userType": "Guest"}));
    office.tenant.set("5", &member("late@contoso.com", &["SMTP:late@contoso.com"]));
    office
        .tenant
        .set("5", &json!({"assignedPlans": [], "onPremisesExtensionAttributes": {"extensionAttribute7": "LATE"}}));
    let firm = &office.firm;
    // The mapping comes first: whose desk2 is, it says.
    firm.map("desk.csv", "ImId,Mailbox\ndesk2,desk@contoso.com\n");
    let by_im_id = |id: &str, im_id: &str| {
        format!(
            "<Message><MessageID>{id}</MessageID><ImId>{im_id}</ImId><Recipient><ImId>x9</ImId><RecipientEmail>x@elsewhere.com\
             </RecipientEmail></Recipient><DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC><Content>c</Content></Message>"
        )
    };
    let records = [
        message("alias", "AMY@contoso.com", &["guest@partner.com", "desk@contoso.com"], "x"),
        by_im_id("by-attribute", "amy1"),
        by_im_id("by-mapping", "DESK2"),
        by_im_id("late", "late"),
        message("late-too", BOB, &["late@contoso.com"], "x"),
    ];
    firm.deliver_export("day.xml.pgp", &export(&records.concat()));
    firm.ingest(3);
    let placed = firm.placements();
    let to = |mailboxes: &[&str]| {
        mailboxes.iter().map(|mailbox| (*mailbox).to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(placed["alias"], to(&[AMY, "desk@contoso.com"]));
    assert_eq!((&placed["by-attribute"], &placed["by-mapping"]), (&to(&[AMY]), &to(&["desk@contoso.com"])));
    assert!(!placed.contains_key("late") && placed["late-too"] == to(&[BOB]));

    // A licence is assigned: what was held is staged, and the copy that was missing follows. Amy lost an address meanwhile,
    // which takes nothing away that is there: the export's own rule set found it.
    office.tenant.set("5", &json!({"assignedPlans": [{"service": "exchange", "capabilityStatus": "Enabled"}]}));
    office.tenant.set("1", &json!({"proxyAddresses": ["SMTP:Amy.Adams@contoso.com"]}));
    firm.replay(0);
    let placed = firm.placements();
    assert_eq!((&placed["late"], &placed["late-too"]), (&to(&["late@contoso.com"]), &to(&[BOB, "late@contoso.com"])));
    assert_eq!(placed["alias"], to(&[AMY, "desk@contoso.com"]));
    assert_eq!(office.ask("SELECT min(replayed) FROM in_force"), 1, "nothing is left to replay under it");
    firm.run(&["verify"]).expect(0);
    assert_eq!(office.ask("SELECT count(DISTINCT directory) FROM rule_sets"), 2);
    let report = firm.run(&["report", "--coverage", "--json"]);
    assert!(report.code == 0 || report.code == 2, "{report:?}");
    planted::look_through_state(&firm.path("state"));
}

#[test]
fn an_im_id_of_two_users_is_nobodys_and_is_said() {
    let office = Office::with("graph = { im_id_attribute = \"extension_0a_imId\" }\n", "");
    office.staff(0);
    office.tenant.set("1", &json!({"extension_0a_imId": "desk1"}));
    office.tenant.set("2", &json!({"extension_0a_imId": "DESK1"}));
    let said = office.firm.run(&["mailboxes", "refresh"]).expect(0);
    assert!(office.pages()[0].line.contains(",extension_0a_imId"));
    let line = "the ImId desk1 is that of several users: amy.adams@contoso.com, bob@contoso.com";
    assert!(
        said.err.contains(line) && said.out.contains(line) && said.out.contains("2 with a mailbox, 0 without; 0 ImIds"),
        "{said:?}"
    );
    let lines = office.check(3);
    assert!(named(&lines, "tenant").iter().any(|(level, text)| level == "warning" && text.contains(line)), "{lines:?}");
    // Said once, and again when it is new.
    assert!(!office.firm.run(&["mailboxes", "refresh"]).expect(0).err.contains(line));
    office.tenant.set("2", &json!({"extension_0a_imId": null}));
    assert_eq!(office.refresh(0)["im_ids"], 1);
}

#[test]
fn a_list_is_what_counts_and_the_tenant_still_knows_im_ids() {
    let mailboxes = "list = \"mailboxes.csv\"\ngraph = { im_id_attribute = \"extension_0a_imId\" }\n";
    let office = Office::with(mailboxes, "");
    office.staff(0);
    office.tenant.set("1", &json!({"extension_0a_imId": "a1"}));
    office.tenant.set("2", &json!({"extension_0a_imId": "b1"}));
    let firm = &office.firm;
    fs::write(firm.path("mailboxes.csv"), format!("PrimarySmtpAddress\n{AMY}\n")).unwrap();
    let from = |id: &str, im_id: &str| {
        format!(
            "<Message><MessageID>{id}</MessageID><ImId>{im_id}</ImId><SenderEmail>{BOB}</SenderEmail><RecipientEmail>x@elsewhere.com</RecipientEmail>\
                 <DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC><Content>c</Content></Message>"
        )
    };
    firm.deliver_export("day.xml.pgp", &export(&(from("a", "a1") + &from("b", "b1"))));
    // The tenant does not answer at first: the list alone is enough for a run.
    office.tenant.fail(Fault::new("/token", 400, "{}"));
    firm.ingest(3);
    assert!(firm.placements().is_empty());
    firm.replay(3);
    assert_eq!(firm.placements().keys().collect::<Vec<_>>(), ["a"], "b is a user of the tenant, but not in the list");
    let shown = office.show(BOB);
    assert_eq!((&shown["valid"], &shown["source"]), (&json!(false), &json!("list")));
    assert!(shown["why"].as_str().unwrap().contains("it alone counts") && shown["users"][0]["id"] == "2", "{shown}");
}

#[test]
fn show_says_why() {
    let office = Office::new();
    office.staff(0);
    office.tenant.set("g", &member("guest@partner.com", &["SMTP:guest@partner.com"]));
    office.tenant.set("g", &json!({"userType": "Guest"}));
    office
        .tenant
        .set("n", &json!({"userPrincipalName": "none@contoso.com", "accountEnabled": true, "userType": "Member"}));
    office.tenant.set("p", &member("plan@contoso.com", &["SMTP:plan@contoso.com"]));
    office.tenant.set("p", &json!({"assignedPlans": [{"service": "exchange", "capabilityStatus": "Suspended"}]}));
    office.tenant.set("x", &member("x500@contoso.com", &["X500:/o=x"]));
    let first = office.firm.run(&["mailboxes", "show", AMY]).expect(1);
    assert!(first.err.contains("mailboxes refresh"), "{first:?}");
    office.refresh(0);
    for (address, valid, words) in [
        ("AMY@CONTOSO.COM", true, "a user with a mailbox"),
        ("guest@partner.com", false, "is a guest"),
        ("none@contoso.com", false, "no mail property"),
        ("plan@contoso.com", false, "no plan with a mailbox"),
        ("x500@contoso.com", false, "no SMTP address"),
        ("nobody@contoso.com", false, "no user with this address"),
        ("no address", false, "malformed address"),
    ] {
        let shown = office.show(address);
        assert!(shown["valid"] == json!(valid) && shown["why"].as_str().unwrap().contains(words), "{shown}");
        assert_eq!(shown["source"], "graph");
    }
    let text = office.firm.run(&["mailboxes", "show", "amy@contoso.com"]).expect(0).out;
    assert!(text.starts_with(&format!("amy@contoso.com: valid, resolves to {AMY}\nby mailboxes.graph: ")), "{text}");
    assert!(
        text.contains(
            "user 1: Amy.Adams@contoso.com, mail Amy.Adams@contoso.com, Member, enabled, a plan with a mailbox"
        ),
        "{text}"
    );
    // Without a tenant, domains decide, and there is nobody to ask.
    let plain = Firm::new();
    let shown = plain.run(&["mailboxes", "show", AMY, "--json"]).expect(0).json();
    assert_eq!((&shown["valid"], &shown["source"]), (&json!(true), &json!("domains")));
    assert!(plain.run(&["mailboxes", "refresh"]).expect(78).err.contains("docs/entra.md"));
}

#[test]
fn check_tries_certificate_sign_in_and_users() {
    let office = Office::new();
    office.staff(0);
    office.firm.run(&["ingest"]).expect(0);
    let lines = office.check(0);
    assert_eq!((named(&lines, "certificate")[0].0.as_str(), named(&lines, "sign-in")[0].0.as_str()), ("ok", "ok"));
    assert_eq!(
        named(&lines, "tenant"),
        [("ok".to_owned(), "2 users, 2 with a mailbox, 0 without; 0 ImIds".to_owned())]
    );
    assert!(named(&lines, "mailboxes")[0].1.contains("2 of the tenant's users; in force since"), "{lines:?}");
    // A new certificate that nobody uploaded yet: it works, and is said.
    office.firm.run(&["keys", "rotate", "--entra"]).expect(0);
    let unknown =
        json!({"error": "invalid_client", "error_codes": [700_027], "error_description": "AADSTS700027: No."});
    office.tenant.fail(Fault::new("/token", 401, unknown.to_string()));
    let lines = office.check(0);
    let sign_in = &named(&lines, "sign-in")[0];
    assert!(
        sign_in.0 == "note" && sign_in.1.contains("by entra-certificate;") && sign_in.1.contains("upload the .cer"),
        "{lines:?}"
    );
    // Not uploaded at all.
    for _ in 0..2 {
        office.tenant.fail(Fault::new("/token", 401, unknown.to_string()));
    }
    let lines = office.check(3);
    assert!(named(&lines, "sign-in")[0].1.contains("does not know this certificate"), "{lines:?}");
    assert!(named(&lines, "tenant")[0].1.contains("read last"), "{lines:?}");
    // Offline nobody is asked.
    office.tenant.take_asked();
    let said: Said = office.firm.run(&["check", "--offline"]);
    assert!(said.out.contains("not tried (--offline)") && office.tenant.asked().is_empty(), "{said:?}");
    // A certificate that ends soon.
    let soon = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(340 * 24);
    for name in ["entra-certificate", "entra-certificate-2"] {
        fs::remove_file(office.firm.path(name)).unwrap();
        icechatd::keys::init_entra(&office.firm.path(name), None, soon).unwrap();
    }
    let lines = office.check(3);
    assert!(
        named(&lines, "certificate")
            .iter()
            .all(|(level, text)| level == "warning" && text.contains("keys rotate --entra")),
        "{lines:?}"
    );
    office.firm.run(&["ingest"]).expect(0);
    assert_eq!(office.ask("SELECT count(*) FROM certificates WHERE kind = 'entra'"), 2);
}

/// Before its runs, and when users change, with nobody's help.
#[test]
fn the_daemon_asks_by_itself_and_replays_what_the_answer_changes() {
    let (schedule, _) = around_now();
    let office = Office::with("graph = true\n", &schedule);
    office.staff(0);
    let firm = &office.firm;
    firm.deliver_export("day.xml.pgp", &export(&message("m-1", AMY, &["late@contoso.com"], "one")));
    let daemon = Daemon::start(firm);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(firm.placements()["m-1"], [AMY.to_owned()].into());
    let asked = office.pages();
    assert_eq!(asked.len(), 1, "{asked:?}");

    // A person refreshes; the daemon replays.
    office.tenant.set("9", &member("late@contoso.com", &["SMTP:late@contoso.com"]));
    firm.run(&["mailboxes", "refresh"]).expect(0);
    daemon.wait_for_log("replay is done", 1);
    assert_eq!(firm.placements()["m-1"].len(), 2);
    drop(daemon);

    // Hours later it asks itself; the tenant is down, and told to be.
    office.pages();
    let connection = Connection::open(firm.path("state/ledger.db")).unwrap();
    connection.execute("UPDATE directory SET tried = tried - 6 * 3600, refreshed = refreshed - 49 * 3600", []).unwrap();
    office.tenant.fail(Fault::new("/token", 400, "{}"));
    let daemon = Daemon::start(firm);
    daemon.wait_for_log("the tenant's users could not be read anew", 1);
    daemon.wait_for_log("the tenant's users were read last on", 1);
    let alerts = firm.run(&["alert", "list", "--json"]).expect(0).out;
    assert!(alerts.contains("directory_stale"), "{alerts}");
    assert!(office.pages().is_empty());
}

/// A child that ends without a word, as one that the machine kills, keeps runs waiting no longer than it lived.
#[test]
fn an_asking_that_dies_keeps_no_run_away() {
    let (schedule, _) = around_now();
    let office = Office::with("graph = true\n", &schedule);
    office.staff(0);
    office.refresh(0);
    let connection = Connection::open(office.firm.path("state/ledger.db")).unwrap();
    connection.execute("UPDATE directory SET tried = tried - 7 * 3600", []).unwrap();
    office.firm.deliver_export("day.xml.pgp", &export(&message("m-1", AMY, &[BOB], "one")));
    office.tenant.fail(Fault::new("/token", 503, "").with("Retry-After: 60"));
    let daemon = Daemon::start(&office.firm);
    daemon.wait_until("asking", || office.tenant.faults_left() == 0);
    let children = daemon.children();
    assert_eq!(children.len(), 1, "it asks, and nothing else: {children:?}");
    Command::new("kill").args(["-KILL", &children[0]]).status().unwrap();
    daemon.wait_for_log("ended without a word", 1);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(office.firm.placements()["m-1"].len(), 2);
}
