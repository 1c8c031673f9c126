//! A page of users as Microsoft Graph writes it, read into what changed. Knows no network: bytes go in.

use serde_json::{Map, Value};

use super::DirectoryError;
use crate::config::Entra;

/// Changes when other properties are asked for: what was kept before lacks them.
pub(super) const FORM: &str = "v1";

/// What is asked of each user.
const SELECT: &str = "id,userPrincipalName,mail,proxyAddresses,accountEnabled,userType,assignedPlans";

/// The plan that other products bring with them: it is called Exchange's, and has no mailbox.
const FOUNDATION: &str = "113feb6c-3fe4-4440-bddc-54d774bf0318";

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) changes: Vec<Change>,
    pub(super) next: Next,
}

/// Where it goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With another page of the same answer.
    Page(String),
    /// There are no more; from here changes are asked for later.
    Delta(String),
}

/// What is said of one property: nothing, that there is none, or what it is.
pub(super) type Field<T> = Option<Option<T>>;

/// What is said of one user.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: String,
    pub(super) removed: bool,
    pub(super) name: Field<String>,
    pub(super) mail: Field<String>,
    pub(super) proxies: Field<Vec<String>>,
    pub(super) enabled: Field<bool>,
    pub(super) kind: Field<String>,
    pub(super) plan: Field<bool>,
    pub(super) im_id: Field<String>,
}

/// Where everything is asked for; a delta without a token is everything.
pub(super) fn beginning(entra: &Entra, attribute: Option<&str>) -> String {
    // Of a complex property the whole is asked for.
    let more = attribute.map(|attribute| format!(",{}", attribute.split('.').next().unwrap_or(attribute)));
    format!("{}/v1.0/users/delta?$select={SELECT}{}", entra.graph, more.unwrap_or_default())
}

impl Page {
    /// Reads a page. Links must lead to where it came from: the token goes wherever they lead.
    pub(super) fn read(body: &[u8], entra: &Entra, attribute: Option<&str>) -> Result<Self, DirectoryError> {
        let page: Map<String, Value> = serde_json::from_slice(body).map_err(|_| DirectoryError::Faulty("no JSON"))?;
        let Some(Value::Array(users)) = page.get("value") else {
            return Err(DirectoryError::Faulty("it has no list of users"));
        };
        let link = |key: &str| page.get(key).and_then(Value::as_str).map(str::to_owned);
        let next = match (link("@odata.nextLink"), link("@odata.deltaLink")) {
            (Some(next), _) => Next::Page(next),
            (None, Some(delta)) => Next::Delta(delta),
            (None, None) => return Err(DirectoryError::Faulty("it says neither how it goes on nor that it ends")),
        };
        let (Next::Page(to) | Next::Delta(to)) = &next;
        if !to.strip_prefix(&entra.graph).is_some_and(|rest| rest.starts_with('/')) {
            return Err(DirectoryError::Faulty("its links lead elsewhere, and are not followed"));
        }
        let changes = users.iter().map(|user| Change::read(user, attribute)).collect::<Option<_>>();
        Ok(Self { changes: changes.ok_or(DirectoryError::Faulty("a user of it cannot be read"))?, next })
    }
}

impl Change {
    /// Bytes that are kept of it, about.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.name, &self.mail, &self.kind, &self.im_id].into_iter().flatten().flatten();
        let proxies = self.proxies.iter().flatten().flatten();
        self.id.len() + texts.chain(proxies).map(|text| text.len() + 32).sum::<usize>() + 128
    }

    /// None where it is no user, or a property is of another kind than documented: to take it for empty could take
    /// somebody's mailbox away.
    fn read(user: &Value, attribute: Option<&str>) -> Option<Self> {
        let user = user.as_object()?;
        let text = |key: &str| field(user.get(key), |value| value.as_str().map(str::to_owned));
        Some(Self {
            id: user.get("id")?.as_str().filter(|id| !id.is_empty())?.to_owned(),
            removed: user.contains_key("@removed"),
            name: text("userPrincipalName")?,
            mail: text("mail")?,
            proxies: field(user.get("proxyAddresses"), strings)?,
            enabled: field(user.get("accountEnabled"), Value::as_bool)?,
            kind: text("userType")?,
            plan: field(user.get("assignedPlans"), has_mailbox_plan)?,
            im_id: attribute.map_or(Some(None), |attribute| im_id(user, attribute))?,
        })
    }
}

