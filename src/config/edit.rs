//! Changes which keys a configuration names, and leaves all else in the file as a person wrote it.
//! Alone knows the library that edits TOML.

use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, RawString, Table, TableLike, Value, value};

use super::{ConfigError, Credential, KeysConfig};
use crate::durable::{self, AtPath, PathError};

/// Why a configuration file is not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read or written.
    #[error("the configuration file cannot be changed")]
    File(#[from] PathError),
    /// Somebody else changed it at the same time.
    #[error("{}: was changed by somebody else just now; start again", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// It is written in a way that this program would not get right.
    #[error("{}: is written in a way that cannot be changed without harm; write into it {lines}", file.display())]
    Unusual {
        /// The file.
        file: PathBuf,
        /// What a person would write.
        lines: String,
    },
    /// What it became would be no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Which credentials `[keys]` and `[entra]` are to name; what is absent here stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyNames {
    /// `keys.ssh`.
    pub ssh: Option<Vec<String>>,
    /// `keys.pgp`.
    pub pgp: Option<Vec<String>>,
    /// `keys.retired`.
    pub retired: Option<Vec<String>>,
    /// `entra.certificate`.
    pub certificates: Option<Vec<String>>,
}

impl KeyNames {
    /// The lines that say so.
    pub fn lines(&self) -> Vec<String> {
        self.lists().map(|(_, key, names)| format!("{key} = {}", Array::from_iter(names))).collect()
    }

    /// The section, the key in it, and what it is to name.
    fn lists(&self) -> impl Iterator<Item = (&'static str, &'static str, &[String])> {
        let all = [
            ("keys", "ssh", &self.ssh),
            ("keys", "pgp", &self.pgp),
            ("keys", "retired", &self.retired),
            ("entra", "certificate", &self.certificates),
        ];
        all.into_iter().filter_map(|(section, key, names)| Some((section, key, names.as_deref()?)))
    }

    fn are_in(&self, config: &KeysConfig) -> bool {
        self.lists().all(|(_, key, names)| {
            let credentials = match key {
                "ssh" => &config.keys.ssh,
                "pgp" => &config.keys.pgp,
                "certificate" => &config.certificates,
                _ => &config.keys.retired,
            };
            credentials.iter().map(Credential::name).eq(names.iter().map(String::as_str))
        })
    }
}

/// A change that is ready to be written.
#[derive(Debug)]
pub struct Change {
    file: PathBuf,
    before: String,
    after: String,
}

impl Change {
    /// Works out what the file becomes; nothing is written yet.
    ///
    /// # Errors
    /// Where the file cannot be read, or would not come out as meant.
    pub fn of(file: &Path, names: &KeyNames) -> Result<Self, EditError> {
        let before = std::fs::read_to_string(file).at(file)?;
        let unusual = || EditError::Unusual { file: file.to_owned(), lines: names.lines().join(" and ") };
        let after = edited(&before, names).ok_or_else(unusual)?;
        let becomes = KeysConfig::of_text(file, &after)?;
        if !names.are_in(&becomes) {
            return Err(unusual());
        }
        Ok(Self { file: file.to_owned(), before, after })
    }

    /// Writes it, atomically; mode and owner of the file stay.
    ///
    /// # Errors
    /// Where it cannot be written, or is no longer what it was.
    pub fn write(&self) -> Result<(), EditError> {
        if std::fs::read_to_string(&self.file).at(&self.file)? != self.before {
            return Err(EditError::ChangedMeanwhile(self.file.clone()));
        }
        Ok(durable::replace_content(&self.file, self.after.as_bytes())?)
    }
}

fn edited(text: &str, names: &KeyNames) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    for (section, key, names) in names.lists() {
        let section = document.entry(section).or_insert_with(|| Item::Table(Table::new()));
        set(section.as_table_like_mut()?, key, names)?;
    }
    Some(document.to_string())
}

/// Makes a list of names of it, keeping what is there and how it is laid out.
fn set(section: &mut dyn TableLike, key: &str, names: &[String]) -> Option<()> {
    let Some(item) = section.get_mut(key) else {
        section.insert(key, value(Array::from_iter(names)));
        return Some(());
    };
    let found = item.as_value_mut()?;
    if found.is_str() {
        let mut list = Array::from_iter(names);
        *list.decor_mut() = found.decor().clone();
        *found = Value::Array(list);
        return Some(());
    }
    let list = found.as_array_mut()?;
    let is_wanted = |value: &Value| value.as_str().is_some_and(|name| names.iter().any(|wanted| wanted == name));
    for at in (0..list.len()).rev() {
        if !list.get(at).is_some_and(is_wanted) {
            take_out(list, at);
        }
    }
    for (at, name) in names.iter().enumerate() {
        if list.get(at).and_then(Value::as_str) != Some(name) {
            put_in(list, at, name);
        }
    }
    Some(())
}

