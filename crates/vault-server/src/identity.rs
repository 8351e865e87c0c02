//! Who is at the other end of a connection: read from the client certificate once, when the handshake is done.
//!
//! The chain was verified by rustls. The principal is the one SPIFFE URI in the subject alternative name, or, in a
//! certificate without any URI, its one DNS name, written `dns:<name>`. Where the configuration says so, a certificate
//! with neither names its holder by its subject, written `subject:<distinguished name>`. Anything else names nobody:
//! two names would let the holder choose who it is.

use std::net::{IpAddr, SocketAddr};

use vault_domain::{PrincipalId, Reason};
use vault_engine::{CertificateSha256, Issuer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// What a SPIFFE ID begins with (SPIFFE-ID section 2).
const SPIFFE_SCHEME: &str = "spiffe://";

/// Which names of certificates are principals.
#[derive(Clone, Debug)]
pub struct Naming {
    /// The trust domains of SPIFFE IDs; none named: any.
    pub trust_domains: Vec<String>,
    /// Whether DNS names are.
    pub dns: bool,
    /// Whether subjects are.
    pub subject: bool,
}

impl Default for Naming {
    /// What holds where nobody has configured anything: any trust domain, DNS names, no subjects.
    fn default() -> Self {
        Self { trust_domains: Vec::new(), dns: true, subject: false }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is, or why that can't be told.
    pub principal: Result<PrincipalId, Reason>,
    /// The certificate's issuer.
    pub issuer: Option<Issuer>,
    /// SHA-256 of the certificate.
    pub certificate: Option<CertificateSha256>,
    /// Its address.
    pub source: IpAddr,
}

impl Peer {
    /// Reads a verified leaf certificate.
    #[must_use]
    pub fn read(certificate: &[u8], address: SocketAddr, naming: &Naming) -> Self {
        let parsed = X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed);
        Self {
            principal: parsed
                .as_ref()
                .ok_or(Reason::CertificateWithoutIdentity)
                .and_then(|parsed| principal(parsed, naming)),
            issuer: parsed.as_ref().and_then(|parsed| Issuer::parse(&parsed.issuer().to_string()).ok()),
            certificate: CertificateSha256::of(certificate),
            source: address.ip().to_canonical(),
        }
    }
}

fn principal(certificate: &X509Certificate<'_>, naming: &Naming) -> Result<PrincipalId, Reason> {
    let nobody = Reason::CertificateWithoutIdentity;
    // A list of names that can't be read, or a second one, is not the same as none.
    let extension = certificate.subject_alternative_name().map_err(|_| nobody)?;
    let names = extension.map_or(&[][..], |extension| &extension.value.general_names);
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let mut hosts = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    let (host, other_host) = if naming.dns { (hosts.next(), hosts.next()) } else { (None, None) };
    let text = match (uris.next(), uris.next(), host, other_host) {
        (Some(uri), None, _, _) if is_spiffe(uri) => {
            let domain = uri.strip_prefix(SPIFFE_SCHEME).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            if !naming.trust_domains.is_empty() && !naming.trust_domains.iter().any(|allowed| allowed == domain) {
                return Err(Reason::TrustDomainNotAllowed);
            }
            Some(uri.to_owned())
        }
        (None, None, Some(host), None) if is_host(host) => Some(format!("dns:{}", host.to_ascii_lowercase())),
        (None, None, None, None) if naming.subject => {
            distinguished_name(certificate.subject()).map(|name| format!("subject:{name}"))
        }
        _ => None,
    };
    text.and_then(|text| PrincipalId::parse(&text).ok()).ok_or(nobody)
}

/// A subject as RFC 4514 writes it, the last part of the name first, in one form only: attributes by their short names
/// from section 3 of the RFC, one in each part; of their values, whatever is no letter, digit, `.`, `-`, `_` or `@` in
/// ASCII as a backslash and two hexadecimal digits for each byte (section 2.4). So no value can look like another name.
fn distinguished_name(name: &X509Name<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for part in name.iter() {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else { return None };
        let oid = attribute.attr_type().to_id_string();
        let (_, short) = ATTRIBUTES.iter().find(|(known, _)| *known == oid)?;
        let value: String = attribute.as_str().ok()?.bytes().map(escaped).collect();
        parts.push(format!("{short}={value}"));
    }
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b".-_@".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("\\{byte:02x}")
    }
}

/// The attributes of subjects and their short names (RFC 4514 section 3).
const ATTRIBUTES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// Whether `uri` is a SPIFFE ID as it is written: trust domain and path from their alphabets, no empty or dotted
/// segment, no query (SPIFFE-ID sections 2.1 and 2.2).
fn is_spiffe(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix(SPIFFE_SCHEME) else { return false };
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
    let domain_valid = !domain.is_empty()
        && domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
    let segment_valid = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    domain_valid && path.is_none_or(|path| path.split('/').all(segment_valid))
}

/// Whether `host` is a host's name without a wildcard.
fn is_host(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_plain_spiffe_id_counts() {
        for good in ["spiffe://example.org", "spiffe://example.org/ns/a/sa/b", "spiffe://a_b.c-d/X.y"] {
            assert!(is_spiffe(good), "{good}");
        }
        for bad in [
            "spiffe://",
            "spiffe:///a",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/../b",
            "spiffe://a/./b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://A/b",
            "spiffe://a:1/b",
            "spiffe://u@a/b",
            "https://a/b",
            "spiffe://a/%2e%2e/b",
            "spiffe://a/b c",
        ] {
            assert!(!is_spiffe(bad), "{bad}");
        }
        assert!(is_host("vault-client.example.org"));
        for bad in ["", "*.example.org", "a..b", "a b"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
