//! `opaque`: a block that hides the record number beside 72 random bits, and a check over it.

use std::collections::HashSet;

use vault_domain::RecordNumber;
use vault_format::OpaqueToken;

use crate::{
    BASE62,
    evenness::Counts,
    keyring::{Keyring, region},
};

const TOKENS: u64 = 100_000;

/// Where the block's 22 digits stand in `tok_eu_g…`, and the check's 6 behind them.
const BLOCK: usize = 8;
const CHECK: usize = BLOCK + 22;
const END: usize = CHECK + 6;

/// The tokens of these numbers: their text and their block.
fn texts(numbers: impl Iterator<Item = u64>) -> Vec<(String, Option<u64>)> {
    let (ring, region) = (Keyring::new(), region());
    let keys = ring.class("card");
    let numbers: Vec<RecordNumber> = numbers.map(|number| RecordNumber::new(number).unwrap()).collect();
    let minted = keys.mint(&numbers, &mut ring.random());
    let text = |token: &vault_keys::MintedToken| {
        let text = OpaqueToken::new(&region, token.generation, token.block, token.check).unwrap().to_text();
        let read = OpaqueToken::parse(text.expose()).unwrap();
        (text.expose().to_owned(), keys.record_number(read.block()).map(RecordNumber::get))
    };
    minted.iter().map(text).collect()
}

#[test]
fn blocks_hide_their_record_numbers_and_no_two_tokens_are_equal() {
    let last = RecordNumber::MAX.get();
    let numbers = || (0..1000).chain(last - 999..=last).chain((0..56).map(|bit| 1 << bit)).chain([7; 1000]);
    let tokens = texts(numbers());
    for ((_, found), number) in tokens.iter().zip(numbers()) {
        assert_eq!(*found, Some(number));
    }
    // Also of one and the same number there is a new one each time.
    assert_eq!(tokens.iter().map(|(text, _)| text).collect::<HashSet<_>>().len(), tokens.len());
}

/// 61 degrees of freedom in each place but the block's first two: 2^128 is no multiple of 62^20, so that 0 to 48 stand
/// more often in the second than 49 to 61.
#[test]
fn every_place_of_an_opaque_token_is_even_whether_numbers_rise_or_stay() {
    for (rising, numbers) in [(true, 0..TOKENS), (false, 0..TOKENS)] {
        let mut counts = vec![Counts::default(); END];
        for (text, _) in texts(numbers.map(|number| if rising { number } else { 7 })) {
            assert_eq!((text.len(), &text[..BLOCK]), (END, "tok_eu_0"));
            counts.iter_mut().zip(text.bytes()).for_each(|(count, byte)| count.add(byte));
            // 2^128 is below 8 × 62^21.
            assert!((b'0'..=b'7').contains(&text.as_bytes()[BLOCK]));
        }
        for (at, count) in counts.iter().enumerate().skip(BLOCK + 2) {
            count.assert_even(BASE62, &format!("place {at}, numbers rise: {rising}"));
        }
    }
}
