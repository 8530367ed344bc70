use std::time::Duration;

use super::*;

fn table(kind: TableKind, entries: &[&str], source: Option<ListSource>) -> TableSettings {
    let entries = entries.iter().map(|entry| kind.entry(entry).expect("an entry")).collect();
    TableSettings { kind, entries, source, refresh: Duration::from_secs(60) }
}

fn named<const N: usize>(tables: [(&str, TableSettings); N]) -> BTreeMap<String, TableSettings> {
    tables.into_iter().map(|(name, settings)| (name.to_owned(), settings)).collect()
}

#[test]
fn f_19_changes_outlive_the_process_each_in_its_own_type() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = named([
        ("names", table(TableKind::Domain, &["a.example"], None)),
        ("networks", table(TableKind::Network, &["192.0.2.0/24"], None)),
    ]);
    let first = Tables::new(&settings, directory.path());
    assert!(first.add("names", "B.example").expect("kept"));
    assert!(!first.add("names", "a.example").expect("there"));
    assert!(first.remove("networks", "192.0.2.0/24").expect("kept"));
    assert!(first.add("networks", "10.0.0.0/8").expect("kept"));
    assert!(matches!(first.add("names", "10.0.0.1"), Err(TableError::Entry(_))));
    assert!(matches!(first.add("nothing", "a.example"), Err(TableError::Unknown(_))));
    drop(first);

    let second = Tables::new(&settings, directory.path());
    assert!(second.contains("names", "b.example").expect("a name"));
    assert!(second.contains("networks", "10.1.2.3").expect("an address"));
    assert!(!second.contains("networks", "192.0.2.1").expect("an address"));
    assert_eq!(second.size("names").expect("there"), 2);
    assert_eq!(second.list("networks", 9).expect("there").len(), 1);

    // A table of another kind does not take them up, and does not spoil them.
    let changed = named([("names", table(TableKind::Network, &[], None))]);
    let third = Tables::new(&changed, directory.path());
    assert_eq!(third.size("names").expect("there"), 0);
    third.configure(&settings);
    assert!(third.contains("names", "b.example").expect("a name"));
}

#[test]
fn what_cannot_be_kept_is_done_and_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("file");
    fs::write(&missing, "no directory").expect("written");
    let tables = Tables::new(&named([("names", table(TableKind::Domain, &[], None))]), &missing);
    assert!(matches!(tables.add("names", "a.example"), Err(TableError::NotKept(_))));
    assert!(tables.contains("names", "a.example").expect("a name"));
}

#[test]
fn a_spoilt_file_of_changes_is_told_and_ignored() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(Kept::path(directory.path()), "{").expect("written");
    let tables =
        Tables::new(&named([("names", table(TableKind::Domain, &["a.example"], None))]), directory.path());
    assert_eq!(tables.size("names").expect("there"), 1);
}

#[test]
fn lists_in_files_are_read_and_the_last_good_copy_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("blocked.netset");
    let source = Some(ListSource::File(file.clone()));
    let settings = named([("blocked", table(TableKind::Network, &["192.0.2.1"], source))]);
    let state = directory.path().join("state");
    let size = |expected: usize| {
        let tables = Tables::new(&settings, &state);
        assert_eq!(tables.size("blocked").expect("there"), expected);
    };
    // There is none yet.
    size(1);
    fs::write(&file, "# a list\n10.0.0.0/8\n192.0.2.1\n").expect("written");
    size(2);
    fs::write(&file, "something else").expect("written");
    size(2);
    fs::remove_file(&file).expect("removed");
    size(2);
    // The copy of another list is none of this one.
    let other = Some(ListSource::File(directory.path().join("other.netset")));
    let settings = named([("blocked", table(TableKind::Network, &["192.0.2.1"], other))]);
    assert_eq!(Tables::new(&settings, &state).size("blocked").expect("there"), 1);
}

#[test]
fn a_reload_keeps_what_was_changed_and_drops_tables_that_are_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = named([
        ("a", table(TableKind::Domain, &["a.example"], None)),
        ("b", table(TableKind::Domain, &[], None)),
    ]);
    let tables = Tables::new(&settings, directory.path());
    tables.add("a", "b.example").expect("kept");
    let held = tables.find("a").expect("there");
    let settings = named([("a", table(TableKind::Domain, &["c.example"], None))]);
    tables.configure(&settings);
    assert!(matches!(tables.size("b"), Err(TableError::Unknown(_))));
    for (name, there) in [("a.example", false), ("b.example", true), ("c.example", true)] {
        assert_eq!(tables.contains("a", name).expect("a name"), there, "{name}");
        // Rules from before see the same table.
        assert_eq!(held.contains(Wanted::Domain(name)), there, "{name}");
    }
}
