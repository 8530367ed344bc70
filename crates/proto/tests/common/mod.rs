//! What the vector tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use serde_json::Value;

/// A vector file.
pub(crate) fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

/// The cases of one list in a vector file; never empty, so that a test over it cannot pass without having looked.
pub(crate) fn cases<'a>(file: &'a Value, list: &str) -> &'a [Value] {
    let cases = file[list].as_array().unwrap_or_else(|| panic!("no list {list}"));
    assert!(!cases.is_empty(), "{list} is empty");
    cases
}

/// The bytes of a hexadecimal field.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("not a string: {value}"));
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// As [`hex`], of known length.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap_or_else(|bytes: Vec<u8>| panic!("{} bytes instead of {N}", bytes.len()))
}

/// The vectors' deterministic "random" bytes: SHA-256(label || 0) || SHA-256(label || 1) || …
pub(crate) fn det(label: &str, len: usize) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    (0u32..)
        .flat_map(|i| Sha256::new().chain_update(label).chain_update(i.to_be_bytes()).finalize())
        .take(len)
        .collect()
}
