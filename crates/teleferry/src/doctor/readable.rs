//! Whether the service's user may read the files that its settings name: who copies them as root forgets it easily.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::unit::Unit;
use super::{Finding, Subject};
use crate::config::{Role, Snapshot};

/// A user with all of its groups.
#[derive(Debug, PartialEq, Eq)]
struct Reader {
    user: u32,
    groups: Vec<u32>,
}

/// Says which files the service's user may not read. Nothing where no unit runs with these settings.
pub(super) fn examine(subject: &Subject<'_>, unit: Option<&Unit>) -> Vec<Finding> {
    let Some(name) = unit.and_then(Unit::user) else { return Vec::new() };
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let Some(reader) = Reader::find(name, &text("/etc/passwd"), &text("/etc/group")) else {
        return Vec::new();
    };
    let files = subject.file.into_iter().chain(named(subject.snapshot));
    files.filter(|path| reader.may_read(path) == Some(false)).map(|path| refused(name, path)).collect()
}

fn refused(user: &str, path: &Path) -> Finding {
    let shown = path.display();
    Finding::wrong(
        "settings",
        format!("the service's user, {user}, may not read {shown}"),
        "the service does not start, or does without the file",
        &format!("chgrp {user} {shown}; chmod 640 {shown}"),
    )
}

/// The files that the settings name and whose content the process needs.
fn named(snapshot: &Snapshot) -> impl Iterator<Item = &Path> {
    let token = match &snapshot.role {
        Role::Both => None,
        Role::Front(front) => front.token_file.as_deref(),
        Role::Back(back) => back.token_file.as_deref(),
    };
    let tls = snapshot.role.tls().map(|(_, tls)| [&tls.ca, &tls.cert, &tls.key, &tls.revoked]);
    let tls = tls.into_iter().flatten().filter_map(|file| file.as_deref());
    [snapshot.admin.token_file.as_deref(), token].into_iter().flatten().chain(tls)
}

impl Reader {
    /// From the text of the two files in which the system keeps them.
    fn find(name: &str, users: &str, groups: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let number = |fields: &[String], at: usize| fields.get(at)?.parse::<u32>().ok();
        let user =
            users.lines().map(fields).find(|fields| fields.first().is_some_and(|first| first == name))?;
        let further = groups.lines().map(fields).filter(|fields| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
        });
        let mut all = vec![number(&user, 3)?];
        all.extend(further.filter_map(|fields| number(&fields, 2)));
        Some(Self { user: number(&user, 2)?, groups: all })
    }

    /// `None` when it cannot be told.
    fn may_read(&self, path: &Path) -> Option<bool> {
        let enters = |directory: &Path| self.may(directory, 0o1);
        for directory in path.ancestors().skip(1).filter(|directory| directory.is_absolute()) {
            if !enters(directory)? {
                return Some(false);
            }
        }
        self.may(path, 0o4)
    }

    /// The bit is that of others.
    fn may(&self, path: &Path, bit: u32) -> Option<bool> {
        let about = fs::metadata(path).ok()?;
        let bit = if about.uid() == self.user {
            bit << 6
        } else if self.groups.contains(&about.gid()) {
            bit << 3
        } else {
            bit
        };
        Some(about.mode() & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_user_has_its_own_group_and_those_that_name_it() {
        let users = "root:x:0:0:root:/root:/bin/sh\nteleferry:x:997:996::/:/usr/sbin/nologin\n";
        let groups = "root:x:0:\nteleferry:x:996:\nssl-cert:x:110:other,teleferry\nadm:x:4:teleferry2\n";
        let found = Reader::find("teleferry", users, groups);
        assert_eq!(found, Some(Reader { user: 997, groups: vec![996, 110] }));
        assert_eq!(Reader::find("tele", users, groups), None);
        assert_eq!(Reader::find("teleferry", "teleferry:x", groups), None);
    }

    #[test]
    fn the_mode_of_a_file_and_of_its_directories_decides() {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("set");
        let directory = place.path().join("etc");
        fs::create_dir(&directory).expect("made");
        let file = directory.join("key");
        fs::write(&file, "").expect("written");
        let about = fs::metadata(&file).expect("there");
        let owner = Reader { user: about.uid(), groups: Vec::new() };
        let member = Reader { user: about.uid() + 1, groups: vec![about.gid()] };
        let other = Reader { user: about.uid() + 1, groups: vec![about.gid() + 1] };
        for (directory_mode, mode, expected) in [
            (0o755, 0o600, [true, false, false]),
            (0o755, 0o640, [true, true, false]),
            (0o755, 0o644, [true, true, true]),
            (0o750, 0o644, [true, true, false]),
            (0o755, 0o044, [false, true, true]),
        ] {
            fs::set_permissions(&directory, Permissions::from_mode(directory_mode)).expect("set");
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("set");
            let found = [&owner, &member, &other].map(|reader| reader.may_read(&file));
            assert_eq!(found, expected.map(Some), "{directory_mode:o} {mode:o}");
        }
        assert_eq!(owner.may_read(&directory.join("gone")), None);
    }
}
