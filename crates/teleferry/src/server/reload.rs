//! From the settings in force to new ones, without anybody noticing.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::addresses::{Address, Plan};
use super::settings::Half;
use super::{Published, Server, Settings, StartError, settings, uses_middle};
use crate::config::{Difference, Snapshot};
use crate::control::{ReloadError, ReloadReport};
use crate::cover;
use crate::listen::{Account, ListeningSocket, Registry};
use crate::shard::{AddressId, Layout, Word};
use crate::telegram::{Feed, Known};
use crate::upgrade::{Inheritance, Inherited};

/// What it takes to go on to new settings.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    /// Every open address.
    pub(super) addresses: Vec<Address>,
    pub(super) next_address: AddressId,
    /// Those of the listeners, in the order of the settings.
    accounts: Vec<Arc<Account>>,
    /// Keeps what is known of Telegram fresh; `None` when middle proxies were never used.
    pub(super) feed: Option<Feed>,
    /// The ways to tell the shards.
    pub(super) shards: Vec<mpsc::UnboundedSender<Word>>,
}

impl Rebuild {
    /// Takes up new settings as a whole, or refuses them as a whole.
    pub(super) async fn reload(
        &mut self,
        server: &Server,
        mut snapshot: Snapshot,
    ) -> Result<ReloadReport, ReloadError> {
        let before = Arc::clone(&server.published.load().settings);
        let Difference { live: changes, restart } = before.snapshot.difference(&snapshot);
        snapshot.keep_what_needs_a_restart(&before.snapshot);
        let snapshot = Arc::new(snapshot);
        // What can fail comes first; until then nothing has changed.
        let half = Half::new(&snapshot, Some(&before))
            .map_err(|flaw| ReloadError::Open(StartError::Identity(flaw)))?;
        let shards = server.shared.shards;
        let plan = Plan::new(
            &settings::listeners(&snapshot),
            &self.addresses,
            shards,
            &mut self.next_address,
            &mut Inherited::default(),
        )
        .map_err(ReloadError::Open)?;
        let own = own(&plan.addresses, &snapshot, before.known.clone());
        let site = before
            .cover
            .follow(&before.snapshot, &snapshot, own)
            .map_err(|error| ReloadError::Open(error.into()))?;
        let known = self.follow(&snapshot).map_err(ReloadError::Thread)?.or_else(|| before.known.clone());

        server.shared.follow(&snapshot);
        let gate = &server.shared.gate;
        let settings = Arc::new(Settings::new(Arc::clone(&snapshot), half, known, site, gate));
        self.open_accounts(&server.registry, shards, &settings);
        self.addresses = plan.addresses;
        server.published.store(Arc::new(self.publish(&settings)));
        self.tell_shards(&settings, plan.sockets).await;
        Ok(ReloadReport { changes, restart })
    }

    /// Which addresses lead back to the server.
    pub(super) fn own(&self, snapshot: &Snapshot, known: Option<watch::Receiver<Arc<Known>>>) -> cover::Own {
        own(&self.addresses, snapshot, known)
    }

    /// Has the feed follow new settings; gives where its news come from when it is new.
    fn follow(&mut self, snapshot: &Snapshot) -> io::Result<Option<watch::Receiver<Arc<Known>>>> {
        let used = uses_middle(snapshot);
        let is_new = used && self.feed.is_none();
        if is_new {
            self.feed = Some(Feed::new(snapshot));
        }
        let Some(feed) = &mut self.feed else { return Ok(None) };
        feed.follow(&snapshot.telegram)?;
        Ok(is_new.then(|| feed.known()))
    }

    /// Tells every shard, and waits until all have taken it up. One that is gone has nothing to take up.
    async fn tell_shards(&self, settings: &Arc<Settings>, sockets: Vec<Vec<(AddressId, ListeningSocket)>>) {
        let (done, mut all_done) = mpsc::channel(1);
        for (shard, sockets) in self.shards.iter().zip(sockets) {
            let _ = shard.send(Word::TakeUp(self.layout(settings, sockets, done.clone())));
        }
        drop(done);
        // Nothing is ever sent: it ends with the last layout.
        let _ = all_done.recv().await;
    }

    /// Copies of all listening sockets, with their addresses.
    pub(super) async fn lend_sockets(&self) -> Vec<Inheritance> {
        let (lent, mut sockets) = mpsc::unbounded_channel();
        for shard in &self.shards {
            let _ = shard.send(Word::Lend(lent.clone()));
        }
        drop(lent);
        let mut all = Vec::new();
        while let Some((id, socket)) = sockets.recv().await {
            let address = self.addresses.iter().find(|address| address.id == id);
            all.extend(address.map(|address| address.left(socket)));
        }
        all
    }

    /// Finds or opens the accounts of the listeners, and sets their ceilings.
    pub(super) fn open_accounts(&mut self, registry: &Registry, shards: usize, settings: &Settings) {
        let accounts = settings.listeners.iter().map(|listener| {
            let account = registry.account(&listener.name, shards, listener.max_connections);
            account.ceiling.limit_to(listener.max_connections);
            account
        });
        self.accounts = accounts.collect();
    }

    /// What one shard is to be like.
    pub(super) fn layout(
        &self,
        settings: &Arc<Settings>,
        sockets: Vec<(AddressId, ListeningSocket)>,
        done: mpsc::Sender<()>,
    ) -> Layout {
        let listeners = &settings.listeners;
        let index = |name: &str| listeners.iter().position(|listener| listener.name == name);
        let addresses = self.addresses.iter();
        Layout {
            settings: Arc::clone(settings),
            accounts: self.accounts.clone(),
            addresses: addresses.filter_map(|open| Some((open.id, index(&open.listener)?))).collect(),
            sockets,
            done,
        }
    }

    /// What anybody may read of it.
    pub(super) fn publish(&self, settings: &Arc<Settings>) -> Published {
        let addresses = self.addresses.iter().map(|open| (open.listener.clone(), open.opened.clone()));
        Published { settings: Arc::clone(settings), addresses: addresses.collect() }
    }
}

fn own(addresses: &[Address], snapshot: &Snapshot, known: Option<watch::Receiver<Arc<Known>>>) -> cover::Own {
    cover::Own::new(addresses.iter().map(|open| &open.opened), snapshot.telegram.external_ip.iter(), known)
}
