//! IBANs of the registry's own examples, and what is wrong with others.

use proptest::prelude::*;

use super::*;
use crate::Rule;

/// The electronic format examples of the IBAN registry, release 103: one of every country.
const EXAMPLES: [&str; 89] = [
    "AD1200012030200359100100",
    "AE070331234567890123456",
    "AL47212110090000000235698741",
    "AT611904300234573201",
    "AZ21NABZ00000000137010001944",
    "BA391290079401028494",
    "BE68539007547034",
    "BG80BNBG96611020345678",
    "BH67BMAG00001299123456",
    "BI4210000100010000332045181",
    "BR6699999A03000010009795493C1",
    "BY13NBRB3600900000002Z00AB00",
    "CH9300762011623852957",
    "CR05015202001026284066",
    "CY17002001280000001200527600",
    "CZ6508000000192000145399",
    "DE89370400440532013000",
    "DJ2100010000000154000100186",
    "DK5000400440116243",
    "DO28BAGR00000001212453611324",
    "EE382200221020145685",
    "EG380019000500000000263180002",
    "ES9121000418450200051332",
    "FI2112345600000785",
    "FK88SC123456789012",
    "FO6264600001631634",
    "FR1420041010050500013M02606",
    "GB29NWBK60161331926819",
    "GE29NB0000000101904917",
    "GI75NWBK000000007099453",
    "GL8964710001000206",
    "GR1601101250000000012300695",
    "GT82TRAJ01020000001210029690",
    "HN88CABF00000000000250005469",
    "HR1210010051863000160",
    "HU42117730161111101800000000",
    "IE29AIBK93115212345678",
    "IL620108000000099999999",
    "IQ98NBIQ850123456789012",
    "IS140159260076545510730339",
    "IT60X0542811101000000123456",
    "JO94CBJO0010000000000131000302",
    "KW81CBKU0000000000001234560101",
    "KZ86125KZT5004100100",
    "LB62099900000001001901229114",
    "LC55HEMM000100010012001200023015",
    "LI21088100002324013AA",
    "LT121000011101001000",
    "LU280019400644750000",
    "LV80BANK0000435195001",
    "LY83002048000020100120361",
    "MC5811222000010123456789030",
    "MD24AG000225100013104168",
    "ME25505000012345678951",
    "MK07250120000058984",
    "MN121234123456789123",
    "MR1300020001010000123456753",
    "MT84MALT011000012345MTLCAST001S",
    "MU17BOMM0101101030300200000MUR",
    "NI45BAPR00000013000003558124",
    "NL91ABNA0417164300",
    "NO9386011117947",
    "OM810180000001299123456",
    "PK36SCBL0000001123456702",
    "PL61109010140000071219812874",
    "PS92PALS000000000400123456702",
    "PT50000201231234567890154",
    "QA58DOHB00001234567890ABCDEFG",
    "RO49AAAA1B31007593840000",
    "RS35260005601001611379",
    "RU0304452522540817810538091310419",
    "SA0380000000608010167519",
    "SC18SSCB11010000000000001497USD",
    "SD2129010501234001",
    "SE4550000000058398257466",
    "SI56263300012039086",
    "SK3112000000198742637541",
    "SM86U0322509800000000270100",
    "SO211000001001000100141",
    "ST23000100010051845310146",
    "SV62CENR00000000000000700025",
    "TL380080012345678910157",
    "TN5910006035183598478831",
    "TR330006100519786457841326",
    "UA213223130000026007233566001",
    "VA59001123000012345678",
    "VG96VPVG0000012345678901",
    "XK051212012345678906",
    "YE15CBYE0001018861234567891234",
];

