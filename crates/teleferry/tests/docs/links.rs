//! Every link to another page or a place on one leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::page::{Page, pages, root};

/// Pages that others are about to add.
const AWAITED: [&str; 3] = ["install.md", "split-mode.md", "switching.md"];

/// The targets of the links in a line, `[text](target)`.
fn targets(line: &str) -> Vec<&str> {
    let ends = line.match_indices("](").map(|(at, _)| at + 2);
    ends.filter_map(|at| line[at..].split_once(')').map(|(target, _)| target)).collect()
}

/// The name of a heading in links, as forges make it.
fn anchor(heading: &str) -> String {
    let mut anchor = String::new();
    for c in heading.trim().chars().flat_map(char::to_lowercase) {
        match c {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(c),
            c if c.is_alphanumeric() => anchor.push(c),
            _ => {}
        }
    }
    anchor
}

fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.prose.iter().filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
}

/// What is wrong with a link, when something is.
fn wrong(page: &Page, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, place) = target.split_once('#').map_or((target, None), |(file, place)| (file, Some(place)));
    let path = if file.is_empty() { page.path.clone() } else { below(&page.path, file) };
    if !path.exists() {
        if path.file_name().is_some_and(|name| AWAITED.iter().any(|awaited| name == *awaited)) {
            return None;
        }
        return Some(format!("{target}: there is no such file"));
    }
    let place = place?;
    let there = anchors(&Page::read(&path));
    (!there.contains(place)).then(|| format!("{target}: there is no such heading; there are {there:?}"))
}

fn below(page: &Path, file: &str) -> PathBuf {
    page.parent().unwrap_or_else(|| Path::new("")).join(file)
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    let mut mistakes = Vec::new();
    for page in pages() {
        for (number, line) in &page.prose {
            for target in targets(line) {
                followed += 1;
                if let Some(why) = wrong(&page, target) {
                    mistakes.push(format!("{}:{number}: {why}", page.name()));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(followed > 60, "{followed}");
}

#[test]
fn every_page_for_operators_is_on_the_index() {
    let index = Page::read(&root().join("docs/operate/README.md"));
    let linked: BTreeSet<&str> = index.prose.iter().flat_map(|(_, line)| targets(line)).collect();
    for entry in std::fs::read_dir(root().join("docs/operate")).expect("readable") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if name.ends_with(".md") && name != "README.md" {
            assert!(linked.contains(name.as_str()), "docs/operate/README.md does not link {name}");
        }
    }
}

#[test]
fn a_link_to_nowhere_would_be_found() {
    let page = Page::read(&root().join("docs/operate/README.md"));
    assert_eq!(targets("see [a](b.md) and [c](d.md#e)."), ["b.md", "d.md#e"]);
    assert_eq!(wrong(&page, "monitoring.md#over-http"), None);
    assert!(wrong(&page, "monitring.md").is_some());
    assert!(wrong(&page, "monitoring.md#over-htp").is_some());
    assert_eq!(anchor(" `teleferry ctl`"), "teleferry-ctl");
}
