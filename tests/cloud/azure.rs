//! Staging in Azure Blob Storage, against a real Azurite and servers before it that fail on purpose.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use icechatd::alert;
use icechatd::config::Config;
use icechatd::digest::Sha256;
use icechatd::ledger::Ledger;
use icechatd::waiting::Observer;
use jiff::Timestamp;
use serde_json::Value;
use support::azurite::{ALL, Azurite, Blob, sas};
use support::firm::{Firm, Settings, assert_balanced, export, file, header, message, sample, sample_export};
use support::tenant::{CLIENT, Fault, Tenant};
use support::web::{Reply, Request, Web};

/// `[staging.azure]` of a container, with what else a test wants there.
fn section(endpoint: &str, container: &str, more: &str) -> String {
    format!("[staging.azure]\nendpoint = \"{endpoint}\"\ncontainer = \"{container}\"\n{more}")
}

/// A firm that stages in this container alone, or in a folder as well.
fn settings(azure: &Azurite, more: &str, folder: bool) -> Settings {
    let usual = Settings::default();
    let folder = if folder { usual.folder.clone() } else { String::new() };
    let more = section(&azure.endpoint(), &azure.container, &format!("sas = \"azure-sas\"\n{more}"));
    Settings { more, folder, ..usual }
}

fn firm_with(settings: &Settings) -> Firm {
    let firm = Firm::with(settings);
    give(&firm, &sas(ALL, 24 * 365));
    firm
}

fn firm(azure: &Azurite) -> Firm {
    firm_with(&settings(azure, "", false))
}

/// Puts this into the credential.
fn give(firm: &Firm, credential: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(firm.path("azure-sas"), credential).unwrap();
    fs::set_permissions(firm.path("azure-sas"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A firm of the samples, which stages there.
fn of_the_samples(azure: &Azurite, folder: bool) -> Firm {
    let mailboxes = "domains = [\"contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    let firm = firm_with(&Settings { mailboxes, ..settings(azure, "prefix = \"acme/chat\"\n", folder) });
    fs::copy(sample("mailboxes.csv"), firm.path("mailboxes.csv")).unwrap();
    firm.map("desk.csv", &fs::read_to_string(sample("mapping.csv")).unwrap());
    firm.deliver_export("a.xml.pgp", &sample_export());
    firm
}

/// Each EML has what an importer goes by, and what the next run compares.
fn assert_whole(name: &str, blob: &Blob) {
    let field = |name: &str| blob.fields.get(name).map_or("", String::as_str);
    assert_eq!(field("content-type"), "message/rfc822", "{name}");
    assert_eq!(field("content-md5"), BASE64.encode(&md5::compute(&blob.bytes).0), "{name}");
    assert_eq!(field("x-ms-meta-sha256"), Sha256::of(&blob.bytes).to_string(), "{name}");
    let id = header(&blob.bytes, "X-ICE-Chat-Item-ID").unwrap();
    assert_eq!(field("x-ms-meta-item"), id, "{name}");
    assert!(name.ends_with(&format!("-{id}.eml")), "{name}");
}

/// What ready lists name, by path, with the digest.
fn listed(azure: &Azurite, prefix: &str) -> BTreeMap<String, String> {
    let lists = azure.names().into_iter().filter(|name| name.starts_with(&format!("{prefix}.ready/")));
    let mut listed = BTreeMap::new();
    for list in lists {
        assert!(list.strip_suffix(".jsonl").is_some(), "{list}");
        for line in String::from_utf8(azure.get(&list).bytes).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            listed.insert(format!("{prefix}{}", text("path")), text("sha256"));
        }
    }
    listed
}

fn placements(report: &Value) -> (u64, u64) {
    let of = |key: &str| report["placements"][key].as_u64().unwrap();
    (of("staged"), of("existing"))
}

/// Name and bytes.
fn bytes(azure: &Azurite) -> BTreeMap<String, Vec<u8>> {
    azure.emls().into_iter().map(|(name, blob)| (name, blob.bytes)).collect()
}

