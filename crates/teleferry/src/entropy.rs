//! Random bytes, from one place.

/// Fills `bytes` with random bytes of cryptographic quality.
///
/// # Panics
/// The system has no randomness to give, which no supported system does.
#[expect(clippy::expect_used, reason = "nothing safe can be done without randomness")]
pub(crate) fn fill(bytes: &mut [u8]) {
    // A generator in user space, seeded by the system: no system call for each connection.
    aws_lc_rs::rand::fill(bytes).expect("the system gives random bytes");
}

/// Random bytes of known length.
pub(crate) fn array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
