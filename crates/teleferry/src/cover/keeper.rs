//! The cover site's own thread: it keeps the addresses of its names fresh, and learns how it answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join, join_all};
use tokio::net::lookup_host;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tracing::{error, warn};

use super::learn::Learner;
use super::own::Own;
use crate::config::CoverHost;

/// How often a name is looked up again.
const REFRESH: Duration = Duration::from_secs(60);
/// How soon it is looked up again when that failed.
const RETRY: Duration = Duration::from_secs(5);

/// A host with a name, and who is told its addresses.
pub(super) type Named = (CoverHost, watch::Sender<Option<Arc<[SocketAddr]>>>);

/// Begins to look names up and to learn, on a thread that ends once what is given back is dropped. None is needed when there
/// is nothing to do.
///
/// # Errors
/// The system has no thread or no event queue to give.
pub(super) fn start(
    names: Vec<Named>,
    own: Own,
    learner: Option<Learner>,
) -> io::Result<Option<oneshot::Sender<()>>> {
    if names.is_empty() && learner.is_none() {
        return Ok(None);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    std::thread::Builder::new().name("cover".into()).spawn(move || {
        runtime.block_on(async {
            let looking_up = join_all(names.iter().map(|(host, addresses)| look_up(host, addresses, &own)));
            let learning = OptionFuture::from(learner.map(Learner::run));
            tokio::select! {
                _ = join(looking_up, learning) => {}
                _ = stopped => {}
            }
        });
        // The resolver may still be busy with a name, and cannot be interrupted.
        runtime.shutdown_background();
    })?;
    Ok(Some(stop))
}

async fn look_up(host: &CoverHost, addresses: &watch::Sender<Option<Arc<[SocketAddr]>>>, own: &Own) {
    let mut said = false;
    loop {
        let found = lookup_host((host.host.as_str(), host.port)).await;
        let (back, there): (Vec<_>, Vec<_>) = match found {
            Ok(found) => found.partition(|address| own.has(*address)),
            Err(error) => {
                // The last known addresses stay; said once until it works again.
                if !std::mem::replace(&mut said, true) {
                    warn!(host = host.host, %error, "the cover site's name cannot be looked up");
                }
                sleep(RETRY).await;
                continue;
            }
        };
        if back.is_empty() {
            said = false;
        } else if !std::mem::replace(&mut said, true) {
            error!(
                host = host.host,
                addresses = ?back,
                "the cover site's name leads back to this server, where visitors are not taken: set cover.target to the address of the web server itself"
            );
        }
        addresses.send_replace(Some(there.into()));
        sleep(REFRESH).await;
    }
}
