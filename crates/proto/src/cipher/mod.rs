//! AES-256 as running streams: the only user of the AES crate.
//!
//! The two modes are written over its blocks here, because that is twice as fast as the general ones on processors with wide
//! AES instructions (and encrypts two chains at once), and tested against those.

mod cbc;
mod ctr;

pub use cbc::CbcStream;
pub use ctr::CtrStream;

/// Bytes in one AES block.
pub const BLOCK: usize = 16;

/// One of them.
type Block = aes::Block;
