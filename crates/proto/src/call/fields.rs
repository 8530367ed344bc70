//! The few forms of protobuf that small messages need. Written here because a derive would bring its macros into every
//! build; the tests compare it with another implementation.

use super::CallError;
use super::reader::Varint;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// As a number that fits.
    pub(super) fn number<N: TryFrom<u64>>(self) -> Result<N, CallError> {
        match self {
            Self::Number(number) => N::try_from(number).map_err(|_| CallError::Field),
            Self::Bytes(_) => Err(CallError::Field),
        }
    }

    /// As bytes.
    pub(super) const fn bytes(self) -> Result<&'a [u8], CallError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(CallError::Field),
        }
    }
}

/// Calls `each` with every field that has a number or bytes; others are skipped.
///
/// # Errors
/// It is no message, or `each` refuses a value.
pub(super) fn read<'a>(
    mut rest: &'a [u8],
    mut each: impl FnMut(u32, Value<'a>) -> Result<(), CallError>,
) -> Result<(), CallError> {
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0).ok_or(CallError::Field)?;
        match tag & 7 {
            0 => each(number, Value::Number(take_varint(&mut rest)?))?,
            1 => drop(take(&mut rest, 8)?),
            2 => {
                let len = usize::try_from(take_varint(&mut rest)?).map_err(|_| CallError::Field)?;
                each(number, Value::Bytes(take(&mut rest, len)?))?;
            }
            5 => drop(take(&mut rest, 4)?),
            _ => return Err(CallError::Field),
        }
    }
    Ok(())
}

/// `n` of any sign as protobuf's `sint32` has it: small ones are short.
pub(super) const fn zigzag(n: i32) -> u64 {
    ((n << 1) ^ (n >> 31)) as u32 as u64
}

/// The other way round.
pub(super) fn unzigzag(value: u64) -> Result<i32, CallError> {
    let value = u32::try_from(value).map_err(|_| CallError::Field)?;
    Ok((value >> 1) as i32 ^ ((value & 1) as i32).wrapping_neg())
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, CallError> {
    let mut varint = Varint::default();
    loop {
        let (&byte, behind) = rest.split_first().ok_or(CallError::Field)?;
        *rest = behind;
        if let Some(value) = varint.push(byte)? {
            return Ok(value);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], CallError> {
    let (taken, behind) = rest.split_at_checked(len).ok_or(CallError::Field)?;
    *rest = behind;
    Ok(taken)
}
