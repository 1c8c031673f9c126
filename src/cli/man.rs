//! `man-pages`: the manual, one page for the program and one for each verb, made from the same words as `--help`. Alone
//! knows the library that writes it.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Failure, output};
use crate::durable::{Disk, replace};
use crate::exit_code::ExitCode;

/// Where things lie on a machine that the package was installed on; docs/files.md says more.
const FILES: [(&str, &str); 7] = [
    (
        "/etc/icechatd/config.toml",
        "The configuration. No secret stands in it. Of several firms on one machine, icechatd@FIRM.service reads \
         /etc/icechatd/FIRM/config.toml.",
    ),
    ("/etc/icechatd/ssh-key, /etc/icechatd/pgp-key", "The secret keys, unless systemd hands them over."),
    ("/etc/icechatd/mapping/*.csv", "Which person has which mailbox."),
    ("/var/lib/icechatd/state", "The ledger, the kept originals and the manifests."),
    ("/var/lib/icechatd/staging", "What an importer takes."),
    ("/usr/share/icechatd", "Drop-ins for the units, to be copied and filled in."),
    ("/usr/share/doc/icechatd", "All documents, and an example of every key."),
];

const ENVIRONMENT: (&str, &str) = (
    "CREDENTIALS_DIRECTORY",
    "Set by systemd for a unit with LoadCredential=. Credentials are looked for there first, and then beside the \
     configuration.",
);

const ABOUT: &str = "Once a day icechatd connects by SFTP to the firm's ICE Chat site, downloads the PGP-encrypted chat \
                     exports, decrypts and reads them, finds the mailbox of every participant, and stages each chat \
                     item as an EML in that mailbox's folder, ready for an import. What it cannot do it says, with an \
                     exit code and in words. Results go to standard output, logs to standard error.";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to write them; made where it is missing, and pages that stand there are replaced
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn man_pages(program: Command, arguments: &Arguments) -> Result<ExitCode, Failure> {
    // Two verbs named help are of no use in a manual.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, None, &mut pages);
    Disk::open_or_make(&arguments.dir, 0o755)?;
    let mut said = String::new();
    for (name, text) in pages {
        let path = arguments.dir.join(name);
        replace(&path, 0o644, text.as_bytes())?;
        let _ = writeln!(said, "{}", path.display());
    }
    output::print(&said)?;
    Ok(ExitCode::Complete)
}

/// The page of a command and those of its verbs, each with its file's name.
fn collect(command: &Command, parent: Option<&Command>, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{}.1", name_of(command)), page(command, parent)));
    for verb in verbs(command) {
        collect(verb, Some(command), pages);
    }
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, parent: Option<&Command>) -> String {
    let man = Man::new(command.clone().disable_help_subcommand(true))
        .title(name_of(command).to_uppercase())
        .source(concat!("icechatd ", env!("CARGO_PKG_VERSION")))
        .manual("icechatd");
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut text);
    let _ = man.render_name_section(&mut text);
    let _ = man.render_synopsis_section(&mut text);
    let _ = man.render_description_section(&mut text);
    let mut own = Roff::new();
    match (parent, command.get_after_help()) {
        (None, _) => paragraph(&mut own, ABOUT),
        (Some(_), Some(more)) => paragraph(&mut own, &more.to_string()),
        (Some(_), None) => {}
    }
    let _ = own.to_writer(&mut text);
    let _ = man.render_options_section(&mut text);
    if verbs(command).next().is_some() {
        let _ = man.render_subcommands_section(&mut text);
    }
    let _ = endings(command, parent).to_writer(&mut text);
    plain(&String::from_utf8_lossy(&text))
}

/// The text in ASCII: not every program that renders a page is told its encoding (`groff_char(7)`).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        let _ =
            if letter.is_ascii() { write!(plain, "{letter}") } else { write!(plain, "\\[u{:04X}]", u32::from(letter)) };
    }
    plain
}

/// The sections that the arguments do not tell.
fn endings(command: &Command, parent: Option<&Command>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for code in ExitCode::ALL {
        entry(&mut roff, &code.code().to_string(), code.meaning());
    }
    if parent.is_none() {
        roff.control("SH", ["ENVIRONMENT"]);
        entry(&mut roff, ENVIRONMENT.0, ENVIRONMENT.1);
    }
    roff.control("SH", ["FILES"]);
    for (path, what) in FILES {
        entry(&mut roff, path, what);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut others: Vec<String> = verbs(command).map(name_of).collect();
    if let Some(parent) = parent {
        others.push(name_of(parent));
        others.extend(verbs(parent).map(name_of).filter(|name| *name != name_of(command)));
    }
    let mut line = Vec::new();
    for name in others {
        line.extend([bold(name), roman("(1), ")]);
    }
    line.extend([bold("systemd.exec"), roman("(5), "), bold("systemd-creds"), roman("(1)")]);
    roff.text(line);
    roff
}

fn paragraph(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    roff.text([roman(text)]);
}

fn entry(roff: &mut Roff, head: &str, body: &str) {
    roff.control("TP", []);
    roff.text([bold(head)]);
    roff.text([roman(body)]);
}