/// In groups of four, as the registry prints them.
fn printed(iban: &str) -> String {
    iban.as_bytes().chunks(4).map(|group| str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_example_of_every_country_of_the_registry_is_taken() {
    let countries: Vec<&[u8]> = EXAMPLES.iter().map(|iban| &iban.as_bytes()[..2]).collect();
    let known: Vec<&[u8]> = REGISTRY.iter().map(|(country, _)| country.as_slice()).collect();
    assert_eq!(countries, known);
    assert!(REGISTRY.is_sorted_by(|(a, _), (b, _)| a < b));
    for iban in EXAMPLES {
        assert_eq!(validate(iban.as_bytes()), Ok(()), "{iban}");
        assert_eq!(validate(printed(iban).as_bytes()), Ok(()), "{iban}");
        assert_eq!(validate(printed(iban).to_lowercase().as_bytes()), Ok(()), "{iban}");
    }
    // Brazil's form of before release 103: digits alone name the bank.
    assert_eq!(validate(b"BR1800360305000010009795493C1"), Ok(()));
}

#[test]
fn a_wrong_iban_names_its_rule() {
    use Rejection::{CodeCharacters, IbanCheck, IbanCountry, IbanForm, IbanLength, Length, SeparatorPlace};
    let table: [(&str, Rejection); 25] = [
        ("", Length),
        ("DE8", IbanLength),
        ("DE8937040044053201300", IbanLength),
        ("DE893704004405320130000", IbanLength),
        ("DE89", IbanLength),
        ("DE89370400440532013000DE89370400440", Length),
        ("DE8937040044053201300O", IbanForm),
        ("GB29NWB160161331926819", IbanForm),
        ("GB29NWBK6016133192681A", IbanForm),
        ("DE88370400440532013000", IbanCheck),
        ("DE89370400440532013001", IbanCheck),
        ("DE98370400440532013000", IbanCheck),
        ("DEAA370400440532013000", IbanCheck),
        ("DE9A370400440532013000", IbanCheck),
        ("US89370400440532013000", IbanCountry),
        ("ZZ89370400440532013000", IbanCountry),
        ("8937040044053201300089", IbanCountry),
        (" DE89370400440532013000", SeparatorPlace),
        ("DE89370400440532013000 ", SeparatorPlace),
        ("DE89  370400440532013000", SeparatorPlace),
        ("DE89-3704-0044-0532-0130-00", CodeCharacters),
        ("DE89370400440532013000\n", CodeCharacters),
        ("IBAN DE89370400440532013000:", CodeCharacters),
        ("DE８9370400440532013000", CodeCharacters),
        ("DE89\u{a0}370400440532013000", CodeCharacters),
    ];
    for (value, expected) in table {
        assert_eq!(validate(value.as_bytes()), Err(expected), "{value}");
    }
}

/// 00, 01 and 99 leave the remainders of 97, 98 and 02; an account would have two numbers if they were taken.
#[test]
fn check_digits_that_no_account_has_are_refused_though_the_remainder_fits() {
    let mut seen = [0; 3];
    for account in 0..2000 {
        let at = |check: &str| format!("DE{check}{account:018}");
        for (twin, pair) in [("97", "00"), ("98", "01"), ("02", "99")].iter().enumerate() {
            let (own, impossible) = (at(pair.0), at(pair.1));
            if validate(own.as_bytes()).is_ok() {
                seen[twin] += 1;
                let moved = format!("{}{}", &impossible[4..], &impossible[..4]);
                assert_eq!(mod97::remainder(moved.bytes()), 1);
                assert_eq!(validate(impossible.as_bytes()), Err(Rejection::IbanCheck), "{impossible}");
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

#[test]
fn an_iban_is_equal_whatever_its_blanks_and_case() {
    let rule = Rule::iban();
    for iban in EXAMPLES {
        for written in [iban.to_owned(), printed(iban), printed(iban).to_lowercase(), iban.to_lowercase()] {
            assert_eq!(rule.canonical(written.as_bytes()).expose(), iban.as_bytes(), "{written}");
        }
    }
    assert_eq!(rule.canonical(b"de00 1").expose(), b"de00 1");
}

proptest! {
    #[test]
    fn a_wrong_digit_and_every_swap_of_digits_or_of_letters_is_found_in_an_iban(
        example in 0..EXAMPLES.len(),
        at in 0..34_usize,
        digit in b'0'..=b'9',
        letter in b'A'..=b'Z',
    ) {
        let iban = EXAMPLES[example].as_bytes();
        let at = at % iban.len();
        let mut wrong = iban.to_vec();
        wrong[at] = if wrong[at].is_ascii_digit() { digit } else { letter };
        if wrong != iban {
            prop_assert!(validate(&wrong).is_err());
        }
        // Where a digit and a letter are swapped the form finds it, or a longer number may have the same remainder.
        let mut swapped = iban.to_vec();
        if let Some([a, b]) = swapped.get_mut(at..at + 2)
            && a != b
            && a.is_ascii_digit() == b.is_ascii_digit()
        {
            std::mem::swap(a, b);
            prop_assert!(validate(&swapped).is_err());
        }
    }
}
