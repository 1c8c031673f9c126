//! What the documents say and a program can check: that the configuration they show is taken, that every key is
//! explained, that links lead somewhere, and that rooms import what the architecture says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use icechatd::config::Config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder with this suffix.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, suffix));
        } else if path.extension().is_some_and(|found| found == suffix) {
            found.push(path);
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let folders = ["docs", "keys", "mapping", "systemd"];
    let mut all: Vec<_> = folders.iter().flat_map(|folder| files(&root().join(folder), "md")).collect();
    all.extend([root().join("README.md"), root().join("CHANGELOG.md")]);
    all
}

#[test]
fn the_readme_shows_a_configuration_that_works() {
    let readme = text("README.md");
    let block = readme.split("<!-- config -->\n```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, block.expect("README.md marks no configuration")).unwrap();
    Config::load(&file).unwrap();
}

#[test]
fn the_readme_has_one_line_each_for_test_and_demo() {
    let readme = text("README.md");
    for (marker, line) in [
        ("test", ".ci/setup tests && cargo test --locked\n"),
        ("demo", ".ci/setup && cargo run --release --locked -- demo\n"),
    ] {
        let block =
            readme.split(&format!("<!-- {marker} -->\n```sh\n")).nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(block, Some(line));
    }
}

#[test]
fn the_readme_shows_an_eml_as_it_is_rendered() {
    let readme = text("README.md");
    let shown = readme.split("```\nDate: ").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let golden = text("tests/fixtures/samples/staged/m-1.eml").replace("\r\n", "\n");
    let id = |mail: &str| mail.split("X-ICE-Chat-Item-ID: ").nth(1).unwrap()[..32].to_owned();
    assert_eq!(format!("Date: {shown}").replace(&id(shown), &id(&golden)), golden);
}

#[test]
fn every_key_of_the_example_configuration_is_explained() {
    let (example, explained) = (text("docs/config.example.toml"), text("docs/configuration.md"));
    let mut section = "";
    let mut keys = 0;
    for line in example.lines() {
        // An optional section stands behind a `#` as a whole; it may be explained in that of the one before.
        let optional = line.strip_prefix("# [").and_then(|line| line.strip_suffix(']'));
        let own = |name: &&str| explained.contains(&format!("\n## [{name}]"));
        let name = line.strip_prefix('[').and_then(|line| line.split(']').next());
        if let Some(name) = name.or(optional.filter(own)) {
            section = explained
                .split(&format!("\n## [{name}]"))
                .nth(1)
                .and_then(|rest| rest.split("\n## ").next())
                .unwrap_or_else(|| panic!("[{name}] has no section"));
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once('=') {
            let key = key.trim();
            if key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_') {
                assert!(section.contains(&format!("\n| `{key}` |")), "{key} is not explained");
                keys += 1;
            }
        }
    }
    assert!(keys > 30, "only {keys} keys were seen");
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for document in documents() {
        for target in fs::read_to_string(&document).unwrap().split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap();
            if target.is_empty() || target.starts_with("http") {
                continue;
            }
            assert!(document.parent().unwrap().join(target).exists(), "{}: {target}", document.display());
            links += 1;
        }
    }
    assert!(links > 20, "only {links} links were seen");
}

/// What stands in the first column of a section's tables, between back quotes.
fn first_column(page: &str, heading: &str) -> BTreeSet<String> {
    let page = text(page);
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("there is no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(cell, _)| cell.into())
        .collect()
}

#[test]
fn each_kind_of_alert_has_a_way_to_an_answer() {
    let kinds = first_column("docs/alerts.md", "## The kinds");
    let answered = first_column("docs/operations.md", "## 4. Alerts");
    assert!(kinds.len() > 20, "only {} kinds were seen", kinds.len());
    assert_eq!(kinds.difference(&answered).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The anchor that a heading gets: small letters, digits, hyphens and underscores; a space is a hyphen.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let (mut found, mut is_code) = (BTreeSet::new(), false);
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if let Some((marks, heading)) = line.split_once(' ')
            && !is_code
            && !marks.is_empty()
            && marks.chars().all(|mark| mark == '#')
        {
            found.insert(anchor(heading));
        }
    }
    found
}

#[test]
fn links_into_a_page_find_their_heading() {
    let mut links = 0;
    for document in documents() {
        let page = fs::read_to_string(&document).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((target, heading)) = link.split_once('#').filter(|_| !link.starts_with("http")) else { continue };
            let there = if target.is_empty() { page.clone() } else { text_at(&document, target) };
            assert!(anchors(&there).contains(heading), "{}: {link}", document.display());
            links += 1;
        }
    }
    assert!(links > 20, "only {links} links were seen");
}

