//! Random bytes, from one place.

use std::cell::RefCell;
use std::time::Duration;

/// Bytes that are drawn at once for those who ask for few: each draw begins with hardware randomness, which takes about a
/// microsecond however few are asked for.
const STOCK: usize = 4096;
/// Who asks for no more than this gets it from the stock.
const FEW: usize = 512;

thread_local! {
    static STOCKED: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK], used: STOCK }) };
}

/// Random bytes that nobody has had yet; what was given out is zero.
struct Stock {
    bytes: [u8; STOCK],
    used: usize,
}

/// Fills `bytes` with random bytes of cryptographic quality.
///
/// # Panics
/// The system has no randomness to give, which no supported system does.
pub(crate) fn fill(bytes: &mut [u8]) {
    if bytes.len() > FEW {
        return draw(bytes);
    }
    STOCKED.with_borrow_mut(|stock| stock.give(bytes));
}

impl Stock {
    fn give(&mut self, bytes: &mut [u8]) {
        if self.used + bytes.len() > STOCK {
            draw(&mut self.bytes);
            self.used = 0;
        }
        let given = &mut self.bytes[self.used..self.used + bytes.len()];
        bytes.copy_from_slice(given);
        given.fill(0);
        self.used += bytes.len();
    }
}

#[expect(clippy::expect_used, reason = "nothing safe can be done without randomness")]
fn draw(bytes: &mut [u8]) {
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_out_twice_and_nothing_is_left_behind() {
        let mut seen = HashSet::new();
        for _ in 0..3 * STOCK / 16 {
            assert!(seen.insert(array::<16>()));
        }
        for len in [0, 1, FEW - 1, FEW, FEW + 1, 3 * STOCK] {
            let mut bytes = vec![0; len];
            fill(&mut bytes);
            // 32 zeros in a row come by chance once in 2^256.
            assert!(!bytes.chunks_exact(32).any(|chunk| chunk.iter().all(|&byte| byte == 0)));
        }
        STOCKED.with_borrow(|stock| assert!(stock.bytes[..stock.used].iter().all(|&byte| byte == 0)));
    }

    #[test]
    fn jitter_is_a_quarter_at_most() {
        for _ in 0..1000 {
            let seconds = jittered(Duration::from_secs(4)).as_secs_f64();
            assert!((3.0..5.0).contains(&seconds), "{seconds}");
        }
    }
}