#[test]
fn the_samples_stand_in_the_container_as_they_do_in_a_folder() {
    let azure = Azurite::new();
    let firm = of_the_samples(&azure, false);
    let local = Firm::of_the_samples();
    local.deliver_export("a.xml.pgp", &sample_export());
    let (report, expected) = (firm.ingest(3), local.ingest(3));
    assert_eq!((&report["items"], &report["placements"]), (&expected["items"], &expected["placements"]));
    let blobs = azure.emls();
    let there: BTreeMap<_, _> = blobs.iter().map(|(name, blob)| (name.clone(), blob.bytes.clone())).collect();
    let here: BTreeMap<_, _> = local
        .staged()
        .into_iter()
        .map(|((mailbox, name), bytes)| (format!("acme/chat/{mailbox}/ICE Chat/{name}"), bytes))
        .collect();
    assert_eq!(there, here);
    for (name, blob) in &blobs {
        assert_whole(name, blob);
    }
    let digests = blobs.iter().map(|(name, blob)| (name.clone(), Sha256::of(&blob.bytes).to_string())).collect();
    assert_eq!(listed(&azure, "acme/chat/"), digests);
    assert!(!firm.path("staging").exists());

    // A second run finds nothing new; one that is given the export again neither.
    assert_eq!(placements(&firm.ingest(3)), (0, 0));
    fs::write(firm.path("again.pgp"), firm.encrypt(&sample_export())).unwrap();
    let again = firm.run(&["ingest", "--json", firm.path("again.pgp").to_str().unwrap()]).expect(3).json();
    assert_eq!(placements(&again), (0, 0));
    assert_eq!(bytes(&azure), there);
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((verified["standing"].as_u64(), verified["taken"].as_u64()), (Some(there.len() as u64), Some(0)));

    // What a new mapping finds a mailbox for is added, and nothing else moves.
    let list = fs::read_to_string(sample("mailboxes.csv")).unwrap();
    let late = "\"Nobody\",\"nobody@contoso.com\",\"nobody@contoso.com\",\"SMTP:nobody@contoso.com\"\n";
    fs::write(firm.path("mailboxes.csv"), list + late).unwrap();
    let replayed = firm.run(&["replay", "--json"]).json();
    assert_balanced(&replayed);
    let after = bytes(&azure);
    assert!(placements(&replayed).0 > 0 && after.len() as u64 == there.len() as u64 + placements(&replayed).0);
    assert!(there.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));

    // What the importer takes is seen: lists that name nothing any more go.
    let since = || firm.run(&["status", "--json"]).json()["importer"]["oldest_eml"].clone();
    // The daemon asks for the same on a thread that belongs to another runtime.
    let config = Config::load(&firm.path("config.toml")).unwrap();
    let ledger = Ledger::read(&config.state.directory).unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seen = runtime.block_on(async {
        Observer::default().look(&ledger, &config, Instant::now() + Duration::from_secs(5)).unwrap()
    });
    assert!(seen.since.is_some() && !seen.is_unfinished);
    assert!(since().is_string(), "{:#}", firm.run(&["status", "--json"]).json());
    for name in after.keys() {
        azure.remove(name);
    }
    assert!(since().is_null());
    firm.ingest(0);
    assert!(azure.names().iter().all(|name| name == "acme/chat/.owner"), "{:?}", azure.names());
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((verified["standing"].as_u64(), verified["taken"].as_u64()), (Some(0), Some(after.len() as u64)));

    // And what it lost is put there again.
    let again =
        firm.run(&["restage", "--mailbox", "nobody@contoso.com", "--reason", "lost", "--json"]).expect(0).json();
    assert!(placements(&again).0 > 0, "{again:#}");
    let restaged = bytes(&azure);
    assert!(!restaged.is_empty() && restaged.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));
    assert!(restaged.keys().all(|name| name.starts_with("acme/chat/nobody@contoso.com/")));
}

/// An export of so many messages of Amy's to Joe.
fn messages(count: usize) -> String {
    let records =
        (0..count).map(|n| message(&format!("m-{n}"), "amy@contoso.com", &["joe@contoso.com"], &format!("{n} lots")));
    export(&records.collect::<String>())
}

