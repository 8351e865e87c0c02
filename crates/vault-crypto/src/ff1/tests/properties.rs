//! The fast arithmetic against slow arithmetic, on what random texts meet and on what they almost never do.

use fpe::ff1::{FF1, FlexibleNumeralString};
use proptest::{collection::vec, prelude::*};

use super::{
    super::{Item, long::Long, narrow::Narrow, rounds::Halves, rounds::Side, wide::Wide, *},
    Way, aes256, crypt, reference,
};

/// A radix: small ones, those of alphabets, powers of two, primes beside them, any.
fn radices() -> impl Strategy<Value = u32> {
    prop_oneof![
        2..=70_u32,
        prop::sample::select(vec![10_u32, 26, 36, 62, 64, 85]),
        (1..=16_u32).prop_map(|bits| 1 << bits),
        prop::sample::select(vec![3_u32, 7, 17, 31, 127, 251, 257, 8191, 65_521, 65_535]),
        2..=RADIX_MAX,
    ]
}

/// A domain whose larger half has up to 32, 96 or 320 bits: all tiers, and their edges, come up alike.
fn domains() -> impl Strategy<Value = (u32, usize)> {
    let bits = prop_oneof![20..=70_u32, 60..=200_u32, 180..=640_u32];
    (radices(), bits).prop_filter_map("no domain", |(radix, bits)| {
        let length = usize::try_from(bits / radix.ilog2()).unwrap().max(2);
        Domain::new(radix, length).is_ok().then_some((radix, length))
    })
}

/// A text of the domain: random numerals, the first, the last, or few that differ from those.
fn texts(radix: u32, length: usize) -> impl Strategy<Value = Vec<u16>> {
    let last = u16::try_from(radix - 1).unwrap();
    prop_oneof![
        4 => vec(0..=last, length),
        1 => vec(prop_oneof![9 => Just(0), 1 => 0..=last], length),
        1 => vec(prop_oneof![9 => Just(last), 1 => 0..=last], length),
    ]
}

