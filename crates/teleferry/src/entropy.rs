//! Random bytes, from one place.

use std::time::Duration;

/// Fills `bytes` with random bytes of cryptographic quality.
///
/// # Panics
/// The system has no randomness to give, which no supported system does.
#[expect(clippy::expect_used, reason = "nothing safe can be done without randomness")]
pub(crate) fn fill(bytes: &mut [u8]) {
    // A generator in user space, seeded by the system: no system call for each connection.
    aws_lc_rs::rand::fill(bytes).expect("the system gives random bytes");
}

/// Seeds this thread's generator, which takes some 40 ms; so that the first client does not wait for it.
pub(crate) fn warm_up() {
    fill(&mut [0]);
}

/// A time up to a quarter shorter or longer, so that what began together does not go on together.
pub(crate) fn jittered(time: Duration) -> Duration {
    let [draw] = array();
    time.mul_f64(0.75 + f64::from(draw) / 512.0)
}

/// Random bytes of known length.
pub(crate) fn array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_a_quarter_at_most() {
        for _ in 0..1000 {
            let seconds = jittered(Duration::from_secs(4)).as_secs_f64();
            assert!((3.0..5.0).contains(&seconds), "{seconds}");
        }
    }
}
