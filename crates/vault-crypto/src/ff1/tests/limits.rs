//! What is refused, by its name, and what is just allowed.

use super::{super::*, Way, aes256, crypt, reference};

const KEY: [u8; 32] = [7; 32];

fn key() -> Ff1Key {
    Ff1Key::new(&Key256::from_bytes(&KEY))
}

#[test]
fn a_domain_that_ff1_does_not_have_is_refused_by_name() {
    let rows = [
        (0, 20, Some(Ff1Error::Radix)),
        (1, 20, Some(Ff1Error::Radix)),
        (65_537, 2, Some(Ff1Error::Radix)),
        (u32::MAX, 2, Some(Ff1Error::Radix)),
        (10, 0, Some(Ff1Error::DomainTooSmall)),
        (10, 1, Some(Ff1Error::DomainTooSmall)),
        (65_536, 1, Some(Ff1Error::DomainTooSmall)),
        (2, 19, Some(Ff1Error::DomainTooSmall)),
        (2, 20, None),
        (10, 5, Some(Ff1Error::DomainTooSmall)),
        (10, 6, None),
        (62, 3, Some(Ff1Error::DomainTooSmall)),
        (62, 4, None),
        (999, 2, Some(Ff1Error::DomainTooSmall)),
        (1000, 2, None),
        (65_536, 2, None),
        (2, LENGTH_MAX, None),
        (65_536, LENGTH_MAX, None),
        (2, LENGTH_MAX + 1, Some(Ff1Error::DomainTooLong)),
        (10, usize::MAX, Some(Ff1Error::DomainTooLong)),
    ];
    for (radix, length, refused) in rows {
        assert_eq!(Domain::new(radix, length).err(), refused, "radix {radix}, length {length}");
    }
}

#[test]
fn a_text_that_is_not_of_the_domain_is_refused_by_name_and_left_alone() {
    let (key, domain) = (key(), Domain::new(10, 6).unwrap());
    let tweak = key.tweak(&domain, b"").unwrap();
    let rows: [(&[u8], Ff1Error); 6] = [
        (&[], Ff1Error::Length),
        (&[1; 5], Ff1Error::Length),
        (&[1; 7], Ff1Error::Length),
        (&[10, 1, 1, 1, 1, 1], Ff1Error::Numeral),
        (&[1, 1, 1, 1, 1, 10], Ff1Error::Numeral),
        (&[1, 1, 1, 255, 1, 1], Ff1Error::Numeral),
    ];
    for (text, refused) in rows {
        let mut given = text.to_vec();
        assert_eq!(key.encrypt(&domain, &tweak, &mut given), Err(refused), "{text:?}");
        assert_eq!(key.decrypt(&domain, &tweak, &mut given), Err(refused), "{text:?}");
        assert_eq!(given, text);
    }
}

#[test]
fn numerals_of_one_byte_are_refused_above_radix_256() {
    let key = key();
    for (radix, refused) in [(256, Ok(())), (257, Err(Ff1Error::NumeralType)), (65_536, Err(Ff1Error::NumeralType))] {
        let domain = Domain::new(radix, 4).unwrap();
        let tweak = key.tweak(&domain, b"").unwrap();
        assert_eq!(key.encrypt(&domain, &tweak, &mut [200_u8; 4]), refused);
        assert_eq!(key.encrypt(&domain, &tweak, &mut [200_u16; 4]), Ok(()));
    }
}

#[test]
fn a_tweak_of_another_key_or_domain_is_refused() {
    let (key, other) = (key(), Ff1Key::new(&Key256::from_bytes(&[8; 32])));
    let domain = Domain::new(10, 6).unwrap();
    let mut text = [1_u8; 6];
    let strange = [
        other.tweak(&domain, b"t"),
        key.tweak(&Domain::new(10, 7).unwrap(), b"t"),
        key.tweak(&Domain::new(11, 6).unwrap(), b"t"),
    ];
    for tweak in strange {
        let tweak = tweak.unwrap();
        assert_eq!(key.encrypt(&domain, &tweak, &mut text), Err(Ff1Error::TweakOfAnother));
        assert_eq!(key.decrypt(&domain, &tweak, &mut text), Err(Ff1Error::TweakOfAnother));
        let refused = Ff1ItemError { index: 0, reason: Ff1Error::TweakOfAnother };
        assert_eq!(key.encrypt_all(&domain, &mut [(&tweak, &mut text[..])]), Err(refused));
    }
    // An equal domain that was made anew is the same one.
    let tweak = key.tweak(&Domain::new(10, 6).unwrap(), b"t").unwrap();
    assert_eq!(key.encrypt(&domain, &tweak, &mut text), Ok(()));
}

