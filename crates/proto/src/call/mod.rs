//! What a front and a back say to each other about one client: a *call*, which is one stream of HTTP/2 in gRPC's wire
//! format. `docs/understand/call.proto` is its definition.
//!
//! The front says who comes ([`Open`]), then whole frames of the client, decrypted and in its own framing. The back says what
//! it is ([`Welcome`]), then frames for the client, not yet encrypted, which may be cut anywhere. A message carries as
//! many bytes as there are, and padding, so that its length tells little. Fields that are not known are skipped, so that both
//! sides can be upgraded one after the other.

mod down;
mod fields;
mod open;
mod reader;
mod writer;

pub use down::Down;
pub use open::{Open, Origin, Welcome};
pub use reader::{CallError, MAX_FIELD, MAX_MESSAGE, Piece, Reader};
pub use writer::{HEADROOM, note, seal};

/// The path of the one method.
pub const PATH: &str = "/sync.v1.Replica/Stream";

/// What this program speaks. Others of the same major version are understood.
pub const VERSION: Version = Version { major: 1, minor: 0 };

/// A version of what is said in calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Versions of another one are not understood.
    pub major: u32,
    /// Grows with what is added, and may be skipped.
    pub minor: u32,
}

impl Version {
    /// Whether somebody of that version can be understood.
    #[must_use]
    pub const fn understands(self, other: Self) -> bool {
        self.major == other.major
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The numbers of the fields.
pub mod field {
    /// Frames.
    pub const DATA: u32 = 1;
    /// Who comes ([`Open`](super::Open)), or what the back is ([`Welcome`](super::Welcome)); the first of each side.
    pub const OPEN: u32 = 2;
    /// The back: take the client elsewhere, nothing is lost. The front: it is, and nothing more comes.
    pub const MOVE: u32 = 3;
    /// The back: how often the client was moved from one link to Telegram to another.
    pub const MIGRATED: u32 = 4;
    /// Bytes of no meaning.
    pub const PADDING: u32 = 15;
}
