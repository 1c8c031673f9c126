//! A line of a manifest as it is read: all fields there are, whatever the record became. Serde's own way to read lines that
//! say at any place of what kind they are keeps each in pieces first, which takes twice as long.

use serde::Deserialize;

use super::{Entry, Known, Placed};

/// Of what kind a line is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Header,
    Staged,
    Copied,
    Held,
    Duplicate,
    Skipped,
    Rejected,
}

#[derive(Debug, Deserialize)]
pub(super) struct Flat {
    state: State,
    manifest: Option<u32>,
    name: Option<String>,
    sha256: Option<String>,
    n: Option<u64>,
    time: Option<i64>,
    id: Option<String>,
    #[serde(default)]
    eml: String,
    #[serde(default)]
    mailboxes: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    of: Option<String>,
    line: Option<u64>,
    reason: Option<String>,
}

impl Flat {
    fn known(&mut self) -> Result<Known, &'static str> {
        let (Some(n), Some(time), Some(id)) = (self.n, self.time, self.id.take()) else {
            return Err("n, time or id is missing");
        };
        Ok(Known { n, time, id })
    }

    fn placed(mut self) -> Result<Placed, &'static str> {
        Ok(Placed { item: self.known()?, eml: self.eml, mailboxes: self.mailboxes, lacks: self.lacks })
    }
}

impl TryFrom<Flat> for Entry {
    type Error = &'static str;

    fn try_from(mut line: Flat) -> Result<Self, Self::Error> {
        Ok(match line.state {
            State::Header => {
                let (Some(manifest), Some(name), Some(sha256)) = (line.manifest, line.name, line.sha256) else {
                    return Err("manifest, name or sha256 is missing");
                };
                Self::Header { manifest, name, sha256 }
            }
            State::Staged => Self::Staged(line.placed()?),
            State::Copied => Self::Copied(line.placed()?),
            State::Held => Self::Held(line.placed()?),
            State::Duplicate => Self::Duplicate { item: line.known()?, of: line.of },
            State::Skipped => Self::Skipped(line.known()?),
            State::Rejected => {
                let (Some(n), Some(line), Some(reason)) = (line.n, line.line, line.reason) else {
                    return Err("n, line or reason is missing");
                };
                Self::Rejected { n, line, reason }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(lacks: &[&str]) -> Placed {
        let item = Known { n: 3, time: -5, id: "0a".to_owned() };
        let lacks = lacks.iter().map(|lack| (*lack).to_owned()).collect();
        Placed { item, eml: "ff".to_owned(), mailboxes: vec!["a@b.example".to_owned()], lacks }
    }

    #[test]
    fn each_line_is_read_as_it_was_written() {
        let item = || Known { n: 0, time: 7, id: "0b".to_owned() };
        let entries = [
            Entry::Header { manifest: 1, name: "a \"b\".pgp".to_owned(), sha256: "00".to_owned() },
            Entry::Staged(placed(&[])),
            Entry::Copied(Placed { item: item(), eml: String::new(), mailboxes: Vec::new(), lacks: Vec::new() }),
            Entry::Held(placed(&["adams17 ", "é \n"])),
            Entry::Duplicate { item: item(), of: None },
            Entry::Duplicate { item: item(), of: Some("11".to_owned()) },
            Entry::Skipped(item()),
            Entry::Rejected { n: 1, line: 2, reason: "no time".to_owned() },
        ];
        for entry in entries {
            let line = serde_json::to_string(&entry).expect("JSON");
            assert_eq!(serde_json::from_str::<Entry>(&line).ok(), Some(entry), "{line}");
        }
    }

    #[test]
    fn a_line_that_lacks_what_its_kind_has_is_none() {
        for line in [
            "{}",
            r#"{"state":"header","manifest":1,"name":"a"}"#,
            r#"{"state":"staged","n":1,"time":2,"eml":"ff"}"#,
            r#"{"state":"duplicate","time":2,"id":"0a"}"#,
            r#"{"state":"rejected","n":1,"line":2}"#,
            r#"{"state":"lost","n":1,"time":2,"id":"0a"}"#,
        ] {
            assert!(serde_json::from_str::<Entry>(line).is_err(), "{line}");
        }
    }
}
