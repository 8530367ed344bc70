//! From a call to its client.

use std::ops::Range;

use crate::cipher::CtrStream;
use crate::downlink::Downlink;
use crate::transport::{Borders, Framing};

/// Makes of a call's frames what the client gets. A stream codec, as [`Direct`](crate::direct::Direct) is one, with the same
/// room around the data ([`HEADROOM`](crate::direct::HEADROOM), [`TAILROOM`](crate::direct::TAILROOM)).
#[derive(Debug)]
pub struct Down(Way);

#[derive(Debug)]
enum Way {
    /// Encrypted.
    Bare(Box<(CtrStream, Borders)>),
    /// And in pieces that can be records; the framing is the padded one.
    InRecords(Box<Downlink>),
}

impl Down {
    /// At position 0 of the client's stream; with `records` it is behind fake TLS.
    #[must_use]
    pub fn new(framing: Framing, to_client: &CtrStream, records: bool) -> Self {
        Self(if records {
            Way::InRecords(Box::new(Downlink::new(None, Some(to_client.clone()))))
        } else {
            Way::Bare(Box::new((to_client.clone(), Borders::new(framing))))
        })
    }

    /// Turns the frames at `buf[data]` into bytes for the client, in place. Says where what goes to the client now stands:
    /// nothing, when it waits for more. `random` fills bytes.
    pub fn receive(
        &mut self,
        buf: &mut [u8],
        data: Range<usize>,
        random: impl FnOnce(&mut [u8]),
    ) -> Range<usize> {
        match &mut self.0 {
            Way::Bare(bare) => {
                let (to_client, borders) = &mut **bare;
                if let Some(stream) = buf.get_mut(data.clone()) {
                    borders.walk(stream);
                    to_client.apply(stream);
                }
                data
            }
            Way::InRecords(downlink) => downlink.receive(buf, data, random),
        }
    }

    /// True when the client has been given whole frames only.
    #[must_use]
    pub fn is_at_border(&self) -> bool {
        match &self.0 {
            Way::Bare(bare) => bare.1.is_at_border(),
            Way::InRecords(downlink) => downlink.is_at_border(),
        }
    }

    /// Nothing more comes: what waited for more, to be sent as it is.
    pub fn end(&mut self) -> &[u8] {
        match &mut self.0 {
            Way::Bare(_) => &[],
            Way::InRecords(downlink) => downlink.end(),
        }
    }
}
