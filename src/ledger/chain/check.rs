//! Whether the chain is whole, and says what the other tables say.

use std::collections::{BTreeMap, HashMap};

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;

use super::{BEFORE_THE_FIRST, deeds, hash};
use crate::digest::Sha256;
use crate::ledger::{Ledger, LedgerError};

/// What a check of the chain found.
#[derive(Debug, Default, Serialize)]
pub struct ChainCheck {
    /// How many links there are.
    pub links: u64,
    /// The hash of the newest: who notes it elsewhere can ask later whether all up to it is still there.
    pub head: Option<String>,
    /// When the chain began, as its first link has it.
    pub founded: Option<String>,
    /// How many links after the first tell of what had been done before.
    pub from_before: u64,
    /// What does not agree, each with the link that it concerns.
    #[serde(skip)]
    pub faults: Vec<String>,
}

impl Ledger {
    /// Checks every link, and compares what they say with the other tables; and, if asked, looks for a hash that was noted
    /// elsewhere.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn check_chain(&self, noted: Option<Sha256>) -> Result<ChainCheck, LedgerError> {
        let deeds = deeds::all(&self.connection)?;
        let mut walk = Walk::begin(noted);
        for deed in deeds {
            walk.expect(&serde_json::to_value(deed).unwrap_or_default());
        }
        let mut statement = self.connection.prepare("SELECT seq, line, hash FROM chain ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            walk.step(row.get(0)?, &row.get::<_, String>(1)?, &row.get::<_, Vec<u8>>(2)?);
        }
        walk.compare_commits(self)?;
        walk.compare_newest(self)?;
        Ok(walk.end())
    }

    /// What is in force, by its kind, and the digest of it, hexadecimal.
    fn digests_in_force(&self) -> Result<BTreeMap<String, String>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT kind, lower(hex(digest)) FROM in_force")?;
        Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
    }
}

/// The way along the chain.
struct Walk {
    found: ChainCheck,
    before: String,
    noted: Option<Sha256>,
    /// What the tables say was done, and how often each.
    expected: HashMap<String, u64>,
    /// The manifests in the order of their links.
    manifests: Vec<String>,
    /// The certificates that the newest link of their kind names.
    keys: Value,
    /// Of each set, the digest that the newest link of its kind names.
    in_force: BTreeMap<String, String>,
}

impl Walk {
    fn begin(noted: Option<Sha256>) -> Self {
        Self {
            found: ChainCheck::default(),
            before: BEFORE_THE_FIRST.to_string(),
            noted,
            expected: HashMap::new(),
            manifests: Vec::new(),
            keys: Value::Array(Vec::new()),
            in_force: BTreeMap::new(),
        }
    }

    fn expect(&mut self, deed: &Value) {
        *self.expected.entry(deed.to_string()).or_default() += 1;
    }

    fn fault(&mut self, fault: String) {
        self.found.faults.push(fault);
    }

    fn step(&mut self, seq: i64, line: &str, stored: &[u8]) {
        let expected = self.found.links.saturating_add(1);
        let Ok(seq) = u64::try_from(seq) else {
            return self.fault(format!("link {seq} of the chain is none"));
        };
        match seq.checked_sub(expected) {
            Some(0) => {}
            Some(1) => self.fault(format!("link {expected} of the chain is missing")),
            Some(_) => self.fault(format!("links {expected} to {} of the chain are missing", seq - 1)),
            None => self.fault(format!("link {seq} of the chain is one too many")),
        }
        if hash(&self.before, line).0 != stored {
            self.fault(format!(
                "link {seq} of the chain was altered, or what stood before it was: its hash is another"
            ));
        }
        self.before = HEXLOWER.encode(stored);
        self.noted = self.noted.filter(|noted| noted.0 != stored);
        self.found.links = seq;
        match serde_json::from_str(line) {
            Ok(Value::Object(mut deed)) => {
                let own = deed.remove("link");
                if own != Some(seq.into()) {
                    self.fault(format!("link {seq} of the chain stands at another's place"));
                }
                self.said(seq, &Value::Object(deed));
            }
            _ => self.fault(format!("link {seq} of the chain cannot be read")),
        }
    }

