//! Random choices that are the same for the same seed.

/// A generator (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not 0.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these; there must be one.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// True in so many of a hundred times.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Bytes, between so many and so many.
    pub(crate) fn bytes(&mut self, least: u64, most: u64) -> Vec<u8> {
        let len = least + self.below(most - least + 1);
        let mut bytes = vec![0; len as usize];
        teleferry_sim::pattern::fill(self.next(), 0, &mut bytes);
        bytes
    }

    /// Dice of its own for somebody.
    pub(crate) const fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_chooses_the_same() {
        let (mut one, mut other) = (Dice::new(1), Dice::new(1));
        assert_eq!(one.bytes(0, 100), other.bytes(0, 100));
        assert_eq!(one.fork().next(), other.fork().next());
        assert!((0..1000).all(|_| one.below(7) < 7));
        assert!((0..100).all(|_| (5..=9).contains(&one.bytes(5, 9).len())));
    }
}