#[test]
fn a_batch_with_a_wrong_item_names_it_and_changes_none() {
    let (key, domain) = (key(), Domain::new(36, 30).unwrap());
    let tweak = key.tweak(&domain, b"t").unwrap();
    let mut texts = vec![[3_u8; 30]; 40];
    texts[21][29] = 36;
    texts[30][0] = 99;
    let given = texts.clone();
    let mut items: Vec<Item<'_, u8>> = texts.iter_mut().map(|text| (&tweak, &mut text[..])).collect();
    let refused = Ff1ItemError { index: 21, reason: Ff1Error::Numeral };
    assert_eq!(key.encrypt_all(&domain, &mut items), Err(refused));
    assert_eq!(key.decrypt_all(&domain, &mut items), Err(refused));
    assert_eq!(texts, given);
    assert_eq!(refused.to_string(), "item 21: a numeral is not below the radix");
    assert_eq!(key.encrypt_all::<u8>(&domain, &mut []), Ok(()));
}

#[test]
fn the_longest_tweak_and_the_longest_text_agree_with_the_reference() {
    let (key, domain) = (key(), Domain::new(10, 16).unwrap());
    assert_eq!(key.tweak(&domain, &[0; TWEAK_BYTES_MAX + 1]).err(), Some(Ff1Error::TweakTooLong));
    for (radix, length, tweak_bytes) in [(10, 16, TWEAK_BYTES_MAX), (65_521, LENGTH_MAX, 3), (2, LENGTH_MAX - 1, 0)] {
        let text: Vec<u16> = (0..length).map(|i| u16::try_from(i * 7919 % radix).unwrap()).collect();
        let (radix, tweak) = (u32::try_from(radix).unwrap(), vec![0xa5; tweak_bytes]);
        let domain = Domain::new(radix, length).unwrap();
        for way in [Way::Encrypt, Way::Decrypt] {
            let expected = reference::ff1(way, &aes256(&KEY), radix, &tweak, &text);
            assert_eq!(crypt(way, &KEY, &domain, &tweak, &text), Ok(expected), "radix {radix}, {way:?}");
        }
    }
}

/// b in whole numbers is right for every radix, at powers of two and beside them, where logarithms round.
#[test]
fn b_is_the_number_of_bytes_of_the_largest_half() {
    for radix in 2..=RADIX_MAX {
        for numerals in 1..=4_u32 {
            let largest = u64::from(radix).checked_pow(numerals).map_or(u64::MAX, |size| size - 1);
            assert_eq!(limbs::bits_of_largest(radix, numerals), 64 - largest.leading_zeros() as usize);
        }
    }
    for (radix, numerals, bytes) in [(2, 8, 1), (2, 9, 2), (4, 64, 16), (16, 24, 12), (65_536, 64, 128), (3, 5, 1)] {
        assert_eq!(limbs::bits_of_largest(radix, numerals).div_ceil(8), bytes, "{radix}^{numerals}");
    }
}

#[test]
fn a_domain_of_a_million_is_permuted() {
    let (key, domain) = (key(), Domain::new(10, 6).unwrap());
    let tweak = key.tweak(&domain, b"t").unwrap();
    let digit = |number: u32, place: u32| u8::try_from(number / 10_u32.pow(5 - place) % 10).unwrap();
    let mut texts: Vec<[u8; 6]> =
        (0..1_000_000).map(|i| std::array::from_fn(|p| digit(i, p.try_into().unwrap()))).collect();
    let given = texts.clone();
    let mut items: Vec<Item<'_, u8>> = texts.iter_mut().map(|text| (&tweak, &mut text[..])).collect();
    key.encrypt_all(&domain, &mut items).unwrap();
    let mut sorted = texts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, given, "every text once");
    let same = texts.iter().zip(&given).filter(|(one, other)| one == other).count();
    assert!(same < 20, "{same} texts stay what they are");
}
