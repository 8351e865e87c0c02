//! Requests as a good caller makes them, to be changed where a test wants something else, and values to put into them.

use vault_proto::v1;

/// The region that requests go to.
pub const REGION: &str = "eu";
/// The audience that tokens are made for.
pub const AUDIENCE: &str = "payments";

/// Values of one class to be tokenized for [`AUDIENCE`].
pub fn tokenize<V: AsRef<[u8]>>(class: &str, values: impl IntoIterator<Item = V>) -> v1::TokenizeRequest {
    v1::TokenizeRequest {
        region: REGION.to_owned(),
        purpose: "bulk_load".to_owned(),
        audience: AUDIENCE.to_owned(),
        items: values.into_iter().map(|value| tokenize_item(class, value)).collect(),
        ..Default::default()
    }
}

/// One value.
pub fn tokenize_item(class: &str, value: impl AsRef<[u8]>) -> v1::TokenizeItem {
    v1::TokenizeItem {
        data_class: class.to_owned(),
        value: value.as_ref().to_vec(),
        subject: String::new(),
        ttl_seconds: 0,
        not_before_ms: 0,
        max_uses: 0,
    }
}

/// Tokens of one class to be revealed to [`AUDIENCE`].
pub fn detokenize<T: Into<String>>(class: &str, tokens: impl IntoIterator<Item = T>) -> v1::DetokenizeRequest {
    v1::DetokenizeRequest {
        region: REGION.to_owned(),
        purpose: "settlement".to_owned(),
        audience: AUDIENCE.to_owned(),
        items: tokens.into_iter().map(|token| detokenize_item(class, token)).collect(),
        ..Default::default()
    }
}

/// Tokens of one class to be described to [`AUDIENCE`].
pub fn describe<T: Into<String>>(class: &str, tokens: impl IntoIterator<Item = T>) -> v1::DescribeTokensRequest {
    let v1::DetokenizeRequest { region, purpose, reference, audience, items, .. } = detokenize(class, tokens);
    v1::DescribeTokensRequest { region, purpose, reference, audience, items }
}

/// Values of one class whose tokens for [`AUDIENCE`] are wanted.
pub fn find<V: AsRef<[u8]>>(class: &str, values: impl IntoIterator<Item = V>) -> v1::FindTokensRequest {
    let v1::DetokenizeRequest { region, purpose, audience, .. } = detokenize(class, [""; 0]);
    let item = |value: V| v1::FindItem {
        data_class: class.to_owned(),
        value: value.as_ref().to_vec(),
        subject: String::new(),
    };
    let items = values.into_iter().map(item).collect();
    v1::FindTokensRequest { region, purpose, audience, items, ..Default::default() }
}

/// A change in the life of tokens of one class that are for [`AUDIENCE`].
pub fn change<T: Into<String>>(class: &str, tokens: impl IntoIterator<Item = T>) -> v1::ChangeTokensRequest {
    let v1::DetokenizeRequest { region, reference, audience, items, .. } = detokenize(class, tokens);
    let purpose = "housekeeping".to_owned();
    v1::ChangeTokensRequest { region, purpose, reference, audience, items, ..Default::default() }
}

/// One token.
pub fn detokenize_item(class: &str, token: impl Into<String>) -> v1::DetokenizeItem {
    v1::DetokenizeItem { data_class: class.to_owned(), token: token.into() }
}

/// A question for all entries of a region's log.
#[must_use]
pub fn query(region: &str) -> v1::QueryAccessLogRequest {
    v1::QueryAccessLogRequest { region: region.to_owned(), purpose: "audit".to_owned(), ..Default::default() }
}

/// A filter of entries that states what `put` puts into it.
#[must_use]
pub fn by(put: impl FnOnce(&mut v1::AccessLogFilter)) -> Option<v1::AccessLogFilter> {
    let mut filter = v1::AccessLogFilter::default();
    put(&mut filter);
    Some(filter)
}

/// The `n`-th of many numbers that look like chance and are always the same (SplitMix64).
#[must_use]
pub fn scattered(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A question of the auditor whether a service of the tests would be shown the value of a token that is for payments.
#[must_use]
pub fn explain(service: &str, class: &str, token: impl Into<String>) -> v1::ExplainAccessRequest {
    let caller = v1::ExplainedCaller { principal: format!("spiffe://test.tokenvault/{service}"), ..Default::default() };
    let explained = v1::ExplainedCall {
        audience: "payments".to_owned(),
        item: Some(detokenize_item(class, token)),
        purpose: "settlement".to_owned(),
        caller: Some(caller),
        ..Default::default()
    };
    v1::ExplainAccessRequest {
        region: "eu".to_owned(),
        purpose: "audit".to_owned(),
        explained: Some(explained),
        ..Default::default()
    }
}

/// The `n`-th card number: 16 digits of Visa's, with a Luhn check that passes.
#[must_use]
pub fn card(n: u64) -> String {
    let digits = format!("4{:014}", scattered(n) % 10_u64.pow(14));
    let check = (0..10).find(|check| luhn_passes(&format!("{digits}{check}")));
    format!("{digits}{}", check.unwrap_or_default())
}

/// The `n`-th e-mail address.
#[must_use]
pub fn email(n: u64) -> String {
    format!("secret-{:016x}@example.org", scattered(n))
}

/// The `n`-th customer's number, of 12 digits.
#[must_use]
pub fn customer(n: u64) -> String {
    format!("{:012}", scattered(n) % 10_u64.pow(12))
}

/// Whether the digits pass the Luhn check (ISO/IEC 7812-1 annex B). Written anew, so that the vault's own is not asked
/// about itself.
#[must_use]
pub fn luhn_passes(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| match (u32::from(byte.wrapping_sub(b'0')), at % 2) {
            (digit, 0) => digit,
            (digit, _) if digit < 5 => 2 * digit,
            (digit, _) => 2 * digit - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}
