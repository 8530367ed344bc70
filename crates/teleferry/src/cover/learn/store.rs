//! The cover site's profiles from one start to the next.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use teleferry_proto::fake_tls::profile::{ExtensionOrder, Group, Profile};
use teleferry_proto::fake_tls::server_hello::Look;

use super::Profiles;
use crate::state;

/// The file in the state directory.
const FILE: &str = "cover-profile.json";
/// The form in which it is written now. Another one is as good as none.
const VERSION: u32 = 1;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where profiles are kept, and for which site.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// Those of another target are not used.
    target: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    target: String,
    profiles: Vec<Entry>,
    /// How long answers took, in nanoseconds; see [`Latencies`](crate::cover::latency::Latencies).
    #[serde(default)]
    latencies: Vec<Vec<u32>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    hybrid_offered: bool,
    cipher_suite: u16,
    version_first: bool,
    hybrid: bool,
    records: usize,
    lengths: Vec<(u16, u32)>,
}

impl Store {
    /// In this state directory, for this target.
    pub(crate) fn new(directory: PathBuf, target: String) -> Self {
        Self { directory, target }
    }

    /// What was kept: profiles and latencies. Nothing when it is of another site or cannot be read.
    pub(super) fn load(&self) -> (Profiles, Vec<Vec<u32>>) {
        let path = self.directory.join(FILE);
        let small = fs::metadata(&path).is_ok_and(|file| file.len() <= MAX_FILE);
        let text = if small { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let written = serde_json::from_slice(&text)
            .ok()
            .filter(|written: &Written| written.version == VERSION && written.target == self.target);
        let Some(Written { profiles, latencies, .. }) = written else { return Default::default() };
        (Profiles(profiles.into_iter().filter_map(Entry::read).collect()), latencies)
    }

    /// Keeps them.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub(super) fn save(&self, profiles: &Profiles, latencies: &[Vec<u32>]) -> io::Result<()> {
        let written = Written {
            version: VERSION,
            target: self.target.clone(),
            profiles: profiles.0.iter().map(Entry::write).collect(),
            latencies: latencies.to_vec(),
        };
        state::write(&self.directory, FILE, &serde_json::to_vec(&written)?)
    }
}

impl Entry {
    fn write(((name, hybrid_offered), profile): (&(String, bool), &Profile)) -> Self {
        Self {
            name: name.clone(),
            hybrid_offered: *hybrid_offered,
            cipher_suite: profile.look.cipher_suite,
            version_first: profile.look.extensions == ExtensionOrder::VersionFirst,
            hybrid: profile.group == Group::Hybrid,
            records: profile.records,
            lengths: profile.lengths.clone(),
        }
    }

    /// `None` when nothing could be answered with it.
    fn read(self) -> Option<((String, bool), Profile)> {
        let extensions =
            if self.version_first { ExtensionOrder::VersionFirst } else { ExtensionOrder::KeyShareFirst };
        let profile = Profile {
            look: Look { cipher_suite: self.cipher_suite, extensions },
            group: if self.hybrid { Group::Hybrid } else { Group::X25519 },
            records: self.records,
            lengths: self.lengths,
        };
        profile.draw(0)?;
        Some(((self.name, self.hybrid_offered), profile))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn profiles() -> Profiles {
        let profile = Profile {
            look: Look { cipher_suite: 0x1302, extensions: ExtensionOrder::VersionFirst },
            group: Group::Hybrid,
            records: 1,
            lengths: vec![(573, 1), (574, 2)],
        };
        Profiles(BTreeMap::from([(("a.example".to_owned(), true), profile)]))
    }

    #[test]
    fn what_was_kept_is_there_again_for_the_same_site_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = |target: &str| Store::new(directory.path().to_owned(), target.to_owned());
        assert_eq!(store("a:443").load().0, Profiles::default());
        store("a:443").save(&profiles(), &[vec![7, 8], vec![]]).expect("kept");
        assert_eq!(store("a:443").load(), (profiles(), vec![vec![7, 8], vec![]]));
        assert_eq!(store("b:443").load().0, Profiles::default());
    }

    #[test]
    fn a_spoilt_or_other_file_is_as_good_as_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::new(directory.path().to_owned(), "a:443".to_owned());
        store.save(&profiles(), &[vec![7, 8], vec![]]).expect("kept");
        let path = directory.path().join(FILE);
        let text = fs::read_to_string(&path).expect("there");
        for spoilt in [
            String::new(),
            text[..text.len() / 2].to_owned(),
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("[[573,1],[574,2]]", "[]"),
        ] {
            fs::write(&path, spoilt).expect("written");
            assert_eq!(store.load().0, Profiles::default());
        }
    }
}
