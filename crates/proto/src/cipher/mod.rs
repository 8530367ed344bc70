//! AES-256 as running streams: the only user of the AES crates.

mod cbc;
mod ctr;

pub use cbc::CbcStream;
pub use ctr::CtrStream;

/// Bytes in one AES block.
pub const BLOCK: usize = 16;
