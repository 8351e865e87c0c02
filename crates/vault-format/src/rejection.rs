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
        control characters but tab and line ends"
    )]
    Characters,
    /// Digits with spaces or hyphens between.
    #[error("the value must be digits alone: take out spaces and hyphens")]
    Separators,
    /// The Luhn check fails.
    #[error("the value must pass the Luhn check: a digit is wrong or two are swapped")]
    Luhn,
    /// A card number whose brand has no numbers of this length.
    #[error("the value must have a length that the card brand of its first digits uses")]
    BrandLength,
    /// The class's pattern does not match the whole value.
    #[error("the value must match the pattern of its data class as a whole")]
    Pattern,
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
            Self::Separators => "separators",
            Self::Luhn => "luhn",
            Self::BrandLength => "brand_length",
            Self::Pattern => "pattern",
            Self::EmailAt => "email_at",
            Self::EmailLocalPart => "email_local_part",
            Self::EmailDomain => "email_domain",
            Self::NotAscii => "not_ascii",
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
