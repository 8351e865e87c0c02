//! Who is at the other end of a connection: read from the client certificate once, when the handshake is done.
//!
//! The chain was verified by rustls. The principal is the one SPIFFE URI in the subject alternative name, or, in a
//! certificate without any URI, its one DNS name, written `dns:<name>`. Anything else names nobody: two names would let
//! the holder choose who it is.

use std::net::{IpAddr, SocketAddr};

use vault_domain::{PrincipalId, Reason};
use vault_engine::{CertificateSha256, Issuer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a SPIFFE ID begins with (SPIFFE-ID section 2).
const SPIFFE_SCHEME: &str = "spiffe://";

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
    pub fn read(certificate: &[u8], address: SocketAddr) -> Self {
        let parsed = X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed);
        Self {
            principal: parsed.as_ref().and_then(principal).ok_or(Reason::CertificateWithoutIdentity),
            issuer: parsed.as_ref().and_then(|parsed| Issuer::parse(&parsed.issuer().to_string()).ok()),
            certificate: CertificateSha256::of(certificate),
            source: address.ip().to_canonical(),
        }
    }
}

fn principal(certificate: &X509Certificate<'_>) -> Option<PrincipalId> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let mut hosts = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    match (uris.next(), uris.next(), hosts.next(), hosts.next()) {
        (Some(uri), None, _, _) if is_spiffe(uri) => PrincipalId::parse(uri).ok(),
        (None, None, Some(host), None) if is_host(host) => {
            PrincipalId::parse(&format!("dns:{}", host.to_ascii_lowercase())).ok()
        }
        _ => None,
    }
}

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
