//! An export as a person has it: decrypted, and then nothing else is needed; or encrypted, with the keys of the
//! configuration. It is never decrypted to disk.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::cause::chain;
use crate::cli::Failure;
use crate::config::Config;
use crate::decrypt::{self, Caps, Opener, SurveyError};
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::export::reader::ReadLimits;
use crate::inputs::Openers;

/// The defaults of `[limits]`: a decrypted export is looked at without a configuration.
const PLAIN_LIMITS: ReadLimits =
    ReadLimits { max_message: 16 << 20, max_attachment: 256 << 20, max_participants: 200_000 };

/// What `read` makes of the export. XML begins with `<`, a byte order mark or white space, which no OpenPGP message does.
pub(super) fn read<T, E: Error + 'static>(
    config: &Path,
    path: &Path,
    read: impl FnOnce(ReadLimits, &mut dyn Read) -> Result<T, E>,
) -> Result<T, Failure> {
    let in_file = |error: &dyn Error| Failure::new(ExitCode::Failed, format!("{}: {}", path.display(), chain(error)));
    let mut file = File::open(path).at(path)?;
    let mut first = [0];
    let has_any = file.read(&mut first).at(path)? == 1;
    file.seek(SeekFrom::Start(0)).at(path)?;
    if has_any && (first[0] == b'<' || first[0] == 0xef || first[0].is_ascii_whitespace()) {
        return read(PLAIN_LIMITS, &mut BufReader::new(file)).map_err(|error| in_file(&error));
    }
    // OpenPGP: a binary packet begins with the high bit set (RFC 9580 4.2), armour with dashes.
    if !has_any || (first[0] & 0x80 == 0 && first[0] != b'-') {
        let line = format!("{}: neither XML nor an OpenPGP message; no profile can read it", path.display());
        return Err(Failure::new(ExitCode::Failed, line));
    }
    let config = Config::load_for_check(config)?;
    let inputs = Openers::read(&config)?;
    let limits = ReadLimits {
        max_message: config.limits.max_message,
        max_attachment: config.limits.max_attachment,
        max_participants: config.limits.max_participants,
    };
    let caps = Caps { max_plaintext: config.limits.max_plaintext, max_ratio: config.limits.max_ratio };
    let opener = Opener { keys: &inputs.keys, signers: inputs.signers.as_ref(), caps };
    match decrypt::survey(&file, &opener, |plaintext| read(limits, plaintext)) {
        Ok((found, _)) => Ok(found),
        Err(SurveyError::Decrypt(error)) => Err(in_file(&error)),
        Err(SurveyError::Content(error)) => Err(in_file(&error)),
    }
}