fn text_at(document: &Path, target: &str) -> String {
    let path = document.parent().unwrap().join(target);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between back quotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn room_of(path: &str) -> String {
    path.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// The rooms of the table in docs/architecture.md, each with what it may import; `None` for everything.
fn table() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let document = text("docs/architecture.md");
    let rows = document.split("\n## Rooms").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut table = BTreeMap::new();
    for row in rows.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [paths, _, imports] = cells[..] else { panic!("{row}") };
        let allowed = (!imports.contains("everything")).then(|| quoted(imports).map(str::to_owned).collect());
        table.extend(quoted(paths).map(|path| (room_of(path), allowed.clone())));
    }
    table
}

/// The rooms that a file's code names, its tests aside.
fn imports(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads(group)),
            None => rooms.extend(head(rest)),
        }
    }
    rooms
}

/// The room at the beginning of a path; what begins with a capital is an item of the crate itself.
fn head(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    name.starts_with(|first: char| first.is_ascii_lowercase()).then_some(name)
}

/// The rooms of `{a, b::{c, d}}`, of which the first brace is gone.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut rooms: Vec<String> = head(group).into_iter().collect();
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => rooms.extend(head(&group[at + 1..])),
            _ => {}
        }
    }
    rooms
}

#[test]
fn rooms_import_what_the_architecture_says() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let source = root().join("src");
    for file in files(&source, "rs") {
        let path = file.strip_prefix(&source).unwrap().to_str().unwrap();
        if matches!(path, "main.rs" | "lib.rs") || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        let room = room_of(path);
        let mut rooms = imports(&fs::read_to_string(&file).unwrap());
        rooms.remove(&room);
        found.entry(room).or_default().extend(rooms);
    }
    let table = table();
    assert_eq!(found.keys().collect::<Vec<_>>(), table.keys().collect::<Vec<_>>(), "rooms of src and of the table");
    for (room, imports) in found {
        if let Some(allowed) = &table[&room] {
            assert_eq!(&imports, allowed, "what {room} imports, and what docs/architecture.md says");
        }
    }
}

#[test]
fn groups_of_imports_are_understood() {
    let code = "use crate::books::Books;\nuse crate::{report, schedule::{a, b}, lock};\n// crate::eml\nlet x = crate::VERSION;";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["books", "lock", "report", "schedule"]);
}

/// Each test that the pages on threats and guarantees name is there: a word in back quotes with two underscores or more, or
/// a file of the tests.
#[test]
fn each_test_that_the_pages_name_exists() {
    let code: Vec<String> = ["tests", "src"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut named = 0;
    for page in ["docs/threat-model.md", "docs/guarantees.md"] {
        let is_source =
            |word: &&str| word.contains('/') && Path::new(word).extension().is_some_and(|suffix| suffix == "rs");
        for file in text(page).split('`').skip(1).step_by(2).filter(is_source) {
            let places = ["tests", "."].map(|folder| root().join(folder).join(file));
            assert!(places.iter().any(|place| place.is_file()), "{page} names {file}");
        }
        for name in text(page).split('`').skip(1).step_by(2).filter(|word| is_a_tests_name(word)) {
            named += 1;
            let definition = format!("fn {name}(");
            assert!(code.iter().any(|text| text.contains(&definition)), "{page} names {name}");
        }
    }
    assert!(named > 50, "{named}");
}

fn is_a_tests_name(word: &str) -> bool {
    word.matches('_').count() >= 2
        && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}
