//! Finds opaque tokens and card numbers in any bytes, in one pass, with memory that does not grow.
//!
//! What counts as found is decided by the 64 bytes before and behind a place and by nothing else, so that it does not
//! matter how the bytes were cut on their way here. What counts as a card number, and what is not found:
//! docs/OFFLINE.md.
//!
//! A finding tells a place, a kind and a length. The token is lent to the caller for its check; of a card number
//! nothing leaves this module but brand and length.

mod card;

use std::fmt;

use zeroize::Zeroizing;

use crate::{CardBrand, OpaqueToken};

/// What is looked at before a place, at most.
const LOOK_BACK: usize = 64;
/// What is looked at behind a place, at most: a token has 51 bytes, a card number with separators 25.
const LOOK_AHEAD: usize = 64;
/// What stands before the first `_` of a token.
const TOKEN_HEAD: &[u8] = b"tok";
/// What stands behind the region of a token: `_`, generation, block and check.
const TOKEN_TAIL_BYTES: usize = 30;
/// Bytes that are looked at one by one before whole chunks are.
const NEAR_BYTES: usize = 16;
/// Bytes that are looked at as one.
const CHUNK_BYTES: usize = 32;
/// The longest region's name.
const REGION_BYTES_MAX: usize = vault_domain::limits::REGION_BYTES_MAX;

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Line feeds before it, and 1.
    pub line: u64,
    /// Bytes between the last line feed before it and it, and 1.
    pub column: u64,
    /// Its own bytes, separators included.
    pub bytes: usize,
}

/// What was found.
#[derive(Debug)]
pub enum Found<'t> {
    /// A well-formed opaque token; a check key tells whether it is one.
    Token(OpaqueToken<'t>),
    /// A card number: digits, brand, length and Luhn check fit.
    Card {
        /// The brand.
        brand: CardBrand,
        /// How many digits.
        digits: usize,
        /// Whether blanks or hyphens stand between groups of them.
        is_grouped: bool,
    },
}

/// A scan under way. What it keeps of the bytes is wiped when it is dropped.
#[derive(Default)]
pub struct Scanner {
    /// What is not decided yet, behind at most [`LOOK_BACK`] bytes that are.
    kept: Zeroizing<Vec<u8>>,
    /// Where the first undecided byte is in `kept`.
    next: usize,
    /// Bytes before the first of `kept`.
    base: u64,
    lines: Lines,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scanner(..)")
    }
}

/// Counts lines up to a place in what is kept.
#[derive(Default)]
struct Lines {
    /// Up to where in `kept`.
    counted: usize,
    /// Line feeds before that.
    feeds: u64,
    /// Where the line begins that this is in, from the beginning of all.
    line_start: u64,
}

impl Scanner {
    /// Takes the next bytes and tells what is found up to nearly their end.
    pub fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(Place, Found<'_>)) {
        self.keep(bytes);
        let until = self.kept.len().saturating_sub(LOOK_AHEAD);
        self.decide(until, found);
        let from = self.next.saturating_sub(LOOK_BACK);
        self.lines.count(&self.kept, self.base, from);
        self.lines.counted -= from;
        self.base += from as u64;
        self.next -= from;
        self.kept.drain(..from);
    }

