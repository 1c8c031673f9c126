//! Any bytes as a profile. One that is taken reads itself back from what the ledger would keep of it, and reads an export
//! without harm, whatever nonsense it says.

use icechatd::export::lint::lint;
use icechatd::export::profile::Profile;
use icechatd::export::reader::ReadLimits;

const LIMITS: ReadLimits = ReadLimits { max_message: 1 << 16, max_attachment: 1 << 16, max_participants: 1000 };
const EXPORTS: [&[u8]; 2] = [
    include_bytes!("../../tests/fixtures/samples/icechat.xml"),
    include_bytes!("../../tests/fixtures/profiles/bloomberg-ib/f848135.ib19.261119.xml"),
];

/// # Panics
/// Where the profile is none after it was one.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let profile = match Profile::parse("fuzz", text) {
        Ok(profile) => profile,
        Err(error) => {
            assert!(!error.reason.is_empty(), "rejected without a reason");
            // Behind a last line end there is one line more.
            assert!(error.line.is_none_or(|line| line <= text.split('\n').count()), "{error}: beyond the end");
            return;
        }
    };
    assert_eq!(profile.text(), text);
    let recorded = Profile::recorded(profile.text()).expect("what was taken is taken again");
    for export in EXPORTS {
        let by = |profile| format!("{:?}", lint(profile, LIMITS, export));
        assert_eq!(by(&profile), by(&recorded), "read in another way from the ledger");
    }
    for name in ["", "a.xml", "f848135.ib19.261119.xml", "ICE_2026-11-19.tar.gz"] {
        assert_eq!(profile.role(name), recorded.role(name));
        assert_eq!(profile.date_in_name(name), recorded.date_in_name(name));
    }
}
