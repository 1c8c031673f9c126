//! The configuration as contract section 4 fixes it: defaults, the shipped example, and every complaint with file,
//! line, key and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icechatd::config::{
    Config, ConfigError, Credential, CredentialError, Grouping, Immutability, KeysConfig, MailSecurity, Places,
    ProfileSource, Secrecy, SignIn,
};
use icechatd::domain::Domain;
use jiff::civil::{Weekday, date, time};
use secrecy::ExposeSecret;

const EXAMPLE: &str = include_str!("../../docs/config.example.toml");
const PIN: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const LEAST: &str = "\
[site]
host = \"sftp.theice.com\"
firm_code = \"ACME\"
host_keys = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]
[mailboxes]
domains = [\"contoso.com\"]
[staging]
local = \"/var/lib/icechatd/staging\"
[state]
directory = \"/var/lib/icechatd/state\"
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn load(&self, text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
        Config::load(&self.write("config.toml", text))
    }
}

fn load(text: &str) -> Result<Config, ConfigError> {
    Folder::new().load(text)
}

/// What is said of the least configuration with one line added to, or replaced in, a section.
fn with(section: &str, line: &str) -> String {
    let key = line.split('=').next().unwrap().trim();
    let header = format!("[{section}]");
    let mut lines: Vec<&str> = LEAST.lines().collect();
    let at = lines.iter().position(|line| *line == header).unwrap_or_else(|| {
        lines.push(&header);
        lines.len() - 1
    });
    let end = lines[at + 1..].iter().position(|line| line.starts_with('[')).map_or(lines.len(), |end| at + 1 + end);
    match (at + 1..end).find(|at| lines[*at].starts_with(&format!("{key} "))) {
        Some(same) => lines[same] = line,
        None => lines.insert(at + 1, line),
    }
    lines.join("\n")
}

