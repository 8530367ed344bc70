use std::sync::Barrier;

use super::*;

fn settings() -> config::Replay {
    config::Replay {
        enabled: true,
        capacity: 100_000,
        max_age: Duration::from_secs(7 * 86_400),
        persist: true,
    }
}

fn key(n: u8) -> ReplayKey {
    ReplayKey::from_bytes(std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8)))
}

fn nowhere() -> Replay {
    Replay::new(&settings(), Path::new("/dev/null/nowhere"))
}

fn now() -> u32 {
    clock::unix_time() as u32
}

#[test]
fn of_many_copies_at_once_one_is_new() {
    let replay = nowhere();
    for n in 0..50 {
        let barrier = Barrier::new(4);
        let new: usize = std::thread::scope(|scope| {
            let copies: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        usize::from(replay.header(key(n)) == Recall::New)
                    })
                })
                .collect();
            copies.into_iter().map(|copy| copy.join().expect("no panic")).sum()
        });
        assert_eq!(new, 1);
    }
    assert_eq!(replay.counts(), ReplayCounts { entries: 50, evicted: 0 });
}

#[test]
fn it_is_remembered_over_a_clean_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Replay::new(&settings(), directory.path());
    for n in 0..100 {
        assert_eq!(first.hello(key(n), now()), Recall::New);
    }
    first.keep(true);
    let second = Replay::new(&settings(), directory.path());
    assert_eq!(second.counts().entries, 100);
    for n in 0..100 {
        assert_eq!(second.hello(key(n), now()), Recall::Known);
    }
    // Nothing was lost in between, so that old hellos may still be new.
    assert_eq!(second.hello(key(200), now() - 300), Recall::New);
}

#[test]
fn hellos_from_a_time_that_nobody_remembers_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    // The first start of all: there was nothing to record.
    let first = Replay::new(&settings(), directory.path());
    assert_eq!(first.hello(key(1), now() - 300), Recall::New);
    first.keep(false);
    // The process ended without warning, a while later.
    let mut kept = file::load(directory.path()).expect("whole").expect("there");
    kept.written -= 100;
    file::store(directory.path(), &kept).expect("written");
    let second = Replay::new(&settings(), directory.path());
    assert_eq!(second.hello(key(1), now()), Recall::Known);
    assert_eq!(second.hello(key(2), now() - 300), Recall::New, "remembered, and not among them");
    assert_eq!(second.hello(key(3), now() - 50), Recall::Lost);
    assert_eq!(second.hello(key(4), now() + 1), Recall::New);
    // Spoilt, or never kept: nothing is known of the time before.
    std::fs::write(file::path(directory.path()), b"something else").expect("written");
    let not_kept = config::Replay { persist: false, ..settings() };
    for third in [Replay::new(&settings(), directory.path()), Replay::new(&not_kept, directory.path())] {
        assert_eq!(third.hello(key(5), now() - 300), Recall::Lost);
        assert_eq!(third.hello(key(6), now() + 1), Recall::New);
    }
}

#[test]
fn what_is_switched_off_remembers_nothing_and_keeps_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let off = config::Replay { enabled: false, ..settings() };
    let replay = Replay::new(&off, directory.path());
    for _ in 0..2 {
        assert_eq!(replay.hello(key(1), now()), Recall::New);
        assert_eq!(replay.header(key(1)), Recall::New);
    }
    replay.keep(true);
    assert_eq!(replay.counts().entries, 0);
    assert!(file::load(directory.path()).expect("nothing").is_none());
    // It can be switched on while the process runs, and off again.
    replay.configure(&settings());
    assert_eq!((replay.header(key(1)), replay.header(key(1))), (Recall::New, Recall::Known));
    replay.configure(&off);
    assert_eq!(replay.header(key(1)), Recall::New);
}

#[test]
fn the_capacity_holds_and_evictions_are_counted() {
    let small = config::Replay { capacity: 12_800, ..settings() };
    let replay = Replay::new(&small, Path::new("/dev/null/nowhere"));
    for n in 0..60_000_u64 {
        let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        assert_eq!(
            replay.header(ReplayKey::from_bytes([hash, hash].concat().try_into().expect("16"))),
            Recall::New
        );
    }
    let ReplayCounts { entries, evicted } = replay.counts();
    assert!((6_400..=12_800 + 2 * PARTS as u64).contains(&entries), "{entries}");
    assert_eq!(entries + evicted, 60_000);
}

/// A process that takes another's place knows whom that let in to the last, however late.
#[test]
fn who_was_let_in_during_an_upgrade_is_known_to_the_next_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = Replay::new(&settings(), directory.path());
    assert_eq!(old.header(key(1)), Recall::New);
    old.leave();
    assert_eq!(old.header(key(2)), Recall::New);
    let new = Replay::new(&settings(), directory.path());
    let (ours, theirs) = Handover::pair().expect("a pair");
    std::thread::scope(|scope| {
        scope.spawn(|| old.hand_on(ours));
        new.inherit(Handover::adopt(theirs)).expect("all are told");
    });
    assert_eq!(old.header(key(3)), Recall::New, "one that was at the door already");
    // Told in the background.
    let told = || new.counts().entries == 3;
    let started = clock::now();
    while !told() && started.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    for n in 1..=3 {
        assert_eq!(new.header(key(n)), Recall::Known, "{n}");
    }
    assert_eq!(new.header(key(4)), Recall::New);
}
