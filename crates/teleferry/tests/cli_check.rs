//! `teleferry check`, through the built program.

mod support;

use support::{KEY, Place, configuration, exists, shows_a_key};

#[test]
fn a_good_file_is_shown_with_its_secrets_shortened() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:443"));
    let done = place.run(["check", "--config", "teleferry.toml"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(!shows_a_key(&done.stdout), "{}", done.stdout);
    for line in
        ["secret = \"8f1d…\"", "secrets.\"alice\" = \"0b7c…\"", "idle_timeout = \"20m\"", "workers = 0"]
    {
        assert!(done.stdout.lines().any(|shown| shown == line), "{line} is not in:\n{}", done.stdout);
    }
}

#[test]
fn a_proxy_without_a_cover_site_is_warned_about() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:443").replace("192.0.2.1:443", "off"));
    let done = place.run(["check", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(0));
    assert!(done.stderr.starts_with("warning: there is no cover site"), "{}", done.stderr);
}

#[test]
fn an_ad_tag_in_direct_mode_is_warned_about() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:443"));
    let tag = "3f5d0e2b7f9a1c4836be7d20c1f4a59e";
    let check = ["check", "--config", "teleferry.toml", "--ad-tag", tag, "--mode"];
    let direct = place.run(check.into_iter().chain(["direct"]));
    assert_eq!(direct.code, Some(0), "{}", direct.stderr);
    assert!(
        direct.stderr.starts_with("warning: the ad tag of listener `all` is not used"),
        "{}",
        direct.stderr
    );
    for mode in ["auto", "middle"] {
        let done = place.run(check.into_iter().chain([mode]));
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{mode}");
        assert!(done.stdout.contains("ad_tag = \"3f5d…\"") && !done.stdout.contains(tag), "{}", done.stdout);
    }
}

#[test]
fn a_bad_file_ends_with_2_and_says_where_and_what_to_do() {
    let place = Place::new();
    let text = configuration("0.0.0.0:443").replace("protocols", "protocls");
    place.write("teleferry.toml", &text);
    let done = place.run(["check", "--config", "teleferry.toml"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("there is no key `listen.protocls`"), "{}", done.stderr);
    assert!(done.stderr.contains("teleferry.toml:13:1"), "{}", done.stderr);
    assert!(done.stderr.contains("did you mean `protocols`?"), "{}", done.stderr);
    assert!(!done.stderr.contains('\u{1b}'), "no colour where nobody looks");
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let place = Place::new();
    let path = place.write("teleferry.toml", &configuration("0.0.0.0:443"));
    let named = support::finish(place.command(["check"]).env("TELEFERRY_CONFIG", path));
    assert_eq!(named.code, Some(0), "{}", named.stderr);
    let missing = support::finish(place.command(["check"]).env("TELEFERRY_CONFIG", "no-such.toml"));
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("no-such.toml cannot be read"), "{}", missing.stderr);
}

#[test]
fn a_missing_file_is_no_reason_to_make_one_or_to_go_on() {
    let place = Place::new();
    for command in ["check", "run", "link"] {
        let done = place.run([command, "--config", "absent.toml"]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{command}");
        assert!(done.stderr.contains("absent.toml cannot be read"), "{}", done.stderr);
    }
    assert!(!exists(&place.path("absent.toml")) && !exists(&place.path("state")));
}

#[test]
fn flags_win_over_the_file_and_are_checked() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:443"));
    let done = place.run([
        "check",
        "--config",
        "teleferry.toml",
        "--listen",
        "127.0.0.1:1",
        "--listen",
        "[::1]:2",
        "--domain",
        "other.example",
        "--protocol",
        "tls",
        "--mode",
        "direct",
        "--state-dir",
        "/elsewhere",
    ]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for line in [
        "address = [\"127.0.0.1:1\", \"[::1]:2\"]",
        "domain = \"other.example\"",
        "protocols = [\"tls\"]",
        "state_dir = \"/elsewhere\"",
    ] {
        assert!(done.stdout.lines().any(|shown| shown == line), "{line} is not in:\n{}", done.stdout);
    }
    for wrong in [
        ["--listen", "443"],
        ["--domain", "UPPER.example"],
        ["--protocol", "http"],
        ["--mode", "proxy"],
        ["--ad-tag", "dcbe8f1493fa4cd9ab300891c0b5b326"],
        ["--secret", "dd8f1d5b0c4e3a49719c2b7d60a5e4f312"],
        ["--secret", "0123456789abcdef0123456789abcdef"],
    ] {
        let done = place.run(["check", "--config", "teleferry.toml"].into_iter().chain(wrong));
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(done.stderr.starts_with("error: "), "{wrong:?}: {}", done.stderr);
        assert!(!done.stderr.contains(wrong[1]) || wrong[1].len() < 32, "{}", done.stderr);
    }
}

#[test]
fn flags_alone_are_settings() {
    let place = Place::new();
    let done = place.run(["check", "--listen", "127.0.0.1:1", "--secret", KEY, "--domain", "a.example"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!shows_a_key(&done.stdout) && done.stdout.contains("name = \"main\""), "{}", done.stdout);
    assert!(!exists(&place.path("state")), "nothing had to be made up");
}

#[test]
fn without_a_file_and_without_an_earlier_start_there_is_nothing_to_check() {
    let place = Place::new();
    for command in ["check", "link"] {
        let done = place.run([command]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
        assert!(done.stderr.contains("name a file with --config"), "{}", done.stderr);
    }
    assert!(!exists(&place.path("state")), "looking makes nothing");
}

#[test]
fn container_variables_are_settings_too() {
    let place = Place::new();
    let variables = [("MTP_PORT", "8443"), ("MTP_SECRET", KEY), ("MTP_DD_ONLY", "t")];
    let done = support::finish(place.command(["check"]).envs(variables));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for line in ["address = [\"[::]:8443\"]", "secret = \"8f1d…\"", "protocols = [\"secure\"]"] {
        assert!(done.stdout.lines().any(|shown| shown == line), "{line} is not in:\n{}", done.stdout);
    }
    place.write("teleferry.toml", &configuration("0.0.0.0:443"));
    let unused = support::finish(place.command(["check", "--config", "teleferry.toml"]).envs(variables));
    assert_eq!(unused.code, Some(0));
    assert!(unused.stderr.contains("MTP_SECRET is not used"), "{}", unused.stderr);
    assert!(!shows_a_key(&unused.stderr));
}

#[test]
fn every_key_is_explained() {
    let done = Place::new().run(["check", "--explain"]);
    assert_eq!(done.code, Some(0));
    for part in ["[[listen]]", "idle_timeout (duration)", "default: \"20m\"", "[role.front]", "[tables.NAME]"]
    {
        assert!(done.stdout.contains(part), "{part} is not in:\n{}", done.stdout);
    }
}