fn good(section: &str, line: &str) -> Config {
    load(&with(section, line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The complaint about a line, checked for its form; returns what follows the key.
fn complaint(section: &str, line: &str) -> String {
    let text = with(section, line);
    let folder = Folder::new();
    let said = folder.load(&text).expect_err(line).to_string();
    let number = 1 + text.lines().position(|there| there == line).unwrap();
    let key = line.split('=').next().unwrap().trim();
    let start = format!("{}:{number}: {section}.{key}: ", folder.path("config.toml").display());
    let rest = said.strip_prefix(&start).unwrap_or_else(|| panic!("{said}\nis not about {start}"));
    assert!(!said.contains('\n') && rest.contains("; "), "{said}");
    rest.to_owned()
}

#[test]
fn the_least_configuration_has_the_contracts_defaults() {
    let folder = Folder::new();
    let config = folder.load(LEAST).unwrap();
    let beside = |name: &str| folder.path(name);
    assert_eq!(config.file, beside("config.toml"));
    let site = &config.site;
    assert_eq!((site.host.as_str(), site.port, site.firm_code.as_str()), ("sftp.theice.com", 22, "ACME"));
    assert_eq!((site.directory.as_str(), site.delete_after), (".", false));
    assert_eq!(site.host_keys, [PIN]);
    let files: Vec<_> = site.files.iter().map(glob::Pattern::as_str).collect();
    assert_eq!(files, ["*.pgp", "*.gpg", "*.asc"]);
    assert_eq!(site.settle, Duration::from_secs(10));
    assert!(site.password.is_none() && site.source_address.is_none() && site.initial_date.is_none());
    assert!(site.egress_ip.is_empty());
    let places = Places { systemd: None, beside: beside("") };
    assert_eq!(config.keys.ssh, [Credential::new("keys.ssh", "ssh-key", Secrecy::Secret, &places)]);
    assert_eq!(config.keys.pgp, [Credential::new("keys.pgp", "pgp-key", Secrecy::Secret, &places)]);
    assert!(config.keys.passphrases.is_empty() && config.keys.signers.is_empty());
    assert_eq!(config.export.profile, ProfileSource::BuiltIn("icechat".to_owned()));
    assert_eq!((config.mapping.directory, config.mapping.automatic), (beside("mapping"), true));
    assert!(config.mailboxes.companies.is_empty() && config.mailboxes.list.is_none());
    assert!(config.mailboxes.graph.is_none() && config.entra.is_none());
    assert_eq!(config.mailboxes.domains.iter().map(Domain::as_str).collect::<Vec<_>>(), ["contoso.com"]);
    assert!(config.eml.footer && !config.eml.events && !config.staging.copies);
    assert_eq!(config.eml.grouping, Grouping::Message);
    assert_eq!((config.eml.max_attachment, config.eml.max_size), (25 << 20, 10 << 20));
    assert!(config.eml.subject.is_none() && config.eml.headers.is_empty());
    assert_eq!((config.attachments.wait, config.attachments.max_entries), (Duration::from_hours(4), 100_000));
    assert!(config.staging.group.is_none() && !config.staging.importer_may_delete);
    assert_eq!((config.staging.min_free.bytes, config.staging.min_free.inodes), (100 << 20, 1000));
    assert_eq!(config.staging.local.as_deref(), Some(Path::new("/var/lib/icechatd/staging")));
    assert!(config.staging.azure.is_none());
    assert_eq!(config.state.directory, Path::new("/var/lib/icechatd/state"));
    assert_eq!(config.state.originals_days, 0);
    assert_eq!((config.schedule.at, config.schedule.deadline), (time(6, 30, 0, 0), time(12, 0, 0, 0)));
    assert_eq!(config.schedule.time_zone.iana_name(), Some("UTC"));
    assert_eq!(config.schedule.days, Weekday::Monday.cycle_forward().take(5).collect::<Vec<_>>());
    let limits = &config.limits;
    assert_eq!((limits.max_plaintext, limits.max_ratio, limits.max_message), (64 << 30, 1000, 16 << 20));
    assert_eq!((limits.max_attachment, limits.max_participants), (256 << 20, 200_000));
    assert_eq!((limits.transfer_deadline, limits.workers), (Duration::from_hours(6), 0));
}

#[test]
fn the_shipped_example_says_what_holds_without_it() {
    let folder = Folder::new();
    let least = folder.load(LEAST).unwrap();
    let mut example = folder.load(EXAMPLE).unwrap();
    assert!(example.mapping.named);
    example.mapping.named = false;
    assert_eq!(example, least);
}

#[test]
fn every_key_stands_in_the_example_and_is_read() {
    let everything = EXAMPLE.lines().map(|line| {
        let optional = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('['));
        optional.unwrap_or(line)
    });
    let everything: Vec<_> = everything.collect();
    // Of several ways to say a thing, a file may have one.
    let in_place_of_others = ["endpoint = ", "identity = "];
    let is_one =
        |line: &str| in_place_of_others.iter().any(|key| line.starts_with(key)) || line.contains("with \"managed\"");
    let once: Vec<_> = everything.iter().map(|line| if is_one(line) { "" } else { line }).collect();
    let folder = Folder::new();
    folder.write("holidays.txt", "# the exchange is closed\n2026-12-25 # Christmas\n\n2027-01-01\n");
    let config = folder.load(once.join("\n")).unwrap();
    assert_eq!(config.site.password.as_ref().unwrap().name(), "sftp-password");
    assert_eq!(config.site.source_address.unwrap().to_string(), "10.0.0.4");
    assert_eq!(config.site.egress_ip.len(), 1);
    assert_eq!(config.site.initial_date, Some(date(2026, 10, 1)));
    assert_eq!(config.keys.passphrases[0].name(), "pgp-passphrase");
    assert_eq!(config.mailboxes.list, Some(folder.path("mailboxes.csv")));
    assert_eq!(config.mailboxes.catch_all.unwrap().as_str(), "unplaced@contoso.com");
    assert_eq!(config.mailboxes.journal.unwrap().as_str(), "journal@contoso.com");
    assert_eq!(config.eml.subject.as_deref(), Some("{room} on {date}"));
    assert_eq!(config.eml.headers, [("X-Archive".to_owned(), "ICE Chat".to_owned())]);
    assert_eq!(config.schedule.holidays, [date(2026, 12, 25), date(2027, 1, 1)].into());
    assert_eq!(config.alerts.webhook.unwrap().name(), "alert-webhook");
    assert_eq!(config.alerts.ping.unwrap().name(), "alert-ping");
    let mail = config.mail.unwrap();
    assert_eq!((mail.server.as_str(), mail.port, mail.security), ("smtp.contoso.com", 587, MailSecurity::StartTls));
    assert_eq!(
        mail.login.as_ref().map(|(user, password)| (user.as_str(), password.name())),
        Some(("icechatd", "mail-password"))
    );
    assert_eq!((mail.from.as_str(), mail.to[0].as_str()), ("icechatd@contoso.com", "compliance@contoso.com"));
    assert!(!mail.reconciliation);
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:9464");
    let azure = config.staging.azure.unwrap();
    assert_eq!(azure.endpoint.as_deref(), Some("https://contosochat.blob.core.windows.net"));
    assert_eq!((azure.container.as_str(), azure.prefix.as_str(), azure.uploads), ("icechat", "acme", 16));
    assert_eq!(azure.immutability, Some(Immutability { days: 2555, is_locked: false }));
    assert!(matches!(azure.sign_in, SignIn::Sas(credential) if credential.name() == "azure-sas"));
    let entra = config.entra.unwrap();
    assert_eq!((entra.tenant.as_str(), entra.certificates[0].name()), ("contoso.onmicrosoft.com", "entra-certificate"));
    let consent = "https://login.microsoftonline.com/contoso.onmicrosoft.com/adminconsent?client_id=";
    assert!(entra.admin_consent().starts_with(consent) && entra.graph == "https://graph.microsoft.com");
    let graph = config.mailboxes.graph.unwrap();
    assert_eq!(graph.max_age, Duration::from_hours(48));
    assert!(graph.im_id_attribute.is_some_and(|name| name.ends_with(".extensionAttribute7")));

    // The program's own words say which keys it takes; the example has each of them, and each is really read.
    let sections = load("[nonsense]\n").unwrap_err().to_string();
    let sections: Vec<_> = sections.rsplit_once("are [").unwrap().1.trim_end_matches(']').split("], [").collect();
    assert_eq!(sections.len(), 16);
    let mut keys = 0;
    for section in sections {
        let known = load(&format!("[{section}]\nnonsense = 1\n")).unwrap_err().to_string();
        let known = known.rsplit_once(" takes ").unwrap().1.to_owned();
        let header = everything.iter().position(|line| *line == format!("[{section}]")).unwrap();
        for key in known.split(", ") {
            let below = everything[header + 1..].iter().take_while(|line| !line.starts_with('['));
            let at = below.into_iter().position(|line| line.split('=').next().unwrap().trim() == key);
            let at = header + 1 + at.unwrap_or_else(|| panic!("{section}.{key} is not in the example"));
            let mut wrong = once.clone();
            let line = format!("{key} = {{ wrong = 1 }}");
            wrong[at] = &line;
            let said = folder.load(wrong.join("\n")).expect_err(&line).to_string();
            assert!(said.contains(&format!("config.toml:{}: {section}.{key}: ", at + 1)), "{said}");
            keys += 1;
        }
    }
    assert_eq!(keys, 80, "every key was tried");
}

#[test]
fn a_container_is_a_staging_too() {
    let least = LEAST.replace("local = \"/var/lib/icechatd/staging\"\n", "");
    let container = |lines: &str| load(&format!("{least}[staging.azure]\ncontainer = \"icechat\"\n{lines}"));
    let azure = |lines: &str| container(lines).unwrap().staging.azure.unwrap();
    assert_eq!(azure("account = \"acme\"\nidentity = \"managed\"").sign_in, SignIn::Managed(None));
    let found =
        azure("endpoint = \"http://127.0.0.1:10000/devstoreaccount1/\"\nidentity = \"managed\"\nclient_id = \"x\"");
    assert_eq!(found.sign_in, SignIn::Managed(Some("x".to_owned())));
    assert_eq!(found.endpoint.as_deref(), Some("http://127.0.0.1:10000/devstoreaccount1"));
    let entra = "[entra]\ntenant = \"acme.example\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n";
    assert_eq!(azure(&format!("account = \"acme\"\nidentity = \"app\"\n{entra}")).sign_in, SignIn::App);
    // A connection string may have the address.
    let found = azure("sas = \"s\"\nprefix = \"/a/b/\"");
    assert_eq!((found.endpoint, found.prefix.as_str(), found.uploads, found.immutability), (None, "a/b", 16, None));
    assert!(container("sas = \"s\"").unwrap().staging.local.is_none());

    for (lines, key, what) in [
        ("", "sas", "no way to sign in"),
        ("identity = \"managed\"", "account", "missing; add the storage account's name"),
        ("identity = \"root\"", "identity", "neither"),
        ("account = \"acme\"\nidentity = \"app\"", "identity", "needs a section [entra]"),
        ("account = \"acme\"\nendpoint = \"https://a.b\"\nsas = \"s\"", "endpoint", "remove one of them"),
        ("account = \"acme\"\nidentity = \"app\"\nsas = \"s\"", "identity", "one way to sign in is enough"),
        ("account = \"acme\"\nclient_id = \"x\"\nsas = \"s\"", "client_id", "remove the line"),
        ("account = \"acme\"\nclient_id = \"x\"\nidentity = \"app\"", "client_id", "remove the line"),
        ("account = \"Acme.blob\"\nsas = \"s\"", "account", "write the address in endpoint"),
        ("endpoint = \"http://acme.example\"\nsas = \"s\"", "endpoint", "write https://"),
        ("endpoint = \"https://acme.example?sig=x\"\nsas = \"s\"", "endpoint", "without user, ? and #"),
        ("endpoint = \"acme.example\"\nsas = \"s\"", "endpoint", "write it as in"),
        ("sas = \"s\"\nprefix = \".ready\"", "prefix", "write it as in"),
        ("sas = \"s\"\nprefix = \"a/../b\"", "prefix", "write it as in"),
        ("sas = \"s\"\nuploads = 0", "uploads", "from 1 to 256"),
        ("sas = \"s\"\nimmutability = { days = 1 }", "immutability", "days or mode is missing"),
        ("sas = \"s\"\nimmutability = { days = 1, mode = \"soft\" }", "immutability", "neither locked nor unlocked"),
        ("sas = \"s\"\nimmutability = { days = 0, mode = \"locked\" }", "immutability", "from 1 to"),
    ] {
        let said = container(lines).unwrap_err().to_string();
        assert!(said.contains(&format!(": staging.azure.{key}: ")) && said.contains(what), "{said}");
    }
    for name in ["ab", "Chat", "-chat", "chat-", "ch--at", "ch_at"] {
        let said =
            load(&format!("{least}[staging.azure]\nsas = \"s\"\ncontainer = \"{name}\"\n")).unwrap_err().to_string();
        assert!(said.contains("staging.azure.container: no container's name"), "{said}");
    }
    // What is said of a folder needs one.
    for line in ["copies = true", "group = \"g\"", "importer_may_delete = true", "min_free = \"1GiB\""] {
        let text = least.replace("[staging]\n", &format!("[staging]\n{line}\n"));
        let said =
            load(&format!("{text}[staging.azure]\ncontainer = \"icechat\"\nsas = \"s\"\n")).unwrap_err().to_string();
        assert!(said.contains("concerns staging.local alone"), "{said}");
    }
    let said = load(&least).unwrap_err().to_string();
    assert!(said.contains("staging.local: missing") && said.contains("[staging.azure]"), "{said}");
    for (text, line) in [("[staging.azure]\ncontaner = 1\n", 2), ("[staging]\nazure.contaner = 1\n", 2)] {
        let said = load(text).unwrap_err().to_string();
        assert!(said.contains(&format!("config.toml:{line}: staging.azure.contaner: unknown key; ")), "{said}");
    }
    assert!(load("[staging]\nazure = 1\n").unwrap_err().to_string().contains("staging.azure: this is a section"));
}

#[test]
fn subjects_and_fields_are_checked_where_they_stand() {
    let eml = |lines: &str| load(&format!("{LEAST}[eml]\n{lines}\n"));
    let many: Vec<_> = (0..17).map(|n| format!("X-{n} = \"x\"")).collect();
    for (line, what) in [
        ("subject = \"{rom}\"", "eml.subject: {rom} stands for nothing; known are {room}, {room_id}, {date}"),
        ("subject = \"{room\"", "eml.subject: a brace without its other"),
        ("subject = \"a\\nb\"", "eml.subject: a control character"),
        ("headers = { \"X A\" = \"x\" }", "eml.headers: \"X A\" is no name of a header field"),
        ("headers = { subject = \"x\" }", "eml.headers: subject is set by icechatd or by mail servers"),
        ("headers = { \"X-ICE-Chat-Kind\" = \"x\" }", "eml.headers: X-ICE-Chat-Kind is set by icechatd"),
        ("headers = { X-A = \"x\", x-a = \"y\" }", "is there twice; remove one"),
        ("headers = { X-A = \"{}\" }", "eml.headers: {} stands for nothing"),
        (&format!("headers = {{ {} }}", many.join(", ")), "eml.headers: more than 16 fields; remove some"),
    ] {
        let said = eml(line).unwrap_err().to_string();
        assert!(said.contains(what) && said.lines().count() == 1, "{said}");
    }
    let config = eml("subject = \"{{{room}}}\"\nheaders = { X-A = \"{firm_code}\", Keywords = \"{kind}\" }").unwrap();
    assert_eq!((config.eml.subject.as_deref(), config.eml.headers.len()), (Some("{{{room}}}"), 2));
}

#[test]
fn who_is_told_is_checked_too() {
    let mail = |lines: &str| format!("{LEAST}[mail]\nserver = \"a.b\"\nfrom = \"a@b.c\"\nto = \"d@e.f\"\n{lines}");
    for (security, port) in [("starttls", 587), ("tls", 465), ("none", 25)] {
        let config = load(&mail(&format!("security = \"{security}\"\n"))).unwrap();
        assert_eq!(config.mail.unwrap().port, port);
    }
    for (text, key, what) in [
        (format!("{LEAST}[mail]\n"), "mail.server", "missing"),
        (mail("user = \"u\"\n"), "mail.user", "mail.password"),
        (mail("password = \"p\"\n"), "mail.password", "mail.user"),
        (mail("user = \"u\"\npassword = \"p\"\nsecurity = \"none\"\n"), "mail.security", "readably"),
        (mail("security = \"ssl\"\n"), "mail.security", "none of"),
        (mail("").replace("\"d@e.f\"", "[]"), "mail.to", "nobody"),
        (format!("{LEAST}[metrics]\nlisten = \"0.0.0.0:9464\"\n"), "metrics.listen", "loopback"),
        (format!("{LEAST}[metrics]\nlisten = \"9464\"\n"), "metrics.listen", "127.0.0.1:9464"),
        (format!("{LEAST}[schedule]\nholidays = \"nowhere\"\n"), "schedule.holidays", "cannot read"),
        (LEAST.replace("[mailboxes]\n", "[mailboxes]\ncatch_all = \"a\"\n"), "mailboxes.catch_all", "address"),
    ] {
        let said = load(&text).unwrap_err().to_string();
        assert!(said.contains(&format!(": {key}: ")) && said.contains(what), "{said}");
    }
    let folder = Folder::new();
    folder.write("holidays", "2026-12-25\n25.12.2026\n");
    let said = folder.load(format!("{LEAST}[schedule]\nholidays = \"holidays\"\n")).unwrap_err().to_string();
    assert!(said.contains("holidays:2: no day"), "{said}");
}

#[test]
fn what_is_required_is_asked_for_by_name() {
    for (key, line) in [
        ("site.host", "host = "),
        ("site.firm_code", "firm_code = "),
        ("site.host_keys", "host_keys = "),
        ("mailboxes.domains", "domains = "),
        ("staging.local", "local = "),
        ("state.directory", "directory = "),
    ] {
        let without: Vec<_> = LEAST.lines().filter(|there| !there.starts_with(line)).collect();
        let section = format!("[{}]", key.split('.').next().unwrap());
        let number = 1 + without.iter().position(|line| **line == section).unwrap();
        let said = load(&without.join("\n")).unwrap_err().to_string();
        assert!(said.contains(&format!("config.toml:{number}: {key}: ")), "{said}");
    }
    let said = load("").unwrap_err().to_string();
    assert!(said.ends_with("config.toml:1: site.host: missing; add host = \"sftp.theice.com\" to [site]"), "{said}");
}

#[test]
fn unknown_keys_are_errors_that_name_key_and_line() {
    for (text, line, key) in [
        ("[site]\nhots = 1\n", 2, "site.hots"),
        ("\n\n[sight]\nhost = 1\n", 3, "sight"),
        ("host = \"a\"\n", 1, "host"),
        ("# ä\r\nsite.port = 22\r\nsite.prot = 22\r\n", 3, "site.prot"),
        ("[limits]\n\"max\\nratio\" = 1\n", 2, "limits.max ratio"),
        ("[keys]\nssh = []\n[state.deeper]\n", 3, "state.deeper"),
    ] {
        for said in [load(text).map(drop), keys(text).map(drop)].map(|result| result.unwrap_err().to_string()) {
            assert!(said.contains(&format!("config.toml:{line}: {key}: unknown key; ")), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
    for text in ["site = 1\n", "[[site]]\nhost = \"a\"\n"] {
        let said = load(text).unwrap_err().to_string();
        assert!(said.contains("config.toml:1: site: this is a section; "), "{said}");
    }
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    for (text, line) in [
        ("[site]\nhost = \n", 2),
        ("[site]\nhost = \"a\"\nhost = \"b\"\n", 3),
        ("[site]\n[keys]\n[site]\n", 3),
        ("=", 1),
    ] {
        let said = load(text).unwrap_err().to_string();
        assert!(said.contains(&format!("config.toml:{line}: not TOML: ")) && !said.contains('\n'), "{said}");
    }
    let said = Folder::new().load(b"[site]\nhost = \"\xfc\"\n").unwrap_err().to_string();
    assert!(said.ends_with("config.toml:2: text: not UTF-8; save the file as UTF-8"), "{said}");
}

#[test]
fn a_missing_file_says_how_to_start() {
    let folder = Folder::new();
    let path = folder.path("none.toml");
    let said = Config::load(&path).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{}: ", path.display())) && said.contains("--config FILE"), "{said}");
    assert!(said.contains("site.host_keys"), "{said}");
    let said = KeysConfig::load(&path).unwrap_err().to_string();
    assert!(said.contains("--config FILE") && said.contains("[keys]"), "{said}");
    assert!(matches!(Config::load(folder.0.path()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn site_values() {
    for host in ["sftp.theice.com", "127.0.0.1", "::1", "localhost"] {
        assert_eq!(good("site", &format!("host = \"{host}\"")).site.host, host);
    }
    for host in ["", " ", "a b", "user@host", "sftp://host", "host:22", "[::1]", "a\\u0000b"] {
        complaint("site", &format!("host = \"{host}\""));
    }
    complaint("site", "host = 5");
    assert_eq!(good("site", "port = 2222").site.port, 2222);
    for port in ["0", "65536", "-1", "\"22\"", "22.0", "99999999999999999999"] {
        complaint("site", &format!("port = {port}"));
    }
    for firm in ["\"\"", "\"A CME\"", "7"] {
        complaint("site", &format!("firm_code = {firm}"));
    }
    let short = &PIN[..PIN.len() - 1];
    for pin in
        ["[]".into(), "[\"\"]".into(), format!("[\"{short}\"]"), format!("[\"{PIN}A\"]"), format!("[\"{PIN}=\"]")]
    {
        complaint("site", &format!("host_keys = {pin}"));
    }
    for pin in [format!("MD5:{}", &PIN[7..]), format!("{short}B"), format!("{short}*"), format!("sha{}", &PIN[3..])] {
        complaint("site", &format!("host_keys = [\"{pin}\"]"));
    }
    assert_eq!(good("site", &format!("host_keys = \"{PIN}\"")).site.host_keys, [PIN]);
    for (settle, seconds) in [("0s", 0), ("10s", 10), ("1m 30s", 90), ("6h", 21600)] {
        assert_eq!(good("site", &format!("settle = \"{settle}\"")).site.settle.as_secs(), seconds);
    }
    for settle in ["\"\"", "\"10\"", "10", "\"-10s\"", "\"10s ago\"", "\"soon\"", "\"1 month\""] {
        complaint("site", &format!("settle = {settle}"));
    }
    assert!(good("site", "after = \"delete\"").site.delete_after);
    assert!(!good("site", "after = \"keep\"").site.delete_after);
    complaint("site", "after = \"Delete\"");
    for files in ["[]", "[\"\"]", "[\"a**b\"]", "[\"out/*.pgp\"]", "[\"[a\"]", "[1]"] {
        complaint("site", &format!("files = {files}"));
    }
    for (ips, count) in [("\"203.0.113.7\"", 1), ("[\"203.0.113.7\", \"2001:db8::1\"]", 2), ("[]", 0)] {
        assert_eq!(good("site", &format!("egress_ip = {ips}")).site.egress_ip.len(), count);
    }
    complaint("site", "egress_ip = \"203.0.113\"");
    complaint("site", "source_address = \"eth0\"");
    for day in ["\"2026-10-01\"", "2026-10-01"] {
        assert_eq!(good("site", &format!("initial_date = {day}")).site.initial_date, Some(date(2026, 10, 1)));
    }
    for day in ["\"2026-13-01\"", "\"2026-02-30\"", "\"1.10.2026\"", "\"2026-1-1\"", "2026-10-01T00:00:00Z"] {
        complaint("site", &format!("initial_date = {day}"));
    }
}

#[test]
fn an_error_in_a_list_names_the_elements_line() {
    let list = format!("host_keys = [\n  \"{PIN}\",\n  \"SHA256:no\",\n]");
    let said = load(&with("site", &list)).unwrap_err().to_string();
    let line = 1 + with("site", &list).lines().position(|line| line.contains("no\"")).unwrap();
    assert!(said.contains(&format!("config.toml:{line}: site.host_keys: not an OpenSSH fingerprint; ")), "{said}");
}

#[test]
fn keys_and_credentials() {
    let config = good("keys", "ssh = \"one\"");
    assert_eq!(config.keys.ssh.iter().map(Credential::name).collect::<Vec<_>>(), ["one"]);
    let config = good("keys", "pgp = [\"new\", \"old\"]");
    assert_eq!(config.keys.pgp.iter().map(Credential::name).collect::<Vec<_>>(), ["new", "old"]);
    assert_eq!(config.keys.pgp[1].key(), "keys.pgp");
    for line in ["ssh = []", "pgp = []", "ssh = [\"\"]", "pgp = \"..\"", "signers = [\"certs/\"]", "passphrases = [1]"]
    {
        complaint("keys", line);
    }
}

#[test]
fn mailboxes_and_mapping() {
    let config = good("mailboxes", "domains = [\"Contoso.COM\", \"emea.contoso.com\"]");
    let domains: Vec<_> = config.mailboxes.domains.iter().map(Domain::as_str).collect();
    assert_eq!(domains, ["contoso.com", "emea.contoso.com"]);
    for domains in ["[]", "[\"\"]", "[\"a b\"]", "[\"@contoso.com\"]", "[\"*.contoso.com\"]", "[\"bücher.example\"]"] {
        complaint("mailboxes", &format!("domains = {domains}"));
    }
    let twice = complaint("mailboxes", "domains = [\"contoso.com\", \"CONTOSO.com\"]");
    assert!(twice.starts_with("named twice"), "{twice}");
    let config = good("mailboxes", "companies = [\" Contoso \", \"Contoso Ltd\"]");
    assert_eq!(config.mailboxes.companies, ["Contoso", "Contoso Ltd"]);
    complaint("mailboxes", "companies = [\" \"]");
    complaint("mapping", "automatic = \"yes\"");
}

#[test]
fn schedule_values() {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let week = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    for (days, expected) in [
        ("\"mon-fri\"", &week[..5]),
        ("\"mon,wed,fri\"", &[Monday, Wednesday, Friday]),
        ("[\"fri\", \"mon\", \"fri\"]", &[Monday, Friday]),
        ("[\"mon-tue\", \"thu,sat\"]", &[Monday, Tuesday, Thursday, Saturday]),
        ("\"daily\"", &week),
        ("\"sat-tue\"", &[Monday, Tuesday, Saturday, Sunday]),
        ("\"sun\"", &[Sunday]),
        ("\"Sun-Mon, Wednesday\"", &[Monday, Wednesday, Sunday]),
        ("\"wed-tue\"", &week),
    ] {
        assert_eq!(good("schedule", &format!("days = {days}")).schedule.days, expected, "{days}");
    }
    for days in ["\"\"", "[]", "\"mon-\"", "\"mo\"", "\"weekdays\"", "\"mon-wed-fri\"", "\"mon;tue\"", "5"] {
        complaint("schedule", &format!("days = {days}"));
    }
    for (at, expected) in
        [("\"07:05\"", time(7, 5, 0, 0)), ("\"23:59:58\"", time(23, 59, 58, 0)), ("07:05:00", time(7, 5, 0, 0))]
    {
        assert_eq!(good("schedule", &format!("at = {at}")).schedule.at, expected);
        assert_eq!(good("schedule", &format!("deadline = {at}")).schedule.deadline, expected);
    }
    for at in ["\"24:00\"", "\"6:30\"", "\"06:60\"", "\"noon\"", "\"\"", "630", "\"06:30:00.5\"", "\"+6:30\""] {
        complaint("schedule", &format!("at = {at}"));
        complaint("schedule", &format!("deadline = {at}"));
    }
    let zone = good("schedule", "time_zone = \"America/New_York\"").schedule.time_zone;
    assert_eq!(zone.iana_name(), Some("America/New_York"));
    for zone in ["\"\"", "\"New York\"", "\"EST5EDT4,M3\"", "\"+01:00\""] {
        complaint("schedule", &format!("time_zone = {zone}"));
    }
}

#[test]
fn limits_and_numbers() {
    for (size, bytes) in
        [("64GiB", 64_u64 << 30), ("16 MiB", 16 << 20), ("1MB", 1_000_000), ("512", 512), ("1.5KiB", 1536)]
    {
        assert_eq!(good("limits", &format!("max_plaintext = \"{size}\"")).limits.max_plaintext, bytes);
        assert_eq!(good("limits", &format!("max_message = \"{size}\"")).limits.max_message, bytes);
        assert_eq!(good("limits", &format!("max_attachment = \"{size}\"")).limits.max_attachment, bytes);
    }
    for size in ["\"0\"", "\"\"", "\"-1MiB\"", "\"lots\"", "16", "\"16 bananas\""] {
        for key in ["max_plaintext", "max_message", "max_attachment"] {
            complaint("limits", &format!("{key} = {size}"));
        }
    }
    assert_eq!(good("limits", "max_ratio = 0x10").limits.max_ratio, 16);
    for line in ["max_ratio = 0", "max_participants = 0", "max_ratio = -5", "max_ratio = \"1000\"", "workers = -1"] {
        complaint("limits", line);
    }
    for line in ["transfer_deadline = \"0s\"", "transfer_deadline = 6", "workers = 5000"] {
        complaint("limits", line);
    }
    assert_eq!(good("limits", "workers = 3").workers().get(), 3);
    assert_eq!(load(LEAST).unwrap().workers(), std::thread::available_parallelism().unwrap());
    assert_eq!(good("state", "originals_days = 30").state.originals_days, 30);
    complaint("state", "originals_days = -1");
    complaint("staging", "copies = 1");
    complaint("eml", "footer = \"true\"");
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = Folder::new();
    fs::create_dir(folder.path("etc")).unwrap();
    let text = LEAST.replace("/var/lib/icechatd/", "../var/") + "[export]\nprofile = \"profiles/ours.toml\"\n";
    let config = Config::load(&folder.write("etc/config.toml", text)).unwrap();
    assert_eq!(config.staging.local, Some(folder.path("etc/../var/staging")));
    assert_eq!(config.mapping.directory, folder.path("etc/mapping"));
    assert_eq!(config.export.profile, ProfileSource::File(folder.path("etc/profiles/ours.toml")));
    for (profile, is_file) in [("ours.toml", true), ("./ours", true), ("ours", false), ("/etc/p", true)] {
        let found = good("export", &format!("profile = \"{profile}\"")).export.profile;
        assert_eq!(matches!(found, ProfileSource::File(_)), is_file, "{profile}");
    }
}

#[test]
fn folders_that_overlap_are_refused() {
    let folder = Folder::new();
    for name in ["a", "a/b", "elsewhere"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("a", folder.path("link")).unwrap();
    let config = |staging: &str, state: &str, rest: &str| {
        let text = LEAST.replace("/var/lib/icechatd/staging", staging).replace("/var/lib/icechatd/state", state);
        folder.load(text + rest).map_err(|error| error.to_string())
    };
    for (staging, state) in
        [("a", "a"), ("a/b", "a"), ("a", "a/b"), ("a", "./a/../a"), ("a/b", "link"), ("a/new", "link/new")]
    {
        let said = config(staging, state, "").unwrap_err();
        assert!(said.contains("config.toml:10: state.directory: the same folder as staging.local, "), "{said}");
    }
    for mapping in ["a", "a/b", "link/b", "elsewhere/m", "elsewhere"] {
        let said = config("a", "elsewhere", &format!("[mapping]\ndirectory = \"{mapping}\"\n")).unwrap_err();
        assert!(said.contains("config.toml:12: mapping.directory: the same folder as "), "{said}");
    }
    // The default mapping folder counts as well as a named one.
    assert!(config("mapping", "elsewhere", "").unwrap_err().contains("mapping.directory: "));
    for list in ["a/mailboxes.csv", "mapping/mailboxes.csv"] {
        let said = LEAST
            .replace("/var/lib/icechatd/staging", "a")
            .replace("[staging]", &format!("list = \"{list}\"\n[staging]"));
        fs::create_dir_all(folder.path("mapping")).unwrap();
        let said = folder.load(said).unwrap_err().to_string();
        assert!(said.contains("config.toml:7: mailboxes.list: stands inside "), "{said}");
    }
    assert!(
        config(".", "/elsewhere", "[mapping]\ndirectory = \"/m\"\n").unwrap_err().contains("staging.local: holds this")
    );
    assert!(config("a", "ab", "").is_ok(), "a name that begins like another is another");
    assert!(config("a", "elsewhere", "[mapping]\ndirectory = \".\"\n").is_err(), "staging inside the mapping folder");
}

#[test]
fn only_check_does_without_a_pinned_key() {
    let folder = Folder::new();
    for text in [LEAST.replace(&format!("host_keys = [\"{PIN}\"]\n"), ""), LEAST.replace(&format!("\"{PIN}\""), "")] {
        let path = folder.write("config.toml", &text);
        let said = Config::load(&path).unwrap_err().to_string();
        assert!(said.contains("site.host_keys: no host key is pinned; run icechatd check"), "{said}");
        assert!(Config::load_for_check(&path).unwrap().site.host_keys.is_empty());
    }
    let path = folder.write("config.toml", LEAST.replace(PIN, "SHA256:no"));
    assert!(Config::load_for_check(&path).is_err());
}

fn keys(text: &str) -> Result<KeysConfig, ConfigError> {
    KeysConfig::load(&Folder::new().write("config.toml", text))
}

#[test]
fn the_keys_verbs_need_only_keys() {
    let config = keys("").unwrap();
    assert_eq!((config.keys.ssh[0].name(), config.keys.pgp[0].name()), ("ssh-key", "pgp-key"));
    assert!(config.firm_code.is_none() && config.egress_ip.is_empty());
    let text = "[site]\nfirm_code = \"ACME\"\negress_ip = [\"203.0.113.7\"]\nhost_keys = []\n[keys]\nssh = \"mine\"\n[state]\n";
    let config = keys(text).unwrap();
    assert_eq!((config.keys.ssh[0].name(), config.firm_code.as_deref()), ("mine", Some("ACME")));
    assert_eq!(config.egress_ip[0].to_string(), "203.0.113.7");
    assert!(keys("[keys]\npgp = 1\n").unwrap_err().to_string().contains("config.toml:2: keys.pgp: "));
}

#[test]
fn credentials_are_looked_up_in_order() {
    let folder = Folder::new();
    for name in ["systemd", "etc", "etc/sub"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    let places = Places { systemd: Some(folder.path("systemd")), beside: folder.path("etc") };
    let named = |name| Credential::new("keys.ssh", name, Secrecy::Secret, &places);
    let text = |credential: &Credential| credential.read_line().unwrap().expose_secret().to_owned();

    let said = named("k").read().unwrap_err();
    assert!(matches!(said, CredentialError::Missing { .. }));
    let said = said.to_string();
    for part in [
        "keys.ssh: ",
        " k ",
        &folder.path("systemd/k").display().to_string(),
        &folder.path("etc/k").display().to_string(),
    ] {
        assert!(said.contains(part), "{said}");
    }
    folder.write("etc/k", "beside\n");
    assert_eq!(text(&named("k")), "beside");
    folder.write("systemd/k", "systemd\n");
    assert_eq!(text(&named("k")), "systemd");
    assert_eq!(named("k").own_path(), folder.path("etc/k"), "what is made stands beside the configuration");
    folder.write("etc/sub/k", "path\r\n");
    assert_eq!(text(&named("sub/k")), "path");
    assert_eq!(text(&named("./k")), "beside", "a path is not looked up");
    assert_eq!(text(&named(folder.path("systemd/k").to_str().unwrap())), "systemd");
}

#[test]
fn secrets_that_others_may_read_are_said_aloud() {
    let folder = Folder::new();
    fs::create_dir(folder.path("systemd")).unwrap();
    let places = Places { systemd: Some(folder.path("systemd")), beside: folder.path("") };
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = folder.write("k", "hunter2");
    let secret = Credential::new("site.password", "k", Secrecy::Secret, &places);
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
        chmod(&path, mode);
        let error = secret.exposed().unwrap();
        assert!(matches!(error, CredentialError::Exposed { .. }));
        assert!(secret.read().is_ok());
        assert!(error.to_string().ends_with(&format!("run: chmod 600 {}", path.display())), "{error}");
        assert!(Credential::new("keys.signers", "k", Secrecy::Public, &places).exposed().is_none());
    }
    for mode in [0o600, 0o400] {
        chmod(&path, mode);
        assert!(secret.exposed().is_none());
    }
    let systemd = folder.write("systemd/k", "from systemd");
    chmod(&systemd, 0o440);
    assert!(secret.exposed().is_none(), "systemd guards its own folder");
    assert_eq!(secret.read_line().unwrap().expose_secret(), "from systemd");
}

#[test]
fn what_is_no_credential_is_said_without_showing_it() {
    let folder = Folder::new();
    let places = Places { systemd: None, beside: folder.path("") };
    let read = |content: &[u8]| {
        folder.write("k", content);
        Credential::new("site.password", "k", Secrecy::Secret, &places).read_line()
    };
    for (content, line) in [("pass word", "pass word"), ("p\n", "p"), ("p\r\n", "p"), (" p \n", " p "), ("p\t", "p\t")]
    {
        assert_eq!(read(content.as_bytes()).unwrap().expose_secret(), line);
    }
    for content in [&b""[..], b"\n", b"\r\n", b"hunter2\nmore\n", b"hunter2\n\n", b"hunter2\xff", b"hunter2\0"] {
        let error = read(content).unwrap_err();
        assert!(matches!(error, CredentialError::Unusable { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert!(!format!("{:?}", read(b"hunter2").unwrap()).contains("hunter2"));
    let binary = Credential::new("keys.pgp", "k", Secrecy::Secret, &places);
    folder.write("k", b"\x00\xffkey\n\n");
    assert_eq!(binary.read().unwrap().expose_secret(), b"\x00\xffkey\n\n");
    fs::create_dir(folder.path("d")).unwrap();
    let folder_named = Credential::new("keys.pgp", "d", Secrecy::Secret, &places).read().unwrap_err();
    assert!(folder_named.to_string().contains("is not a file"), "{folder_named}");
    folder.write("k", vec![b'x'; (1 << 20) + 1]);
    assert!(binary.read().unwrap_err().to_string().contains("larger than 1 MiB"));
}

#[test]
fn the_default_mapping_folder_may_be_missing_a_named_one_not() {
    let folder = Folder::new();
    let config = folder.load(LEAST).unwrap();
    assert_eq!(config.mapping.read_files().unwrap(), []);
    let config = folder.load(LEAST.to_owned() + "[mapping]\ndirectory = \"mapping\"\n").unwrap();
    assert!(config.mapping.read_files().is_err());
    fs::create_dir(folder.path("mapping")).unwrap();
    folder.write("mapping/a.csv", "ImId,Mailbox\n");
    assert_eq!(config.mapping.read_files().unwrap(), [("a.csv".to_owned(), b"ImId,Mailbox\n".to_vec())]);
}
