//! A ready list in the container: sent in pieces that nobody sees, and made visible in one step.

use super::Container;
use crate::stage::StageError;
use crate::stage::ready::{Listed, READY, ReadyList};

/// Bytes kept before they are sent. The service takes 50,000 pieces, which is more than a billion placements.
const PIECE: usize = 4 << 20;

pub(super) struct ContainerList<'a> {
    container: &'a Container,
    name: String,
    lines: Vec<u8>,
    pieces: usize,
}

impl<'a> ContainerList<'a> {
    pub(super) fn begin(container: &'a Container, run: &str) -> Self {
        Self { container, name: name(container, run), lines: Vec::new(), pieces: 0 }
    }

    fn flush(&mut self) -> Result<(), StageError> {
        if !self.lines.is_empty() {
            self.container.client.stage_piece(&self.name, self.pieces, std::mem::take(&mut self.lines))?;
            self.pieces += 1;
        }
        Ok(())
    }
}

/// The name of a run's list in the container.
pub(super) fn name(container: &Container, run: &str) -> String {
    container.name(&format!("{READY}/{run}.jsonl"))
}

impl ReadyList for ContainerList<'_> {
    fn add(&mut self, line: &Listed<'_>) -> Result<(), StageError> {
        self.lines.extend(serde_json::to_vec(line).unwrap_or_default());
        self.lines.push(b'\n');
        if self.lines.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn publish(mut self: Box<Self>) -> Result<(), StageError> {
        self.flush()?;
        if self.pieces == 0 {
            return Ok(());
        }
        self.container.client.commit_pieces(&self.name, self.pieces)
    }
}
