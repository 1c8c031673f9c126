//! The attachments of one export while a pass reads it: those in archives are taken from there, those too large for a mail
//! stay where they are, and what is nowhere is missing.
//!
//! Which archives are asked, the export's shape says. So every later pass finds the same bytes, or says that they are
//! gone.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use super::listing::{Listing, Unrecorded};
use super::shape::Shape;
use super::{IngestError, Tools};
use crate::archive::sealed::{Place, Sealed};
use crate::archive::{self, ArchiveError, Bounds, base_of};
use crate::cause::chain;
use crate::decrypt::{self, Caps, Opener};
use crate::digest::Sha256;
use crate::durable::PathError;
use crate::export::identity::reference_key;
use crate::export::{FileBody, FileData};
use crate::ledger::manifest::digest_of;
use crate::ledger::{AttachmentRow, AttachmentState, EntryRow};

/// The archives of an export, opened.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// Bytes beyond which an attachment is named only.
    max: Option<u64>,
    /// Those with which it was staged.
    archives: Vec<Opened>,
    /// Those that came later, in the order in which they were looked at.
    later: Vec<Later>,
    /// As of [`Shape::aside`]; this pass may add some.
    aside: Mutex<BTreeSet<u64>>,
    /// How many bytes what the export names adds to a mail, by [`reference_key`].
    pub sizes: Arc<HashMap<u64, u64>>,
}

/// An archive that came later.
#[derive(Debug)]
struct Later {
    opened: Opened,
    /// The places of the records that it serves, if not all.
    only: Option<BTreeSet<u64>>,
}

/// An archive whose files can be read, as far as the export names them.
#[derive(Debug)]
pub(super) struct Opened {
    sha256: Sha256,
    listing: Listing,
    places: Vec<Option<Place>>,
    kept: Option<Sealed>,
}

impl Attached {
    /// Opens the archives that the shape names.
    pub(super) fn open(
        tools: &Tools<'_>,
        shape: &Shape,
        references: &BTreeSet<u64>,
        unrecorded: &[Unrecorded],
    ) -> Result<Self, IngestError> {
        let max = shape.max_attachment;
        let open = |hex: &String| Opened::open(tools, hex, max.unwrap_or(u64::MAX), references, unrecorded);
        let archives = shape.archives.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let later =
            |hex: &String| Ok::<_, IngestError>(Later { opened: open(hex)?, only: shape.later_only.get(hex).cloned() });
        let later = shape.later.iter().map(later).collect::<Result<_, _>>()?;
        let size = |key: &u64| Some((*key, archives.iter().find_map(|opened| opened.size(*key, max))?));
        let sizes = Arc::new(references.iter().filter_map(size).collect());
        let aside = Mutex::new(shape.aside.clone());
        Ok(Self { max, archives, later, aside, sizes })
    }

    /// What a record at this place names follows it.
    pub(super) fn set_aside(&self, record: u64) {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).insert(record);
    }

    /// All that were set aside.
    pub(super) fn aside(&self) -> BTreeSet<u64> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_aside(&self, record: u64) -> bool {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).contains(&record)
    }

    /// Finds the bytes of an attachment that stands at this place of the export. Those that stand inside stay where they are.
    pub(super) fn fill(&self, ordinal: u64, file: &mut FileBody) -> Result<AttachmentRow, PathError> {
        if let FileData::Inside(data) = &file.data {
            let content = (Sha256::of(data), data.len() as u64);
            let state = self.state_of(content.1);
            return Ok(AttachmentRow { ordinal, reference: None, state, content: Some(content), archive: None });
        }
        let reference = file.reference.clone();
        let here = reference.as_deref().filter(|_| !self.is_aside(ordinal));
        let found = here.and_then(|reference| find(&self.archives, reference));
        let Some((opened, at)) = found else {
            file.data = FileData::Missing;
            let state = AttachmentState::Missing;
            return Ok(AttachmentRow { ordinal, reference, state, content: None, archive: None });
        };
        self.take(ordinal, file, opened, at)
    }

    /// How many archives came later.
    pub(super) fn turns(&self) -> usize {
        self.later.len()
    }

    /// The archive of that number among those that came later, if it is the first to have what the record at this place names;
    /// or serves that record in any case.
    pub(super) fn later(&self, number: usize, record: u64, reference: &str) -> Option<(&Opened, usize)> {
        let asked = &self.later[number];
        let mut before = self.later[..number].iter().filter(|earlier| earlier.serves(record));
        let has_come = match asked.only {
            Some(_) => !asked.serves(record),
            None => {
                find(&self.archives, reference).is_some()
                    || before.any(|earlier| earlier.opened.listing.find(reference).is_some())
            }
        };
        if has_come { None } else { Some((&asked.opened, asked.opened.listing.find(reference)?)) }
    }

    pub(super) fn take(
        &self,
        ordinal: u64,
        file: &mut FileBody,
        opened: &Opened,
        at: usize,
    ) -> Result<AttachmentRow, PathError> {
        let entry = opened.listing.entry(at);
        file.data = match (opened.places[at], &opened.kept) {
            (Some(place), Some(kept)) => FileData::Found(kept.bytes(place)?),
            _ => FileData::Oversize { bytes: entry.bytes, sha256: entry.sha256 },
        };
        Ok(AttachmentRow {
            ordinal,
            reference: file.reference.clone(),
            state: self.state_of(entry.bytes),
            content: Some((entry.sha256, entry.bytes)),
            archive: Some((opened.sha256, entry.name.as_str().into())),
        })
    }

    fn state_of(&self, bytes: u64) -> AttachmentState {
        if self.max.is_some_and(|max| bytes > max) { AttachmentState::Oversize } else { AttachmentState::Present }
    }
}

