//! The small commands, and what holds for all of them, through the built program.

mod support;

use std::process::Stdio;

use support::Place;
use teleferry_proto::secret::Secret;

#[test]
fn a_secret_is_new_each_time_and_told_in_every_form() {
    let place = Place::new();
    let done = place.run(["secret", "--domain", "www.example.com"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let forms: Vec<Vec<&str>> = done.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let kinds: Vec<&str> = forms.iter().map(|form| form[0]).collect();
    assert_eq!(kinds, ["plain", "plain", "secure", "secure", "tls", "tls"]);
    let key = Secret::parse(forms[0][2]).expect("a secret").key().clone();
    for form in &forms {
        let secret = Secret::parse(form[2]).expect("a secret");
        assert!(*secret.key() == key, "{form:?}");
        assert_eq!(secret.domain().is_some(), form[0] == "tls");
    }
    let again = place.run(["secret"]);
    assert_eq!(again.stdout.lines().count(), 4, "no tls without a domain");
    assert_ne!(again.stdout.lines().next(), done.stdout.lines().next());
    let bare = place.run(["secret", "--bare"]).stdout;
    assert_eq!((bare.len(), bare.lines().count()), (33, 1), "{bare}");
    assert!(Secret::parse(bare.trim()).is_ok_and(|secret| secret.domain().is_none()));
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let place = Place::new();
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        let done = place.run(arguments.iter().copied());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        for command in ["run", "check", "link", "secret"] {
            assert!(done.stdout.contains(command), "{command} is not in {arguments:?}");
        }
    }
}

#[test]
fn what_is_no_command_ends_with_2_and_help_with_0() {
    let place = Place::new();
    for arguments in [&["rnu"][..], &["run", "--no-such-flag"], &["secret", "--domain", "no host"], &[]] {
        let done = place.run(arguments.iter().copied());
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!done.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["link", "--help"]] {
        let done = place.run(arguments.iter().copied());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(done.stdout.contains("teleferry"), "{}", done.stdout);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let done =
        place.command(["check", "--explain"]).stdout(writer).stderr(Stdio::piped()).output().expect("ran");
    assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(0), &[][..]));
}
