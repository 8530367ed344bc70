//! The two-sample Kolmogorov–Smirnov test.

/// The greatest distance between the two distributions: 0 for the same, 1 when they do not overlap.
pub(super) fn distance(one: &[f64], other: &[f64]) -> f64 {
    let (mut one, mut other) = (one.to_vec(), other.to_vec());
    one.sort_by(f64::total_cmp);
    other.sort_by(f64::total_cmp);
    let below = |sorted: &[f64], value| sorted.partition_point(|x| *x <= value) as f64 / sorted.len() as f64;
    let gap = |value: &f64| (below(&one, *value) - below(&other, *value)).abs();
    one.iter().chain(&other).map(gap).fold(0.0, f64::max)
}

/// What the distance exceeds in one of a hundred runs when nothing differs, for `n` values on each side.
pub(super) fn critical_1_percent(n: usize) -> f64 {
    1.63 * (2.0 / n as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_known_samples() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(distance(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.0));
        assert!(close(distance(&[1.0, 2.0], &[3.0, 4.0]), 1.0));
        assert!(close(distance(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]), 0.5));
        assert!((critical_1_percent(300) - 0.133).abs() < 0.001);
    }
}
