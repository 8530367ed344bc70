//! Random bytes from the operating system.

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills a buffer of any length.
///
/// # Panics
/// When the operating system has no random bytes; no system that runs this lacks them.
pub(crate) fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system gives random bytes");
}
