//! E-mail addresses: an addr-spec of a dot-atom and a domain name, in ASCII.
//!
//! It must not ask whether an address exists: no look-up, no list of top-level domains.

use zeroize::Zeroizing;

use crate::{rejection::Rejection, validate::Canonical};

/// RFC 5321 section 4.5.3.1.3: a path has 256 octets, two of which are its angle brackets.
pub(super) const ADDRESS_BYTES_MAX: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const LOCAL_PART_BYTES_MAX: usize = 64;
/// RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

pub(super) fn validate(value: &[u8]) -> Result<(), Rejection> {
    if value.is_empty() || value.len() > ADDRESS_BYTES_MAX {
        return Err(Rejection::Length);
    }
    let (local, domain) = split(value).ok_or(Rejection::EmailAt)?;
    if !is_local_part(local) {
        return Err(Rejection::EmailLocalPart);
    }
    if is_domain(domain) { Ok(()) } else { Err(Rejection::EmailDomain) }
}

pub(super) fn canonical(value: &[u8]) -> Canonical<'_> {
    match split(value) {
        Some((local, domain)) if domain.iter().any(u8::is_ascii_uppercase) => {
            let mut bytes = Zeroizing::new(value.to_vec());
            bytes.iter_mut().skip(local.len()).for_each(|byte| byte.make_ascii_lowercase());
            Canonical::copy(bytes)
        }
        _ => Canonical::same(value),
    }
}

/// What stands before and behind the last `@`. An earlier one is no dot-atom text and fails there.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().rposition(|&byte| byte == b'@')?;
    let (local, rest) = value.split_at_checked(at)?;
    Some((local, rest.split_first()?.1))
}

/// RFC 5322 section 3.2.3, dot-atom-text.
fn is_local_part(local: &[u8]) -> bool {
    local.len() <= LOCAL_PART_BYTES_MAX
        && local.split(|&byte| byte == b'.').all(|atom| !atom.is_empty() && atom.iter().all(|&byte| is_atext(byte)))
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// RFC 1123 section 2.1 host name syntax: two labels or more, the last not all digits (RFC 3696 section 2).
fn is_domain(domain: &[u8]) -> bool {
    let mut labels = 0;
    let mut last_is_number = true;
    for label in domain.split(|&byte| byte == b'.') {
        if !is_label(label) {
            return false;
        }
        labels += 1;
        last_is_number = label.iter().all(u8::is_ascii_digit);
    }
    labels >= 2 && !last_is_number
}

fn is_label(label: &[u8]) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
}
