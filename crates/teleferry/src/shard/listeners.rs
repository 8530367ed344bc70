//! The listeners of one shard and their sockets, as the settings in force have them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::{Group, Shard};
use crate::listen::{Account, Ceiling, ListeningSocket, accept_loop};
use crate::observe::ListenerCounters;
use crate::server::{Rules, Settings};

/// The number of an open address, the same on every shard and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AddressId(u64);

impl AddressId {
    /// This one; the counter goes on.
    pub(crate) const fn next(&mut self) -> Self {
        let this = *self;
        self.0 += 1;
        this
    }
}

/// What a shard is to be like from now on.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The settings in force.
    pub(crate) settings: Arc<Settings>,
    /// The accounts of the listeners, in the order of the settings.
    pub(crate) accounts: Vec<Arc<Account>>,
    /// Every open address, with the index of its listener. A socket that is not among them is closed.
    pub(crate) addresses: Vec<(AddressId, usize)>,
    /// Sockets that are new.
    pub(crate) sockets: Vec<(AddressId, ListeningSocket)>,
    /// Dropped once all of it is so.
    pub(crate) done: mpsc::Sender<()>,
}

/// A listener as one shard sees it.
#[derive(Debug)]
pub(crate) struct Listener {
    account: Arc<Account>,
    rules: RefCell<Arc<Rules>>,
    group: Group,
    /// This shard's counters.
    pub(crate) counters: Arc<ListenerCounters>,
}

impl Listener {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.account.name
    }

    /// What its settings mean for those who come now. Take them once for each: they may change meanwhile.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    /// Its own ceiling.
    pub(crate) fn ceiling(&self) -> &Ceiling {
        &self.account.ceiling
    }

    /// What its connections' deadlines have in common.
    pub(super) const fn group(&self) -> Group {
        self.group
    }
}

/// Tells an accept loop whose connections it takes; `None`: nobody's any more.
pub(crate) type Owner = watch::Receiver<Option<Rc<Listener>>>;

/// The listeners of one shard and their sockets.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    there: RefCell<Vec<Rc<Listener>>>,
    sockets: RefCell<Vec<OpenSocket>>,
    /// How many listeners there ever were.
    count: Cell<u32>,
}

#[derive(Debug)]
struct OpenSocket {
    address: AddressId,
    owner: watch::Sender<Option<Rc<Listener>>>,
    accepting: JoinHandle<()>,
}

impl OpenSocket {
    /// Belongs to this listener from now on; gives whether to any.
    fn belong_to(&self, owner: Option<Rc<Listener>>) -> bool {
        let stays = owner.is_some();
        self.owner.send_if_modified(|current| {
            let same = match (&*current, &owner) {
                (Some(current), Some(owner)) => Rc::ptr_eq(current, owner),
                (None, None) => true,
                _ => false,
            };
            *current = owner;
            !same
        });
        stays
    }
}

impl Listeners {
    /// Makes the listeners and sockets what the layout says. Returns once sockets that are closed have given out what
    /// waited in them.
    pub(super) async fn take_up(&self, shard: &Rc<Shard>, layout: Layout) {
        let Layout { settings, accounts, addresses, sockets, done } = layout;
        let rules = accounts.iter().zip(&settings.rules);
        let listeners: Vec<_> = rules.map(|(account, rules)| self.listener(shard, account, rules)).collect();
        let gone: Vec<_> = self
            .there
            .replace(listeners.clone())
            .into_iter()
            .filter(|listener| !listeners.iter().any(|there| Rc::ptr_eq(there, listener)))
            .collect();
        let owner_of = |address: AddressId| {
            let (_, index) = addresses.iter().find(|(known, _)| *known == address)?;
            listeners.get(*index).cloned()
        };
        for (address, socket) in sockets {
            let (owner, receiver) = watch::channel(owner_of(address));
            let accepting = spawn_local(accept_loop(Rc::clone(shard), socket, receiver));
            self.sockets.borrow_mut().push(OpenSocket { address, owner, accepting });
        }
        self.hand_over(owner_of).await;
        for listener in gone {
            spawn_local(end_after(Rc::clone(shard), listener, settings.snapshot.server.drain));
        }
        drop(done);
    }

    /// Closes every socket, and returns once they have given out what waited in them.
    pub(super) async fn close(&self) {
        self.hand_over(|_| None).await;
    }

    /// Tells every socket whose it is now; those that are nobody's any more close.
    async fn hand_over(&self, owner_of: impl Fn(AddressId) -> Option<Rc<Listener>>) {
        let (stay, close): (Vec<_>, Vec<_>) =
            self.sockets.take().into_iter().partition(|socket| socket.belong_to(owner_of(socket.address)));
        self.sockets.replace(stay);
        for OpenSocket { accepting, .. } in close {
            // A loop that panicked has lost its socket already.
            let _ = accepting.await;
        }
    }

    /// The listener of that name, which takes up its new rules, or a new one.
    fn listener(&self, shard: &Shard, account: &Arc<Account>, rules: &Arc<Rules>) -> Rc<Listener> {
        let known = self.there.borrow().iter().find(|known| known.name() == account.name).cloned();
        if let Some(known) = known {
            *known.rules.borrow_mut() = Arc::clone(rules);
            return known;
        }
        self.count.set(self.count.get() + 1);
        Rc::new(Listener {
            rules: RefCell::new(Arc::clone(rules)),
            group: Group::new(self.count.get()),
            counters: Arc::clone(&account.counters[shard.number]),
            account: Arc::clone(account),
        })
    }
}

/// Ends the connections of a listener that is no more, once they had their time to end by themselves.
async fn end_after(shard: Rc<Shard>, listener: Rc<Listener>, drain: Duration) {
    let group = listener.group();
    // Not kept alive by this: its account goes with its last connection.
    drop(listener);
    sleep(drain).await;
    shard.sweep.drain_group(group);
}
