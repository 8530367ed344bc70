//! What another proxy's file says, in whatever language: plain values, each with its place.

use std::ops::Range;

/// A value and where it stands, in bytes from the beginning of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Python's `None`.
    Nothing,
    Flag(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
    /// An atom of Erlang.
    Word(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    /// Keys and values, in the order of the file.
    Map(Vec<(Value, Value)>),
    /// Something that a program would have to work out: it is not looked at any further.
    Computed,
}

impl Value {
    pub(super) const fn new(kind: Kind, span: Range<usize>) -> Self {
        Self { kind, span }
    }

    /// A text, or an atom.
    pub(super) fn as_word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Word(text) => Some(text),
            _ => None,
        }
    }

    /// A list's elements.
    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// A tuple's elements.
    pub(super) fn as_tuple(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// What it is, for messages that say it should have been something else.
    pub(super) const fn what(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Flag(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Fraction(_) => "a fraction",
            Kind::Text(_) => "a text",
            Kind::Word(_) => "an atom",
            Kind::List(_) => "a list",
            Kind::Tuple(_) => "a tuple",
            Kind::Map(_) => "a table",
            Kind::Computed => "something that would have to be worked out",
        }
    }

    /// The places of all texts in it: one of them may be a secret.
    pub(super) fn texts(&self, found: &mut Vec<Range<usize>>) {
        match &self.kind {
            Kind::Text(_) | Kind::Computed => found.push(self.span.clone()),
            Kind::List(elements) | Kind::Tuple(elements) => {
                elements.iter().for_each(|element| element.texts(found));
            }
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| value.texts(found)),
            Kind::Nothing | Kind::Flag(_) | Kind::Number(_) | Kind::Fraction(_) | Kind::Word(_) => {}
        }
    }
}
