//! Reads the tables of a file key by key, and goes on after what is wrong.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::value::{self, Wrong};

/// What the file says for a key.
#[derive(Debug)]
pub(super) enum Given<T> {
    /// Nothing.
    No,
    /// Something that is wrong, which was told already.
    Wrong,
    /// This, here.
    Yes(Spanned<T>),
}

impl<T> Given<T> {
    pub(super) const fn is_no(&self) -> bool {
        matches!(self, Self::No)
    }

    pub(super) const fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong)
    }

    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::No | Self::Wrong => None,
            Self::Yes(value) => Some(value.into_inner()),
        }
    }

    pub(super) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::No | Self::Wrong => None,
            Self::Yes(value) => Some(value.span()),
        }
    }
}

/// A table of the file, or one that is not there.
#[derive(Debug)]
pub(super) struct Table<'a> {
    name: Cow<'a, str>,
    keys: Option<&'a DeTable<'a>>,
    span: Option<Range<usize>>,
}

impl<'a> Table<'a> {
    /// A table of the root, or one below it (`outer.inner`); anything else of that name is told as wrong by the check of the
    /// keys.
    pub(super) fn in_root(root: &'a DeTable<'a>, name: &'a str) -> Self {
        let found = match name.split_once('.') {
            None => root.get_key_value(name),
            Some((outer, inner)) => {
                let outer = root.get(outer).and_then(|value| value.get_ref().as_table());
                outer.and_then(|outer| outer.get_key_value(inner))
            }
        };
        Self {
            name: Cow::Borrowed(name),
            keys: found.and_then(|(_, value)| value.get_ref().as_table()),
            span: found.map(|(key, _)| key.span()),
        }
    }

    /// A table that is not there.
    pub(super) const fn absent(name: &'a str) -> Self {
        Self { name: Cow::Borrowed(name), keys: None, span: None }
    }

    /// The tables of an array in the root.
    pub(super) fn all_in_root(root: &'a DeTable<'a>, name: &'a str) -> Vec<Self> {
        let elements = root.get(name).and_then(|value| value.get_ref().as_array());
        elements
            .into_iter()
            .flatten()
            .map(|element| Self {
                name: Cow::Borrowed(name),
                keys: element.get_ref().as_table(),
                span: Some(element.span()),
            })
            .collect()
    }

    /// The tables below a table of the root, whose names the operator chooses. Anything else that stands there is told as
    /// wrong by the check of the keys.
    pub(super) fn children(root: &'a DeTable<'a>, name: &str) -> Vec<(Spanned<&'a str>, Self)> {
        let parent = root.get(name).and_then(|value| value.get_ref().as_table());
        let children = parent.into_iter().flatten().filter_map(|(key, value)| {
            let table = Self {
                name: Cow::Owned(format!("{name}.{}", key.get_ref())),
                keys: Some(value.get_ref().as_table()?),
                span: Some(key.span()),
            };
            Some((Spanned::new(key.span(), key.get_ref().as_ref()), table))
        });
        children.collect()
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the table begins.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The keys that are there, with their places.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.keys.into_iter().flat_map(|keys| keys.keys()).map(|key| (key.get_ref().as_ref(), key.span()))
    }

