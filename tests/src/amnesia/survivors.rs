//! The dice of a torn power cut: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), so that a seed is a reproduction.

/// A reproducible stream of choices.
#[derive(Debug)]
pub(super) struct Chance {
    state: u64,
}

impl Chance {
    /// The stream of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One of the numbers below `count`, which is not zero. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    /// A coin.
    pub(super) fn toss(&mut self) -> bool {
        self.below(2) == 1
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