fn random(below: usize) -> usize {
    usize::try_from(RandomState::new().build_hasher().finish() % below as u64).unwrap()
}

/// A server before this one that carries everything, and counts the uploads of mails.
fn counting(azure: &Azurite) -> (Web, Arc<AtomicUsize>) {
    let (upstream, count) = (azure.address(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    let web = Web::forgetful(move |request| {
        counter.fetch_add(usize::from(is_upload(request)), Ordering::Relaxed);
        Some(Reply::from(upstream, request))
    });
    (web, count)
}

#[test]
fn killed_at_any_moment_the_same_blobs_stand_in_the_end() {
    const MESSAGES: usize = 400;
    let (calm, azure) = (Azurite::new(), Azurite::new());
    let undisturbed = firm(&calm);
    undisturbed.deliver_export("a.pgp", &messages(MESSAGES));
    undisturbed.ingest(0);
    let whole = bytes(&calm);
    assert_eq!(whole.len(), 2 * MESSAGES);

    let (web, uploads) = counting(&azure);
    let more = section(&Azurite::endpoint_at(web.address), &azure.container, "sas = \"azure-sas\"\n");
    let firm = firm_with(&Settings { more, folder: String::new(), ..Settings::default() });
    firm.deliver_export("a.pgp", &messages(MESSAGES));
    let mut most = 0;
    for _ in 0..4 {
        let until = uploads.load(Ordering::Relaxed) + 1 + random(2 * MESSAGES - 50);
        let mut child = firm.command(&["ingest"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while uploads.load(Ordering::Relaxed) < until && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        // SIGKILL: nothing of the program's own has a say in it.
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was killed half way");
        let names = azure.names();
        most = most.max(names.iter().filter(|name| name.contains("/ICE Chat/")).count());
        // What is not committed stands in no list.
        assert!(!names.iter().any(|name| name.starts_with(".ready/")), "{names:?}");
    }
    assert!(most > 0 && most <= whole.len());
    let report = firm.ingest(0);
    let (staged, existing) = placements(&report);
    assert!(existing > 0 && staged + existing == whole.len() as u64, "what stood was compared: {report:#}");
    assert!(bytes(&azure) == whole);
    let digests: BTreeMap<_, _> =
        whole.iter().map(|(name, bytes)| (name.clone(), Sha256::of(bytes).to_string())).collect();
    assert_eq!(listed(&azure, ""), digests);
    firm.run(&["verify"]).expect(0);
}

/// Everything that is written is written, and the first answer to it gets lost.
#[test]
fn an_answer_that_got_lost_is_no_second_blob_and_no_fault() {
    let azure = Azurite::new();
    let upstream = azure.address();
    let lost: Mutex<BTreeSet<String>> = Mutex::default();
    let web = Web::start(move |request| {
        let reply = Reply::from(upstream, request);
        let is_first = request.method == "PUT" && lost.lock().unwrap().insert(request.target.clone());
        (!is_first).then_some(reply)
    });
    let more = section(&Azurite::endpoint_at(web.address), &azure.container, "sas = \"azure-sas\"\n");
    let firm = firm_with(&Settings { folder: String::new(), more, ..Settings::default() });
    firm.deliver_export("a.pgp", &messages(10));
    let report = firm.ingest(0);
    assert_eq!(placements(&report), (0, 20), "each was met again, and known by its digest");
    let blobs = azure.emls();
    assert_eq!(blobs.len(), 20);
    for (name, blob) in &blobs {
        assert_whole(name, blob);
    }
    assert_eq!(listed(&azure, "").len(), 20);
    assert_eq!(web.asked().iter().filter(|asked| is_upload(asked)).count(), 40);
    assert_eq!(placements(&firm.ingest(0)), (0, 0));
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_blob_with_other_content_holds_its_export_and_no_other() {
    let azure = Azurite::new();
    let firm = firm(&azure);
    firm.deliver_export("a.pgp", &messages(3));
    firm.ingest(0);
    let name = azure.emls().into_keys().next().unwrap();
    let eml = azure.get(&name).bytes;

    // The same firm with a new ledger and an empty container, but for one blob that somebody else put there.
    let other = Azurite::new();
    for planted in [&b"something else"[..], &eml] {
        other.put(&name, planted);
        let firm = self::firm(&other);
        firm.deliver_export("a.pgp", &messages(3));
        firm.deliver_export("b.pgp", &export(&message("b-1", "dora@contoso.com", &["joe@contoso.com"], "1 lot")));
        let report = firm.ingest(3);
        assert_eq!(file(&report, "b.pgp")["state"], "staged");
        let held = file(&report, "a.pgp");
        let reason = held["reason"].as_str().unwrap();
        let shown = format!("{}/{}/{name} stands in staging with other content", other.endpoint(), other.container);
        assert!(held["state"] == "held" && reason.contains(&shown), "{reason}");
        assert_eq!(other.get(&name).bytes, planted, "it is never overwritten");
        assert!(!listed(&other, "").contains_key(&name));
        let status = firm.run(&["status", "--json"]).json();
        assert_eq!(status["needs"]["unfinished_files"], 1, "{status:#}");
        assert!(status["matters"].to_string().contains(&name), "{status:#}");
        let alerts = || {
            let config = Config::load(&firm.path("config.toml")).unwrap();
            let ledger = Ledger::open(&config.state.directory).unwrap();
            alert::look(&ledger, &config, Timestamp::now()).unwrap();
            let open = ledger.open_alerts().unwrap().into_iter();
            open.filter(|alert| alert.kind == "file_held").map(|alert| alert.words).collect::<String>()
        };
        assert!(alerts().contains(&name), "{}", alerts());
        // Without it, the export is finished.
        other.remove(&name);
        let report = firm.ingest(0);
        assert_eq!(file(&report, "a.pgp")["state"], "staged");
        assert_eq!(other.get(&name).bytes, eml);
        assert_eq!(alerts(), "");
        firm.run(&["verify"]).expect(0);
        other.names().iter().for_each(|name| other.remove(name));
    }

    // What is altered afterwards is seen by verify.
    azure.put(&name, b"altered");
    let said = firm.run(&["verify"]).expect(1).out;
    assert!(said.contains(&format!("{name} is not what was placed there")), "{said}");
}

#[test]
fn a_folder_and_a_container_at_once_take_the_same() {
    let azure = Azurite::new();
    let firm = of_the_samples(&azure, true);
    let report = firm.ingest(3);
    let here: BTreeMap<_, _> = firm
        .staged()
        .into_iter()
        .map(|((mailbox, name), bytes)| (format!("acme/chat/{mailbox}/ICE Chat/{name}"), bytes))
        .collect();
    assert_eq!(bytes(&azure), here);
    assert_eq!(placements(&report), (here.len() as u64, 0), "a placement is one, wherever it stands");
    let run = report["run"].as_str().unwrap();
    let list = fs::read(firm.path("staging/.ready").join(format!("{run}.jsonl"))).unwrap();
    assert_eq!(azure.get(&format!("acme/chat/.ready/{run}.jsonl")).bytes, list);

    // Taken is what stands in neither: until then the lists stay.
    let name = here.keys().next().unwrap();
    let (mailbox, eml) = name.strip_prefix("acme/chat/").unwrap().split_once("/ICE Chat/").unwrap();
    fs::remove_dir_all(firm.path("staging").join(mailbox)).unwrap();
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!(verified["standing"].as_u64(), Some(here.len() as u64));
    let dry = firm.run(&["restage", "--mailbox", mailbox, "--reason", "look", "--dry-run", "--json"]).json();
    assert!(placements(&dry).0 > 0 && placements(&dry).1 == 0, "{dry:#}");
    let again = firm.run(&["restage", "--mailbox", mailbox, "--reason", "lost", "--json"]).expect(0).json();
    assert!(placements(&again).0 > 0 && placements(&again).1 == 0, "{again:#}");
    assert!(firm.path("staging").join(mailbox).join("ICE Chat").join(eml).exists());
    assert_eq!(bytes(&azure), here);
    let dry = firm.run(&["restage", "--mailbox", mailbox, "--reason", "look", "--dry-run", "--json"]).json();
    assert!(placements(&dry).0 == 0 && placements(&dry).1 > 0, "{dry:#}");

    for mailbox in fs::read_dir(firm.path("staging")).unwrap().map(|entry| entry.unwrap()) {
        if !mailbox.file_name().to_str().unwrap().starts_with('.') {
            fs::remove_dir_all(mailbox.path()).unwrap();
        }
    }
    firm.ingest(3);
    assert!(azure.names().contains(&format!("acme/chat/.ready/{run}.jsonl")));
    for name in here.keys() {
        azure.remove(name);
    }
    firm.ingest(3);
    assert!(azure.names().iter().all(|name| name == "acme/chat/.owner"), "{:?}", azure.names());
    assert!(fs::read_dir(firm.path("staging/.ready")).unwrap().next().is_none());
}

/// The lines of `check` with this name, and the level of the worst of them.
fn checked(firm: &Firm, name: &str, arguments: &[&str]) -> (String, String) {
    let said = firm.run(&[&["check", "--json"], arguments].concat()).json();
    let lines: Vec<_> = said["checks"].as_array().unwrap().iter().filter(|line| line["name"] == name).collect();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let levels: Vec<_> = lines.iter().map(|line| text(line, "level")).collect();
    let worst = ["failure", "warning", "note", "ok"].iter().find(|level| levels.iter().any(|other| other == *level));
    let texts: Vec<_> = lines.iter().map(|line| text(line, "text")).collect();
    (worst.map_or_else(String::new, ToString::to_string), texts.join("\n"))
}

#[test]
fn a_shared_account_key_is_refused_with_the_reason() {
    let azure = Azurite::new();
    let firm = firm(&azure);
    firm.deliver_export("a.pgp", &messages(1));
    let key = format!("{}==", "Q".repeat(86));
    support::planted::keep_secret(&key);
    let endpoint = azure.endpoint();
    for credential in [
        format!("DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={endpoint};"),
        key.clone(),
    ] {
        give(&firm, &credential);
        for said in [firm.run(&["ingest"]).expect(1).err, checked(&firm, "azure sign-in", &["--offline"]).1] {
            for words in ["staging.azure.sas", "a shared account key", "generate-sas", "staging.azure.identity"] {
                assert!(said.contains(words), "{said}");
            }
        }
    }
    assert!(azure.names().is_empty());
    // What a connection string may hold: address and signature.
    give(&firm, &format!("BlobEndpoint={endpoint}/;SharedAccessSignature={}", sas(ALL, 24 * 365)));
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), config.replace(&format!("endpoint = \"{endpoint}\"\n"), "")).unwrap();
    firm.ingest(0);
    assert_eq!(azure.emls().len(), 2);
}

#[test]
fn what_is_wrong_with_a_container_is_said_with_what_to_do() {
    let azure = Azurite::new();
    let firm = firm(&azure);
    firm.deliver_export("a.pgp", &messages(1));
    assert_eq!(checked(&firm, "azure", &[]).0, "ok");
    assert_eq!(checked(&firm, "azure", &["--offline"]), ("note".to_owned(), "not asked (--offline)".to_owned()));
    assert!(azure.names().is_empty(), "the probe is gone: {:?}", azure.names());

    give(&firm, &sas(ALL, 24 * 20));
    let (level, text) = checked(&firm, "azure sign-in", &[]);
    assert!(level == "warning" && text.contains("put a new one"), "{text}");

    give(&firm, &sas(ALL, -1));
    let (level, text) = checked(&firm, "azure sign-in", &["--offline"]);
    assert!(level == "failure" && text.contains("the signature ended"), "{text}");
    let said = firm.run(&["ingest"]).expect(1).err;
    assert!(said.contains("the shared access signature ended") && said.contains("put a new one"), "{said}");

    // It may look and write, and remove nothing.
    give(&firm, &sas("rwlac", 24 * 365));
    let (level, text) = checked(&firm, "azure", &[]);
    assert!(level == "note" && text.contains("nothing may be removed"), "{text}");
    let (level, text) = checked(&firm, "azure sign-in", &[]);
    assert!(level == "warning" && text.contains("these letters stand for: d;"), "{text}");
    firm.ingest(0);
    azure.remove(".check");

    give(&firm, &sas("rl", 24 * 365));
    let (level, text) = checked(&firm, "azure", &[]);
    assert!(level == "failure" && text.contains("answered 403") && text.contains("racwdl"), "{text}");

    give(&firm, &sas(ALL, 24 * 365));
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let change = |from: &str, to: &str| fs::write(firm.path("config.toml"), config.replace(from, to)).unwrap();
    change(&azure.container, "no-such-container");
    let (level, text) = checked(&firm, "azure", &[]);
    assert!(level == "failure" && text.contains("az storage container create"), "{text}");
    firm.run(&["verify"]).expect(1);
    assert!(firm.run(&["ingest"]).expect(1).err.contains("az storage container create"));

    change(&azure.endpoint(), "https://no-such-account.invalid");
    let (level, text) = checked(&firm, "azure", &[]);
    assert!(level == "failure" && text.contains("no connection") && text.contains("staging.azure.account"), "{text}");
    // Whoever only looks is not kept, and takes for standing what he cannot see.
    let status = firm.run(&["status", "--json"]).expect(0).json();
    assert!(status["importer"]["oldest_eml"].is_string(), "{status:#}");
    fs::remove_file(firm.path("azure-sas")).unwrap();
    let status = firm.run(&["status", "--json"]).expect(0).json();
    assert!(status["importer"]["oldest_eml"].is_string(), "{status:#}");
}

#[test]
fn another_firms_container_is_refused() {
    let azure = Azurite::new();
    let prefixed = |prefix: &str| firm_with(&settings(&azure, &format!("prefix = \"{prefix}\"\n"), false));
    let first = prefixed("firms/one");
    first.deliver_export("a.pgp", &messages(1));
    first.ingest(0);
    let mark = String::from_utf8(azure.get("firms/one/.owner").bytes).unwrap();
    assert!(mark.contains("ledger: ") && mark.contains("firm: "), "{mark}");
    let before = azure.names();
    for prefix in ["firms/one", "firms/one/deeper", "firms"] {
        let second = prefixed(prefix);
        second.deliver_export("a.pgp", &messages(2));
        let said = second.run(&["ingest"]).expect(1).err;
        for words in ["staging.azure", "firms/one/.owner", "a container or a prefix of its own", "remove the blob"] {
            assert!(said.contains(words), "{prefix}: {said}");
        }
        assert_eq!(checked(&second, "azure", &[]).0, "failure");
        assert_eq!(azure.names(), before);
    }
    let beside = prefixed("firms/two");
    beside.deliver_export("a.pgp", &messages(1));
    beside.ingest(0);
    assert_eq!(azure.emls().len(), 4);
}

/// A blob service that Azurite is not: it does as a test says with uploads, and has nothing otherwise.
fn service(upload: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Web {
    let uploads = Mutex::new(BTreeMap::<String, usize>::new());
    Web::start(move |request| {
        let is_eml = is_upload(request);
        Some(match request.method.as_str() {
            _ if is_eml => {
                let mut uploads = uploads.lock().unwrap();
                let count = uploads.entry(request.path().to_owned()).or_default();
                *count += 1;
                upload(*count)
            }
            "PUT" => Reply::of(201, &[]),
            "HEAD" => Reply::of(404, &[("x-ms-error-code", "BlobNotFound")]),
            "DELETE" => Reply::of(202, &[]),
            _ => Reply {
                body: b"<?xml version=\"1.0\"?><EnumerationResults ContainerName=\"c\"><Blobs/><NextMarker/>\
                        </EnumerationResults>"
                    .to_vec(),
                ..Reply::of(200, &[("content-type", "application/xml")])
            },
        })
    })
}

fn is_upload(asked: &Request) -> bool {
    asked.method == "PUT" && asked.path().contains("ICE%20Chat")
}

fn firm_at(web: &Web, more: &str) -> Firm {
    let more = section(&Azurite::endpoint_at(web.address), "chats", more);
    let firm = firm_with(&Settings { folder: String::new(), more, ..Settings::default() });
    firm.deliver_export("a.pgp", &messages(1));
    firm
}

#[test]
fn an_upload_says_what_it_is_and_how_long_it_stays() {
    let web = service(|_| Reply::of(201, &[]));
    let firm = firm_at(&web, "sas = \"azure-sas\"\nimmutability = { days = 30, mode = \"locked\" }\n");
    let before = Timestamp::now();
    firm.ingest(0);
    let asked = web.asked();
    let uploads: Vec<_> = asked.iter().filter(|asked| is_upload(asked)).collect();
    assert_eq!(uploads.len(), 2);
    for upload in uploads {
        let md5 = BASE64.encode(&md5::compute(&upload.body).0);
        for (name, value) in [
            ("if-none-match", "*"),
            ("content-md5", md5.as_str()),
            ("x-ms-blob-content-md5", md5.as_str()),
            ("x-ms-blob-content-type", "message/rfc822"),
            ("x-ms-blob-type", "BlockBlob"),
            ("x-ms-immutability-policy-mode", "locked"),
            ("x-ms-meta-sha256", &Sha256::of(&upload.body).to_string()),
        ] {
            assert_eq!(upload.field(name).to_lowercase(), value.to_lowercase(), "{name}: {upload:?}");
        }
        let until = upload.field("x-ms-immutability-policy-until-date");
        let until = jiff::fmt::rfc2822::parse(until).unwrap().timestamp().as_second();
        let days = (until - before.as_second()) / 86_400;
        assert!((29..=30).contains(&days), "{days}");
        assert!(upload.path().contains("/chats/"), "{}", upload.path());
    }
    // What is not chat must be replaceable.
    let others = asked.iter().filter(|asked| !is_upload(asked));
    assert!(others.clone().any(|asked| asked.path().contains(".ready")));
    others.for_each(|asked| assert_eq!(asked.field("x-ms-immutability-policy-mode"), "", "{asked:?}"));
}

#[test]
fn a_service_that_is_busy_is_given_the_time_it_asks_for() {
    for (code, wait) in [("503", "2"), ("429", "2")] {
        let answer = code.parse().unwrap();
        let web = service(move |count| match count {
            1 => Reply::of(answer, &[("retry-after", wait), ("x-ms-error-code", "ServerBusy")]),
            2 => Reply::of(500, &[]),
            _ => Reply::of(201, &[]),
        });
        let firm = firm_at(&web, "sas = \"azure-sas\"\n");
        let report = firm.ingest(0);
        assert_eq!(placements(&report), (2, 0));
        let mut tries: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        for asked in web.asked().into_iter().filter(is_upload) {
            tries.entry(asked.target).or_default().push(asked.at);
        }
        for times in tries.values() {
            assert_eq!(times.len(), 3);
            assert!(times[1] - times[0] >= Duration::from_secs(2), "{times:?}");
        }
    }
}

/// The endpoint that gives an App Service its identity is named by the environment; that of a virtual machine has a fixed
/// address, which no test can be at. What is asked and shown is the same.
#[test]
fn a_managed_identity_shows_its_token() {
    const TOKEN: &str = "token-of-the-identity-4711";
    support::planted::keep_secret(TOKEN);
    let identity = Web::start(|request| {
        let end = Timestamp::now().as_second() + 3600;
        let text = format!(
            "{{\"access_token\":\"{TOKEN}\",\"expires_on\":\"{end}\",\"token_type\":\"Bearer\",\"resource\":\"https://storage.azure.com\"}}"
        );
        Some(if request.target.contains("client_id=none") { Reply::of(400, &[]) } else { Reply::json(&text) })
    });
    let web = service(|_| Reply::of(201, &[]));
    let firm = firm_at(&web, "identity = \"managed\"\nclient_id = \"0f0f-client\"\n");
    let run = |arguments: &[&str]| {
        let mut command = firm.command(arguments);
        command
            .env("IDENTITY_ENDPOINT", format!("http://{}/token", identity.address))
            .env("IDENTITY_HEADER", "secret-header");
        support::firm::Said::from(&command.output().unwrap())
    };
    run(&["ingest"]).expect(0);
    let asked = identity.asked();
    assert_eq!(asked.len(), 1, "one token is enough: {asked:?}");
    assert!(asked[0].target.contains("client_id=0f0f-client"), "{asked:?}");
    assert!(asked[0].target.contains("resource=https%3A%2F%2Fstorage.azure.com"), "{asked:?}");
    assert_eq!(asked[0].field("x-identity-header"), "secret-header");
    let uploads = web.asked();
    assert!(uploads.iter().filter(|asked| is_upload(asked)).count() == 2);
    for asked in &uploads {
        assert_eq!(asked.field("authorization"), format!("Bearer {TOKEN}"));
        assert!(!asked.target.contains("sig="), "{asked:?}");
    }
    let said = run(&["check", "--json"]).json();
    let lines = said["checks"].to_string();
    assert!(lines.contains("the managed identity with staging.azure.client_id gives a token"), "{lines}");

    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), config.replace("0f0f-client", "none")).unwrap();
    let said = run(&["check"]).out;
    assert!(said.contains("az vm identity assign") && said.contains("staging.azure.client_id"), "{said}");
}

/// The sign-in of `[entra]` opens a container as it opens the tenant's users: by one token, asked for once.
#[test]
fn an_app_registration_shows_its_token() {
    let tenant = Tenant::start();
    let web = service(|_| Reply::of(201, &[]));
    let more = section(&Azurite::endpoint_at(web.address), "chats", "identity = \"app\"\n") + &tenant.entra();
    let firm = firm_with(&Settings { folder: String::new(), more, ..Settings::default() });
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("entra-certificate"), "{said:?}");
    assert!(web.asked().is_empty() && tenant.asked().is_empty(), "nothing was begun");

    firm.run(&["keys", "init", "--entra"]).expect(0);
    firm.deliver_export("a.pgp", &messages(1));
    firm.ingest(0);
    let asked = tenant.asked();
    assert_eq!(asked.len(), 1, "one token is enough: {asked:?}");
    assert_eq!(asked[0].form["scope"], "https://storage.azure.com/.default");
    assert_eq!(asked[0].form["client_id"], CLIENT);
    let shown: BTreeSet<_> = web.asked().iter().map(|asked| asked.field("authorization").to_owned()).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown.first().unwrap().starts_with("Bearer ") && shown.first().unwrap().len() > 20);
    assert_eq!(web.asked().iter().filter(|asked| is_upload(asked)).count(), 2);
    let lines = firm.run(&["check", "--json"]).json()["checks"].to_string();
    assert!(lines.contains("the app registration of [entra] gives a token"), "{lines}");

    tenant.fail(Fault::new(
        "/oauth2/",
        401,
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700027: The certificate is not registered.\"}",
    ));
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("AADSTS700027") && said.err.contains("container"), "{said:?}");
}

