//! Who is told: the sections on alerts and mail.

use super::document::{Problem, Section, Value};
use super::load::credential;
use super::values;
use super::{Alerts, ConfigError, Mail, MailSecurity, Places, Secrecy};

pub(super) fn alerts(section: &Section<'_>, places: &Places) -> Result<Alerts, ConfigError> {
    Ok(Alerts {
        webhook: section.get("webhook", |value| credential(value, "alerts.webhook", Secrecy::Secret, places))?,
        ping: section.get("ping", |value| credential(value, "alerts.ping", Secrecy::Secret, places))?,
    })
}

/// None where the section is not there; a section without a server is a mistake.
pub(super) fn mail(section: &Section<'_>, places: &Places) -> Result<Option<Mail>, ConfigError> {
    if !section.is_there() {
        return Ok(None);
    }
    let server = section.require("server", "\"smtp.contoso.com\"", values::host)?;
    let security = section.get("security", security)?.unwrap_or(MailSecurity::StartTls);
    let port = section.get("port", |value| value.number(1..=u16::MAX))?;
    let user = section.get("user", values::word)?;
    let password = section.get("password", |value| credential(value, "mail.password", Secrecy::Secret, places))?;
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => return Err(section.complain("user", "a login needs mail.password too; name the credential")),
        (None, Some(_)) => return Err(section.complain("password", "a login needs mail.user too; name the user")),
    };
    if login.is_some() && security == MailSecurity::Plain {
        let what =
            "a password would cross the network readably; write \"starttls\" or \"tls\", or remove user and password";
        return Err(section.complain("security", what));
    }
    let to = section.require("to", "\"compliance@contoso.com\"", |value| value.one_or_more(values::mailbox))?;
    if to.is_empty() {
        return Err(section.complain("to", "nobody; name at least one address"));
    }
    Ok(Some(Mail {
        server,
        port: port.unwrap_or(usual_port(security)),
        security,
        login,
        from: section.require("from", "\"icechatd@contoso.com\"", values::mailbox)?,
        to,
        reconciliation: section.get("reconciliation", Value::flag)?.unwrap_or(false),
    }))
}

fn security(value: Value<'_>) -> Result<MailSecurity, Problem> {
    match value.text()? {
        "starttls" => Ok(MailSecurity::StartTls),
        "tls" => Ok(MailSecurity::Tls),
        "none" => Ok(MailSecurity::Plain),
        _ => Err(value.problem("none of \"starttls\", \"tls\" and \"none\"; write one of them")),
    }
}

/// RFC 6409, RFC 8314, RFC 5321.
fn usual_port(security: MailSecurity) -> u16 {
    match security {
        MailSecurity::StartTls => 587,
        MailSecurity::Tls => 465,
        MailSecurity::Plain => 25,
    }
}