    fn said(&mut self, seq: u64, deed: &Value) {
        let word = |key: &str| deed[key].as_str().unwrap_or_default().to_owned();
        let is_founding = deed["what"] == "founded";
        if is_founding != (seq == 1) {
            self.fault(format!("link {seq} of the chain is not where the chain began, or says that it is"));
        }
        match deed["what"].as_str() {
            Some("founded") => {
                self.found.founded = Some(word("at"));
                self.found.from_before = deed["before"].as_u64().unwrap_or_default();
                return;
            }
            Some("keys") => return self.keys = deed["certificates"].clone(),
            Some("commit") => self.manifests.push(word("manifest")),
            Some("in-force") => drop(self.in_force.insert(word("set"), word("digest"))),
            _ => {}
        }
        match self.expected.get_mut(&deed.to_string()) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                let summary = summary(deed);
                self.fault(format!(
                    "link {seq} of the chain tells of {summary}, the ledger's tables do not, or otherwise"
                ));
            }
        }
    }

    /// Rows that changed places say the same, each by itself.
    fn compare_commits(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let recorded = ledger.recorded_manifests(None)?;
        let pairs = recorded.iter().map(|manifest| &manifest.finished.name).zip(&self.manifests);
        let first = pairs.into_iter().find(|(recorded, linked)| recorded != linked);
        if recorded.len() == self.manifests.len()
            && let Some((recorded, linked)) = first
        {
            let fault = format!("the ledger has manifest {recorded} where the chain has {linked}");
            self.found.faults.push(fault);
        }
        Ok(())
    }

    /// What is only known by the newest of its kind.
    fn compare_newest(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        if self.keys != Value::from(ledger.keys_in_use()?) {
            self.fault("the certificates in the ledger are others than the chain's newest".to_owned());
        }
        let in_force = ledger.digests_in_force()?;
        let others = self.in_force.iter().filter(|(set, digest)| in_force.get(*set) != Some(digest));
        let faults: Vec<_> = others
            .map(|(set, _)| format!("the {set} in force is not the one that the chain's newest link has"))
            .collect();
        self.found.faults.extend(faults);
        Ok(())
    }

    fn end(mut self) -> ChainCheck {
        let mut left: Vec<_> = self.expected.drain().filter(|(_, left)| *left > 0).map(|(deed, _)| deed).collect();
        left.sort();
        for deed in left {
            let deed: Value = serde_json::from_str(&deed).unwrap_or_default();
            let fault = format!("the ledger's tables tell of {}, no link of the chain does", summary(&deed));
            self.found.faults.push(fault);
        }
        if let Some(noted) = self.noted {
            self.found.faults.push(format!(
                "no link of the chain has the hash {noted}: since it was noted, links were altered or removed"
            ));
        }
        self.found.head = (self.found.links > 0).then_some(self.before);
        self.found
    }
}

/// A deed in few words.
fn summary(deed: &Value) -> String {
    let word = |key: &str| deed[key].as_str().unwrap_or_default().to_owned();
    let at = word("at");
    match word("what").as_str() {
        "received" => format!("the receipt of {} at {at}", word("name")),
        "archive" => format!("the reading of {} at {at}", word("name")),
        "commit" => format!("the commit of {} at {at} (manifest {})", word("name"), word("manifest")),
        "in-force" => format!("a {} that came into force at {at} (by {})", word("set"), word("by")),
        "dismissal" => format!("a dismissal in {} at {at} (by {})", word("name"), word("by")),
        "restage" => format!("a restaging at {at} (by {})", word("by")),
        "retention" => format!("the removal of the original of {} at {at}", word("name")),
        _ => "something that nobody knows".to_owned(),
    }
}
