//! How values are spread: how many there were up to each bound.

use super::counters::Counter;

/// The bounds of a histogram, and what one of its unit is.
#[derive(Debug)]
pub struct Scale {
    /// The upper bounds, ascending, in steps.
    steps: &'static [u64],
    /// Steps in a base unit: what is told is in seconds or bytes.
    per_unit: f64,
}

impl Scale {
    /// How long sessions live: 0.2 s to 20 minutes.
    pub const LIFETIME: Self =
        Self::millis(&[200, 500, 1000, 5000, 10_000, 30_000, 60_000, 150_000, 300_000, 600_000, 1_200_000]);
    /// How long a stage of a handshake takes: 1 ms to 10 s, and longer.
    pub const STAGE: Self = Self::millis(&[1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]);
    /// How large what moves at once is: 8 bytes to 128 KiB.
    pub const SIZE: Self = Self { steps: &[8, 32, 128, 512, 2048, 8192, 32_768, 131_072], per_unit: 1.0 };

    const fn millis(steps: &'static [u64]) -> Self {
        Self { steps, per_unit: 1000.0 }
    }
}

/// A histogram with one writer: its shard.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    /// One for each bound, and one for what is above all of them.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new(scale: &'static Scale) -> Self {
        Self {
            scale,
            counts: (0..=scale.steps.len()).map(|_| Counter::default()).collect(),
            sum: Counter::default(),
        }
    }

    /// Counts a value, in steps of the scale: milliseconds or bytes.
    pub fn observe(&self, steps: u64) {
        let bucket = self.scale.steps.partition_point(|&bound| bound < steps);
        self.counts[bucket].add(1);
        self.sum.add(steps);
    }
}

/// A histogram as it is told, summed over shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    /// Each upper bound in seconds or bytes, the last one infinite, with how many values lie between it and the bound
    /// before.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all values, in seconds or bytes.
    pub sum: f64,
}

impl Spread {
    /// A spread of no values.
    #[must_use]
    pub fn none(scale: &Scale) -> Self {
        let bounds = scale.steps.iter().map(|&steps| steps as f64 / scale.per_unit);
        Self { buckets: bounds.chain([f64::INFINITY]).map(|bound| (bound, 0)).collect(), sum: 0.0 }
    }

    /// Adds what one shard counted.
    pub fn add(&mut self, shard: &Histogram) {
        if self.buckets.is_empty() {
            *self = Self::none(shard.scale);
        }
        for ((_, sum), counter) in self.buckets.iter_mut().zip(&shard.counts) {
            *sum += counter.get();
        }
        self.sum += shard.sum.get() as f64 / shard.scale.per_unit;
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_at_or_below_their_bound() {
        let histogram = Histogram::new(&Scale::STAGE);
        for millis in [0, 1, 2, 5, 10_000, 10_001, 1_000_000] {
            histogram.observe(millis);
        }
        let mut spread = Spread::default();
        spread.add(&histogram);
        spread.add(&Histogram::new(&Scale::STAGE));
        assert_eq!(spread.buckets.len(), 13);
        assert_eq!(spread.buckets[..2], [(0.001, 2), (0.005, 2)]);
        assert_eq!(spread.buckets[11..], [(10.0, 1), (f64::INFINITY, 2)]);
        assert_eq!(spread.count(), 7);
        assert!((spread.sum - 1020.009).abs() < 1e-9, "{}", spread.sum);
    }
}
