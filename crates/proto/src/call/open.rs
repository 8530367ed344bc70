//! The first words of both sides.

use std::net::{IpAddr, SocketAddr};

use super::fields::{self, unzigzag, zigzag};
use super::{CallError, VERSION, Version, writer};
use crate::dc::DcId;
use crate::rpc::AdTag;
use crate::transport::Framing;

/// Who comes.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// What the front speaks.
    pub version: Version,
    /// The data centre that the client asks for.
    pub dc: DcId,
    /// The framing of everything in the call.
    pub framing: Framing,
    /// Where the client is; `None` on the front's own machine.
    pub client: Option<SocketAddr>,
    /// What middle proxies are told with its messages.
    pub ad_tag: Option<AdTag>,
    /// The client was there before, on another back or another connection.
    pub origin: Origin,
}

/// Whether a client is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is.
    New,
    /// It has had answers before, and is beyond what is filtered at first.
    Moved,
}

/// What the back is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// What it speaks.
    pub version: Version,
}

impl Open {
    /// As it is written into its field.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (client_ip, client_port) = split(self.client);
        let tag = self.ad_tag.unwrap_or_default();
        let bytes =
            [(CLIENT_IP, client_ip.as_slice()), (AD_TAG, if self.ad_tag.is_some() { &tag[..] } else { &[] })];
        let numbers = [
            (MAJOR, self.version.major.into()),
            (MINOR, self.version.minor.into()),
            (DC, zigzag(self.dc.get().into())),
            (FRAMING, number(self.framing)),
            (CLIENT_PORT, client_port),
            (MOVED, u64::from(self.origin == Origin::Moved)),
        ];
        let mut message = Vec::new();
        writer::append(&bytes, &numbers, &mut message);
        message
    }

    /// As it stands in its field.
    ///
    /// # Errors
    /// It cannot be understood, or the front speaks another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CallError> {
        let mut version = Version { major: 0, minor: 0 };
        let (mut dc, mut framing_number, mut client_port, mut moved) = (0, 0, 0, 0);
        let (mut client_ip, mut ad_tag): (&[u8], &[u8]) = (&[], &[]);
        fields::read(bytes, |field, value| {
            match field {
                MAJOR => version.major = value.number()?,
                MINOR => version.minor = value.number()?,
                DC => dc = value.number()?,
                FRAMING => framing_number = value.number()?,
                CLIENT_IP => client_ip = value.bytes()?,
                CLIENT_PORT => client_port = value.number()?,
                AD_TAG => ad_tag = value.bytes()?,
                MOVED => moved = value.number::<u64>()?,
                _ => {}
            }
            Ok(())
        })?;
        // Nothing else of what another version says has a known meaning.
        if !VERSION.understands(version) {
            return Err(CallError::Version(version));
        }
        Ok(Self {
            version,
            dc: DcId::new(i16::try_from(unzigzag(dc)?).map_err(|_| CallError::Field)?),
            framing: framing(framing_number).ok_or(CallError::Field)?,
            client: join(client_ip, client_port)?,
            ad_tag: match ad_tag {
                [] => None,
                tag => Some(AdTag::try_from(tag).map_err(|_| CallError::Field)?),
            },
            origin: if moved == 0 { Origin::New } else { Origin::Moved },
        })
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's address and the tag are nobody's business.
        f.debug_struct("Open")
            .field("version", &self.version)
            .field("dc", &self.dc)
            .field("framing", &self.framing)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Welcome {
    /// As it is written into its field.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [(MAJOR, self.version.major.into()), (MINOR, self.version.minor.into())];
        let mut message = Vec::new();
        writer::append(&[], &numbers, &mut message);
        message
    }

    /// As it stands in its field.
    ///
    /// # Errors
    /// It cannot be understood, or the back speaks another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CallError> {
        let mut version = Version { major: 0, minor: 0 };
        fields::read(bytes, |field, value| {
            match field {
                MAJOR => version.major = value.number()?,
                MINOR => version.minor = value.number()?,
                _ => {}
            }
            Ok(())
        })?;
        if !VERSION.understands(version) {
            return Err(CallError::Version(version));
        }
        Ok(Self { version })
    }
}

