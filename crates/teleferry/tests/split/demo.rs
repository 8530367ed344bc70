//! `demo --split`, as a user starts it.

use crate::support::Place;

#[test]
fn a_demonstration_in_two_halves_passes_and_says_what_it_shows() {
    let place = Place::new();
    let done = place.run(["demo", "--split"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{}", done.stdout);
    assert!(done.stdout.contains("PASSED: 100 of 100 clients"), "{}", done.stdout);
    for words in ["clients come to a front, and a back goes to Telegram", "a round trip of"] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    let between: Vec<_> =
        done.stdout.lines().filter(|line| line.starts_with("Between front and back: ")).collect();
    assert_eq!(between.len(), 2, "{}", done.stdout);
    assert!(between[0].contains("56 sessions") && between[1].contains("44 sessions"), "{between:?}");
    assert!(!place.path("state").exists(), "it leaves nothing behind");
}
