//! Random bytes and random order.

/// `N` random bytes.
///
/// # Panics
/// When the operating system has none; no system that runs this lacks them.
pub(crate) fn array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// As many random bytes.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Brings a list into random order.
pub(crate) fn shuffle<T>(list: &mut [T]) {
    for last in (1..list.len()).rev() {
        let other = u64::from_le_bytes(array()) % (last as u64 + 1);
        list.swap(last, other as usize);
    }
}
