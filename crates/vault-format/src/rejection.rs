//! Why a value is not taken: the name of the rule that it breaks, and never a part of the value.

use thiserror::Error;
use vault_domain::Reason;

/// The rule that a value breaks. The text says what would be right; nothing here holds anything of the value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Empty, too short or too long for its class.
    #[error("the value must have a length that its data class allows; it may not be empty")]
    Length,
    /// Not UTF-8.
    #[error("the value must be UTF-8")]
    Utf8,
    /// Characters that the class does not take.
    #[error(
        "the value must consist of characters that its data class allows: for digits 0 to 9 alone, for text no \
        control characters but those that the class names"
    )]
    Characters,
    /// Text in another normalization form.
    #[error("the value must be in Unicode normalization form C: normalise it before it is sent")]
    NotNfc,
    /// Digits with spaces or hyphens between.
    #[error("the value must be digits alone: take out spaces and hyphens")]
    Separators,
    /// A separator at an end, or two in a row.
    #[error("separators may stand singly between two characters: take out the others")]
    SeparatorPlace,
    /// Neither a letter nor a digit nor a separator that the class takes.
    #[error(
        "the value must be letters A to Z and digits, with single blanks between them at most, or, but for IBANs, \
        hyphens and dots"
    )]
    CodeCharacters,
    /// The Luhn check fails.
    #[error("the value must pass the Luhn check: a digit is wrong or two are swapped")]
    Luhn,
    /// A card number whose brand has no numbers of this length.
    #[error("the value must have a length that the card brand of its first digits uses")]
    BrandLength,
    /// The class's pattern does not match the whole value.
    #[error("the value must match the pattern of its data class as a whole")]
    Pattern,
    /// An IBAN of a country that has none.
    #[error("an IBAN must begin with a country code of the IBAN registry, in Latin letters")]
    IbanCountry,
    /// An IBAN that is too short or too long for its country.
    #[error("an IBAN must have the length that its country's IBANs have: a character is missing or too many")]
    IbanLength,
    /// An IBAN with letters where its country has digits, or the other way round.
    #[error("an IBAN must have letters and digits where its country's IBANs have them")]
    IbanForm,
    /// The check digits of an IBAN.
    #[error("an IBAN must pass its check (modulus 97): a character is wrong or two are swapped")]
    IbanCheck,
    /// A telephone number without country code.
    #[error("a telephone number must begin with + and a country code, which begins with 1 to 9")]
    PhonePlus,
    /// Too few or too many digits for a telephone number.
    #[error("a telephone number must have 7 to 15 digits, the country code among them")]
    PhoneDigits,
    /// Something else than digits and single separators in a telephone number.
    #[error(
        "a telephone number must be digits behind the +, with single blanks, hyphens or dots between them at most: \
        leave out extensions, and what stands in parentheses and is not dialled from abroad"
    )]
    PhoneSeparators,
    /// Not nine digits, or not the hyphens that the class asks for.
    #[error(
        "a Social Security number must be nine digits, written with or without its hyphens (123-45-6789) as the data \
        class says"
    )]
    SsnForm,
    /// An area that is not given.
    #[error("the first three digits of a Social Security number can't be 000, 666 or 900 to 999")]
    SsnArea,
    /// A group that is not given.
    #[error("the fourth and fifth digit of a Social Security number can't be 00")]
    SsnGroup,
    /// A serial number that is not given.
    #[error("the last four digits of a Social Security number can't be 0000")]
    SsnSerial,
    /// No date, or one that is written in another way.
    #[error("a date must be written YYYY-MM-DD, in digits")]
    DateForm,
    /// A day that there is not.
    #[error("a date must be a day of the Gregorian calendar: month and day must exist in that year")]
    DateDay,
    /// A year that the class does not take.
    #[error("the year of a date must be one that its data class allows")]
    DateYear,
    /// Not the letters and digits that the number of a person consists of.
    #[error("the value must have as many letters and digits as the number of its data class, each in its place")]
    IdForm,
    /// The check digit or letter of the number of a person.
    #[error("the value must pass the check of its number: a character is wrong or two are swapped")]
    IdCheck,
    /// A tax number whose digits repeat otherwise than they may.
    #[error("of the first ten digits one alone must stand there twice, or three times but not in a row")]
    IdDigits,
    /// A number with a birthday that there is not.
    #[error("the first six digits must be a birthday: year, month with its century, day")]
    IdBirthday,
    /// A number with letters that are not given.
    #[error("the letters of the value must be ones that the number's authority gives")]
    IdPrefix,
    /// No `@`.
    #[error("the value must be an e-mail address: local part, @, domain")]
    EmailAt,
    /// The part before the `@`.
    #[error("the local part of an e-mail address must be 1 to 64 characters of RFC 5322 dot-atom text, unquoted")]
    EmailLocalPart,
    /// The part behind the `@`.
    #[error(
        "the domain of an e-mail address must be two or more labels of letters, digits and inner hyphens; write \
        an internationalised one in its xn-- form"
    )]
    EmailDomain,
    /// A byte outside ASCII, where the format is to be preserved.
    #[error("a value whose format is preserved must be ASCII")]
    NotAscii,
    /// A character beyond ASCII that is no letter of the class's alphabet.
    #[error(
        "a value whose format is preserved must be ASCII and letters of its data class's alphabet, in Unicode \
        normalization form C"
    )]
    Alphabet,
    /// What tells tokens from values would have to stay as it is in the value.
    #[error("the value keeps characters by which its tokens are told from real values: its data class must keep fewer")]
    ReservedKept,
    /// Too few characters may change.
    #[error("the value is too short to preserve its format: too few tokens would fit")]
    TokenSpace,
    /// The token's Luhn check must come out one way, and no digit may change.
    #[error("the value has no digit that may change, but its token's Luhn check is prescribed")]
    LuhnDigit,
}

impl Rejection {
    /// The rule's name, for the metadata of an error. Names are never given to another rule.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Utf8 => "utf8",
            Self::Characters => "characters",
            Self::NotNfc => "not_nfc",
            Self::Separators => "separators",
            Self::SeparatorPlace => "separator_place",
            Self::CodeCharacters => "code_characters",
            Self::Luhn => "luhn",
            Self::BrandLength => "brand_length",
            Self::Pattern => "pattern",
            Self::IbanCountry => "iban_country",
            Self::IbanLength => "iban_length",
            Self::IbanForm => "iban_form",
            Self::IbanCheck => "iban_check",
            Self::PhonePlus => "phone_plus",
            Self::PhoneDigits => "phone_digits",
            Self::PhoneSeparators => "phone_separators",
            Self::SsnForm => "ssn_form",
            Self::SsnArea => "ssn_area",
            Self::SsnGroup => "ssn_group",
            Self::SsnSerial => "ssn_serial",
            Self::DateForm => "date_form",
            Self::DateDay => "date_day",
            Self::DateYear => "date_year",
            Self::IdForm => "id_form",
            Self::IdCheck => "id_check",
            Self::IdDigits => "id_digits",
            Self::IdBirthday => "id_birthday",
            Self::IdPrefix => "id_prefix",
            Self::EmailAt => "email_at",
            Self::EmailLocalPart => "email_local_part",
            Self::EmailDomain => "email_domain",
            Self::NotAscii => "not_ascii",
            Self::Alphabet => "alphabet",
            Self::ReservedKept => "reserved_kept",
            Self::TokenSpace => "token_space",
            Self::LuhnDigit => "luhn_digit",
        }
    }

    /// The reason under which a door reports it.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::ValueRejected
    }
}
