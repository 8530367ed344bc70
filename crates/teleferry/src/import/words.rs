//! A command line, taken from a file: alone, or as `ExecStart=` of a systemd unit.
//!
//! What a shell or systemd would put in at run time (`$NAME`, `%i`, backquotes) is not known here and refused.

use std::ops::Range;

use super::Problem;
use super::value::{Kind, Value};

/// The words of the one command in a file, each a [`Kind::Text`].
pub(super) fn command_line(text: &str) -> Result<Vec<Value>, Problem> {
    if !is_unit(text) {
        return split(text, 0..text.len());
    }
    let mut words = Vec::new();
    for line in unit_command(text)? {
        words.extend(split(text, line)?);
    }
    Ok(words)
}

/// Whether a file has the sections of a unit.
fn is_unit(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[Service]")
}

/// The lines of the command that a unit starts. An empty `ExecStart=` takes back what was said before.
fn unit_command(text: &str) -> Result<Vec<Range<usize>>, Problem> {
    let mut commands = Vec::new();
    let (mut at, mut goes_on, mut in_command) = (0, false, false);
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim_end();
        // Remarks may stand between the lines of a command.
        if content.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let begins = (!goes_on).then(|| content.trim_start().strip_prefix("ExecStart")).flatten();
        let value = begins.and_then(|rest| rest.trim_start().strip_prefix('='));
        if !goes_on {
            in_command = value.is_some();
            match value.map(str::trim) {
                Some("") => commands.clear(),
                Some(_) => commands.push(Vec::new()),
                None => {}
            }
        }
        goes_on = content.ends_with('\\');
        if let (true, Some(command)) = (in_command, commands.last_mut()) {
            let from = start + value.map_or(0, |value| content.len() - value.len());
            let content_end = start + content.len() - usize::from(goes_on);
            command.push(from.min(content_end)..content_end);
        }
    }
    match (commands.pop(), commands.pop()) {
        (Some(command), None) => Ok(command),
        (None, _) => Err(Problem::new(None, "this unit starts nothing: there is no ExecStart=")),
        (Some(second), Some(_)) => {
            Err(Problem::new(second.first().cloned(), "this unit starts a second command")
                .help("put each command into a file of its own, and import one after the other"))
        }
    }
}

/// Splits a part of the text into words as a shell does, as far as quotation marks and backslashes go.
fn split(text: &str, span: Range<usize>) -> Result<Vec<Value>, Problem> {
    let mut characters = text.get(span.clone()).unwrap_or_default().char_indices();
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote: Option<(usize, char)> = None;
    while let Some((at, c)) = characters.next() {
        let at = span.start + at;
        match (c, quote) {
            ('$' | '`' | '%', _) => {
                let title = "this is put in when the command is started, and is not known here";
                return Err(Problem::new(Some(at..at + 1), title).help("write the value itself"));
            }
            (c, Some((_, end))) if c == end => quote = None,
            ('\\', None | Some((_, '"'))) => match characters.next() {
                None | Some((_, '\n')) => {}
                Some((_, escaped)) => word.get_or_insert((at, String::new())).1.push(escaped),
            },
            (c, Some(_)) => word.get_or_insert((at, String::new())).1.push(c),
            ('"' | '\'', None) => {
                quote = Some((at, c));
                word.get_or_insert((at, String::new()));
            }
            ('#', None) if word.is_none() => {
                characters.by_ref().find(|(_, c)| *c == '\n');
            }
            (c, None) if c.is_whitespace() => {
                words.extend(word.take().map(|(start, word)| Value::new(Kind::Text(word), start..at)));
            }
            (c, None) => word.get_or_insert((at, String::new())).1.push(c),
        }
    }
    if let Some((at, _)) = quote {
        return Err(Problem::new(Some(at..at + 1), "this quotation does not end"));
    }
    words.extend(word.map(|(start, word)| Value::new(Kind::Text(word), start..span.end)));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let words = command_line(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        words.iter().filter_map(|word| word.as_word().map(str::to_owned)).collect()
    }

    #[test]
    fn commands_stand_alone_or_in_units() {
        let expected = ["/opt/mtproto-proxy", "-H", "443", "-S", "ab cd", "x"];
        for text in [
            "/opt/mtproto-proxy -H 443 -S 'ab cd' x\n",
            "# started by hand\n/opt/mtproto-proxy \\\n  -H 443 -S \"ab cd\" x",
            "[Unit]\n[Service]\nExecStartPre=/bin/true\nExecStart=/opt/mtproto-proxy -H 443 \\\n# remark\n  -S 'ab cd' x\nUser=a\n",
            "[Service]\nExecStart=/bin/other\nExecStart=\nExecStart = /opt/mtproto-proxy -H 443 -S \"ab cd\" \\\nx",
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn words_know_their_places() {
        let text = "[Service]\nExecStart=/p -H 443 \\\n  -X";
        let found = command_line(text).expect("words");
        assert_eq!(found.last().map(|word| word.span.clone()), Some(text.len() - 2..text.len()));
    }

    #[test]
    fn what_is_not_known_or_twice_is_refused() {
        for (text, told) in [
            ("p -S $SECRET", "this is put in when the command is started, and is not known here"),
            ("p -S '%i'", "this is put in when the command is started, and is not known here"),
            ("p 'x", "this quotation does not end"),
            ("[Service]\nUser=x", "this unit starts nothing: there is no ExecStart="),
            ("[Service]\nExecStart=a\nExecStart=b\n", "this unit starts a second command"),
        ] {
            assert_eq!(command_line(text).expect_err(text).title, told, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "(\\[Service\\]\n)?(ExecStart=)?[-a-c'\"\\\\\n #$=]{0,60}") {
            for word in command_line(&text).unwrap_or_default() {
                prop_assert!(text.get(word.span).is_some());
            }
        }
    }
}