/// None where it is of another kind.
fn field<T>(value: Option<&Value>, read: impl FnOnce(&Value) -> Option<T>) -> Option<Field<T>> {
    match value {
        None => Some(None),
        Some(Value::Null) => Some(Some(None)),
        Some(value) => read(value).map(|value| Some(Some(value))),
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

/// A number is taken too: an extension may be of that kind.
fn im_id(user: &Map<String, Value>, attribute: &str) -> Option<Field<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let Some((outer, inner)) = attribute.split_once('.') else { return field(user.get(attribute), text) };
    match user.get(outer) {
        None => Some(None),
        Some(Value::Null) => Some(Some(None)),
        // Of a complex property the whole is said, so what is not in it is not there.
        Some(outer) => field(outer.as_object()?.get(inner), text).map(|field| Some(field.flatten())),
    }
}

/// Whether a plan is assigned that comes with a mailbox. One in its days of grace (`Warning`) still has it.
fn has_mailbox_plan(plans: &Value) -> Option<bool> {
    let is = |plan: &Value, key: &str, words: &[&str]| {
        plan.get(key)
            .and_then(Value::as_str)
            .is_some_and(|found| words.iter().any(|word| found.eq_ignore_ascii_case(word)))
    };
    let has_mailbox = |plan: &Value| {
        is(plan, "service", &["exchange"])
            && is(plan, "capabilityStatus", &["Enabled", "Warning"])
            && !is(plan, "servicePlanId", &[FOUNDATION])
    };
    Some(plans.as_array()?.iter().any(has_mailbox))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entra() -> Entra {
        Entra {
            tenant: "t".to_owned(),
            client_id: "c".to_owned(),
            certificates: Vec::new(),
            authority: "https://login.example".to_owned(),
            graph: "https://graph.example".to_owned(),
        }
    }

    fn read(page: &Value) -> Result<Page, DirectoryError> {
        Page::read(page.to_string().as_bytes(), &entra(), Some("onPremisesExtensionAttributes.extensionAttribute7"))
    }

    #[test]
    fn what_is_asked_for() {
        let all = beginning(&entra(), None);
        assert_eq!(all, format!("https://graph.example/v1.0/users/delta?$select={SELECT}"));
        assert_eq!(beginning(&entra(), Some("extension_ab_imId")), format!("{all},extension_ab_imId"));
        let complex = beginning(&entra(), Some("onPremisesExtensionAttributes.extensionAttribute7"));
        assert_eq!(complex, format!("{all},onPremisesExtensionAttributes"));
    }

    #[test]
    fn what_is_not_said_is_told_from_what_is_said_to_be_nothing() {
        let page = read(&json!({
            "@odata.context": "x",
            "@odata.deltaLink": "https://graph.example/v1.0/users/delta?$deltatoken=1",
            "value": [
                {"id": "1", "mail": "a@c.com", "proxyAddresses": ["SMTP:a@c.com"], "accountEnabled": false,
                 "userType": "Member", "userPrincipalName": "u@c.com", "onPremisesExtensionAttributes": {
                 "extensionAttribute7": "AMY"}, "assignedPlans": [{"service": "exchange", "capabilityStatus": "Enabled"}]},
                {"id": "2", "mail": null, "onPremisesExtensionAttributes": {"extensionAttribute1": "x"}},
                {"id": "3", "@removed": {"reason": "deleted"}},
            ],
        }));
        let Page { changes, next } = page.unwrap();
        assert_eq!(next, Next::Delta("https://graph.example/v1.0/users/delta?$deltatoken=1".to_owned()));
        let some = |text: &str| Some(Some(text.to_owned()));
        let first = Change {
            id: "1".to_owned(),
            removed: false,
            name: some("u@c.com"),
            mail: some("a@c.com"),
            proxies: Some(Some(vec!["SMTP:a@c.com".to_owned()])),
            enabled: Some(Some(false)),
            kind: some("Member"),
            plan: Some(Some(true)),
            im_id: some("AMY"),
        };
        let second = Change { id: "2".to_owned(), mail: Some(None), im_id: Some(None), ..Change::default() };
        let third = Change { id: "3".to_owned(), removed: true, ..Change::default() };
        assert_eq!(changes, [first, second, third]);
    }

    #[test]
    fn plans_that_come_with_a_mailbox() {
        let plan = |service, status, id| json!({"service": service, "capabilityStatus": status, "servicePlanId": id});
        for (plans, has) in [
            (json!([]), false),
            (json!([plan("exchange", "Enabled", "x")]), true),
            (json!([plan("Exchange", "enabled", "x")]), true),
            (json!([plan("exchange", "Warning", "x")]), true),
            (json!([plan("exchange", "Suspended", "x"), plan("exchange", "Deleted", "x")]), false),
            (json!([plan("exchange", "LockedOut", "x")]), false),
            (json!([plan("SharePoint", "Enabled", "x")]), false),
            (json!([plan("exchange", "Enabled", FOUNDATION)]), false),
            (json!([plan("exchange", "Enabled", FOUNDATION), plan("exchange", "Enabled", "y")]), true),
            (json!([{"service": null}]), false),
        ] {
            assert_eq!(has_mailbox_plan(&plans), Some(has), "{plans}");
        }
    }

    #[test]
    fn what_is_no_page_is_not_taken_for_an_empty_one() {
        let link = "https://graph.example/x";
        for page in [
            json!([]),
            json!({}),
            json!({"value": []}),
            json!({"value": {}, "@odata.deltaLink": link}),
            json!({"value": [1], "@odata.deltaLink": link}),
            json!({"value": [{"mail": "a@c.com"}], "@odata.deltaLink": link}),
            json!({"value": [{"id": "1", "mail": 7}], "@odata.deltaLink": link}),
            json!({"value": [{"id": "1", "proxyAddresses": "SMTP:a@c.com"}], "@odata.deltaLink": link}),
            json!({"value": [], "@odata.deltaLink": "https://graph.example.evil/x"}),
            json!({"value": [], "@odata.nextLink": "https://evil.example/x"}),
            json!({"value": [], "@odata.nextLink": "http://graph.example/x"}),
        ] {
            assert!(matches!(read(&page), Err(DirectoryError::Faulty(_))), "{page}");
        }
        assert!(read(&json!({"value": [], "@odata.deltaLink": link})).is_ok());
    }
}
