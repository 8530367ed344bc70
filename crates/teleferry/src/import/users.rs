//! What the proxies that know users share: secrets by name, limits, and days on which they end.

use std::collections::BTreeMap;
use std::ops::Range;

use super::draft::{Draft, Listener, Rule, list, quoted};
use super::value::{Kind, Value};

/// A user in the making.
pub(super) struct User {
    pub(super) name: String,
    /// 32 lower-case hexadecimal digits.
    pub(super) secret: String,
    pub(super) span: Range<usize>,
}

/// Why a user is not carried over.
pub(super) struct Gone {
    pub(super) name: String,
    pub(super) why: &'static str,
}

/// There are no users where they should be.
pub(super) fn none(draft: &mut Draft, place: &str) {
    draft.refuse(
        &(0..0),
        format!("there are no {place}"),
        "without them the old proxy uses a secret that everybody knows",
    );
}

/// Users without those who are gone, and without a secret that another has: here it would be there twice.
pub(super) fn present(users: Vec<User>, gone: &[Gone], draft: &mut Draft) -> Vec<User> {
    let mut present: Vec<User> = Vec::with_capacity(users.len());
    for user in users {
        if let Some(gone) = gone.iter().find(|gone| gone.name == user.name) {
            draft.miss(&user.span, format!("user {}", user.name), gone.why);
        } else if let Some(same) = present.iter().find(|known| known.secret == user.secret) {
            let why = format!("has the same secret as {}, under whose name both are counted now", same.name);
            draft.miss(&user.span, format!("user {}", user.name), why);
        } else {
            present.push(user);
        }
    }
    present
}

/// The listener's secrets.
pub(super) fn fill(listener: &mut Listener, users: &[User]) {
    listener.secrets = users.iter().map(|user| (Some(user.name.clone()), user.secret.clone())).collect();
}

/// Limits on connections of a user. Rules count all secrets alike: that serves only where every user has the same limit.
pub(super) fn limit_connections(
    draft: &mut Draft,
    path: &str,
    value: Option<&Value>,
    each: Option<i64>,
    users: &[User],
) {
    let mut limits: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, value, _) in value.map(|value| draft.entries(path, value)).unwrap_or_default() {
        if let Some(limit) =
            draft.number(&format!("{path}.{name}"), value, 0..=i64::MAX).filter(|limit| *limit > 0)
        {
            limits.insert(name, limit);
        }
    }
    let of = |user: &User| limits.get(user.name.as_str()).copied().or(each);
    let mut all = users.iter().map(of);
    match all.next() {
        Some(Some(first)) if all.all(|limit| limit == Some(first)) => draft.rules.push(Rule {
            entries: vec![
                ("rule", quoted("max_connections")),
                ("keys", list(["secret"])),
                ("limit", first.to_string()),
            ],
            comment: Some("So many connections of each user. An app has up to eight."),
        }),
        _ if limits.is_empty() && each.is_none() => {}
        _ => {
            let why = "rules count the connections of every secret alike, and here users have different limits or none: a [[policy]] with rule = \"max_connections\" and keys = [\"secret\"] can set one for all";
            match value {
                Some(value) => draft.miss(&value.span, path, why),
                None => draft.remark(path, why, true),
            }
        }
    }
}

/// Days on which users end: `over` says whether a day is over, or that the text is none.
pub(super) fn expirations(
    draft: &mut Draft,
    path: &str,
    value: Option<&Value>,
    over: impl Fn(&str) -> Option<bool>,
) -> Vec<Gone> {
    let Some(value) = value else { return Vec::new() };
    let mut gone = Vec::new();
    for (name, day, span) in draft.entries(path, value) {
        let Kind::Text(text) = &day.kind else {
            draft.refuse(&day.span, format!("`{path}.{name}` is no date"), "write it in quotation marks");
            continue;
        };
        match over(text) {
            Some(true) => gone.push(Gone { name: name.to_owned(), why: "their time is over" }),
            Some(false) => draft.miss(
                &span,
                format!("{path}.{name}"),
                format!("secrets do not end by themselves: remove that of {name} on {text} and reload"),
            ),
            None => draft.refuse(
                &day.span,
                format!("`{path}.{name}` is no date"),
                "write it as the old proxy reads it",
            ),
        }
    }
    gone
}
