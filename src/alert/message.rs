//! What is said by each channel, written from plain values: one list of lines, as a mail, and as the JSON that Slack, Teams
//! and programs take.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, Severity};
use super::telling::severity;
use crate::ledger::AlertRow;

/// How many alerts a message lists. A chat shows no more at a glance, and Teams refuses messages above 28 KiB.
const LISTED: usize = 20;

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// It was never told before.
    New,
    /// It was, and lasts.
    Lasts,
    /// It is over.
    Resolved,
}

impl News {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Lasts => "lasts",
            Self::Resolved => "resolved",
        }
    }
}

/// A mail as it waits in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    /// Its subject.
    pub(super) subject: String,
    /// Its text, with `\n` line ends.
    pub(super) text: String,
    /// The name and text of a CSV that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) csv: Option<(String, String)>,
}

/// Everything that is told at once.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub(super) firm_code: &'a str,
    /// New ones first, the most urgent first among them.
    pub(super) alerts: Vec<(News, AlertRow)>,
}

impl<'a> Message<'a> {
    pub(super) fn new(firm_code: &'a str, mut alerts: Vec<(News, AlertRow)>) -> Self {
        alerts.sort_by_key(|(news, alert)| (*news, severity(alert), Kind::named(&alert.kind), alert.id));
        Self { firm_code, alerts }
    }

    /// One line: whose, and how much.
    pub(super) fn subject(&self) -> String {
        let count = |news: News| self.alerts.iter().filter(|(this, _)| *this == news).count();
        let urgent =
            |(news, alert): &&(News, AlertRow)| *news != News::Resolved && severity(alert) == Severity::Critical;
        let urgent = self.alerts.iter().filter(urgent).count();
        let parts: Vec<String> = [(News::New, "new"), (News::Lasts, "lasting"), (News::Resolved, "resolved")]
            .into_iter()
            .filter(|(news, _)| count(*news) > 0)
            .map(|(news, word)| format!("{} {word}", count(news)))
            .collect();
        let plural = if self.alerts.len() == 1 { "alert" } else { "alerts" };
        let urgent = if urgent > 0 { format!(", {urgent} critical") } else { String::new() };
        format!("icechatd {}: {} {plural}{urgent}", self.firm_code, parts.join(", "))
    }

    /// The lines below it: alerts of a kind together, and under each kind what to do.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut heading = None;
        for (news, alert) in self.alerts.iter().take(LISTED) {
            let kind = Kind::named(&alert.kind);
            if heading != Some((*news, alert.kind.as_str())) {
                heading = Some((*news, alert.kind.as_str()));
                lines.push(format!("{} · {} · {}", news.as_str().to_uppercase(), severity(alert).as_str(), alert.kind));
                let advice = kind.filter(|_| *news != News::Resolved).map(Kind::advice);
                lines.extend(advice.map(|advice| format!("What to do: {advice}")));
            }
            lines.push(line(*news, alert));
        }
        let more = self.alerts.len().saturating_sub(LISTED);
        if more > 0 {
            lines.push(format!("and {more} more: icechatd alert list"));
        }
        lines
    }

    /// As a mail.
    pub(super) fn letter(&self) -> Letter {
        let mut text = format!("{}\n", self.subject());
        for line in self.lines() {
            // A heading stands apart.
            text.push_str(if line.starts_with('#') || line.starts_with("What to do") { "" } else { "\n" });
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str("\nTo be told no more of one for a while: icechatd alert ack ID --until DATE\n");
        Letter { subject: self.subject(), text, csv: None }
    }

    /// As JSON for a webhook.
    pub(super) fn json(&self) -> Value {
        let facts = |(news, alert): &(News, AlertRow)| {
            json!({
                "id": alert.id,
                "kind": alert.kind,
                "subject": alert.subject,
                "severity": severity(alert),
                "state": news.as_str(),
                "words": alert.words,
                "since": alert.raised.to_string(),
            })
        };
        let listed: Vec<Value> = self.alerts.iter().take(LISTED).map(facts).collect();
        let more = self.alerts.len().saturating_sub(LISTED);
        let facts =
            json!({"schema": 1, "event": "alerts", "firm_code": self.firm_code, "alerts": listed, "more": more});
        webhook(&self.subject(), &self.lines(), &facts)
    }
}

fn line(news: News, alert: &AlertRow) -> String {
    let since = alert.raised.strftime("%Y-%m-%d");
    match news {
        News::New => format!("#{} {}", alert.id.0, alert.words),
        News::Lasts | News::Resolved => format!("#{} {} (since {since})", alert.id.0, alert.words),
    }
}

/// One body that all of them take. Slack's incoming webhooks read `text`, whose three letters of markup are escaped (its
/// formatting is turned off, names have underscores), and leave out an attachment in which they find nothing to show.
/// Teams' workflows read the Adaptive Card in `attachments` of a `message`; its text runs know no markup. Programs read
/// `icechatd`.
pub(super) fn webhook(subject: &str, lines: &[String], facts: &Value) -> Value {
    let text = std::iter::once(subject).chain(lines.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
    let run = |text: &str, weight: &str| json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, "weight": weight}]});
    let blocks: Vec<Value> =
        std::iter::once(run(subject, "Bolder")).chain(lines.iter().map(|line| run(line, "Default"))).collect();
    json!({
        "type": "message",
        "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        "mrkdwn": false,
        "unfurl_links": false,
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": blocks,
            },
        }],
        "icechatd": facts,
    })
}

/// What `alert test` says.
pub(super) fn test_words(firm_code: &str) -> (String, Vec<String>) {
    let subject = format!("icechatd {firm_code}: this is a test");
    (
        subject,
        vec!["Alerts of icechatd arrive here. Nothing is the matter; somebody ran icechatd alert test.".to_owned()],
    )
}

impl Letter {
    /// As it is kept in the ledger.
    pub(super) fn to_json(&self) -> String {
        // A text and a pair of texts are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
