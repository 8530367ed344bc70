//! What is wrong with a configuration, told so that it can be mended.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::hide::blot;

/// Everything that is wrong, at once.
#[derive(Debug)]
pub struct Problems {
    file: Option<String>,
    /// The file with its secrets blotted out.
    text: String,
    list: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it stands, in bytes from the file's beginning; `None` when it stands nowhere.
    pub(crate) span: Option<Range<usize>>,
    /// The key and what is wrong with it, in one sentence without a full stop.
    pub(crate) title: String,
    /// A few words at the place itself.
    pub(super) label: Option<String>,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(span: Option<Range<usize>>, title: impl Into<String>) -> Self {
        Self { span, title: title.into(), label: None, help: None }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Problems {
    /// `secrets` are the places in `text` that must not be shown.
    pub(crate) fn new(
        file: Option<String>,
        text: &str,
        secrets: &[Range<usize>],
        mut list: Vec<Problem>,
    ) -> Self {
        // In the order of the file; what stands nowhere comes last.
        list.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
        Self { file, text: blot(text, secrets), list }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.list.len()
    }

    /// The whole report, with the lines of the file and what to do.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let reports: Vec<String> =
            self.list.iter().map(|problem| renderer.render(&self.report(problem))).collect();
        reports.join("\n\n")
    }

    /// Each as one line: its place (`file:line:column`), what is wrong, what to do.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|problem| {
            let file = self.file.as_deref().map(|file| format!("{file}:")).unwrap_or_default();
            let place = problem.span.as_ref().map(|span| self.place(span.start)).unwrap_or_default();
            let label = problem.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
            let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            let space = if file.is_empty() && place.is_empty() { "" } else { " " };
            format!("{file}{place}{space}{}{label}{help}", problem.title)
        })
    }

    /// `line:column:` of a byte, both from 1; the column counts characters.
    fn place(&self, offset: usize) -> String {
        let (line, column) = place(&self.text, offset);
        format!("{line}:{column}:")
    }

    fn report<'a>(&'a self, problem: &'a Problem) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(&problem.title);
        let mut group = match &problem.span {
            Some(span) => {
                let annotation = AnnotationKind::Primary.span(span.clone()).label(problem.label.as_deref());
                let snippet = Snippet::source(&self.text).path(self.file.as_deref()).annotation(annotation);
                title.element(snippet)
            }
            None => match &self.file {
                Some(file) => title.element(annotate_snippets::Origin::path(file)),
                None => Group::with_title(title),
            },
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help));
        }
        vec![group]
    }
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}
