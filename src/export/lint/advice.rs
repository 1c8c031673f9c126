//! What to do about what lint found, in an operator's words, the most pressing first.

use super::{Count, Lint};

impl Lint {
    /// What to do next; never empty.
    pub fn advice(&self) -> Vec<String> {
        let all =
            [self.structure(), self.held(), self.rejections(), self.times(), self.people(), self.ids(), self.rest()];
        let mut advice: Vec<String> = all.into_iter().flatten().collect();
        advice.extend(self.decisions());
        if advice.is_empty() {
            advice.push(
                "nothing: name this profile in export.profile, then icechatd ingest --dry-run with a few exports"
                    .to_owned(),
            );
        }
        advice
    }

    fn structure(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if self.conversations == 0 {
            advice.push(
                "no conversation was found: correct conversation.path by what is in the export, but not in the profile; \
                 icechatd profile infer proposes a profile"
                    .to_owned(),
            );
        } else if self.items == 0 && self.rejected.is_empty() {
            advice.push(
                "no message was found: correct the path of the record of kind \"message\" by what is in the export, but not \
                 in the profile"
                    .to_owned(),
            );
        }
        if self.without_room_id > 0 {
            advice.push(format!(
                "conversations without a room id ({}) cannot be told apart: correct conversation.room_id",
                self.without_room_id
            ));
        }
        advice
    }

    fn held(&self) -> Vec<String> {
        let told = self.held.as_ref().map(|why| format!("a run would hold this file whole: {why}"));
        told.into_iter().collect()
    }

    fn rejections(&self) -> Vec<String> {
        let rejected: u64 = self.rejected.iter().map(|one| one.count).sum();
        let told = format!(
            "records would be rejected ({rejected}): mend what the reasons name; what no profile can mend stays in the \
             original and is reported"
        );
        if rejected > 0 { vec![told] } else { Vec::new() }
    }

    fn times(&self) -> Vec<String> {
        let Some(Count { path, .. }) = self.unreadable.iter().max_by_key(|one| one.count) else { return Vec::new() };
        vec![format!(
            "name the notation of the times in time.formats, and their zone in time.zone if they give no offset (most \
             often: {path})"
        )]
    }

    fn people(&self) -> Vec<String> {
        if self.without_identity.is_empty() {
            return Vec::new();
        }
        let who: Vec<String> = self.without_identity.iter().map(|one| format!("{}: {}", one.path, one.count)).collect();
        vec![format!(
            "correct im_id and email of the people of whom nothing says who they are ({}): they get no copy",
            who.join("; ")
        )]
    }

    fn ids(&self) -> Vec<String> {
        if self.repeated_message_ids == 0 {
            return Vec::new();
        }
        vec![format!(
            "message ids repeat ({}): ask the vendor whether message_id is the message's own; if it is not, leave the key out",
            self.repeated_message_ids
        )]
    }

    fn rest(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if !self.unknown.is_empty() {
            advice.push(format!(
                "name what is in the export, but not in the profile (paths: {}): as a field, in extra to keep it, or in \
                 ignore; what stays is reported each day, and its items carry their record as source.xml",
                self.unknown.len()
            ));
        }
        let empty = self.fields.iter().filter(|field| field.count == 0).count();
        if empty > 0 && self.conversations > 0 {
            advice.push(format!(
                "look at the places with 0 ({empty}): right for what is rare, wrong for what every record should have"
            ));
        }
        advice
    }

    fn decisions(&self) -> Option<String> {
        let left = self.guesses.len();
        (left > 0).then(|| {
            format!(
                "decide the guesses ({left}) and take each out of the profile's list: until then no run reads by it"
            )
        })
    }
}