// The numbers of the fields.
const MAJOR: u32 = 1;
const MINOR: u32 = 2;
const DC: u32 = 3;
const FRAMING: u32 = 4;
const CLIENT_IP: u32 = 5;
const CLIENT_PORT: u32 = 6;
const AD_TAG: u32 = 7;
const MOVED: u32 = 8;

const fn number(framing: Framing) -> u64 {
    match framing {
        Framing::Abridged => 1,
        Framing::Intermediate => 2,
        Framing::Padded => 3,
    }
}

fn framing(number_of_it: u64) -> Option<Framing> {
    Framing::ALL.into_iter().find(|framing| number(*framing) == number_of_it)
}

fn split(address: Option<SocketAddr>) -> (Vec<u8>, u64) {
    match address.map(|address| (address.ip(), address.port())) {
        None => (Vec::new(), 0),
        Some((IpAddr::V4(ip), port)) => (ip.octets().to_vec(), port.into()),
        Some((IpAddr::V6(ip), port)) => (ip.octets().to_vec(), port.into()),
    }
}

fn join(ip: &[u8], port: u16) -> Result<Option<SocketAddr>, CallError> {
    let ip: IpAddr = match ip {
        [] => return Ok(None),
        ip if ip.len() == 4 => <[u8; 4]>::try_from(ip).map_err(|_| CallError::Field)?.into(),
        ip => <[u8; 16]>::try_from(ip).map_err(|_| CallError::Field)?.into(),
    };
    Ok(Some(SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use prost::Message as _;

    /// The same as another implementation of the format has it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct OpenMessage {
        #[prost(uint32, tag = "1")]
        major: u32,
        #[prost(uint32, tag = "2")]
        minor: u32,
        #[prost(sint32, tag = "3")]
        dc: i32,
        #[prost(uint32, tag = "4")]
        framing: u32,
        #[prost(bytes = "vec", tag = "5")]
        client_ip: Vec<u8>,
        #[prost(uint32, tag = "6")]
        client_port: u32,
        #[prost(bytes = "vec", tag = "7")]
        ad_tag: Vec<u8>,
        #[prost(bool, tag = "8")]
        moved: bool,
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            dc in any::<i16>(),
            framing in prop::sample::select(Framing::ALL.to_vec()),
            client in any::<Option<SocketAddr>>(),
            tag in any::<Option<[u8; 16]>>(),
            moved in any::<bool>(),
        ) {
            // A scope is of this machine only.
            let plain = |address: Option<SocketAddr>| address.map(|a| SocketAddr::new(a.ip(), a.port()));
            let open = Open {
                version: VERSION,
                dc: DcId::new(dc),
                framing,
                client: plain(client),
                ad_tag: tag,
                origin: if moved { Origin::Moved } else { Origin::New },
            };
            let wire = open.encode();
            prop_assert!(Open::decode(&wire) == Ok(open.clone()));
            let theirs = OpenMessage::decode(&*wire).expect("protobuf");
            prop_assert_eq!((theirs.dc, theirs.moved), (i32::from(dc), moved));
            // What they write leaves out what is zero.
            prop_assert!(Open::decode(&theirs.encode_to_vec()) == Ok(open));
        }

        #[test]
        fn anything_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(open) = Open::decode(&bytes) {
                prop_assert!(Open::decode(&open.encode()) == Ok(open));
            }
            let _ = Welcome::decode(&bytes);
        }
    }

    #[test]
    fn another_major_version_is_told_from_nonsense() {
        let theirs = Version { major: 2, minor: 7 };
        let welcome = Welcome { version: theirs }.encode();
        assert_eq!(Welcome::decode(&welcome), Err(CallError::Version(theirs)));
        let later = Version { major: VERSION.major, minor: 99 };
        assert_eq!(Welcome::decode(&Welcome { version: later }.encode()), Ok(Welcome { version: later }));
        // Nothing at all is version 0.
        assert_eq!(Welcome::decode(&[]), Err(CallError::Version(Version { major: 0, minor: 0 })));
        assert_eq!(Welcome::decode(&[0xff]), Err(CallError::Field));
    }
}
