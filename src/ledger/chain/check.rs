//! Whether the chain is whole, and says what the other tables say.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::{BEFORE_THE_FIRST, Link, deeds, hash};
use crate::digest::Sha256;
use crate::ledger::{Ledger, LedgerError};

/// What a check of the chain found.
#[derive(Debug, Default, Serialize)]
pub struct ChainCheck {
    /// How many links there are.
    pub links: u64,
    /// The hash of the newest: who notes it elsewhere can ask later whether all up to it is still there.
    pub head: Option<String>,
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
        self.each_link(|link| {
            walk.step(&link);
            Ok::<_, LedgerError>(())
        })?;
        walk.compare_commits(self)?;
        walk.compare_keys(self)?;
        Ok(walk.end())
    }
}

/// The way along the chain.
struct Walk {
    found: ChainCheck,
    before: Sha256,
    noted: Option<Sha256>,
    /// What the tables say was done, and how often each.
    expected: HashMap<String, u64>,
    /// The manifests in the order of their links.
    manifests: Vec<String>,
    /// The certificates that the newest link of their kind names.
    keys: Option<Value>,
}

impl Walk {
    fn begin(noted: Option<Sha256>) -> Self {
        let (found, expected) = (ChainCheck::default(), HashMap::new());
        Self { found, before: BEFORE_THE_FIRST, noted, expected, manifests: Vec::new(), keys: None }
    }

    fn expect(&mut self, deed: &Value) {
        *self.expected.entry(deed.to_string()).or_default() += 1;
    }

    fn fault(&mut self, fault: String) {
        self.found.faults.push(fault);
    }

    fn step(&mut self, link: &Link) {
        let seq = link.seq;
        let expected = self.found.links + 1;
        if seq == expected + 1 {
            self.fault(format!("link {expected} of the chain is missing"));
        } else if seq != expected {
            self.fault(format!("links {expected} to {} of the chain are missing", seq.saturating_sub(1)));
        }
        if hash(self.before, &link.line) != link.hash {
            self.fault(format!(
                "link {seq} of the chain was altered, or what stood before it was: its hash is another"
            ));
        }
        self.before = link.hash;
        self.noted = self.noted.filter(|noted| *noted != link.hash);
        self.found.links = seq;
        match serde_json::from_str(&link.line) {
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
        match deed["what"].as_str() {
            Some("keys") => return self.keys = Some(deed["certificates"].clone()),
            Some("commit") => self.manifests.push(deed["manifest"].as_str().unwrap_or_default().to_owned()),
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
        let is_same = recorded.iter().map(|manifest| &manifest.finished.name).eq(&self.manifests);
        let is_as_many = recorded.len() == self.manifests.len();
        if !is_same && is_as_many {
            let pairs = recorded.iter().zip(&self.manifests);
            let first =
                pairs.map(|(recorded, linked)| (&recorded.finished.name, linked)).find(|(one, other)| one != other);
            if let Some((recorded, linked)) = first {
                let fault = format!("the ledger has manifest {recorded} where the chain has {linked}");
                self.found.faults.push(fault);
            }
        }
        Ok(())
    }

    /// Only the newest of them stand in a table.
    fn compare_keys(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let in_use = Value::from(ledger.keys_in_use()?);
        let linked = self.keys.take().unwrap_or_else(|| Value::Array(Vec::new()));
        if linked != in_use {
            self.fault("the certificates in the ledger are others than the chain's newest".to_owned());
        }
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
        self.found.head = (self.found.links > 0).then(|| self.before.to_string());
        self.found
    }
}

/// A deed in few words.
fn summary(deed: &Value) -> String {
    let word = |key: &str| deed[key].as_str().unwrap_or_default().to_owned();
    let at = word("at");
    match word("what").as_str() {
        "received" => format!("the receipt of {} at {at}", word("name")),
        "commit" => format!("the commit of {} at {at} (manifest {})", word("name"), word("manifest")),
        "in-force" => format!("a {} that came into force at {at} (by {})", word("set"), word("by")),
        "dismissal" => format!("a dismissal in {} at {at} (by {})", word("name"), word("by")),
        "restage" => format!("a restaging at {at} (by {})", word("by")),
        "retention" => format!("the removal of the original of {} at {at}", word("name")),
        _ => "something that nobody knows".to_owned(),
    }
}
