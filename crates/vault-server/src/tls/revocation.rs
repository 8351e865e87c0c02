//! Revocation lists (RFC 5280 section 5) as they are loaded. rustls looks certificates up in them; what is wrong with a
//! list is told here, before it is in use.
//!
//! A list counts if an authority of `tls.client_ca` has signed it; each authority has one at most, and it never gives
//! way to an older one. Partial and delta lists are refused by rustls.

use std::path::Path;

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject},
};
use vault_domain::Millis;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{
    TlsError,
    dated::{Dated, FileKind, seconds},
    file,
    files::Files,
};
use crate::config::TlsConfig;

const WHAT: &str = "the revocation list";

/// All lists.
pub(super) struct Lists {
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
    pub(super) dated: Vec<Dated>,
    /// The issuer of each, and when it was issued, in seconds since 1970.
    pub(super) issued: Vec<(Vec<u8>, u64)>,
    /// Files with authorities that have none, where any has one.
    pub(super) without_list: Vec<String>,
}

impl Lists {
    pub(super) fn read(
        config: &TlsConfig,
        files: &Files,
        authorities: &[(&Path, CertificateDer<'static>)],
        provider: &CryptoProvider,
        now: Millis,
    ) -> Result<Self, TlsError> {
        let mut lists = Self { lists: Vec::new(), dated: Vec::new(), issued: Vec::new(), without_list: Vec::new() };
        for (path, pem) in config.client_crl.iter().zip(&files.client_crl) {
            let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
            let read = read.map_err(|error| file(WHAT, path, &error))?;
            if read.is_empty() {
                return Err(file(WHAT, path, &"holds no revocation list in PEM form"));
            }
            for (number, der) in (1..).zip(read) {
                let (issuer, dated) = judge(path, number, &der, authorities, provider, now)?;
                if lists.issued.iter().any(|(known, _)| *known == issuer) {
                    return Err(file(WHAT, path, &"is the second one of its authority: keep the newest alone"));
                }
                lists.issued.push((issuer, dated.not_before));
                lists.lists.push(der);
                lists.dated.push(dated);
            }
        }
        if !lists.lists.is_empty() {
            let named = |der: &CertificateDer<'_>| {
                X509Certificate::from_der(der).is_ok_and(|(_, authority)| {
                    lists.issued.iter().any(|(issuer, _)| issuer.as_slice() == authority.subject().as_raw())
                })
            };
            let without = authorities.iter().filter(|(_, der)| !named(der));
            lists.without_list = without.map(|(path, _)| path.display().to_string()).collect();
            lists.without_list.dedup();
        }
        Ok(lists)
    }

    /// Refuses lists that have expired, or that were issued before those in use: who is revoked there must not come
    /// back by an old file.
    pub(super) fn refuse_stale(&self, before: &[(Vec<u8>, u64)], now: Millis) -> Result<(), TlsError> {
        for (dated, (issuer, issued)) in self.dated.iter().zip(&self.issued) {
            if dated.not_after <= now.0 / 1000 {
                return Err(file(WHAT, &dated.path, &"has expired: fetch a fresh one"));
            }
            if before.iter().any(|(known, last)| known == issuer && issued < last) {
                return Err(file(WHAT, &dated.path, &"is older than the one in use: fetch the newest"));
            }
        }
        Ok(())
    }
}

/// The issuer's name and the times of a list that an authority has signed.
fn judge(
    path: &Path,
    number: usize,
    der: &CertificateRevocationListDer<'_>,
    authorities: &[(&Path, CertificateDer<'static>)],
    provider: &CryptoProvider,
    now: Millis,
) -> Result<(Vec<u8>, Dated), TlsError> {
    let refused = |problem: &str| file(WHAT, path, &problem);
    let (rest, list) =
        CertificateRevocationList::from_der(der).map_err(|_| refused("holds a list that can't be read"))?;
    if !rest.is_empty() {
        return Err(refused("holds a list with something behind it"));
    }
    let issuer = list.issuer().as_raw();
    let signed = authorities.iter().any(|(_, der)| {
        X509Certificate::from_der(der).is_ok_and(|(_, authority)| {
            authority.subject().as_raw() == issuer
                && may_sign_lists(&authority)
                && has_signed(&authority, &list, provider)
        })
    });
    if !signed {
        return Err(refused("holds a list that no authority of tls.client_ca has signed"));
    }
    let not_before = seconds(list.last_update());
    let Some(not_after) = list.next_update().map(seconds) else {
        return Err(refused("holds a list without nextUpdate, of which nobody could tell that it is old"));
    };
    if now.0 / 1000 < not_before {
        return Err(refused("holds a list that is not valid yet: look at the clock"));
    }
    Ok((issuer.to_vec(), Dated { kind: FileKind::ClientCrl, path: path.to_owned(), number, not_before, not_after }))
}

/// Whether an authority may sign lists: it says nothing of its key's usage, or that (RFC 5280 section 4.2.1.3).
fn may_sign_lists(authority: &X509Certificate<'_>) -> bool {
    authority.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.crl_sign()))
}

/// Whether the key of this authority made the list's signature, by any algorithm that TLS takes. Which one it has to be
/// is checked by rustls whenever the list is used.
fn has_signed(
    authority: &X509Certificate<'_>,
    list: &CertificateRevocationList<'_>,
    provider: &CryptoProvider,
) -> bool {
    let key = &authority.public_key().subject_public_key.data;
    provider.signature_verification_algorithms.all.iter().any(|algorithm| {
        algorithm.verify_signature(key, list.tbs_cert_list.as_ref(), &list.signature_value.data).is_ok()
    })
}