fn put_in(list: &mut Array, at: usize, name: &str) {
    let Some(next) = list.get_mut(at) else { return list.push(name) };
    let before = text_of(next.decor().prefix());
    // What follows a line break is the indentation; a remark before it stays where it was, at the top.
    let own = before.rsplit_once('\n').map_or_else(|| " ".to_owned(), |(_, indentation)| format!("\n{indentation}"));
    next.decor_mut().set_prefix(own);
    let mut new = Value::from(name);
    new.decor_mut().set_prefix(before);
    list.insert_formatted(at, new);
}

fn take_out(list: &mut Array, at: usize) {
    let gone = text_of(list.remove(at).decor().prefix());
    let Some(next) = list.get_mut(at) else { return };
    if !text_of(next.decor().prefix()).contains('#') {
        next.decor_mut().set_prefix(gone);
    }
}

fn text_of(text: Option<&RawString>) -> String {
    text.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|&name| name.to_owned()).collect()
    }

    /// What stands around the names is left as it was.
    #[test]
    fn a_new_key_comes_first_and_all_else_stays() {
        let pgp = KeyNames { pgp: Some(names(&["new", "old"])), ..KeyNames::default() };
        for (before, after) in [
            ("", "[keys]\npgp = [\"new\", \"old\"]\n"),
            ("# x\n[site]\nport = 22 # y\n", "# x\n[site]\nport = 22 # y\n\n[keys]\npgp = [\"new\", \"old\"]\n"),
            ("[keys]\n# z\nssh = \"s\"\n", "[keys]\n# z\nssh = \"s\"\npgp = [\"new\", \"old\"]\n"),
            ("[keys]\npgp   =  'old'  # ours\n", "[keys]\npgp   =  [\"new\", \"old\"]  # ours\n"),
            ("[keys]\npgp = ['old'] # ours\n", "[keys]\npgp = [\"new\", 'old'] # ours\n"),
            (
                "[keys]\npgp = [ # newest first\n  \"old\", # 2024\n]\n[eml]\n",
                "[keys]\npgp = [ # newest first\n  \"new\",\n  \"old\", # 2024\n]\n[eml]\n",
            ),
            ("keys.pgp = [\"old\"]\n", "keys.pgp = [\"new\", \"old\"]\n"),
            ("keys = { pgp = [\"old\"] }\n", "keys = { pgp = [\"new\", \"old\"] }\n"),
        ] {
            assert_eq!(edited(before, &pgp).as_deref(), Some(after));
        }
        let certificates = KeyNames { certificates: Some(names(&["new", "old"])), ..KeyNames::default() };
        let before = "[entra]\ntenant = 't' # ours\n\n[keys]\npgp = 'x'\n";
        let after = "[entra]\ntenant = 't' # ours\ncertificate = [\"new\", \"old\"]\n\n[keys]\npgp = 'x'\n";
        assert_eq!(edited(before, &certificates).as_deref(), Some(after));
    }

    #[test]
    fn a_key_is_taken_out() {
        let left = KeyNames { pgp: Some(names(&["b"])), retired: Some(names(&["a", "z"])), ..KeyNames::default() };
        for (before, after) in [
            ("[keys]\npgp = [\"a\", \"b\"]\n", "[keys]\npgp = [\"b\"]\nretired = [\"a\", \"z\"]\n"),
            ("[keys]\npgp = [\"b\", \"a\"]\n", "[keys]\npgp = [\"b\"]\nretired = [\"a\", \"z\"]\n"),
            (
                "[keys]\npgp = [\n  \"a\",\n  \"b\",\n]\nretired = \"z\"\n",
                "[keys]\npgp = [\n  \"b\",\n]\nretired = [\"a\", \"z\"]\n",
            ),
        ] {
            assert_eq!(edited(before, &left).as_deref(), Some(after));
        }
    }

    #[test]
    fn what_cannot_be_changed_is_left_alone() {
        let pgp = KeyNames { pgp: Some(names(&["new"])), ..KeyNames::default() };
        for text in ["keys = 1\n", "[keys]\npgp = 1\n", "[keys\n"] {
            assert_eq!(edited(text, &pgp), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "[keys]\n").unwrap();
        let change = Change::of(&file, &KeyNames { ssh: Some(names(&["s"])), ..KeyNames::default() }).unwrap();
        std::fs::write(&file, "[keys]\n# mine\n").unwrap();
        assert!(matches!(change.write(), Err(EditError::ChangedMeanwhile(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[keys]\n# mine\n");
    }
}
