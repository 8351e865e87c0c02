//! Damage: what storage, transport and attackers do to bytes, at chance and repeatably.

/// What lengths and counts like to be misread as.
const EXTREMES: [u8; 6] = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF];
/// The most that is done to one input.
const STEPS_MAX: u64 = 4;

/// A repeatable source of damage.
pub(crate) struct Damage(u64);

impl Damage {
    pub(crate) fn seeded(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    /// One of the seeds, damaged.
    pub(crate) fn of(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one(seeds).clone();
        for _ in 0..=self.below(STEPS_MAX) {
            self.step(&mut bytes, seeds);
        }
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.position(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => {
                let byte = self.below(256).to_be_bytes()[7];
                bytes.insert(at, byte);
            }
            2 => {
                let other = self.one(seeds);
                let from = self.position(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            3 => {
                let end = (at + self.position(16)).min(bytes.len());
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let end = (at + self.position(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            kind => {
                let extreme = *self.one(&EXTREMES);
                let bit = 1 << self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if kind == 5 { extreme } else { *byte ^ bit };
                }
            }
        }
    }

    fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let at = self.position(list.len() - 1);
        list.get(at).or(list.first()).unwrap()
    }

    /// From 0 to `length`, both included.
    fn position(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64 + 1)).unwrap()
    }

    /// A number below `bound`, by splitmix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}
