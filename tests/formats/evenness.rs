//! Whether counts are those of an even spread: Pearson's chi-square test.

use std::collections::BTreeMap;

/// The largest standard normal deviate that counts as chance: a test of an even spread fails once in 3.5 million times
/// for being uneven (significance level 2.9e-7, one side), and so does one that is too even to be chance.
const DEVIATE_MAX: f64 = 5.0;

/// How far the chi-square statistic of these counts, against expected ones, lies from what chance gives: as a standard
/// normal deviate, by the transformation of Wilson and Hilferty.
fn deviate(pairs: impl Iterator<Item = (f64, f64)>, freedom: f64) -> f64 {
    let chi_square: f64 = pairs.map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    let variance = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - variance)) / variance.sqrt()
}

/// Counts of what stands in one place.
#[derive(Clone, Default)]
pub(crate) struct Counts(BTreeMap<u8, u32>);

impl Counts {
    pub(crate) fn add(&mut self, found: u8) {
        *self.0.entry(found).or_default() += 1;
    }

    /// Fails unless just these were found, each as often as the others as far as chance goes: with `among.len() - 1`
    /// degrees of freedom.
    #[track_caller]
    pub(crate) fn assert_even(&self, among: &[u8], place: &str) {
        let found: Vec<u8> = self.0.keys().copied().collect();
        let mut among = among.to_vec();
        among.sort_unstable();
        assert_eq!(found.escape_ascii().to_string(), among.escape_ascii().to_string(), "{place}");
        let cells = self.0.len() as f64;
        let expected = f64::from(self.0.values().sum::<u32>()) / cells;
        let deviate = deviate(self.0.values().map(|&count| (f64::from(count), expected)), cells - 1.0);
        assert!(deviate.abs() < DEVIATE_MAX, "{place}: {deviate:.1} standard deviations, {:?}", self.0);
    }

    /// Fails if anything else was found.
    #[track_caller]
    pub(crate) fn assert_only(&self, only: u8) {
        assert_eq!(self.0.keys().collect::<Vec<_>>(), [&only]);
    }
}

/// Fails unless rows and columns of a table of counts are independent of each other, where all rows and all columns
/// have the same sum: with (rows - 1) × (columns - 1) degrees of freedom.
#[track_caller]
pub(crate) fn assert_independent<const N: usize>(table: &[[u32; N]; N], place: &str) {
    let total: u32 = table.iter().flatten().sum();
    let expected = f64::from(total) / (N * N) as f64;
    let pairs = table.iter().flatten().map(|&count| (f64::from(count), expected));
    let deviate = deviate(pairs, ((N - 1) * (N - 1)) as f64);
    assert!(deviate.abs() < DEVIATE_MAX, "{place}: {deviate:.1} standard deviations");
}

#[test]
fn chi_square_finds_what_is_uneven_and_what_is_too_even() {
    // Critical values from tables, at 0.001: 27.877 with 9 degrees of freedom, 148.230 with 99; that is 3.09 deviates.
    for (chi_square, freedom) in [(27.877_f64, 9.0), (148.230, 99.0)] {
        let found = deviate([(chi_square.sqrt() + 1.0, 1.0)].into_iter(), freedom);
        assert!((found - 3.090).abs() < 0.03, "{found}");
    }
    // A byte modulo 62: the first eight digits come up five times in 256, the others four times.
    let modulo: Vec<(f64, f64)> = (0..62).map(|digit| (if digit < 8 { 1953.0 } else { 1562.0 }, 1613.0)).collect();
    assert!(deviate(modulo.into_iter(), 61.0) > DEVIATE_MAX);
    assert!(deviate((0..62).map(|_| (1613.0, 1613.0)), 61.0) < -DEVIATE_MAX);
}
