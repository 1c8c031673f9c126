//! Room in staging. Who lacks it finds out before a run, not in the middle of one.

use std::path::Path;

use super::StageError;
use crate::durable::space::{Space, free};

/// What is free at the staging folder, where that is at least what `staging.min_free` asks for: `bytes`, and `files` where
/// the file system counts them.
///
/// # Errors
/// Where there is less, or the file system cannot be asked.
pub fn ensure(staging: &Path, bytes: u64, files: u64) -> Result<Space, StageError> {
    let free = free(staging)?;
    let least = Space { bytes, files: free.files.and(Some(files)) };
    if free.holds(least) {
        return Ok(free);
    }
    Err(StageError::NoRoom { path: staging.display().to_string(), free, least })
}
