//! Listening sockets on their way from a process to the one that takes its place. As both hold them for a while, no
//! connection is refused in between.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The longest name of a socket, in bytes: a path and what stands before it.
const NAME: usize = 4096 + 64;
/// The most sockets that are taken over.
const SOCKETS: usize = 4096;
/// What the new process says once it accepts.
const READY: &[u8] = b"ready";

/// One end of the way between the two processes.
#[derive(Debug)]
pub(crate) struct Handover(OwnedFd);

impl Handover {
    /// Both ends: one to keep, and one for the other process, closed on exec as everything is.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        // Messages keep their bounds, and each carries its descriptor.
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that another process left for us.
    pub(crate) const fn adopt(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Hands sockets over, each with the name of what it listens on.
    ///
    /// # Errors
    /// The other process is gone.
    pub(crate) fn give<'a>(
        &self,
        sockets: impl IntoIterator<Item = (&'a str, BorrowedFd<'a>)>,
    ) -> io::Result<()> {
        for (name, socket) in sockets {
            let descriptors = [socket];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(&self.0, &[IoSlice::new(name.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        }
        // Nothing follows.
        sendmsg(&self.0, &[IoSlice::new(b"\n")], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes over what the other process hands over; blocks until that is all.
    ///
    /// # Errors
    /// The other process is gone, or speaks another language.
    pub(crate) fn take(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let mut taken = Vec::new();
        while taken.len() <= SOCKETS {
            let mut name = [0; NAME];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let slices = &mut [IoSliceMut::new(&mut name)];
            let len = recvmsg(&self.0, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
            let mut descriptors = ancillary.drain().flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
                _ => Vec::new(),
            });
            match (&name[..len], descriptors.next()) {
                (b"", _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (b"\n", None) => return Ok(taken),
                (name, Some(socket)) => {
                    let name = str::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData)?;
                    taken.push((name.to_owned(), socket));
                }
                (_, None) => break,
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Tells the other process that we accept.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn say_ready(&self) -> io::Result<()> {
        rustix::net::send(&self.0, READY, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Tells the other process something: not empty, 64 KiB at most.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn say(&self, what: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.0, what, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The same where nothing may wait for it: what it has no room for is not said.
    ///
    /// # Errors
    /// It is gone, or has not listened for long.
    pub(crate) fn try_say(&self, what: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.0, what, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Blocks until the other process says something; `None`: it has nothing more to say, and is gone.
    ///
    /// # Errors
    /// ([`io::ErrorKind::WouldBlock`]) The time is over, if there is one.
    pub(crate) fn hear(&self, patience: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        set_socket_timeout(&self.0, Timeout::Recv, patience)?;
        let mut said = vec![0; 64 << 10];
        let (len, _) = rustix::net::recv(&self.0, &mut said, RecvFlags::empty())?;
        said.truncate(len);
        Ok((len > 0).then_some(said))
    }

    /// Blocks until the other process says that it accepts.
    ///
    /// # Errors
    /// It ended without having said so; or ([`io::ErrorKind::WouldBlock`]) the time is over.
    pub(crate) fn wait_ready(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        let mut said = [0; READY.len()];
        let (len, _) = rustix::net::recv(&self.0, &mut said, RecvFlags::empty())?;
        if said[..len] == *READY { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_that_never_says_so_is_waited_for_so_long() {
        let (old, _end) = Handover::pair().expect("a pair");
        let error = old.wait_ready(Duration::from_millis(1)).expect_err("nothing is said");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn sockets_come_over_with_their_names_and_what_waits_in_them() {
        let (old, end) = Handover::pair().expect("a pair");
        let new = Handover::adopt(end);
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has room"));
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().expect("an address"));
        let mut waiting = TcpStream::connect(addresses[1]).expect("connected");
        waiting.write_all(b"hello").expect("sent");
        let names = addresses.map(|address| address.to_string());
        old.give(names.iter().map(String::as_str).zip(listeners.iter().map(AsFd::as_fd))).expect("given");
        drop(listeners);

        let taken = new.take().expect("taken");
        assert_eq!(taken.iter().map(|(name, _)| name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        let listener = TcpListener::from(taken.into_iter().nth(1).expect("three").1);
        let (mut stream, _) = listener.accept().expect("it waited");
        let mut said = [0; 5];
        stream.read_exact(&mut said).expect("read");
        assert_eq!(&said, b"hello");
    }

    #[test]
    fn an_other_end_that_is_gone_is_told() {
        let (old, end) = Handover::pair().expect("a pair");
        drop(end);
        assert!(old.wait_ready(LONG).is_err());
        assert!(old.give([]).is_err());
        let (old, end) = Handover::pair().expect("a pair");
        drop(old);
        assert!(Handover::adopt(end).take().is_err());
    }

    #[test]
    fn being_ready_is_said() {
        let (old, end) = Handover::pair().expect("a pair");
        let new = Handover::adopt(end);
        old.give([]).expect("given");
        assert!(new.take().expect("taken").is_empty());
        new.say_ready().expect("said");
        old.wait_ready(LONG).expect("heard");
    }
}