    /// The span of whatever stands at a key.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.keys?.get(key).map(Spanned::span)
    }

    pub(super) fn text<T>(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Given<T> {
        self.read(key, problems, |value| parse(string(value)?))
    }

    pub(super) fn duration(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        range: &RangeInclusive<std::time::Duration>,
    ) -> Given<std::time::Duration> {
        self.text(key, problems, |text| value::duration(text, range))
    }

    pub(super) fn flag(&self, key: &str, problems: &mut Vec<Problem>) -> Given<bool> {
        self.read(key, problems, |value| value.as_bool().ok_or_else(|| expected("true or false", value)))
    }

    pub(super) fn number(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        range: RangeInclusive<usize>,
    ) -> Given<usize> {
        self.read(key, problems, |value| {
            let number = integer(value)?;
            usize::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| Wrong::new(format!("is not between {} and {}", range.start(), range.end())))
        })
    }

    /// A number of bytes.
    pub(super) fn size(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        range: RangeInclusive<usize>,
    ) -> Given<usize> {
        self.read(key, problems, |value| {
            let size = match value {
                DeValue::String(text) => value::size(text)?,
                DeValue::Integer(_) => u64::try_from(integer(value)?).unwrap_or(0),
                _ => return Err(expected("a size such as \"8MiB\"", value)),
            };
            usize::try_from(size).ok().filter(|size| range.contains(size)).ok_or_else(|| {
                let [least, most] = [range.start(), range.end()].map(|&bound| value::show_size(bound));
                Wrong::new(format!("is not between {least} and {most}"))
            })
        })
    }

    /// A value of any type.
    pub(super) fn read<T>(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Given<T> {
        let Some(value) = self.keys.and_then(|keys| keys.get(key)) else { return Given::No };
        match parse(value.get_ref()) {
            Ok(parsed) => Given::Yes(Spanned::new(value.span(), parsed)),
            Err(wrong) => {
                problems.push(told(&format!("{}.{key}", self.name), value.span(), wrong));
                Given::Wrong
            }
        }
    }

    /// One text or a list of texts that may be empty.
    pub(super) fn texts_or_none<T>(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Given<Vec<Spanned<T>>> {
        match self.keys.and_then(|keys| keys.get(key)) {
            Some(value) if value.get_ref().as_array().is_some_and(|list| list.is_empty()) => {
                Given::Yes(Spanned::new(value.span(), Vec::new()))
            }
            Some(_) | None => self.texts(key, problems, parse),
        }
    }

    /// One text or a list of texts.
    pub(super) fn texts<T>(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Given<Vec<Spanned<T>>> {
        let Some(value) = self.keys.and_then(|keys| keys.get(key)) else { return Given::No };
        let before = problems.len();
        let parsed = texts(&format!("{}.{key}", self.name), value, problems, parse);
        if problems.len() == before { Given::Yes(Spanned::new(value.span(), parsed)) } else { Given::Wrong }
    }

    /// The entries of a table inside this one, whose keys the operator chooses.
    pub(super) fn entries(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
    ) -> Vec<(Spanned<&'a str>, &'a Spanned<DeValue<'a>>)> {
        let Some(value) = self.keys.and_then(|keys| keys.get(key)) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            let wrong = expected("a table", value.get_ref());
            problems.push(told(&format!("{}.{key}", self.name), value.span(), wrong));
            return Vec::new();
        };
        table.iter().map(|(key, value)| (Spanned::new(key.span(), key.get_ref().as_ref()), value)).collect()
    }
}

/// One text or a list of texts that stands at `path`. What is wrong is left out.
pub(super) fn texts<T>(
    path: &str,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Vec<Problem>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Vec<Spanned<T>> {
    let elements = value.get_ref().as_array().map_or_else(|| std::slice::from_ref(value), AsRef::as_ref);
    if elements.is_empty() {
        problems.push(told(path, value.span(), Wrong::new("is an empty list")));
    }
    let mut parsed = Vec::with_capacity(elements.len());
    for element in elements {
        match string(element.get_ref()).and_then(&parse) {
            Ok(one) => parsed.push(Spanned::new(element.span(), one)),
            Err(wrong) => problems.push(told(path, element.span(), wrong)),
        }
    }
    parsed
}

/// A problem with the value at `path`.
pub(super) fn told(path: &str, span: Range<usize>, wrong: Wrong) -> Problem {
    Problem {
        span: Some(span),
        title: format!("the value of `{path}` {}", wrong.message),
        label: None,
        help: wrong.help,
    }
}

pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Wrong> {
    value.as_str().ok_or_else(|| expected("a string", value))
}

pub(super) fn integer(value: &DeValue<'_>) -> Result<i64, Wrong> {
    let integer = value.as_integer().ok_or_else(|| expected("a whole number", value))?;
    i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| Wrong::new("is too large"))
}

pub(super) fn expected(what: &str, found: &DeValue<'_>) -> Wrong {
    let wrong = Wrong::new(format!("should be {what}, not {}", with_article(found)));
    match found {
        DeValue::String(_) if matches!(what, "a whole number" | "true or false") => {
            wrong.help("leave out the quotation marks")
        }
        DeValue::Integer(_) if what == "a string" => {
            wrong.help("put it in quotation marks, with its unit if it has one")
        }
        _ => wrong,
    }
}

const fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
