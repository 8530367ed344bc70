//! How many links a pool should have.

use teleferry_proto::dc::DcId;

/// Links that may be under way at the same time in one pool.
const MAX_CONNECTING: usize = 10;

/// What a pool has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock {
    /// Clients on links, and those that wait for one.
    pub(super) clients: usize,
    /// Links that take clients.
    pub(super) ready: usize,
    /// Links that are under way.
    pub(super) connecting: usize,
}

/// What it is meant to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Links that are kept whether there are clients or not.
    pub(super) warm: usize,
    /// Clients on a link before there is another.
    pub(super) clients_per_link: usize,
}

impl Target {
    /// How many clients a link takes while another one is under way: a quarter more than those that it is opened for, so that
    /// nobody waits while clients come one after the other.
    pub(super) const fn room(self) -> usize {
        self.clients_per_link.saturating_add(self.clients_per_link.div_ceil(4))
    }

    /// How many links to open now.
    pub(super) fn missing(self, stock: Stock) -> usize {
        let wanted = self.warm.max(stock.clients.div_ceil(self.clients_per_link.max(1)));
        let missing = wanted.saturating_sub(stock.ready + stock.connecting);
        missing.min(MAX_CONNECTING.saturating_sub(stock.connecting))
    }

    /// How many links that were to go stay instead, of those that have `leaving` clients each: whoever is there already
    /// need not be connected. Their clients count again.
    pub(super) fn recalled(self, mut stock: Stock, leaving: &[usize]) -> usize {
        leaving
            .iter()
            .take_while(|&&clients| {
                let wanted = self.missing(stock) > 0;
                stock.clients += clients;
                stock.ready += 1;
                wanted
            })
            .count()
    }

    /// How many links are too many: the rest has room for all clients, and a quarter more, so that it is not at once too
    /// little again.
    pub(super) fn surplus(self, stock: Stock) -> usize {
        let roomy = (self.clients_per_link - self.clients_per_link / 4).max(1);
        let wanted = self.warm.max(stock.clients.div_ceil(roomy));
        stock.ready.saturating_sub(wanted)
    }
}

/// One shard's share of the links that the whole process keeps warm for a data centre. The data centres begin at different
/// shards, so that the shares are even.
pub(super) fn warm_share(dc: DcId, links: usize, shard: usize, shards: usize) -> usize {
    let shards = shards.max(1);
    let first = 2 * usize::from(dc.number()) + usize::from(dc.is_media());
    let place = (shard + shards - first % shards) % shards;
    links / shards + usize::from(place < links % shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(clients: usize, ready: usize, connecting: usize) -> Stock {
        Stock { clients, ready, connecting }
    }

    #[test]
    fn links_grow_with_the_clients_and_in_bursts() {
        let target = Target { warm: 1, clients_per_link: 300 };
        for (stock, missing) in [
            (stock(0, 0, 0), 1),
            (stock(0, 0, 1), 0),
            (stock(300, 1, 0), 0),
            (stock(301, 1, 0), 1),
            (stock(301, 1, 1), 0),
            (stock(9000, 1, 0), 10),
            (stock(9000, 1, 4), 6),
            (stock(9000, 30, 0), 0),
        ] {
            assert_eq!(target.missing(stock), missing, "{stock:?}");
        }
        let none_warm = Target { warm: 0, ..target };
        assert_eq!(none_warm.missing(stock(0, 0, 0)), 0);
        assert_eq!(none_warm.missing(stock(1, 0, 0)), 1);
    }

    #[test]
    fn links_that_were_to_go_stay_before_others_are_opened() {
        let target = Target { warm: 1, clients_per_link: 100 };
        assert_eq!(target.recalled(stock(100, 1, 0), &[5, 5]), 0, "none is missing");
        assert_eq!(target.recalled(stock(150, 1, 0), &[5, 5]), 1);
        assert_eq!(target.recalled(stock(150, 1, 0), &[60, 5]), 2, "its clients need room as well");
        assert_eq!(target.recalled(stock(9000, 1, 0), &[1, 2, 3]), 3);
        assert_eq!(target.recalled(stock(0, 0, 0), &[7]), 1, "the warm one");
        assert_eq!(target.recalled(stock(9000, 1, 0), &[]), 0);
    }

    #[test]
    fn f_22_surplus_links_are_told_and_growth_does_not_undo_it() {
        let target = Target { warm: 1, clients_per_link: 300 };
        assert_eq!(target.surplus(stock(0, 3, 0)), 2);
        assert_eq!(target.surplus(stock(301, 2, 0)), 0);
        assert_eq!(target.surplus(stock(226, 3, 0)), 1);
        for (clients, ready) in (0..2000).step_by(7).flat_map(|clients| (1..12).map(move |n| (clients, n))) {
            let left = ready - target.surplus(stock(clients, ready, 0));
            assert!(left == ready || target.missing(stock(clients, left, 0)) == 0, "{clients} on {ready}");
        }
    }

    #[test]
    fn shares_add_up_to_what_is_kept_warm_and_are_spread() {
        for (links, shards) in [(2, 1), (2, 2), (2, 8), (5, 2), (0, 3), (16, 3)] {
            let mut of_shard = vec![0; shards];
            for dc in [1, 2, 3, 4, 5, -1, -2, -3, -4, -5].map(DcId::new) {
                let shares = (0..shards).map(|shard| warm_share(dc, links, shard, shards));
                let mut sum = 0;
                for (total, share) in of_shard.iter_mut().zip(shares) {
                    *total += share;
                    sum += share;
                }
                assert_eq!(sum, links);
            }
            let most = of_shard.iter().max().expect("a shard");
            let least = of_shard.iter().min().expect("a shard");
            assert!(most - least <= links.max(2), "{of_shard:?}");
        }
    }
}
