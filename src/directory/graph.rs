//! The asking: page after page, with a token that may end in between, and a server that may want to be left alone for a
//! while.

use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info};

use super::fault::Said;
use super::page::{Next, Page, beginning};
use super::{DirectoryError, Users};
use crate::config::Entra;
use crate::entra::{Answer, NoAnswer, SignIn, Token};

/// For all of it: a delta has 200 users a page.
pub(super) const PATIENCE: Duration = Duration::from_hours(1);
/// For one page, with every wait that Graph asks for.
const FOR_A_PAGE: Duration = Duration::from_mins(10);
/// No tenant has so many users.
const MOST_USERS: usize = 2_000_000;
/// Bytes that are kept of all.
const MOST_BYTES: usize = 1 << 30;
/// How often one page is asked for before it counts as failed.
const TRIES: u32 = 5;
/// The first wait between two; each further one is twice as long. A server may ask for another.
const WAIT: Duration = Duration::from_secs(1);
/// No tenant has so many pages: it is a server that goes round in circles.
const MOST_PAGES: usize = 100_000;

/// Whom is asked, and for what.
pub(super) struct Graph<'a> {
    pub(super) entra: &'a Entra,
    pub(super) sign_in: &'a SignIn,
    pub(super) attribute: Option<&'a str>,
}

/// What a walk along the pages came to.
enum Walked {
    Whole(Users),
    /// Graph does not remember what it said before: everything is asked for again.
    Forgotten,
}

impl Graph<'_> {
    /// What changed since `known`, merged with it; everything where Graph has forgotten, or nothing is known.
    pub(super) async fn refresh(&self, known: Option<Users>) -> Result<Users, DirectoryError> {
        if let Some(known) = known.filter(|known| !known.link.is_empty()) {
            let link = known.link.clone();
            match self.walk(known, link).await? {
                Walked::Whole(users) => return Ok(users),
                Walked::Forgotten => {
                    info!("Microsoft Graph has forgotten what it said before; all users are asked for again");
                }
            }
        }
        // It may forget again while it is asked: a long answer to a large tenant.
        for _ in 0..2 {
            if let Walked::Whole(users) = self.walk(Users::default(), beginning(self.entra, self.attribute)).await? {
                return Ok(users);
            }
        }
        Err(DirectoryError::Faulty("it forgets what it says while it says it"))
    }

    async fn walk(&self, mut users: Users, mut address: String) -> Result<Walked, DirectoryError> {
        let mut kept = 0_usize;
        for _ in 0..MOST_PAGES {
            let answered = tokio::time::timeout(FOR_A_PAGE, self.ask(&address)).await;
            let answer = answered.unwrap_or(Err(DirectoryError::TooSlow))?;
            if is_forgotten(&answer) {
                return Ok(Walked::Forgotten);
            }
            if !answer.is_good() {
                return Err(DirectoryError::of(&answer, self.entra));
            }
            let Page { changes, next } = Page::read(&answer.body, self.entra, self.attribute)?;
            debug!("Microsoft Graph says something of {} users", changes.len());
            for change in changes {
                kept = kept.saturating_add(change.weight());
                users.apply(change);
            }
            if kept > MOST_BYTES || users.all.len() > MOST_USERS {
                return Err(DirectoryError::Faulty("it has no end"));
            }
            match next {
                Next::Page(next) if next == address => return Err(DirectoryError::Faulty("it goes round in circles")),
                Next::Page(next) => address = next,
                Next::Delta(link) => return Ok(Walked::Whole(Users { link, ..users })),
            }
        }
        Err(DirectoryError::Faulty("it has no end"))
    }

    /// Asks for one page, until it comes or nothing suggests that it will.
    async fn ask(&self, address: &str) -> Result<Answer, DirectoryError> {
        let scope = format!("{}/.default", self.entra.graph);
        let mut token: Token = self.sign_in.token(&scope).await?;
        let (mut wait, mut renewed) = (WAIT, false);
        for tries in 1.. {
            let answered: Result<Answer, NoAnswer> = self.sign_in.web().get(address, &token).await;
            match &answered {
                // A token may end, or be taken back, between two pages. One new token is enough to tell.
                Ok(answer) if answer.status == 401 && !renewed => {
                    renewed = true;
                    token = self.sign_in.token_after(&scope, &token).await?;
                    continue;
                }
                Ok(answer) if !answer.may_pass() || tries >= TRIES => return Ok(answered?),
                Err(_) if tries >= TRIES => return Ok(answered?),
                _ => {}
            }
            let asked_for = answered.ok().and_then(|answer| answer.retry_after);
            sleep(asked_for.unwrap_or(wait)).await;
            wait *= 2;
        }
        Err(DirectoryError::TooSlow)
    }
}

/// 410 is what is documented; a link that is too old may be answered otherwise.
fn is_forgotten(answer: &Answer) -> bool {
    let says = || Said::read(&answer.body).code.to_ascii_lowercase();
    answer.status == 410
        || (answer.status == 400
            && ["syncstatenotfound", "syncstateinvalid", "resyncrequired"].contains(&says().as_str()))
}
