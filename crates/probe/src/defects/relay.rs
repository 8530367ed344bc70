//! A plain relay in front of the site, faultless but for one flaw.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::flaw::Flaw;

/// A running relay. Dropping it takes no more visitors.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts it on a port that the kernel chooses.
    pub(super) async fn start(site: SocketAddr, flaw: Flaw) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((visitor, _)) = listener.accept().await {
                // How a visit fails is what the prober sees.
                tokio::spawn(async move { relay(visitor, site, flaw).await.ok() });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut visitor: TcpStream, site: SocketAddr, flaw: Flaw) -> io::Result<()> {
    visitor.set_nodelay(true)?;
    let first = first_bytes(&mut visitor, flaw).await?;
    if flaw == Flaw::OwnAlert && first.first().is_some_and(|byte| *byte != 0x16) {
        return visitor.write_all(&[21, 3, 3, 0, 2, 2, 50]).await;
    }
    let site = TcpStream::connect(site).await?;
    site.set_nodelay(true)?;
    let (from_visitor, mut to_visitor) = visitor.into_split();
    let (from_site, mut to_site) = site.into_split();
    if flaw == Flaw::AnswersPartialHello && first.len() < 600 && first.starts_with(&[0x16]) {
        to_visitor.write_all(&[22, 3, 3, 0, 2, 2, 0]).await?;
    }
    let (moved, alive) = watch::channel(());
    let ended = tokio::select! {
        ended = both(
            up(from_visitor, &mut to_site, first, flaw, &moved),
            down(from_site, &mut to_visitor, flaw, &moved),
            flaw,
        ) => ended,
        () = idle(alive, flaw) => Ok(()),
    };
    // A reset on one side is passed on to the other.
    if ended.is_err() || flaw == Flaw::ResetForFin {
        for half in [&to_visitor, &to_site] {
            let _ = half.as_ref().set_zero_linger();
        }
        to_visitor.forget();
        to_site.forget();
    }
    ended
}

/// What is waited for before the site is dialled: nothing, as the site's timers begin with the connection.
async fn first_bytes(visitor: &mut TcpStream, flaw: Flaw) -> io::Result<Vec<u8>> {
    let mut first = vec![0; 20_000];
    let wanted = match flaw {
        Flaw::DialsWithFirstBytes | Flaw::OwnAlert | Flaw::AnswersPartialHello => 1,
        Flaw::DialsWithWholeRecord => 5,
        _ => 0,
    };
    let mut len = 0;
    while len < wanted || (wanted == 5 && !is_whole(&first[..len])) {
        match visitor.read(&mut first[len..]).await? {
            0 => break,
            more => len += more,
        }
    }
    first.truncate(len);
    Ok(first)
}

/// Whether a record is whole, or no record.
fn is_whole(bytes: &[u8]) -> bool {
    match *bytes {
        [0x16, _, _, high, low, ..] => {
            bytes.len() >= 5 + usize::from(u16::from_be_bytes([high, low])).min(16_384)
        }
        _ => true,
    }
}

/// Ends when both ways have, or with the first error.
async fn both(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
    flaw: Flaw,
) -> io::Result<()> {
    if flaw == Flaw::ClosesOnHalfClose {
        return tokio::select! { ended = up => ended, ended = down => ended };
    }
    tokio::try_join!(up, down).map(|_| ())
}

async fn idle(mut alive: watch::Receiver<()>, flaw: Flaw) {
    match flaw.idle() {
        None => std::future::pending().await,
        Some(time) => {
            while tokio::time::timeout(time, alive.changed()).await.is_ok_and(|moved| moved.is_ok()) {}
        }
    }
}

/// From the visitor to the site.
async fn up(
    mut visitor: OwnedReadHalf,
    site: &mut OwnedWriteHalf,
    first: Vec<u8>,
    flaw: Flaw,
    moved: &watch::Sender<()>,
) -> io::Result<()> {
    let mut total = first.len();
    site.write_all(&first).await?;
    let mut chunk = vec![0; 64 << 10];
    loop {
        let len = visitor.read(&mut chunk).await?;
        if len == 0 {
            break;
        }
        let mut bytes = &chunk[..len];
        if flaw == Flaw::SwallowsTrailing && total == 0 && len > 5 && bytes[0] == 0x16 {
            let hello = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            bytes = &bytes[..hello.min(len)];
        }
        total += len;
        site.write_all(bytes).await?;
        moved.send_replace(());
    }
    if flaw != Flaw::NoHalfClose {
        // It fails when the site has ended already.
        let _ = site.shutdown().await;
    }
    Ok(())
}

/// From the site to the visitor.
async fn down(
    mut site: OwnedReadHalf,
    visitor: &mut OwnedWriteHalf,
    flaw: Flaw,
    moved: &watch::Sender<()>,
) -> io::Result<()> {
    const LIMIT: u64 = 5 << 20;
    const TAIL: usize = 16;
    /// A flight has more bytes, and an alert behind it has so many.
    const FLIGHT: u64 = 600;
    const ALERT: usize = 24;
    let (mut chunk, mut total) = (vec![0; 64 << 10], 0_u64);
    let mut kept: Vec<u8> = Vec::new();
    loop {
        let len = site.read(&mut chunk).await?;
        if len == 0 {
            break;
        }
        let bytes = &mut chunk[..len];
        if flaw == Flaw::AnswersLate && total == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if flaw == Flaw::ChangesOneByte && bytes.starts_with(b"HTTP") {
            bytes[len - 1] ^= 1;
        }
        if flaw == Flaw::InsertsRecord && total == 0 && bytes.starts_with(&[22]) {
            visitor.write_all(&[23, 3, 3, 0, 0]).await?;
        }
        total += len as u64;
        if flaw == Flaw::SwallowsAlert && total > FLIGHT && len == ALERT {
            continue;
        }
        if flaw == Flaw::DropsTail && total > 1 << 20 {
            kept.extend_from_slice(bytes);
            let out = kept.len().saturating_sub(TAIL);
            visitor.write_all(&kept[..out]).await?;
            kept.drain(..out);
        } else {
            visitor.write_all(bytes).await?;
        }
        moved.send_replace(());
        if flaw == Flaw::EarlyFin || (flaw == Flaw::LimitsBytes && total > LIMIT) {
            break;
        }
    }
    if flaw == Flaw::AddsOneByte {
        visitor.write_all(&[0]).await?;
    }
    if flaw == Flaw::ResetForFin {
        tokio::time::sleep(Duration::from_millis(20)).await;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    // It fails when the visitor has ended already.
    let _ = visitor.shutdown().await;
    Ok(())
}
