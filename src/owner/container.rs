//! Whose a container is, or the part of it below a prefix: the blob `.owner` there says so.

use super::{LONGEST, Mark, OWNER, OwnerError, mark};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::stage::StageError;
use crate::stage::azure::{Container, Kind};

/// Sees that the container is no other ledger's, nor within one's part of it that is, and changes nothing. Whether it says
/// already that it is this one's.
///
/// # Errors
/// Where it is another's, or that cannot be found out.
pub fn of_container(container: &Container, ledger: &Ledger) -> Result<bool, OwnerError> {
    let id = ledger.id()?;
    let own = container.name(OWNER);
    let is_marked = match container.read(&own, LONGEST)? {
        Some(text) => {
            let illegible = || OwnerError::IllegibleBlob { blob: container.shown_blob(&own) };
            is_of(&Mark::parse(&text).ok_or_else(illegible)?, &id, container, &own)?;
            true
        }
        None => false,
    };
    for name in above(container.prefix()) {
        let text = container.read(&name, LONGEST).or_else(if_denied)?;
        if let Some(other) = text.as_deref().and_then(Mark::parse) {
            is_of(&other, &id, container, &name)?;
        }
    }
    if !is_marked {
        none_within(container, &id)?;
    }
    Ok(is_marked)
}

/// The same, and writes down whose it is, where it does not say so yet.
///
/// # Errors
/// As [`of_container`], and where that cannot be written.
pub fn claim_container(config: &Config, container: &Container, ledger: &Ledger) -> Result<(), OwnerError> {
    let is_ours = of_container(container, ledger)?
        || container.write_new(&container.name(OWNER), mark(config, ledger)?.as_bytes())?;
    // Where not, another firm's run came first, this instant.
    if is_ours { Ok(()) } else { of_container(container, ledger).map(drop) }
}

/// A new part around another's: of all the names that may be there, the first ones are looked at.
fn none_within(container: &Container, id: &str) -> Result<(), OwnerError> {
    let inside = format!("/{OWNER}");
    for name in container.first_names().or_else(if_denied)? {
        if name.ends_with(&inside)
            && let Some(other) = container.read(&name, LONGEST)?.as_deref().and_then(Mark::parse)
        {
            is_of(&other, id, container, &name)?;
        }
    }
    Ok(())
}

/// The marks of the parts that this one is in.
fn above(prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = prefix;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        names.push(format!("{parent}/{OWNER}"));
        rest = parent;
    }
    if !prefix.is_empty() {
        names.push(OWNER.to_owned());
    }
    names
}

/// Who signs in with what is good for one part alone can place nothing elsewhere, and need not look there.
fn if_denied<T: Default>(error: StageError) -> Result<T, StageError> {
    match error {
        StageError::Container(refusal) if refusal.kind == Kind::Denied => Ok(T::default()),
        error => Err(error),
    }
}

fn is_of(mark: &Mark, id: &str, container: &Container, name: &str) -> Result<(), OwnerError> {
    if mark.ledger == id {
        return Ok(());
    }
    let (firm, state) = (mark.firm.clone(), mark.state.clone());
    Err(OwnerError::Container { blob: container.shown_blob(name), firm, state })
}

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn the_marks_above_a_prefix() {
        assert!(above("").is_empty());
        assert_eq!(above("a"), [".owner"]);
        assert_eq!(above("a/b/c"), ["a/b/.owner", "a/.owner", ".owner"]);
    }
}
