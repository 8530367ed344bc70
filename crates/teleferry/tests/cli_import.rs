//! `teleferry import`, through the built program: configurations of five other proxies, and broken ones.
//!
//! What is printed is kept beside each file; `UPDATE_EXPECTED=1 cargo test --test cli_import` writes it anew.

mod support;

use std::path::{Path, PathBuf};

use support::{Done, Place};

/// The files below `tests/import`, relative to this crate, with the proxy that each is of.
fn files(directory: &str) -> Vec<(PathBuf, &'static str)> {
    let directory = Path::new("tests/import").join(directory);
    let files =
        std::fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files
        .filter(|path| !path.to_string_lossy().contains(".expected."))
        .map(|path| {
            let proxy = proxy_of(&path);
            (path, proxy)
        })
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the files are found");
    files
}

fn proxy_of(path: &Path) -> &'static str {
    let name = path.file_name().expect("a name").to_string_lossy();
    match path.extension().expect("an extension").to_str() {
        Some("config") => "seriyps",
        Some("service" | "txt") => "mtproxy",
        Some("py") => "mtprotoproxy",
        Some("toml") if name.starts_with("telemt") => "telemt",
        Some("toml") => "mtg",
        _ => panic!("{name} is of no known proxy"),
    }
}

/// Imports a copy, so that messages have no path of this machine.
fn import(place: &Place, path: &Path, proxy: &str, further: &[&str]) -> Done {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    place.write(&name, &std::fs::read_to_string(path).expect("the file"));
    place.run(["import", proxy, &name].into_iter().chain(further.iter().copied()))
}

fn assert_expected(path: &Path, extension: &str, text: &str) {
    let expected = path.with_file_name(format!(
        "{}.expected.{extension}",
        path.file_name().expect("a name").to_string_lossy()
    ));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected, text).expect("written");
    }
    let kept = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(kept, text, "{} is not what is printed for {}", expected.display(), path.display());
}

/// Runs of hexadecimal digits as long as half a secret.
fn secrets(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let runs = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 16);
    runs.map(str::to_owned).collect()
}

#[test]
fn good_files_become_settings_that_check_accepts() {
    for (path, proxy) in files("good") {
        let place = Place::new();
        let done = import(&place, &path, proxy, &[]);
        assert_eq!(done.code, Some(0), "{}: {}", path.display(), done.stderr);
        assert_expected(&path, "toml", &done.stdout);
        assert_expected(&path, "txt", &done.stderr);
        assert!(done.stderr.contains(": equal\n"), "{}", done.stderr);
        assert_eq!(secrets(&done.stderr), Vec::<String>::new(), "{}", path.display());

        place.write("teleferry.toml", &done.stdout);
        let checked = place.run(["check", "--config", "teleferry.toml"]);
        assert_eq!(checked.code, Some(0), "{}: {}", path.display(), checked.stderr);
    }
}

#[test]
fn broken_files_are_refused_with_their_places_and_nothing_is_written() {
    for (path, proxy) in files("bad") {
        let place = Place::new();
        let done = import(&place, &path, proxy, &[]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{}", path.display());
        assert_expected(&path, "txt", &done.stderr);
        assert_eq!(secrets(&done.stderr), Vec::<String>::new(), "{}", path.display());
        assert!(!done.stderr.contains("xJ3d3cuZXhhbXBsZS5jb20"), "{}", done.stderr);
    }
}

#[test]
fn links_of_the_new_settings_are_those_of_the_old_proxy() {
    let place = Place::new();
    let path = Path::new("tests/import/good/mtprotoproxy.py");
    place.write("teleferry.toml", &import(&place, path, "mtprotoproxy", &[]).stdout);
    let links = place.run(["link", "--config", "teleferry.toml"]);
    assert_eq!(links.code, Some(0), "{}", links.stderr);
    for secret in [
        "dd8f1d5b0c4e3a49719c2b7d60a5e4f312",
        "ee0b7c91d2e8f64a35bc1d7e90f2a3645c7777772e6578616d706c652e636f6d",
        "dd000000000000000000d15ea5e0b7f94c",
    ] {
        let link = format!("tg://proxy?server=proxy.example.com&port=443&secret={secret}\n");
        assert!(links.stdout.contains(&link), "{link} is not in {}", links.stdout);
    }
}

#[test]
fn links_with_further_names_are_compared_too() {
    let place = Place::new();
    let taken = Path::new("tests/import/good/seriyps-per-sni.config");
    let done = import(&place, taken, "seriyps", &["--sni", "alice.example.com"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("with alice.example.com: equal\n"), "{}", done.stderr);

    // telemt takes listed names only: the link does not work there, and would not here.
    let exact = Path::new("tests/import/good/telemt.toml");
    let done = import(&place, exact, "telemt", &["--sni", "alice.example.com"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{}", done.stderr);
    assert!(
        done.stderr.contains("an old link has no equal among those of the new settings"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let place = Place::new();
    let done = place.run(["import", "mtg", "absent.toml"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.starts_with("error: absent.toml cannot be read"), "{}", done.stderr);
    assert_eq!(place.run(["import", "nobodys", "absent.toml"]).code, Some(2));
}
