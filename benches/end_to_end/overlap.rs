//! Decrypting and parsing overlap: together they should take little longer than the slower of the two.

use std::fs::{self, File};
use std::io::{self, Read};
use std::time::Instant;

use icechatd::decrypt::{Caps, Opener, Plaintext, SecretKeys, survey};
use icechatd::export::passes::{self, Grouping, Hold};
use icechatd::export::profile::Profile;
use icechatd::export::reader::ReadLimits;

use crate::desk::Desk;
use crate::table::{Table, seconds, times};
use crate::{Arguments, median};

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let desk = Desk::new(arguments);
    desk.deliver(0..arguments.messages * 10, 0);
    let export = File::open(desk.export()).unwrap();
    let keys = SecretKeys::parse(&[("pgp-key".to_owned(), desk.secret())], &[""; 0]).unwrap();
    let opener = Opener { keys: &keys, signers: None, caps: Caps { max_plaintext: u64::MAX, max_ratio: 1000 } };
    let plain = tempfile::NamedTempFile::new().unwrap();
    let (bytes, _) =
        survey(&export, &opener, |plaintext: &mut Plaintext| io::copy(plaintext, &mut plain.as_file())).unwrap();
    let text = fs::read(plain.path()).unwrap();

    let (mut decrypt, mut parse_alone, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        decrypt.push(timed(|| {
            survey(&export, &opener, |plaintext: &mut Plaintext| io::copy(plaintext, &mut io::sink())).unwrap();
        }));
        parse_alone.push(timed(|| parse(&text[..]).unwrap()));
        both.push(timed(|| {
            survey(&export, &opener, |plaintext| parse(plaintext)).unwrap();
        }));
    }
    let (decrypt, parse, both) = (median(decrypt), median(parse_alone), median(both));
    let heading = format!(
        "Decrypting and parsing {} messages, {} MB; the median of {}",
        arguments.messages * 10,
        bytes / 1_000_000,
        arguments.runs
    );
    let mut table = Table::new(heading, &["decrypt alone", "parse alone", "together", "of the slower alone"]);
    table.row(&[&seconds(decrypt), &seconds(parse), &seconds(both), &times(both / decrypt.max(parse))]);
    table
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

fn parse(text: impl Read) -> Result<(), icechatd::export::fault::ExportError> {
    let profile = Profile::builtin("icechat").unwrap();
    let limits = ReadLimits { max_message: 1 << 24, max_attachment: 1 << 30, max_participants: 1 << 20 };
    passes::survey(&profile, limits, Hold::default(), &Grouping::default(), &[], text).map(drop)
}
