//! `one_way`: a keyed hash, the same for the same value, unlinkable between audiences and classes.

use std::collections::HashSet;

use vault_domain::Audience;
use vault_format::{OpaqueToken, one_way_text};
use vault_keys::DeterminismScope;

use crate::{
    BASE62,
    evenness::Counts,
    keyring::{Keyring, audience, region},
};

const VALUES: u32 = 100_000;

/// Determinism inside of one audience.
fn inside(audience: &Audience) -> DeterminismScope<'_> {
    DeterminismScope { audience, subject: None }
}

/// 61 degrees of freedom in each place but the first two, as with opaque tokens.
#[test]
fn one_way_tokens_of_values_in_a_row_are_even_and_all_different() {
    let (ring, region, shop) = (Keyring::new(), region(), audience("shop"));
    let keys = ring.class("card");
    let token = |value: u32| {
        one_way_text(&region, keys.generation(), keys.one_way(&inside(&shop), value.to_string().as_bytes()))
    };
    let mut counts = vec![Counts::default(); 30];
    let mut all = HashSet::new();
    for value in 0..VALUES {
        let text = token(value);
        assert_eq!((text.expose().len(), &text.expose()[..8]), (30, "one_eu_0"));
        assert!(token(value) == text, "the same each time");
        assert!(OpaqueToken::parse(text.expose()).is_err(), "no token that could be revealed");
        counts.iter_mut().zip(text.expose().bytes()).for_each(|(count, byte)| count.add(byte));
        all.insert(text.into_exposed());
    }
    assert_eq!(all.len(), VALUES as usize);
    for (at, count) in counts.iter().enumerate().skip(10) {
        count.assert_even(BASE62, &format!("place {at}"));
    }
}

#[test]
fn one_way_tokens_of_audiences_and_classes_have_nothing_in_common() {
    let ring = Keyring::new();
    let mut all = HashSet::new();
    for class in ["card", "card2", "car"] {
        for audience_name in ["shop", "shop2", "sho"] {
            let (keys, audience) = (ring.class(class), audience(audience_name));
            // What ends the one field must not begin the other.
            all.extend(["x", "2x", "px", ""].map(|value| keys.one_way(&inside(&audience), value.as_bytes())));
        }
    }
    assert_eq!(all.len(), 3 * 3 * 4);
}
