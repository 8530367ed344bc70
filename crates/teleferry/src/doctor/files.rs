//! What the proxy writes: the state directory and the log.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::running::Running;
use super::{Finding, Subject};
use crate::telegram::lock_file;

const STATE: &str = "state";
const LOG: &str = "log";
/// Bytes of free space that are little for logs and state.
const LITTLE: u64 = 64 << 20;
/// Bytes of a log that nobody turns over.
const LARGE_LOG: u64 = 1 << 30;

/// Whether both can be written, and who does.
pub(super) fn examine(subject: &Subject<'_>, running: &Running) -> Vec<Finding> {
    let state_dir = &subject.snapshot.server.state_dir;
    let mut findings = vec![directory(state_dir)];
    findings.extend(space(state_dir));
    findings.extend(lock(state_dir, running));
    findings.extend(running.process().and_then(|process| strangers_files(state_dir, process)));
    match &subject.snapshot.log.file {
        Some(file) => findings.push(log(file)),
        None => {
            findings.push(Finding::fine(LOG, "goes to standard error; a service's: journalctl -u teleferry"))
        }
    }
    findings
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.is_dir()).unwrap_or_else(|| Path::new("."))
}

fn directory(path: &Path) -> Finding {
    let shown = path.display();
    let here = nearest(path);
    let writable = access(here, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    let Ok(found) = fs::metadata(path) else {
        if writable {
            return Finding::fine(STATE, format!("{shown} is made at the first start"));
        }
        return Finding::wrong(
            STATE,
            format!("{shown} is not there, and this user may not make it"),
            "replays are forgotten at a restart, and what Telegram publishes is fetched anew each time",
            "let the service make it (StateDirectory=teleferry in its unit), or set server.state_dir",
        );
    };
    if !found.is_dir() {
        let advice = "remove it, or set server.state_dir to another path";
        return Finding::wrong(STATE, format!("{shown} is no directory"), "nothing is kept", advice);
    }
    if !writable {
        let owner = found.uid();
        return Finding::unknown(
            STATE,
            format!("{shown} belongs to the user with number {owner}, and this user may not write there"),
            "if the proxy runs as this user, it forgets replays at a restart",
            "run doctor as the user that the service runs as, or with sudo",
        );
    }
    if found.mode() & 0o007 != 0 {
        return Finding::advice(
            STATE,
            format!("everybody on this machine may look into {shown}"),
            "what was made up at the first start is in there, a secret for example",
            &format!("chmod 700 {shown}"),
        );
    }
    Finding::fine(STATE, format!("{shown} can be written"))
}

/// A trial start as another user leaves files that the service may not touch.
fn strangers_files(path: &Path, process: i32) -> Option<Finding> {
    let user = fs::metadata(format!("/proc/{process}")).ok()?.uid();
    let files = fs::read_dir(path).ok()?.flatten().filter_map(|file| file.metadata().ok());
    let owners: Vec<u32> = fs::metadata(path).ok().into_iter().chain(files).map(|file| file.uid()).collect();
    not_its_own(path, user, &owners)
}

fn not_its_own(path: &Path, user: u32, owners: &[u32]) -> Option<Finding> {
    let other = owners.iter().find(|owner| **owner != user).filter(|_| user != 0)?;
    let shown = path.display();
    Some(Finding::wrong(
        STATE,
        format!(
            "the process runs as the user with number {user}, and something in {shown} belongs to number {other}"
        ),
        "what it learns is not kept: replays are forgotten at a restart",
        &format!("chown -R {user} {shown}"),
    ))
}

fn space(path: &Path) -> Option<Finding> {
    let disk = statvfs(nearest(path)).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    (free < LITTLE).then(|| {
        Finding::wrong(
            STATE,
            format!("{} MiB are free where {} is", free >> 20, path.display()),
            "soon nothing can be kept any more",
            "make room: df -h; journalctl --vacuum-size=200M",
        )
    })
}

/// Two processes on one directory are most often a mistake. (In direct mode nobody takes the lock.)
fn lock(path: &Path, running: &Running) -> Option<Finding> {
    let file = File::open(lock_file(path)).ok()?;
    let held = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    (held && matches!(running, Running::No)).then(|| {
        Finding::advice(
            STATE,
            format!("another process keeps its state in {}", path.display()),
            "it may be an older one that leaves, or one with other settings; the two would overwrite each other's memory",
            "see which: ps aux | grep teleferry; give each its own server.state_dir",
        )
    })
}

fn log(file: &Path) -> Finding {
    let shown = file.display();
    let directory =
        file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Ok(found) = fs::metadata(file) else {
        if access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
            return Finding::fine(LOG, format!("{shown} is made at the start"));
        }
        return Finding::wrong(
            LOG,
            format!("{shown} is not there, and this user may not make it"),
            "the proxy does not start",
            "make the directory and give it to the service's user, or leave log.file out: systemd keeps the log",
        );
    };
    if access(file, Access::WRITE_OK).is_err() {
        return Finding::unknown(
            LOG,
            format!("{shown} cannot be written by this user"),
            "if the proxy runs as this user, it does not start",
            "run doctor as the user that the service runs as, or with sudo",
        );
    }
    if found.len() > LARGE_LOG {
        return Finding::advice(
            LOG,
            format!("{shown} has {} MiB", found.len() >> 20),
            "one day the disk is full",
            "let logrotate turn it over, with `kill -USR1` to have it opened anew",
        );
    }
    Finding::fine(LOG, format!("{shown} can be written"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_state_directory_is_judged() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("a/state");
        assert_eq!(directory(&path).level, Level::Ok, "it can be made");
        fs::create_dir_all(&path).expect("made");
        for (mode, level) in [(0o700, Level::Ok), (0o755, Level::Advice)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(directory(&path).level, level, "{mode:o}");
        }
        let file = parent.path().join("file");
        fs::write(&file, "").expect("written");
        assert_eq!(directory(&file).level, Level::Mend);
    }

    #[test]
    fn files_of_another_user_are_told() {
        let path = Path::new("/var/lib/teleferry");
        assert!(not_its_own(path, 990, &[990, 990]).is_none());
        assert!(not_its_own(path, 0, &[990, 0]).is_none(), "root may do everything");
        let found = not_its_own(path, 990, &[990, 0]).expect("told");
        assert!(found.advice.contains("chown -R 990 /var/lib/teleferry"), "{found:?}");
        let directory = tempfile::tempdir().expect("a directory");
        let process = i32::try_from(std::process::id()).expect("small");
        assert!(strangers_files(directory.path(), process).is_none(), "all of it is ours");
    }

    #[test]
    fn a_directory_that_another_process_has_is_told_when_it_is_not_ours() {
        let path = tempfile::tempdir().expect("a directory");
        assert!(lock(path.path(), &Running::No).is_none(), "nobody ever had it");
        let held = File::create(lock_file(path.path())).expect("made");
        assert!(lock(path.path(), &Running::No).is_none(), "it is free");
        held.lock().expect("locked");
        assert_eq!(lock(path.path(), &Running::No).expect("told").level, Level::Advice);
        assert!(lock(path.path(), &Running::Unknown(String::new())).is_none());
    }

    #[test]
    fn a_log_that_cannot_be_made_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(log(&directory.path().join("teleferry.log")).level, Level::Ok);
        assert_eq!(log(&directory.path().join("none/teleferry.log")).level, Level::Mend);
    }
}
