//! Where a session's answers go.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;

use teleferry_proto::call::HEADROOM;
use teleferry_proto::cipher::CtrStream;

use crate::net::ClientSide;
use crate::trunk::Outgoing;

/// The client, whether it is here or at a front.
#[derive(Debug, Clone)]
pub(crate) enum Exit {
    /// Its socket, and what encrypts what it gets.
    Client {
        /// The socket.
        side: Rc<RefCell<ClientSide>>,
        /// The cipher at position 0.
        cipher: CtrStream,
    },
    /// A call of a front, which encrypts.
    Call(Rc<RefCell<Outgoing>>),
}

/// It is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Exit {
    /// Encrypts the next bytes of the stream in place, if that is done here.
    pub(crate) fn encrypt(&mut self, bytes: &mut [u8]) {
        if let Self::Client { cipher, .. } = self {
            cipher.apply(bytes);
        }
    }

    /// The same on their way to `to`.
    pub(crate) fn encrypt_to(&mut self, bytes: &[u8], to: &mut [u8]) {
        match self {
            Self::Client { cipher, .. } => cipher.apply_to(bytes, to),
            Self::Call(_) => to[..bytes.len()].copy_from_slice(bytes),
        }
    }

    /// Sends a piece of the stream, encrypted if that is done here. What is not taken waits, and the task of `cx` is woken once
    /// more is. Says how many bytes the client's socket took.
    pub(crate) fn deliver(&self, cx: &mut Context<'_>, piece: &[u8]) -> Result<usize, Gone> {
        match self {
            Self::Client { side, .. } => side.borrow_mut().send(cx, piece).map_err(|_| Gone),
            Self::Call(call) => {
                let mut bytes = Vec::with_capacity(HEADROOM + piece.len() + PADDING_ROOM);
                bytes.resize(HEADROOM, 0);
                bytes.extend_from_slice(piece);
                let mut call = call.borrow_mut();
                call.send(bytes);
                call.count();
                Ok(piece.len())
            }
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Client { side, .. } => side.borrow().waiting(),
            Self::Call(call) => call.borrow().waiting(),
        }
    }

    /// Whether its stream goes in TLS records from here.
    pub(crate) fn is_in_records(&self) -> bool {
        match self {
            Self::Client { side, .. } => side.borrow().is_in_records(),
            Self::Call(_) => false,
        }
    }
}

/// What padding usually takes, so that it needs no other allocation.
const PADDING_ROOM: usize = 300;
