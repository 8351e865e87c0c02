//! The names that accounts may have: exactly those that the door derives from a certificate or an access token, so that
//! an account can't be written that nobody would ever match.

use vault_domain::PrincipalId;

use crate::fault::Problem;

/// A SPIFFE ID (SPIFFE-ID specification, section 2) with a path, or `dns:` and a host name in lower case (RFC 1123
/// section 2.1; no wildcard, no final dot), `subject:` and a distinguished name as the door writes it (RFC 4514), or an
/// issuer's name, a colon and what its rules make of a token's subject.
pub(crate) fn parse(text: &str) -> Result<PrincipalId, Problem> {
    let valid = if let Some(id) = text.strip_prefix("spiffe://") {
        is_spiffe(id)
    } else if let Some(name) = text.strip_prefix("dns:") {
        is_host(name)
    } else if let Some(name) = text.strip_prefix("subject:") {
        is_distinguished_name(name)
    } else {
        is_of_issuer(text)
    };
    match PrincipalId::parse(text) {
        Ok(principal) if valid => Ok(principal),
        _ => Err(Problem::Principal),
    }
}

/// The name of the issuer whose access tokens become this principal. None: it is a name of certificates.
#[must_use]
pub fn issuer(principal: &str) -> Option<&str> {
    let (kind, _) = principal.split_once(':')?;
    (!OF_CERTIFICATES.contains(&kind)).then_some(kind)
}

/// Whether `text` is what an issuer's token becomes: a name as issuers have, a colon, visible ASCII. What looks like
/// another kind of address is a slip of the pen.
fn is_of_issuer(text: &str) -> bool {
    let Some((issuer, subject)) = text.split_once(':') else { return false };
    let is_name = (1..=ISSUER_BYTES_MAX).contains(&issuer.len())
        && issuer.starts_with(|first: char| first.is_ascii_lowercase())
        && issuer.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    is_name && !OF_CERTIFICATES.contains(&issuer) && !subject.is_empty() && !subject.starts_with("//")
}

/// What stands before the colon in names of certificates.
const OF_CERTIFICATES: [&str; 3] = ["spiffe", "dns", "subject"];
/// The longest name of an issuer.
const ISSUER_BYTES_MAX: usize = 32;

fn is_spiffe(id: &str) -> bool {
    let Some((domain, path)) = id.split_once('/') else { return false };
    let is_domain_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let is_path_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !domain.is_empty()
        && domain.bytes().all(is_domain_byte)
        && path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_path_byte))
}

/// Whether `name` is a host name: labels of lowercase letters, digits and inner hyphens, 253 bytes at most.
pub(crate) fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether `name` is a distinguished name in the one form in which the door writes it: short names of attributes, and
/// of values everything but ASCII letters, digits, `.`, `-`, `_` and `@` as a backslash and two digits of lowercase
/// hex.
fn is_distinguished_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-_@".contains(&b);
    let is_escape = |pair: &str| {
        let lower = !pair.bytes().any(|b| b.is_ascii_uppercase() || b == b'+');
        lower && u8::from_str_radix(pair, 16).is_ok_and(|byte| !is_plain(byte))
    };
    let is_value = |value: &str| {
        let mut parts = value.split('\\');
        parts.next().is_some_and(|first| first.bytes().all(is_plain))
            && parts.all(|part| {
                part.split_at_checked(2).is_some_and(|(pair, rest)| is_escape(pair) && rest.bytes().all(is_plain))
            })
    };
    name.split(',').all(|part| {
        part.split_once('=').is_some_and(|(attribute, value)| {
            ["CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID"].contains(&attribute) && is_value(value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_written_as_certificates_carry_them() {
        let long = format!("spiffe://a/{}", "x".repeat(300));
        for good in [
            "spiffe://dev.tokenvault.internal/loader",
            "spiffe://a_b-c/x/Y.z",
            "dns:pay.example",
            "dns:localhost",
            "idp:jane|7",
            "a-b_1:x:y",
            r"subject:CN=orders\20service,O=Acme",
            "subject:UID=a@b.example",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "loader",
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://A/b",
            "spiffe://a/..",
            "spiffe://a/b?c",
            "spiffe://u@a/b",
            "spiffe://a:1/b",
            "SPIFFE://a/b",
            "dns:",
            "dns:A.example",
            "dns:*.example",
            "dns:a.example.",
            "dns:-a",
            "dns:a b",
            "subject:",
            "subject:CN",
            "subject:CN=a b",
            r"subject:CN=a\2",
            r"subject:CN=a\2C",
            r"subject:CN=a\62",
            "subject:cn=a",
            "subject:CN=a,",
            "subject:CN=a+O=b",
            "https://a/b",
            "idp:",
            "idp:a b",
            "Idp:a",
            "spiffe:a",
            ":a",
            &long,
        ] {
            assert_eq!(parse(bad), Err(Problem::Principal), "{bad}");
        }
    }
}
