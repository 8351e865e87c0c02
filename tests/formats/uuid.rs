//! `uuid`: random UUIDs of version 4.

use std::collections::HashSet;

use vault_format::UuidToken;

use crate::{evenness::Counts, keyring::Keyring};

/// 15 degrees of freedom in each place of a digit, 3 in that of the variant.
#[test]
fn every_digit_of_a_uuid_token_is_even_but_for_version_and_variant() {
    let mut random = Keyring::new().random();
    let mut counts = vec![Counts::default(); 36];
    let mut all = HashSet::new();
    for _ in 0..100_000 {
        let uuid = UuidToken::from_random(random.bytes());
        let text = uuid.to_text();
        assert_eq!(text.expose().len(), 36);
        counts.iter_mut().zip(text.expose().bytes()).for_each(|(count, byte)| count.add(byte));
        assert!(all.insert(*uuid.bytes()));
        assert!(UuidToken::parse(text.expose()).is_ok_and(|read| read == uuid));
    }
    for (at, count) in counts.iter().enumerate() {
        match at {
            8 | 13 | 18 | 23 => count.assert_only(b'-'),
            14 => count.assert_only(b'4'),
            19 => count.assert_even(b"89ab", "the variant"),
            _ => count.assert_even(b"0123456789abcdef", &format!("place {at}")),
        }
    }
}
