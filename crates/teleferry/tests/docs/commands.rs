//! Every command of ours on a page exists with its flags; those that need no network and no running process are run.

use clap::error::ErrorKind;

use super::configurations::{configurations, whole};
use super::page::{Page, pages};
use super::support::Place;

/// A command of ours, as it stands on a page.
struct Command {
    line: usize,
    words: Vec<String>,
    /// Whether it is a line of a block, which is there to be pasted. Else it is mentioned in a sentence.
    pasted: bool,
}

/// Every command of ours on a page.
fn commands(page: &Page) -> Vec<Command> {
    let mut found = Vec::new();
    for block in &page.blocks {
        if !["", "sh", "console"].contains(&block.language.as_str()) {
            continue;
        }
        for (at, line) in block.text.lines().enumerate() {
            found.extend(ours(line).map(|words| Command { line: block.line + at, words, pasted: true }));
        }
    }
    for (line, text) in &page.prose {
        // Between two backticks, in every second piece. In a table a pipe is escaped.
        let text = text.replace("\\|", "|");
        let mentioned = text.split('`').skip(1).step_by(2).filter_map(ours);
        found.extend(mentioned.map(|words| Command { line: *line, words, pasted: false }));
    }
    found
}

/// The words of a command line from our name on; nothing when it is not ours.
fn ours(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ").trim_start_matches("# ");
    let mut words = split(line);
    let sudo = words.first().is_some_and(|word| word == "sudo");
    if sudo {
        words.remove(0);
        if words.first().is_some_and(|word| word == "-u") {
            words.drain(..2.min(words.len()));
        }
    }
    let first = words.first()?;
    let is_ours = first.rsplit('/').next() == Some("teleferry");
    if !is_ours || words.len() < 2 {
        return None;
    }
    words[0] = "teleferry".to_owned();
    Some(words)
}

/// As a shell would, up to a comment, a pipe or the next command.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '|' | '>' | '&' | ';' | '<') => break,
            (None, '#') if word.is_empty() && !begun => break,
            (None, c) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, c) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// What is wrong with it, when something is.
fn wrong(command: &Command) -> Option<String> {
    // "…", and in a sentence also a NAME.
    let capitals = |word: &String| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase());
    let placeholder = |word: &String| {
        (word.contains('…') && !word.starts_with("tg:")) || (!command.pasted && capitals(word))
    };
    if command.words.iter().any(placeholder) {
        // As far as it is said, it has to be right: its subcommand exists.
        let known = teleferry::cli::command();
        let exists = known.find_subcommand(&command.words[1]).is_some();
        return (!exists).then(|| format!("there is no command {}", command.words[1]));
    }
    let error = teleferry::cli::command().try_get_matches_from(&command.words).err()?;
    let half = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let fine = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
        || (half && !command.pasted);
    (!fine).then(|| error.to_string())
}

#[test]
fn commands_on_pages_exist() {
    let mut found = 0;
    let mut mistakes = Vec::new();
    for page in pages() {
        for command in commands(&page) {
            found += 1;
            if let Some(why) = wrong(&command) {
                let line = command.words.join(" ");
                mistakes.push(format!("{}:{}: {line}\n{why}", page.name(), command.line));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(found > 60, "{found}");
}

#[test]
fn a_misspelt_command_would_be_found() {
    let command = |line: &str| Command { line: 1, words: ours(line).expect(line), pasted: true };
    for right in [
        "teleferry check --config teleferry.toml   # a comment",
        "    sudo -u teleferry /usr/bin/teleferry ctl table add blocked 198.51.100.0/24",
        "teleferry man | man -l -",
        "teleferry ping 'tg://proxy?server=a&port=443&secret=ee…' --dc 1..5",
    ] {
        assert_eq!(wrong(&command(right)), None, "{right}");
    }
    for mistake in ["teleferry chek", "teleferry check --confg x", "teleferry ctl statis", "teleferry ping"] {
        assert!(wrong(&command(mistake)).is_some(), "{mistake}");
    }
    let mentioned = Command { pasted: false, ..command("teleferry ping --timeout 5s") };
    assert_eq!(wrong(&mentioned), None, "half a command in a sentence");
    assert!(ours("systemctl reload teleferry").is_none() && ours("teleferry").is_none());
}

/// Commands that need neither a network nor a running process.
const OFFLINE: [&str; 5] = ["check", "link", "secret", "completions", "man"];

/// Runs what can be run of a page, with its configurations where it says that they are.
fn run(page: &Page) -> usize {
    let place = Place::new();
    place.write("secret.txt", "5a0d3c917be24f68a1f0c3d2b4e59786\n");
    let mut ran = 0;
    for command in commands(page).iter().filter(|command| command.pasted) {
        if !OFFLINE.contains(&command.words[1].as_str())
            || command.words.iter().any(|word| word.contains('…'))
        {
            continue;
        }
        // The configuration that the reader has written last, else the page's first; on pages without one any.
        let before = configurations(page).filter(|block| block.line < command.line).last();
        let written = before.or_else(|| configurations(page).next());
        let text = written.map_or_else(|| super::support::configuration("127.0.0.1:443"), whole);
        let text = text.replace("[server]", "[server]\nstate_dir = \"state\"");
        let text = if text.contains("public_host") {
            text
        } else if text.contains("[server]") {
            text.replace("[server]", "[server]\npublic_host = \"proxy.example\"")
        } else {
            format!("[server]\npublic_host = \"proxy.example\"\nstate_dir = \"state\"\n{text}")
        };
        let file = place.write("teleferry.toml", &text);
        let file = file.to_str().expect("UTF-8");
        let mut words: Vec<&str> = command.words[1..].iter().map(String::as_str).collect();
        for at in 1..words.len() {
            if words[at - 1] == "--config" {
                words[at] = file;
            }
        }
        let mut command_to_run = place.command(words);
        command_to_run.env("TELEFERRY_CONFIG", file);
        let done = super::support::finish(&mut command_to_run);
        let line = command.words.join(" ");
        assert_eq!(done.code, Some(0), "{}:{}: {line}\n{}", page.name(), command.line, done.stderr);
        assert!(!done.stdout.is_empty(), "{}:{}: {line} says nothing", page.name(), command.line);
        ran += 1;
    }
    ran
}

#[test]
fn commands_that_need_no_network_work() {
    let ran: usize = pages().iter().map(run).sum();
    assert!(ran > 10, "{ran}");
}
