//! A token: what everybody has who may do something.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// A token's bytes. Nobody is shown them.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl Token {
    /// Reads the token of a file: its content without spaces around it.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token. Nothing of it is repeated.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
        let token = text.trim_ascii();
        if token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
            let what = format!("a token has {SHORTEST} printable characters or more, and no spaces");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self(token.into()))
    }

    /// Compares without telling by its time how much was right.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, given).is_ok()
    }

    /// What is sent to the other side, printable.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;
/// More than any token has, in bytes.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_printable() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        for (text, good) in [
            ("0123456789abcdef\n", true),
            ("", false),
            ("0123456789abcde", false),
            ("0123456789 abcdef", false),
        ] {
            std::fs::write(&path, text).expect("written");
            let read = Token::read(&path);
            assert_eq!(read.is_ok(), good, "{text:?}");
            let told = format!("{read:?}");
            assert!(!told.contains("0123"), "{told}");
            if let Ok(token) = read {
                assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeg") && !token.is(b""));
            }
        }
    }
}