fn find<'a>(archives: &'a [Opened], reference: &str) -> Option<(&'a Opened, usize)> {
    archives.iter().find_map(|opened| Some((opened, opened.listing.find(reference)?)))
}

impl Later {
    fn serves(&self, record: u64) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&record))
    }
}

impl Opened {
    /// How many bytes of what this is the key of come into a mail.
    fn size(&self, key: u64, max: Option<u64>) -> Option<u64> {
        let bytes = self.listing.entry(self.listing.find_key(key)?).bytes;
        Some(if max.is_some_and(|max| bytes > max) { 0 } else { bytes })
    }

    fn open(
        tools: &Tools<'_>,
        hex: &str,
        max_kept: u64,
        references: &BTreeSet<u64>,
        unrecorded: &[Unrecorded],
    ) -> Result<Self, IngestError> {
        let wanted = |name: &str| [name, base_of(name)].iter().any(|name| references.contains(&reference_key(name)));
        if let Some(archive) = unrecorded.iter().find(|archive| archive.row.sha256.to_string() == hex) {
            let file = File::open(&archive.path).map_err(|error| IngestError::open(&archive.path, error))?;
            return Self::read(tools, &file, &tools.opener(), archive.row.sha256, max_kept, &mut { wanted })
                .map_err(|reason| IngestError::Original { name: archive.row.name.clone(), reason });
        }
        let row = Sha256::from_hex(hex).map(|sha256| tools.ledger.file_by_digest(sha256)).transpose()?.flatten();
        let Some(row) = row else {
            let reason = "it is not in the ledger".to_owned();
            return Err(IngestError::Original { name: format!("the archive {hex}"), reason });
        };
        let file = tools.ledger.open_original(row.sha256)?.ok_or_else(|| IngestError::original_gone(&row.name))?;
        if digest_of(&tools.ledger.original(row.sha256))? != row.sha256 {
            let reason = "it is not what was committed; restore it from a backup".to_owned();
            return Err(IngestError::Original { name: row.name, reason });
        }
        // It was found authentic and within the limits when it was taken; as of exports, no limit of today matters.
        let caps = Caps { max_plaintext: u64::MAX, max_ratio: u64::MAX };
        let opener = Opener { keys: &tools.inputs.archive_keys, signers: None, caps };
        Self::read(tools, &file, &opener, row.sha256, max_kept, &mut { wanted })
            .map_err(|reason| IngestError::Original { name: row.name, reason })
    }

    fn read(
        tools: &Tools<'_>,
        file: &File,
        opener: &Opener<'_>,
        sha256: Sha256,
        max_kept: u64,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Self, String> {
        let all = u64::MAX;
        let bounds = Bounds { max_entries: all, max_plaintext: all, max_ratio: all, encrypted: all, max_kept };
        let read =
            decrypt::survey(file, opener, |plaintext| archive::read(plaintext, &tools.ledger.spool(), bounds, wanted));
        let contents = read.map_err(|error: decrypt::SurveyError<ArchiveError>| chain(&error))?.0;
        let places = contents.entries.iter().map(|entry| entry.place).collect();
        let listing = Listing::new(contents.entries.into_iter().map(entry_row).collect());
        Ok(Self { sha256, listing, places, kept: contents.kept })
    }
}

/// An archive's entry as the ledger has it.
pub(super) fn entry_row(entry: archive::Entry) -> EntryRow {
    EntryRow { name: entry.name, sha256: entry.sha256, bytes: entry.bytes }
}
