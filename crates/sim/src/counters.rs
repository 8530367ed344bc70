//! Counters that tests read and wait for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Makes two types: the live counters, which may hold more than numbers, and what they are at one moment.
macro_rules! counters {
    (
        $(#[$live_doc:meta])+
        $Live:ident { $($more:ident: $More:ty,)* }
        $(#[$counts_doc:meta])+
        $Counts:ident { $($(#[$doc:meta])+ $name:ident,)+ }
    ) => {
        $(#[$live_doc])+
        #[derive(Debug, Default)]
        pub struct $Live {
            $(pub(super) $name: $crate::counters::Counter,)+
            $($more: $More,)*
            changed: tokio::sync::Notify,
        }

        $(#[$counts_doc])+
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $Counts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl $Live {
            /// What they are now.
            #[must_use]
            pub fn read(&self) -> $Counts {
                $Counts { $($name: self.$name.read(),)+ }
            }

            /// Waits until the counters fulfil a condition, and gives them.
            pub async fn wait_until(&self, condition: impl Fn(&$Counts) -> bool) -> $Counts {
                self.wait_for(|| Some(self.read()).filter(&condition)).await
            }

            /// Looks again after every change until there is something.
            pub(super) async fn wait_for<T>(&self, look: impl Fn() -> Option<T>) -> T {
                loop {
                    let mut changed = std::pin::pin!(self.changed.notified());
                    changed.as_mut().enable();
                    if let Some(found) = look() {
                        return found;
                    }
                    changed.await;
                }
            }

            /// Wakes whoever waits for a condition; after a batch of changes.
            pub(super) fn publish(&self) {
                self.changed.notify_waiters();
            }
        }
    };
}

pub(crate) use counters;

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn bump(&self) {
        self.add(1);
    }

    /// Counts and gives the new number.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}
