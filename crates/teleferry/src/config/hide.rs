//! Keeps secrets out of messages that quote the file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where the file holds what must not be shown.
///
/// Of a `broken` text not everything can be found by its key: there, whole lines are hidden that seem to hold secrets.
pub(super) fn secret_spans(root: &DeTable<'_>, text: &str, broken: bool) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for listener in root.get("listen").and_then(|value| value.get_ref().as_array()).into_iter().flatten() {
        let keys = listener.get_ref().as_table().into_iter().flatten();
        spans.extend(
            keys.filter(|(key, _)| matches!(key.get_ref().as_ref(), "secret" | "secrets" | "ad_tag"))
                .flat_map(|(_, value)| leaves(value)),
        );
    }
    let salt = root.get("sni_secrets").and_then(|section| section.get_ref().as_table()?.get("salt"));
    spans.extend(salt.into_iter().flat_map(leaves));
    for (start, line) in lines(text).filter(|_| broken) {
        if let Some((key, _)) = line.split_once('=').filter(|(key, _)| is_secret(key)) {
            spans.push(start + key.len() + 1..start + line.len());
        }
    }
    spans
}

fn is_secret(key: &str) -> bool {
    (key.contains("secret") && !key.contains("file")) || key.contains("salt")
}

/// The places of the single values in a value.
fn leaves(value: &Spanned<DeValue<'_>>) -> Vec<Range<usize>> {
    match value.get_ref() {
        DeValue::Table(table) => table.values().flat_map(leaves).collect(),
        DeValue::Array(elements) => elements.iter().flat_map(leaves).collect(),
        _ => vec![value.span()],
    }
}

/// Every line with the place where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    })
}

/// The text with asterisks in place of secrets, of the same length in bytes. Long runs of hexadecimal digits are blotted
/// out wherever they stand: a typing mistake can move a secret to where none is expected.
pub(super) fn blot(text: &str, secrets: &[Range<usize>]) -> String {
    let hidden = |at: usize| secrets.iter().any(|span| span.contains(&at));
    let mut blotted: Vec<u8> = text
        .bytes()
        .enumerate()
        .map(|(at, byte)| match byte {
            b'"' | b'\'' | b' ' | b'\n' | b'\r' => byte,
            _ if hidden(at) => b'*',
            _ => byte,
        })
        .collect();
    for run in blotted.chunk_by_mut(|a, b| a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) {
        if run.len() >= MIN_HEX_RUN {
            run.fill(b'*');
        }
    }
    // Spans hold whole characters, so that the rest is UTF-8 as before.
    String::from_utf8_lossy(&blotted).into_owned()
}

/// Half a secret: no word of a configuration is that long in hexadecimal digits alone.
const MIN_HEX_RUN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blotted_out_without_moving_anything() {
        let text = "secret = \"ключ\"\nother = \"0123456789ABCDEF0123\" # abcdef";
        let blotted = blot(text, std::slice::from_ref(&(9..text.find('\n').expect("two lines"))));
        assert_eq!(blotted, "secret = \"********\"\nother = \"********************\" # abcdef");
        assert_eq!(blotted.len(), text.len());
    }
}
