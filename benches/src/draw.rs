//! Numbers that are drawn the same in every run.

/// Numbers that are spread evenly and are the same in every run: splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Draw(u64);

impl Draw {
    /// One of its own for each caller.
    #[must_use]
    pub fn seeded(caller: usize) -> Self {
        Self(u64::try_from(caller).unwrap_or(0).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    /// A number below `count`, or 0.
    pub fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(count).unwrap_or(0)
    }

    /// A number below `count`, small ones far more often: each is drawn about as often as the reciprocal of its place
    /// says (Zipf's law with exponent 1), by a draw that is even in the logarithm.
    pub fn zipf(&mut self, count: u64) -> u64 {
        const STEPS: u64 = 1 << 53;
        let even = self.below(STEPS) as f64 / STEPS as f64;
        let place = ((count as f64 + 1.0).ln() * even).exp() - 1.0;
        #[expect(clippy::cast_possible_truncation, reason = "it is below 2^53, and cut on purpose")]
        let place = place as u64;
        place.min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_reach_everywhere_and_repeat_in_the_next_run() {
        let mut draw = Draw::seeded(3);
        let mut seen = [false; 100];
        for _ in 0..2000 {
            seen[usize::try_from(draw.below(100)).unwrap()] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(Draw::seeded(3).below(1 << 40), Draw::seeded(3).below(1 << 40));
        assert_ne!(Draw::seeded(3).below(1 << 40), Draw::seeded(4).below(1 << 40));
    }

    #[test]
    fn small_numbers_are_drawn_as_often_as_their_place_says() {
        let (mut draw, mut counts) = (Draw::seeded(1), [0_u32; 200]);
        for _ in 0..200_000 {
            counts[usize::try_from(draw.zipf(200)).unwrap()] += 1;
        }
        // 200,000 / (n ln 201): within a fifth.
        for (place, expected) in [(9, 3594.0), (99, 375.0), (199, 188.0)] {
            let ratio = f64::from(counts[place]) / expected;
            assert!((0.8..1.2).contains(&ratio), "{place}: {ratio}");
        }
        assert_eq!(draw.zipf(1), 0);
    }
}
