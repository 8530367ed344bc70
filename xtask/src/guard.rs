//! Rules of the house that no lint knows, as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::root;

/// Lines that a file may have at most.
const MAX_LINES: usize = 800;

/// Licences that may be linked into the program.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// One TLS and one cryptography: these would bring a second.
const BANNED: [&str; 4] = ["native-tls", "openssl", "openssl-sys", "ring"];

/// Where it is looked at.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What `proto` may not have: whatever could do IO, read the clock or draw random bytes.
const NOT_IN_PROTO: [&str; 6] = ["getrandom", "mio", "rand", "rustix", "socket2", "tokio"];

#[test]
fn files_stay_small_enough_to_hold_in_the_head() {
    let mut files = Vec::new();
    for directory in ["crates", "xtask", "fuzz/fuzz_targets"] {
        rust_files(&root().join(directory), &mut files);
    }
    assert!(files.len() > 50, "the files are found");
    let long: Vec<_> = files
        .iter()
        .map(|file| (file, std::fs::read_to_string(file).expect("text").lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn dependencies_are_licensed_and_none_is_banned() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    // The lock file also names what a dependency could have and does not.
    let built = built();
    assert!(built.len() > 50, "the packages are found");
    for package in packages {
        let name = package["name"].as_str().expect("name");
        if !built.contains(name) {
            continue;
        }
        assert!(!BANNED.contains(&name), "{name} is banned");
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence), "{name}: {licence}");
    }
}

#[test]
fn proto_does_no_io() {
    let metadata = metadata();
    let packages: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (package["id"].as_str().expect("id"), package["name"].as_str().expect("name")))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["id"].as_str().expect("id"), node))
        .collect();
    let (proto, _) = packages.iter().find(|(_, name)| **name == "teleferry-proto").expect("proto");
    let (mut reached, mut ahead) = (BTreeSet::new(), vec![*proto]);
    while let Some(id) = ahead.pop() {
        for dependency in nodes[id]["deps"].as_array().expect("deps") {
            let normal =
                dependency["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().expect("id");
            if normal && reached.insert(packages[id]) {
                ahead.push(id);
            }
        }
    }
    assert!(reached.contains("aes"), "the dependencies are found: {reached:?}");
    let forbidden: Vec<_> = NOT_IN_PROTO.iter().filter(|name| reached.contains(*name)).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}

/// Whether one of the alternatives of an SPDX expression is allowed as a whole.
fn is_allowed(expression: &str) -> bool {
    let parts = |text: &str, word| {
        text.split(word).map(|part| part.trim_matches(['(', ')', ' ']).to_owned()).collect::<Vec<_>>()
    };
    parts(&expression.replace('/', " OR ").replace(" or ", " OR "), " OR ").iter().any(|alternative| {
        parts(alternative, " AND ").iter().all(|licence| LICENCES.contains(&licence.as_str()))
    })
}

fn metadata() -> Value {
    let output = cargo(&["metadata", "--format-version", "1", "--filter-platform", PLATFORM]);
    serde_json::from_slice(&output).expect("JSON")
}

/// The names of all packages that are compiled for the workspace, tests included.
fn built() -> BTreeSet<String> {
    let arguments = ["tree", "--workspace", "--target", PLATFORM, "--prefix", "none", "--format", "{p}"];
    let output = String::from_utf8(cargo(&arguments)).expect("text");
    output.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What cargo says, without a network and without changing anything.
fn cargo(arguments: &[&str]) -> Vec<u8> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
