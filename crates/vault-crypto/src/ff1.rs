//! FF1 with AES-256 (NIST SP 800-38G section 5.1): a keyed permutation of the texts of one length over one alphabet.
//!
//! ```text
//! u = floor(n / 2), v = n - u; A, B = the first u and the last v numerals
//! b = bytes of radix^v - 1, d = 4 * ceil(b / 4) + 4
//! P = 1 ‖ 2 ‖ 1 ‖ radix (3) ‖ 10 ‖ u mod 256 ‖ n (4) ‖ bytes of the tweak (4)
//! for i in 0..10:
//!     Q = tweak ‖ zeros ‖ i (1) ‖ NUM(B) (b), with as many zeros as fill the last block
//!     R = CBC-MAC(P ‖ Q); S = R ‖ AES(R ^ 1) ‖ AES(R ^ 2) …, cut to d bytes
//!     A, B = B, (NUM(A) + NUM(S)) mod radix^(u if i is even, else v)
//! ```
//!
//! P and the part of Q before i are the same in all rounds. Their CBC-MAC is a [`Tweak`], computed once. Halves stay
//! numbers from the first round to the last. Where b is at most 15, a round is one AES block.
//!
//! Nothing here branches on numerals or looks anything up by them, and nothing divides: remainders come from
//! reciprocals (Barrett) and masks. It hides neither a text's length nor that two texts are equal, and authenticates
//! nothing: every text of the domain decrypts to another.
//!
//! Characters are mapped to numerals elsewhere; this module never sees an alphabet.

use aes::{
    Aes256Enc,
    cipher::{BlockCipherEncrypt, KeyInit, consts::U16},
};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

mod domain;
mod limbs;
mod long;
mod narrow;
mod numeral;
mod reduce;
mod rounds;
mod wide;

pub use domain::Domain;
pub use numeral::Numeral;

use crate::{block::Block, key::Key256};

/// The smallest domain: radix^length must not be less (SP 800-38G Rev. 1, second public draft, section 5.1). Below it
/// the known attacks recover values, and anyone with a call to spend can list the domain.
pub const DOMAIN_SIZE_MIN: u32 = 1_000_000;
/// The largest radix, that of the standard.
pub const RADIX_MAX: u32 = 1 << 16;
/// The most numerals of a text. The standard allows 2^32; the work grows with the square.
pub const LENGTH_MAX: usize = 1024;
/// The longest tweak, in bytes. The standard allows 2^32.
pub const TWEAK_BYTES_MAX: usize = 4096;

/// Why nothing was encrypted or decrypted. No text repeats a numeral.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Ff1Error {
    /// The radix is outside of 2 to [`RADIX_MAX`].
    #[error("the radix is outside of 2 to {RADIX_MAX}")]
    Radix,
    /// Fewer than [`DOMAIN_SIZE_MIN`] texts have this radix and length.
    #[error("fewer than {DOMAIN_SIZE_MIN} texts have this radix and length")]
    DomainTooSmall,
    /// More than [`LENGTH_MAX`] numerals.
    #[error("a text may have {LENGTH_MAX} numerals")]
    DomainTooLong,
    /// More than [`TWEAK_BYTES_MAX`] bytes of tweak.
    #[error("a tweak may have {TWEAK_BYTES_MAX} bytes")]
    TweakTooLong,
    /// The tweak was prepared with another key, or for another domain.
    #[error("the tweak was prepared with another key or for another domain")]
    TweakOfAnother,
    /// The text has another number of numerals than the domain.
    #[error("the text has another length than the domain")]
    Length,
    /// A numeral is not below the radix.
    #[error("a numeral is not below the radix")]
    Numeral,
    /// The numerals' type can't hold every numeral of the radix.
    #[error("the radix needs a wider type of numerals")]
    NumeralType,
}

/// Why a batch was refused: no item of it was changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("item {index}: {reason}")]
pub struct Ff1ItemError {
    /// The first item that is at fault, from 0.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub reason: Ff1Error,
}

/// One text of a batch: its tweak, and its numerals, the most significant first.
pub type Item<'a, N> = (&'a Tweak, &'a mut [N]);

/// A key with its schedule expanded, and the mark that its tweaks bear. Wiped when dropped.
pub struct Ff1Key {
    cipher: Aes256Enc,
    mark: Mark,
}

/// Tells the tweaks of one key from another's: the first half of AES(key, 0). It never leaves this module.
#[derive(Clone, Copy, PartialEq, Eq, Zeroize)]
struct Mark([u8; 8]);

/// A tweak made ready for one key and one domain. Wiped when dropped: it depends on the key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Tweak {
    /// The CBC-MAC's state before the block that holds the round number, with the constant start of that block.
    base: u128,
    mark: Mark,
    radix: u32,
    length: usize,
}

impl Drop for Ff1Key {
    fn drop(&mut self) {
        // The schedule wipes itself.
        self.mark.zeroize();
    }
}

