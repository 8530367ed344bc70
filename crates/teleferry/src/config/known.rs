//! Finds keys that do not exist.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{SECTIONS, Section};
use super::problem::Problem;
use super::value::nearest;

/// Looks at every key of the file that is not of the operator's own choosing.
pub(super) fn check(root: &DeTable<'_>, problems: &mut Vec<Problem>) {
    for (name, value) in root {
        let Some(section) = SECTIONS.iter().find(|section| section.name == name.get_ref()) else {
            problems.push(unknown_section(name));
            continue;
        };
        match (section.repeated, value.get_ref()) {
            (false, DeValue::Table(tables)) if section.is_named() => {
                for (name, value) in tables {
                    match value.get_ref() {
                        DeValue::Table(table) => check_keys(section, table, problems),
                        _ => problems.push(not_a_section(section, name.span())),
                    }
                }
            }
            (false, DeValue::Table(table)) => check_keys(section, table, problems),
            (true, DeValue::Array(elements)) => {
                for element in elements {
                    match element.get_ref() {
                        DeValue::Table(table) => check_keys(section, table, problems),
                        _ => problems.push(not_a_section(section, element.span())),
                    }
                }
            }
            _ => problems.push(not_a_section(section, name.span())),
        }
    }
}

fn check_keys(section: &Section, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let path = format!("{}.{}", section.name, name.get_ref());
        if let Some(inner) = SECTIONS.iter().find(|known| known.name == path) {
            match value.get_ref() {
                DeValue::Table(table) => check_keys(inner, table, problems),
                _ => problems.push(not_a_section(inner, name.span())),
            }
            continue;
        }
        if section.keys.iter().all(|key| key.name != name.get_ref()) {
            problems.push(unknown_key(section, name, &path));
        }
    }
}

fn unknown_section(name: &Spanned<DeString<'_>>) -> Problem {
    let problem = Problem::new(Some(name.span()), format!("there is no section or key `{}`", name.get_ref()));
    let sections = SECTIONS.iter();
    // A key that stands before the first heading, or a heading that is misspelled.
    let home = sections.clone().find(|section| section.keys.iter().any(|key| key.name == name.get_ref()));
    match (home, nearest(name.get_ref(), sections.map(|section| section.name))) {
        (Some(section), _) => problem.help(format!("this key belongs below {}", section.heading())),
        (None, Some(near)) => problem.help(format!("did you mean `{near}`?")),
        (None, None) => problem,
    }
}

fn unknown_key(section: &Section, name: &Spanned<DeString<'_>>, path: &str) -> Problem {
    let problem = Problem::new(Some(name.span()), format!("there is no key `{path}`"));
    let elsewhere = SECTIONS.iter().find(|other| other.keys.iter().any(|key| key.name == name.get_ref()));
    match (nearest(name.get_ref(), section.keys.iter().map(|key| key.name)), elsewhere) {
        (Some(near), _) => problem.help(format!("did you mean `{near}`?")),
        (None, Some(other)) => problem.help(format!("this key belongs below {}", other.heading())),
        (None, None) => problem.help("`teleferry check --explain` lists every key"),
    }
}

fn not_a_section(section: &Section, span: Range<usize>) -> Problem {
    Problem::new(Some(span), format!("`{}` should be a section", section.name))
        .help(format!("write {} on a line of its own, and its keys below it", section.heading()))
}
