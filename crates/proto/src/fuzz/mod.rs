//! The entries of the fuzz targets. Each takes arbitrary bytes and asserts what must hold for all of them: any cut of
//! the input gives the same result, bounds are kept, and what we write ourselves is read back.
//!
//! The first three bytes of the input steer an entry: what it does, and where it cuts the rest.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a broken invariant has to panic here, and none of this is in the product"
)]

mod call;
mod door;
mod frames;
mod full;
mod haproxy;
mod hello;
mod middle;
mod text;

pub use call::call;
pub use door::accept;
pub use frames::{frames, session};
pub use full::{full, rpc};
pub use haproxy::haproxy;
pub use hello::{answer, client_hello, profile};
pub use middle::{middle, middle_server};
pub use text::{link, telegram_config};

use crate::cipher::CtrStream;
use crate::fake_tls::{RANDOM_LEN, RANDOM_OFFSET, around_random, digest};
use crate::secret::SecretKey;
use crate::transport::Framing;

/// What steers an entry.
#[derive(Clone, Copy)]
struct Steering {
    mode: u8,
    cut: u16,
}

impl Steering {
    /// Takes it off the front of the input.
    fn split(data: &[u8]) -> Option<(Self, &[u8])> {
        let (&[mode, low, high], rest) = data.split_first_chunk()?;
        Some((Self { mode, cut: u16::from_le_bytes([low, high]) }, rest))
    }

    /// Where to cut `len` bytes in two.
    fn at(self, len: usize) -> usize {
        usize::from(self.cut) % (len + 1)
    }

    /// The length of pieces to cut into.
    fn step(self) -> usize {
        usize::from(self.cut).max(1)
    }

    fn framing(self) -> Framing {
        Framing::ALL[usize::from(self.mode) % 3]
    }

    fn bit(self, bit: u8) -> bool {
        self.mode >> bit & 1 == 1
    }
}

/// The secrets that entries prove things with.
fn keys() -> [SecretKey; 3] {
    [1, 2, 3].map(|byte| SecretKey::new([byte; 16]))
}

/// Writes the digest into a hello, as a client that knows the secret would.
fn sign(record: &[u8], key: &SecretKey, unix_time: u32) -> Vec<u8> {
    let mut signed = record.to_vec();
    let (before, _, after) = around_random(record).expect("a whole hello has a random field");
    let mut random = digest(key, &[], before, after);
    let time = random.last_chunk_mut::<4>().expect("32 bytes");
    *time = (u32::from_le_bytes(*time) ^ unix_time).to_le_bytes();
    signed[RANDOM_OFFSET..RANDOM_OFFSET + RANDOM_LEN].copy_from_slice(&random);
    signed
}

/// 64 bytes that a header can be made of, from whatever there is.
fn header_bytes(bytes: &[u8]) -> [u8; 64] {
    let mut random = [0; 64];
    CtrStream::new(&[0; 32], &[0; 16]).apply(&mut random);
    for (to, from) in random[8..56].iter_mut().zip(bytes) {
        *to = *from;
    }
    random
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    type Entry = (&'static str, fn(&[u8]));

    const ENTRIES: [Entry; 14] = [
        ("accept", accept),
        ("answer", answer),
        ("call", call),
        ("client_hello", client_hello),
        ("frames", frames),
        ("full", full),
        ("haproxy", haproxy),
        ("link", link),
        ("middle", middle),
        ("middle_server", middle_server),
        ("profile", profile),
        ("rpc", rpc),
        ("session", session),
        ("telegram_config", telegram_config),
    ];

    /// The stored inputs of one target; never none.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> =
            fs::read_dir(&folder).expect(&folder).map(|entry| entry.expect("entry").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{folder} is empty");
        files.iter().map(|file| fs::read(file).expect("a file")).collect()
    }

    #[test]
    fn the_stored_corpus_holds() {
        for (target, entry) in ENTRIES {
            corpus(target).iter().for_each(|data| entry(data));
        }
    }

    /// Stored inputs with some bytes changed, cut or longer: deep paths without a fuzzer.
    fn near_the_corpus(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
        let change = (any::<prop::sample::Index>(), any::<u8>());
        let tail = prop::collection::vec(any::<u8>(), 0..40);
        let seeds = prop::sample::select(corpus(target));
        (
            seeds,
            any::<[u8; 3]>(),
            prop::collection::vec(change, 0..4),
            any::<Option<prop::sample::Index>>(),
            tail,
        )
            .prop_map(|(mut data, steering, changes, end, tail)| {
                data.splice(..data.len().min(3), steering);
                for (at, byte) in changes {
                    let at = at.index(data.len());
                    data[at] = byte;
                }
                if let Some(end) = end {
                    data.truncate(end.index(data.len() + 1));
                }
                data.extend(tail);
                data
            })
    }

    fn holds(target: &str, cases: u32) {
        let (_, entry) = ENTRIES.into_iter().find(|(name, _)| *name == target).expect("a target");
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let random = prop::collection::vec(any::<u8>(), 0..400).boxed();
        let inputs = prop_oneof![random, near_the_corpus(target).boxed()];
        prop::test_runner::TestRunner::new(config)
            .run(&inputs, |data| {
                entry(&data);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{target}: {error}"));
    }

    #[test]
    fn accept_holds() {
        holds("accept", 512);
    }

    #[test]
    fn answer_holds() {
        holds("answer", 1024);
    }

    #[test]
    fn call_holds() {
        holds("call", 1024);
    }

    #[test]
    fn client_hello_holds() {
        holds("client_hello", 512);
    }

    #[test]
    fn frames_hold() {
        holds("frames", 1024);
    }

    #[test]
    fn full_holds() {
        holds("full", 1024);
    }

    #[test]
    fn haproxy_holds() {
        holds("haproxy", 1024);
    }

    #[test]
    fn link_holds() {
        holds("link", 1024);
    }

    #[test]
    fn middle_holds() {
        holds("middle", 512);
    }

    #[test]
    fn middle_server_holds() {
        holds("middle_server", 512);
    }

    #[test]
    fn profile_holds() {
        holds("profile", 1024);
    }

    #[test]
    fn rpc_holds() {
        holds("rpc", 1024);
    }

    #[test]
    fn session_holds() {
        holds("session", 1024);
    }
    #[test]
    fn telegram_config_holds() {
        holds("telegram_config", 1024);
    }
}