impl Ff1Key {
    /// Expands the schedule.
    #[must_use]
    pub fn new(key: &Key256) -> Self {
        let cipher = Aes256Enc::new(key.bytes().into());
        Self { mark: mark(&cipher), cipher }
    }

    /// Prepares a tweak: one AES block and one for every 16 bytes. The tweak is no secret; it may be empty.
    ///
    /// # Errors
    /// When it has more than [`TWEAK_BYTES_MAX`] bytes.
    pub fn tweak(&self, domain: &Domain, tweak: &[u8]) -> Result<Tweak, Ff1Error> {
        prepare(&self.cipher, self.mark, domain, tweak)
    }

    /// Encrypts a text in place.
    ///
    /// # Errors
    /// When tweak or text are not of this domain; then nothing is changed.
    pub fn encrypt<N: Numeral>(&self, domain: &Domain, tweak: &Tweak, text: &mut [N]) -> Result<(), Ff1Error> {
        self.check(domain, tweak, text)?;
        domain.one::<_, _, false>(&self.cipher, tweak.base, text);
        Ok(())
    }

    /// Decrypts a text in place.
    ///
    /// # Errors
    /// When tweak or text are not of this domain; then nothing is changed.
    pub fn decrypt<N: Numeral>(&self, domain: &Domain, tweak: &Tweak, text: &mut [N]) -> Result<(), Ff1Error> {
        self.check(domain, tweak, text)?;
        domain.one::<_, _, true>(&self.cipher, tweak.base, text);
        Ok(())
    }

    /// Encrypts many texts of one domain in place, sixteen at once: several times the rate of one after the other.
    ///
    /// # Errors
    /// When one of them is refused; then none is changed.
    pub fn encrypt_all<N: Numeral>(&self, domain: &Domain, items: &mut [Item<'_, N>]) -> Result<(), Ff1ItemError> {
        self.check_all(domain, items)?;
        domain.all::<_, _, false>(&self.cipher, items);
        Ok(())
    }

    /// Decrypts many texts of one domain in place, sixteen at once.
    ///
    /// # Errors
    /// When one of them is refused; then none is changed.
    pub fn decrypt_all<N: Numeral>(&self, domain: &Domain, items: &mut [Item<'_, N>]) -> Result<(), Ff1ItemError> {
        self.check_all(domain, items)?;
        domain.all::<_, _, true>(&self.cipher, items);
        Ok(())
    }

    #[inline]
    fn check<N: Numeral>(&self, domain: &Domain, tweak: &Tweak, text: &[N]) -> Result<(), Ff1Error> {
        if (tweak.mark, tweak.radix, tweak.length) != (self.mark, domain.radix(), domain.length()) {
            return Err(Ff1Error::TweakOfAnother);
        }
        domain.check(text)
    }

    fn check_all<N: Numeral>(&self, domain: &Domain, items: &[Item<'_, N>]) -> Result<(), Ff1ItemError> {
        for (index, (tweak, text)) in items.iter().enumerate() {
            self.check(domain, tweak, text).map_err(|reason| Ff1ItemError { index, reason })?;
        }
        Ok(())
    }
}

fn mark(cipher: &impl BlockCipherEncrypt<BlockSize = U16>) -> Mark {
    let mut block = aes::Block::default();
    cipher.encrypt_block(&mut block);
    let mut mark = Mark([0; 8]);
    mark.0.iter_mut().zip(block).for_each(|(to, from)| *to = from);
    mark
}

/// The CBC-MAC over P and all of Q that is the same in every round.
fn prepare<C>(cipher: &C, mark: Mark, domain: &Domain, tweak: &[u8]) -> Result<Tweak, Ff1Error>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let bytes = u32::try_from(tweak.len()).map_err(|_| Ff1Error::TweakTooLong)?;
    if tweak.len() > TWEAK_BYTES_MAX {
        return Err(Ff1Error::TweakTooLong);
    }
    let mut state = encrypt(cipher, domain.head(bytes));
    // Whole blocks end where the tail of Q begins: with at least as many bytes as i and NUM(B) need, and less than one
    // block more. What is left of the tweak stands at the tail's start; zeros need no XOR.
    let padded = (tweak.len() + domain.tail_bytes()).next_multiple_of(16);
    let fixed = padded - domain.tail_bytes().next_multiple_of(16);
    for at in (0..fixed).step_by(16) {
        state = encrypt(cipher, state ^ piece(tweak, at));
    }
    Ok(Tweak { base: state ^ piece(tweak, fixed), mark, radix: domain.radix(), length: domain.length() })
}

/// Up to 16 bytes of the tweak from `at` on, with zeros behind.
fn piece(tweak: &[u8], at: usize) -> u128 {
    let mut block = Block::default();
    block.iter_mut().zip(tweak.iter().skip(at)).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(block)
}

/// One block, as a number.
fn encrypt(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

#[cfg(test)]
mod tests;
