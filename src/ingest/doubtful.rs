//! Transcripts of known messages only that name participants in combinations not seen before. Usually nobody in them is
//! new, as where an export cuts a conversation elsewhere or shows old messages again; that is known only from the
//! exports that named the messages first. Rare, and therefore plain and serial.

use super::contested::{learn_from_others, name_all};
use super::first::{Plan, held_in};
use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::recorded::number;
use super::stager::{Stager, Wanted, Why};
use super::{IngestError, Tools};
use crate::config::Grouping;
use crate::export::Item;
use crate::ledger::Verdict;

/// Says of each transcript in doubt whether it is new, and places those that are.
pub(super) fn settle(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    surveyed: &Surveyed,
    stager: &mut Stager<'_>,
) -> Result<(), IngestError> {
    if tools.scratch.contest_doubts()? == 0 {
        return Ok(());
    }
    learn_from_others(tools, plan.row.id, Grouping::Message)?;
    ask_each_message(tools, plan, original, stager)?;
    original.each_batch(tools, surveyed, |batch| {
        let wanted = tools.scratch.round(|| sort_out(tools, stager, batch))?;
        stager.remember_followed(&wanted)?;
        stager.place(wanted)
    })?;
    Ok(tools.scratch.end_doubts()?)
}

/// Which of the doubts are right: message by message, for each has people of its own.
fn ask_each_message(
    tools: &Tools<'_>,
    plan: &Plan<'_>,
    original: &Original<'_>,
    stager: &Stager<'_>,
) -> Result<(), IngestError> {
    let name = &plan.row.name;
    let original = original.as_messages().map_err(|error| IngestError::original(name, &error))?;
    let surveyed = original.survey(name, tools.watch.survey).map_err(|error| IngestError::original(name, &error))?;
    original.each_batch(tools, &surveyed, |batch| {
        tools.scratch.round(|| {
            for numbered in batch {
                let Numbered::Item(mut item) = numbered else { continue };
                number(tools, &mut item)?;
                if stager.shaping.shape.skips(item.item.time()) || !tools.scratch.is_contested(item.time, item.id)? {
                    continue;
                }
                if let Some(transcript) = tools.scratch.doubted_by(item.ordinal)?
                    && stager.names_anybody_new(&item)?
                {
                    tools.scratch.settle(transcript)?;
                }
                name_all(tools, &item, stager.shaping.rules)?;
            }
            Ok(())
        })
    })
}

fn sort_out(tools: &Tools<'_>, stager: &mut Stager<'_>, batch: Vec<Numbered>) -> Result<Vec<Wanted>, IngestError> {
    let mut wanted = Vec::new();
    for numbered in batch {
        let Numbered::Item(mut item) = numbered else { continue };
        number(tools, &mut item)?;
        if item.within.is_empty() {
            // A part in which nobody said anything was judged when it came; it shares its place with the part before it.
            continue;
        }
        let verdict = judge(tools, &item)?;
        stager.follow(&mut item, verdict)?;
        let settled = tools.scratch.settled(item.ordinal)?;
        if settled.is_some() {
            stager.note_attachments(&item, verdict)?;
        }
        match (verdict, settled) {
            (Verdict::New { changed }, _) => {
                stager.books.changed += changed;
                wanted.push(Wanted { item, why: Why::New });
            }
            (_, Some(_)) => {
                stager.books.items.duplicate += 1;
                stager.write_duplicate(&item)?;
            }
            (_, None) => {}
        }
    }
    Ok(wanted)
}

fn judge(tools: &Tools<'_>, item: &NumberedItem) -> Result<Verdict, IngestError> {
    let Item::Transcript(transcript) = &item.item else { return Ok(Verdict::Duplicate { naming: false }) };
    let is_new = tools.scratch.settled(item.ordinal)? == Some(true);
    // It may stand in the export twice: then the second one is known by now.
    if is_new && !tools.scratch.is_known(item.time, item.id)? {
        return Ok(tools.scratch.take_transcript(&item.arrival(), &held_in(item, transcript))?);
    }
    Ok(Verdict::Duplicate { naming: false })
}