    /// Tells what is found at the end.
    pub fn finish(mut self, found: &mut dyn FnMut(Place, Found<'_>)) {
        self.decide(self.kept.len(), found);
    }

    /// Appends, without leaving copies behind when the buffer grows.
    fn keep(&mut self, bytes: &[u8]) {
        let wanted = self.kept.len() + bytes.len();
        if self.kept.capacity() < wanted {
            let mut larger = Zeroizing::new(Vec::with_capacity(wanted.max(LOOK_BACK + LOOK_AHEAD + bytes.len())));
            larger.extend_from_slice(&self.kept);
            self.kept = larger;
        }
        self.kept.extend_from_slice(bytes);
    }

    /// Decides all places before `until`.
    fn decide(&mut self, until: usize, found: &mut dyn FnMut(Place, Found<'_>)) {
        let Self { kept, next, base, lines } = self;
        while let Some(at) = next_interesting(kept, *next, until) {
            let (start, end, what) = match at_interesting(kept, at) {
                Ok(found) => found,
                Err(skip) => {
                    *next = at + skip;
                    continue;
                }
            };
            lines.count(kept, *base, start);
            let offset = *base + start as u64;
            let (line, column) = (lines.feeds + 1, offset - lines.line_start + 1);
            found(Place { offset, line, column, bytes: end - start }, what);
            *next = end;
        }
        *next = until.max(*next);
    }
}

impl Lines {
    fn count(&mut self, kept: &[u8], base: u64, to: usize) {
        let passed = kept.get(self.counted..to).unwrap_or_default();
        if let Some(last) = passed.iter().rposition(|byte| *byte == b'\n') {
            self.feeds += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line_start = base + (self.counted + last + 1) as u64;
        }
        self.counted = self.counted.max(to);
    }
}

/// The next byte that a finding can hang on: a digit, or the `_` behind a token's `tok`.
fn next_interesting(kept: &[u8], from: usize, until: usize) -> Option<usize> {
    let rest = kept.get(from..until)?;
    let is_interesting = |byte: &u8| byte.is_ascii_digit() || *byte == b'_';
    // Where there is one, there is often another one soon.
    if let Some(at) = rest.iter().take(NEAR_BYTES).position(is_interesting) {
        return Some(from + at);
    }
    // Whole chunks without a branch in them go many bytes at a time.
    let chunks = rest.chunks_exact(CHUNK_BYTES);
    let skipped = chunks.take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | is_interesting(byte))).count();
    let skipped = skipped * CHUNK_BYTES;
    let at = rest.get(skipped..)?.iter().position(is_interesting)?;
    Some(from + skipped + at)
}

/// What hangs on an interesting byte, with its beginning and end; or how many bytes to go on.
fn at_interesting(kept: &[u8], at: usize) -> Result<(usize, usize, Found<'_>), usize> {
    if kept.get(at) == Some(&b'_') {
        let token = token_at(kept, at).ok_or(1_usize)?;
        return Ok((token.0, token.1, Found::Token(token.2)));
    }
    let run = digits_at(kept, at);
    let before = at.checked_sub(1).and_then(|before| kept.get(before));
    if before.is_some_and(u8::is_ascii_digit) {
        // The rest of digits of which the beginning was looked at.
        return Err(run);
    }
    match card::card_at(kept, at, run) {
        Some(card) => {
            let (brand, digits) = (card.brand, card.digits);
            Ok((card.start, card.end, Found::Card { brand, digits, is_grouped: card.end - card.start > digits }))
        }
        None => Err(run),
    }
}

/// The token whose first `_` stands at `at`.
fn token_at(kept: &[u8], at: usize) -> Option<(usize, usize, OpaqueToken<'_>)> {
    let start = at.checked_sub(TOKEN_HEAD.len())?;
    if kept.get(start..at)? != TOKEN_HEAD {
        return None;
    }
    let behind = kept.get(at + 1..)?;
    let region = behind.iter().take(REGION_BYTES_MAX + 1).position(|byte| *byte == b'_')?;
    let end = at + 1 + region + TOKEN_TAIL_BYTES;
    if !is_edge_before(kept, start) || !is_edge_behind(kept, end) {
        return None;
    }
    let text = std::str::from_utf8(kept.get(start..end)?).ok()?;
    Some((start, end, OpaqueToken::parse(text).ok()?))
}

/// How many digits stand from `at` on.
fn digits_at(kept: &[u8], at: usize) -> usize {
    kept.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether a word can begin at `at`: no letter or digit stands before it, or one that belongs to an escape (`\n` of
/// JSON and programs, `%3D` of URLs) or to the head of a magnetic stripe (`%B`, ISO/IEC 7813).
fn is_edge_before(kept: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| kept.get(at)).copied().unwrap_or(b'\n');
    match (before(3), before(2), before(1)) {
        (_, _, last) if !last.is_ascii_alphanumeric() => true,
        (_, b'\\', b'n' | b'r' | b't') | (_, b'%', b'B') => true,
        (b'%', first, second) => first.is_ascii_hexdigit() && second.is_ascii_hexdigit(),
        _ => false,
    }
}

/// Whether a word can end before `at`.
fn is_edge_behind(kept: &[u8], at: usize) -> bool {
    !kept.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests;
