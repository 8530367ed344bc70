//! PROXY protocol, versions 1 and 2: how a load balancer tells whose connection it passes on.
//!
//! [`scan`] is a pure function of all bytes received so far, so the cut of the input cannot matter: the first verdict
//! stays the verdict, whatever comes behind.

mod v1;
mod v2;

use std::net::SocketAddr;

/// Bytes of a header of version 1, its line end included, at most.
pub const MAX_V1_LEN: usize = 107;

/// Bytes behind the addresses of a header of version 2 (its TLVs), at most. They are skipped.
pub const MAX_TLVS_LEN: usize = 4096;

/// Bytes of any header, at most.
pub const MAX_LEN: usize = v2::FIXED_LEN + v2::LONGEST_ADDRESSES + MAX_TLVS_LEN;

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// More bytes are needed, never more than [`MAX_LEN`] in all.
    NeedMore,
    /// No header: something else begins here.
    Absent,
    /// It begins like a header and is none.
    Malformed,
    /// A header.
    Whole {
        /// What it tells.
        told: Told,
        /// Its length in bytes; the connection itself begins behind it.
        len: usize,
    },
}

/// What a header tells of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing: the sender's own connection (a health check), or addresses that are not TCP over IP.
    Nothing,
    /// Whose it is.
    Ends(Ends),
}

/// The two ends of the connection that is passed on, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}

/// Which version to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Looks for a header at the beginning of a connection.
#[must_use]
pub fn scan(bytes: &[u8]) -> Scan {
    if begins_alike(bytes, v2::SIGNATURE) {
        v2::scan(bytes)
    } else if begins_alike(bytes, v1::SIGNATURE) {
        v1::scan(bytes)
    } else {
        Scan::Absent
    }
}

/// Writes a header. Ends of two families, and none, are told as an unknown connection (in version 2 as one of the
/// sender's own).
#[must_use]
pub fn encode(version: Version, ends: Option<Ends>) -> Vec<u8> {
    match version {
        Version::V1 => v1::encode(ends),
        Version::V2 => v2::encode(ends),
    }
}

/// Whether one is the beginning of the other.
fn begins_alike(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(a, b)| a == b)
}