/// `ICECHATD_PLACEMENTS` says how many; by default few. Prints what a person may compare.
#[test]
fn memory_does_not_grow_with_what_is_placed() {
    let wanted = std::env::var("ICECHATD_PLACEMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let mut peaks = Vec::new();
    for (count, uploads) in [(wanted / 10, 16), (wanted, 16), (wanted / 10, 1)] {
        let azure = Azurite::new();
        let web = azure.spread();
        let more = format!("sas = \"azure-sas\"\nuploads = {uploads}\n");
        let more = section(&Azurite::endpoint_at(web.address), &azure.container, &more);
        let firm = firm_with(&Settings { more, folder: String::new(), ..Settings::default() });
        firm.deliver_export("a.pgp", &messages(count / 2));
        let begun = Instant::now();
        let mut child = firm.command(&["ingest"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok());
            peak = peak.max(now.unwrap_or_default());
            sleep(Duration::from_millis(20));
        }
        let took = begun.elapsed();
        assert!(child.wait().unwrap().success());
        assert_eq!(azure.count_spread(), count / 2 * 2);
        let rate = f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64();
        println!(
            "{count} placements, {uploads} uploads at once: {took:.1?}, {rate:.0} a second, peak {} MiB",
            peak >> 10
        );
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (64 << 10), "{peaks:?} KiB");
}
