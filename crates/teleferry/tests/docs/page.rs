//! A page: its blocks of code, and what stands between them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) blocks: Vec<Block>,
    /// The lines that are no code, with their numbers.
    pub(crate) prose: Vec<(usize, String)>,
}

/// A block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What stands behind the fence; nothing for an indented block.
    pub(crate) language: String,
    /// The number of its first line.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut page = Self { path: path.to_owned(), blocks: Vec::new(), prose: Vec::new() };
        let mut fenced: Option<Block> = None;
        let mut blank_before = true;
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            if let Some(language) = line.strip_prefix("```") {
                match fenced.take() {
                    Some(block) => page.blocks.push(block),
                    None => fenced = Some(Block::new(language.trim(), number + 1)),
                }
                blank_before = true;
                continue;
            }
            if let Some(block) = &mut fenced {
                block.push(line);
                continue;
            }
            match line.strip_prefix("    ").filter(|_| blank_before || page.ends_indented(number)) {
                Some(code) => page.push_indented(number, code),
                None => page.prose.push((number, line.to_owned())),
            }
            blank_before = line.trim().is_empty();
        }
        assert!(fenced.is_none(), "{}: a fence is never closed", path.display());
        page
    }

    /// The page's name below the project's directory.
    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    fn ends_indented(&self, number: usize) -> bool {
        self.blocks.last().is_some_and(|block| block.language.is_empty() && block.end() == number)
    }

    fn push_indented(&mut self, number: usize, code: &str) {
        match self.blocks.last_mut() {
            Some(block) if block.language.is_empty() && block.end() == number => block.push(code),
            _ => {
                let mut block = Block::new("", number);
                block.push(code);
                self.blocks.push(block);
            }
        }
    }
}

impl Block {
    fn new(language: &str, line: usize) -> Self {
        Self { language: language.to_owned(), line, text: String::new() }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The number of the line behind it.
    fn end(&self) -> usize {
        self.line + self.text.lines().count()
    }
}

/// The project's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is there")
}

/// Every page for operators.
pub(crate) fn pages() -> Vec<Page> {
    let root = root();
    let mut paths = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    gather(&root.join("docs"), &mut paths);
    assert!(paths.len() > 15, "{paths:?}");
    paths.iter().map(|path| Page::read(path)).collect()
}

fn gather(directory: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("an entry").path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            gather(&entry, paths);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            paths.push(entry);
        }
    }
}

#[test]
fn blocks_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page.md");
    fs::write(&path, "a\n\n    one\n    two\n\n```toml\nx = 1\n```\n- b\n    no code\n").expect("written");
    let page = Page::read(&path);
    let blocks: Vec<_> = page.blocks.iter().map(|b| (b.language.as_str(), b.line, b.text.as_str())).collect();
    assert_eq!(blocks, [("", 3, "one\ntwo\n"), ("toml", 7, "x = 1\n")]);
    assert_eq!(page.prose.last().map(|(number, _)| *number), Some(10));
}
