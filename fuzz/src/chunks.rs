//! Any bytes as an export, cut into reads of every size: what the reader says of it, and what both passes hand out, is the same.

use std::convert::Infallible;
use std::io::{self, Read};

use icechatd::export::passes::{Grouping, Hold, Turn, items, survey};
use icechatd::export::profile::{Profile, builtin_names};
use icechatd::export::reader::{ReadLimits, Reader};

const LIMITS: ReadLimits = ReadLimits { max_message: 1024, max_attachment: 48, max_participants: 12 };
const TINY: Hold = Hold { bytes: 200, records: 2 };
/// Beyond so many bytes an input has too many sizes to try all; some are left out.
const SIZES: usize = 48;

/// # Panics
/// Where it is not the same.
pub fn target(bytes: &[u8]) {
    for name in builtin_names() {
        let profile = Profile::builtin(name).expect("built in");
        let (whole, both) = (read(&profile, bytes, usize::MAX), passes(&profile, bytes, usize::MAX));
        for size in sizes(bytes.len()) {
            assert!(read(&profile, bytes, size) == whole, "{name}: another reading in reads of {size} bytes");
            assert!(passes(&profile, bytes, size) == both, "{name}: other passes in reads of {size} bytes");
        }
    }
}

/// From one byte up, the small ones all.
fn sizes(len: usize) -> impl Iterator<Item = usize> {
    let step = len.div_ceil(SIZES).max(1);
    (1..=len).filter(move |size| *size <= SIZES / 2 || size % step == 0 || size + 2 > len)
}

/// Gives out at most `size` bytes a read.
struct Cut<'a>(&'a [u8], usize);

impl Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(into.len());
        self.0.read(&mut into[..size])
    }
}

/// Everything a reader says of some bytes in reads of `size`.
pub fn read(profile: &Profile, bytes: &[u8], size: usize) -> Vec<String> {
    let mut reader = Reader::new(profile, LIMITS, Cut(bytes, size));
    let mut said = Vec::new();
    loop {
        match reader.step() {
            Ok(Some(step)) => said.push(format!("{step:?} {:?}", reader.here())),
            Ok(None) => {
                said.push(format!("{:?}", reader.finish()));
                return said;
            }
            Err(error) => {
                said.push(format!("{error} {:?}", reader.header()));
                return said;
            }
        }
    }
}

/// Everything both passes hand out, a conversation streamed.
///
/// # Panics
/// Where the second finds another export than the first.
pub fn passes(profile: &Profile, bytes: &[u8], size: usize) -> Vec<String> {
    let grouping = Grouping { by_day: None, events: true };
    let survey = match survey(profile, LIMITS, TINY, &grouping, &[], Cut(bytes, size)) {
        Ok(survey) => survey,
        Err(error) => return vec![error.to_string()],
    };
    let mut said = vec![format!("{:?} {:?} {:?}", survey.header, survey.counts, survey.unknown)];
    let mut sink = |step| -> Result<(), Infallible> {
        said.push(format!("{step:?}"));
        Ok(())
    };
    let counts = items(profile, LIMITS, &survey, &grouping, Turn::ALL, Cut(bytes, size), &mut sink);
    assert_eq!(counts.expect("it was surveyed"), survey.counts);
    said
}