fn texts_of_domains() -> impl Strategy<Value = (u32, Vec<u16>)> {
    domains().prop_flat_map(|(radix, length)| (Just(radix), texts(radix, length)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn ff1_equals_the_reference(
        (radix, text) in texts_of_domains(), key: [u8; 32], tweak in vec(any::<u8>(), 0..50)
    ) {
        let domain = Domain::new(radix, text.len()).unwrap();
        for way in [Way::Encrypt, Way::Decrypt] {
            let expected = reference::ff1(way, &aes256(&key), radix, &tweak, &text);
            prop_assert_eq!(crypt(way, &key, &domain, &tweak, &text), Ok(expected));
        }
    }

    #[test]
    fn ff1_equals_another_implementation(
        (radix, text) in texts_of_domains(), key: [u8; 32], tweak in vec(any::<u8>(), 0..50)
    ) {
        let domain = Domain::new(radix, text.len()).unwrap();
        let other = FF1::<aes::Aes256>::new(&key, radix).unwrap();
        let expected = other.encrypt(&tweak, &FlexibleNumeralString::from(text.clone())).unwrap();
        prop_assert_eq!(crypt(Way::Encrypt, &key, &domain, &tweak, &text), Ok(expected.into()));
    }

    #[test]
    fn what_is_encrypted_decrypts_to_itself(
        (radix, text) in texts_of_domains(), key: [u8; 32], tweak in vec(any::<u8>(), 0..50)
    ) {
        let domain = Domain::new(radix, text.len()).unwrap();
        let secret = crypt(Way::Encrypt, &key, &domain, &tweak, &text).unwrap();
        prop_assert_eq!(crypt(Way::Decrypt, &key, &domain, &tweak, &secret), Ok(text));
    }
}

type TweakAndText = (Vec<u8>, Vec<u16>);

/// A batch of one domain, each text with a tweak of its own.
fn batches() -> impl Strategy<Value = (u32, Vec<TweakAndText>)> {
    domains()
        .prop_flat_map(|(radix, length)| (Just(radix), vec((vec(any::<u8>(), 0..40), texts(radix, length)), 1..50)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_batch_gives_what_single_calls_give((radix, batch) in batches(), key: [u8; 32]) {
        let domain = Domain::new(radix, batch[0].1.len()).unwrap();
        let prepared = Ff1Key::new(&Key256::from_bytes(&key));
        let tweaks: Vec<Tweak> = batch.iter().map(|(tweak, _)| prepared.tweak(&domain, tweak).unwrap()).collect();
        for way in [Way::Encrypt, Way::Decrypt] {
            let mut texts: Vec<Vec<u16>> = batch.iter().map(|(_, text)| text.clone()).collect();
            let mut items: Vec<Item<'_, u16>> =
                tweaks.iter().zip(texts.iter_mut().map(|text| &mut text[..])).collect();
            match way {
                Way::Encrypt => prepared.encrypt_all(&domain, &mut items).unwrap(),
                Way::Decrypt => prepared.decrypt_all(&domain, &mut items).unwrap(),
            }
            for ((tweak, text), got) in batch.iter().zip(texts) {
                prop_assert_eq!(crypt(way, &key, &domain, tweak, text), Ok(got));
            }
        }
    }
}

/// How far a number lies from a multiple of the modulus: where a quotient that is off by one shows.
fn beside() -> impl Strategy<Value = i8> {
    prop_oneof![-3..=3_i8, any::<i8>()]
}

/// A radix, and as many numerals as have so many bits, or a little less.
fn halves(bits: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = (u32, u32)> {
    let least = *bits.start();
    (radices(), bits).prop_filter_map("too few bits", move |(radix, bits)| {
        let of = |numerals: &u32| limbs::bits_of_largest(radix, *numerals);
        let numerals = (1..).take_while(|numerals| of(numerals) <= bits).last()?;
        (of(&numerals) >= least).then_some((radix, numerals))
    })
}

/// All that a step may be given: `half` below the modulus, and a number of `bits` bits close to a multiple of it.
fn near(modulus: u128, factor: u128, beside: i8, bits: u32) -> u128 {
    let largest = u128::MAX >> (128 - bits);
    let multiple = largest / modulus * (factor % 1024) / 1023 * modulus;
    multiple.saturating_add_signed(beside.into()).min(largest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn a_step_of_the_narrow_tier_is_exact(
        (radix, numerals) in halves(2..=32), factor: u128, beside in beside(), half: u128
    ) {
        let largest = u128::from(radix).pow(numerals) - 1;
        let bytes = limbs::bits_of_largest(radix, numerals).div_ceil(8);
        let tier = Narrow::new(radix, numerals, numerals, bytes);
        let (modulus, y) = (largest + 1, near(largest + 1, factor, beside, 64));
        for half in [half % modulus, 0, largest] {
            let (given, image) = (u64::try_from(half).unwrap(), (y << 64 | 0x5555).to_be_bytes());
            let (rest, back) = (y % modulus, modulus - y % modulus);
            prop_assert_eq!(u128::from(tier.step::<false>(Side::Left, given, &image)), (half + rest) % modulus);
            prop_assert_eq!(u128::from(tier.step::<true>(Side::Right, given, &image)), (half + back) % modulus);
        }
    }

    #[test]
    fn a_step_of_the_wide_tier_is_exact(
        (radix, numerals) in halves(33..=96), left in 0..=1_u32, factor: u128, beside in beside(), half: u128
    ) {
        let bytes = limbs::bits_of_largest(radix, numerals).div_ceil(8);
        // The left half is of the same length or one numeral shorter.
        let tier = Wide::new(radix, numerals - left, numerals, bytes);
        let used = if bytes > 8 { 128 } else { 96 };
        for (side, numerals) in [(Side::Left, numerals - left), (Side::Right, numerals)] {
            let modulus = u128::from(radix).pow(numerals);
            let y = near(modulus, factor, beside, used);
            let image = (y << (128 - used) | ((1 << (128 - used)) - 1) & 0x5555_5555).to_be_bytes();
            for half in [half % modulus, 0, modulus - 1] {
                let (rest, back) = (y % modulus, modulus - y % modulus);
                prop_assert_eq!(tier.step::<false>(side, half, &image), (half + rest) % modulus);
                prop_assert_eq!(tier.step::<true>(side, half, &image), (half + back) % modulus);
            }
        }
    }

    #[test]
    fn numerals_of_a_half_are_read_and_written_exactly(
        (radix, numerals) in halves(33..=96), factor: u128, beside in beside()
    ) {
        let modulus = u128::from(radix).saturating_pow(numerals);
        let bytes = limbs::bits_of_largest(radix, numerals).div_ceil(8);
        let tier = Wide::new(radix, numerals, numerals, bytes);
        // Close to a multiple of the lower piece.
        let piece = u128::from(radix).pow(numerals.div_ceil(2));
        let half = (modulus / piece * (factor % 1024) / 1023 * piece).saturating_add_signed(beside.into()) % modulus;
        let mut written = vec![0_u16; numerals as usize];
        tier.write(Side::Left, half, &mut written);
        let expected: Vec<u16> = (0..numerals).rev()
            .map(|place| u16::try_from(half / u128::from(radix).pow(place) % u128::from(radix)).unwrap()).collect();
        prop_assert_eq!(&written, &expected);
        prop_assert_eq!(tier.read(Side::Left, &written), half);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_long_division_is_exact(
        (radix, numerals) in halves(97..=700), left in 0..=1_u32, factor: u64, beside in beside()
    ) {
        let bytes = limbs::bits_of_largest(radix, numerals).div_ceil(8);
        let tier = Long::new(radix, numerals - left, numerals, bytes);
        let d = 4 * bytes.div_ceil(4) + 4;
        for (side, numerals) in [(Side::Left, numerals - left), (Side::Right, numerals)] {
            // factor × modulus, and a little beside it, as d bytes.
            let mut number = limbs::power(radix, numerals);
            number.resize(d / 4 + 4, 0);
            let (low, high) = (multiplied(&number, factor & 0xffff_ffff), multiplied(&number, factor >> 32));
            number.copy_from_slice(&low);
            limbs::add(&mut number[1..], &high);
            let mut small = vec![0; number.len()];
            small[0] = u32::from(beside.unsigned_abs());
            if beside < 0 { limbs::subtract(&mut number, &small); } else { limbs::add(&mut number, &small); }
            let image: Vec<u8> = number[..d / 4].iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
            let mut written = vec![0_u16; numerals as usize];
            tier.write_rest(side, &image, &mut written);
            prop_assert_eq!(written, reference::str_m(image, radix, numerals as usize));
        }
    }
}

fn multiplied(number: &[u32], factor: u64) -> Vec<u32> {
    let mut carry = 0;
    let product = number.iter().map(|limb| {
        carry += u64::from(*limb) * factor;
        let low = limbs::low32(carry);
        carry >>= 32;
        low
    });
    product.collect()
}
