//! The text of opaque tokens: one text per token, one token per text.

use proptest::prelude::*;

use super::*;

const ZERO: &str = "tok_eu_00000000000000000000000000000";

fn token(region: &Region) -> OpaqueToken<'_> {
    OpaqueToken::new(region, Generation::new(61).unwrap(), [0xff; 16], CHECK_SPACE - 1).unwrap()
}

#[test]
fn the_layout_is_fixed() {
    let region = Region::parse("eu").unwrap();
    assert_eq!(token(&region).to_text().expose(), "tok_eu_z7n42DGM5Tflk9n8mt7Fhc7zzzzzz");
    let mut block = [0; 16];
    block[15] = 62;
    let first = OpaqueToken::new(&region, Generation::FIRST, block, 1).unwrap();
    assert_eq!(first.to_text().expose(), "tok_eu_00000000000000000000010000001");
    let longest = Region::parse("abcdefghijklmno9").unwrap();
    assert_eq!(token(&longest).to_text().expose().len(), OPAQUE_TOKEN_BYTES_MAX);
}

#[test]
fn writing_appends() {
    let region = Region::parse("eu").unwrap();
    let mut text = String::from("a,");
    token(&region).write(&mut text);
    assert_eq!(text, "a,tok_eu_z7n42DGM5Tflk9n8mt7Fhc7zzzzzz");
}

#[test]
fn parts_come_back() {
    let token = OpaqueToken::parse("tok_us1_A0000000000000000000011000010").unwrap();
    assert_eq!(token.region(), "us1");
    assert_eq!(token.generation().get(), 10);
    assert_eq!(u128::from_be_bytes(*token.block()), 63);
    assert_eq!(token.check(), 62);
}

#[test]
fn a_check_beyond_its_digits_is_refused() {
    let region = Region::parse("eu").unwrap();
    assert!(OpaqueToken::new(&region, Generation::FIRST, [0; 16], CHECK_SPACE).is_none());
}

#[test]
fn anything_else_is_refused_by_name() {
    use MalformedToken::{Digit, Length, Overflow, Prefix, Region};
    assert!(OpaqueToken::parse(ZERO).is_ok());
    let zeros = "0".repeat(29);
    let table = [
        (String::new(), Prefix),
        ("4111111111111111".into(), Prefix),
        (format!("TOK_eu_{zeros}"), Prefix),
        (format!(" {ZERO}"), Prefix),
        ("tok_".into(), Length),
        ("tok_eu".into(), Length),
        (format!("{ZERO}0"), Length),
        (format!("{ZERO}\n"), Length),
        (ZERO[..ZERO.len() - 1].into(), Length),
        (format!("tok__{zeros}"), Length),
        (format!("tok_eu-{zeros}"), Length),
        (format!("tok_abcdefghijklmnop0_{zeros}"), Length),
        ("tok_".to_owned() + &"0".repeat(64 * 1024), Length),
        (format!("tok_EU_{zeros}"), Region),
        (format!("tok_1u_{zeros}"), Region),
        (format!("tok_node_{zeros}"), Region),
        (format!("tok_e_u_{zeros}"), Region),
        (format!("tok_e\0_{zeros}"), Region),
        (format!("tok_é_{zeros}"), Region),
        (format!("tok_eu_-{}", "0".repeat(28)), Digit),
        (format!("tok_eu_0{}-{}", "0".repeat(10), "0".repeat(17)), Digit),
        (format!("tok_eu_{}+", "0".repeat(28)), Digit),
        (format!("tok_eu_{}\u{661}", "0".repeat(27)), Digit),
        (format!("tok_eu_{}\0", "0".repeat(28)), Digit),
        ("tok_eu_07n42DGM5Tflk9n8mt7Fhc8000000".into(), Overflow),
        (format!("tok_eu_{}", "z".repeat(29)), Overflow),
    ];
    for (text, expected) in table {
        assert_eq!(OpaqueToken::parse(&text), Err(expected), "{text:.60}");
    }
}

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", OpaqueToken::parse(ZERO).unwrap()), "OpaqueToken(..)");
}

proptest! {
    #[test]
    fn a_token_comes_back(region in "[a-z][a-z0-9]{0,15}", g in 0..62_u8, block: [u8; 16], check in 0..CHECK_SPACE) {
        prop_assume!(region != "node");
        let region = Region::parse(&region).unwrap();
        let token = OpaqueToken::new(&region, Generation::new(g).unwrap(), block, check).unwrap();
        let text = token.to_text();
        prop_assert_eq!(OpaqueToken::parse(text.expose()), Ok(token));
    }

    #[test]
    fn an_accepted_text_is_the_one_text(text in "tok_[a-z0-9_]{1,17}_[0-9A-Za-z]{28,30}") {
        if let Ok(token) = OpaqueToken::parse(&text) {
            let written = token.to_text();
            prop_assert_eq!(written.expose(), text.as_str());
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in any::<String>(), tail in any::<String>()) {
        for text in [text, format!("tok_{tail}"), format!("tok_eu_{tail}")] {
            if let Ok(token) = OpaqueToken::parse(&text) {
                let written = token.to_text();
                prop_assert_eq!(written.expose(), text.as_str());
            }
        }
    }

    #[test]
    fn one_changed_byte_is_another_token_or_none(block: [u8; 16], at in 0..36_usize, byte in 0..128_u8) {
        let region = Region::parse("eu").unwrap();
        let token = OpaqueToken::new(&region, Generation::FIRST, block, 7).unwrap();
        let text = token.to_text();
        let mut changed = text.expose().as_bytes().to_vec();
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert_ne!(OpaqueToken::parse(&changed), Ok(token));
    }

    #[test]
    fn the_regions_rule_is_that_of_the_region(text in "[a-z0-9A-Z_-]{0,18}|node|[a-z][a-z0-9]{0,17}") {
        prop_assert_eq!(is_region(&text), Region::parse(&text).is_ok());
    }
}
