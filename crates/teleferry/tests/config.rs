//! Configuration files: what good ones mean, and what is said of bad ones.
//!
//! Each message is kept in a file beside its configuration; `UPDATE_EXPECTED=1 cargo test --test config` writes them anew.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use teleferry::config::{self, ConfigError, Overrides, Snapshot, keys};

/// The files of a directory below `tests/config`, relative to this crate, where the tests run.
fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new("tests/config").join(directory);
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn load(path: &Path) -> Result<Snapshot, ConfigError> {
    config::load(path, &Overrides::default(), Path::new("/default/state"))
}

fn assert_expected(path: &Path, text: &str) {
    let expected = path.with_extension("txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected, text).expect("written");
    }
    let kept = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(kept, text, "{} is not what is said of {}", expected.display(), path.display());
}

#[test]
fn good_files_are_understood() {
    for path in files("valid") {
        let snapshot = load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_expected(&path.with_extension("shown.toml"), &snapshot.show());
    }
}

#[test]
fn bad_files_are_refused_with_everything_that_is_wrong() {
    for path in files("invalid") {
        let error = load(&path).expect_err("refused");
        assert_expected(&path, &format!("{error}\n"));
    }
}

#[test]
fn no_message_shows_a_secret() {
    for path in files("invalid") {
        let text = std::fs::read_to_string(&path).expect("the file");
        let error = load(&path).expect_err("refused");
        let told = format!("{error} {error:?}").to_lowercase();
        let digits = text.to_lowercase();
        for secret in digits.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 16) {
            assert!(!told.contains(secret), "{}: {told}", path.display());
        }
        assert!(!told.contains("pass word") && !told.contains("jx1bde46"), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = load(Path::new("tests/config/no-such-file.toml")).expect_err("no file");
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(
        error.to_string().starts_with("the configuration file tests/config/no-such-file.toml cannot be read")
    );
}

#[test]
fn the_table_of_keys_tells_the_defaults_that_hold() {
    let minimal = std::fs::read_to_string("tests/config/valid/minimal.toml").expect("the file");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("teleferry.toml");
    let write_and_load = |text: &str| {
        std::fs::write(&path, text).expect("written");
        load(&path).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut spelled_out = minimal.clone();
    // A table is under a name of the operator's, and its defaults show in the file `access`. Halves are in `roles`.
    let whole = keys::SECTIONS.iter().filter(|section| !section.name.starts_with("role."));
    for section in whole.filter(|section| !section.is_named()) {
        if !section.repeated {
            spelled_out += &format!("[{}]\n", section.name);
        }
        for key in section.keys {
            if let keys::Value::Default(value) = key.value {
                let line = format!("{} = {value}\n", key.name);
                // The minimal file is one [[listen]] section: its keys go to its end.
                if section.repeated {
                    spelled_out = spelled_out.replacen("[[listen]]\n", &format!("[[listen]]\n{line}"), 1)
                } else {
                    spelled_out += &line
                };
            }
        }
    }
    assert_eq!(write_and_load(&spelled_out), write_and_load(&minimal), "{spelled_out}");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let overrides = Overrides {
        addresses: vec![config::listen_address("127.0.0.1:7").expect("an address")],
        secret: Some(config::secret_key("5d0e2b7f9a1c4836be7d20c1f4a59e63").expect("a secret")),
        ad_tag: Some(config::ad_tag("0b7c91d2e8f64a35bc1d7e90f2a3645c").expect("a tag")),
        domain: Some(config::domain("other.example").expect("a domain")),
        protocols: Some(config::Protocols::ALL),
        mode: Some(config::Mode::Middle),
        state_dir: Some("/elsewhere".into()),
    };
    let path = Path::new("tests/config/valid/minimal.toml");
    let snapshot = config::load(path, &overrides, Path::new("/default/state")).expect("settings");
    let [listener] = snapshot.listeners.as_slice() else { panic!("one listener") };
    assert_eq!(listener.addresses, overrides.addresses);
    assert_eq!(
        listener.secrets.iter().map(|secret| &secret.key).collect::<Vec<_>>(),
        [overrides.secret.as_ref().expect("secret")]
    );
    assert!(listener.ad_tag == overrides.ad_tag);
    assert_eq!(listener.domain, overrides.domain);
    assert_eq!(listener.protocols, config::Protocols::ALL);
    assert_eq!(snapshot.server.state_dir, Path::new("/elsewhere"));
    assert_eq!(snapshot.telegram.mode, config::Mode::Middle);

    let several = config::load(Path::new("tests/config/valid/full.toml"), &overrides, Path::new("/s"));
    let message = several.expect_err("two listeners").to_string();
    assert!(message.contains("do not say which listener they mean"), "{message}");
}

proptest! {
    #[test]
    fn spoilt_files_are_refused_without_a_panic(
        cut in any::<prop::sample::Index>(),
        len in 0usize..40,
        inserted in "[\\PC\n\"'\\[\\]{}=]{0,8}",
        file in any::<prop::sample::Index>(),
    ) {
        let files: Vec<_> = files("valid").into_iter().chain(files("invalid")).collect();
        let text: Vec<char> = std::fs::read_to_string(file.get(&files)).expect("the file").chars().collect();
        let start = cut.index(text.len());
        let end = (start + len).min(text.len());
        let spoilt: String = text[..start].iter().copied().chain(inserted.chars()).chain(text[end..].iter().copied()).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("teleferry.toml");
        std::fs::write(&path, spoilt).expect("written");
        if let Err(error) = load(&path) {
            prop_assert!(error.to_string().contains("error") || error.to_string().contains("cannot be read"));
        }
    }
}
