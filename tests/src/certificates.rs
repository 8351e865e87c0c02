//! A throwaway certificate authority and what it issues. Made anew for every vault under test; never part of anything
//! that serves.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use vault_domain::Millis;

/// No two certificates have the same.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1 << 32);

/// One name in a certificate's subject alternative names.
#[derive(Clone, Debug)]
pub enum Name {
    /// A URI, as a SPIFFE ID is one.
    Uri(String),
    /// A DNS name.
    Dns(String),
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    serial: SerialNumber,
    key: KeyPair,
}

impl Identity {
    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key in DER.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

/// An authority that signs servers' and clients' certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, which nobody trusts yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// A certificate for a server called `localhost`.
    #[must_use]
    pub fn server(&self) -> Identity {
        let names = [Name::Dns("localhost".to_owned())];
        self.issue(CertificateParams::default(), &names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The same, good from the beginning of one year to that of another.
    #[must_use]
    pub fn server_between(&self, from_year: i32, to_year: i32) -> Identity {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(from_year, 1, 1), date_time_ymd(to_year, 1, 1));
        self.issue(params, &[Name::Dns("localhost".to_owned())], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client with these names, good until `end`.
    #[must_use]
    pub fn client_until(&self, names: &[Name], end: Millis) -> Identity {
        let mut params = CertificateParams::default();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_millis(end.0)).into();
        self.issue(params, names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate for a client whose subject has these parts, first part first, and which has no other name.
    #[must_use]
    pub fn client_called(&self, subject: &[(DnType, &str)]) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        self.issue_to(params, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A revocation list in PEM, good from one time to another, with the certificates of `revoked` in it.
    #[must_use]
    pub fn revocation_list(&self, revoked: &[&Identity], (from, to): (Millis, Millis)) -> String {
        let time = |millis: Millis| (SystemTime::UNIX_EPOCH + Duration::from_millis(millis.0)).into();
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: time(from),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time(from),
            next_update: time(to),
            crl_number: SerialNumber::from(from.0),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).expect("a list").pem().expect("a list in PEM")
    }

    /// A certificate for a client with these names.
    #[must_use]
    pub fn client(&self, names: &[Name]) -> Identity {
        self.issue(CertificateParams::default(), names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The same, but it ended long ago.
    #[must_use]
    pub fn expired_client(&self, names: &[Name]) -> Identity {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        self.issue(params, names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate with a client's names that is good for servers alone.
    #[must_use]
    pub fn misused_server(&self, names: &[Name]) -> Identity {
        self.issue(CertificateParams::default(), names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(&self, mut params: CertificateParams, names: &[Name], usage: ExtendedKeyUsagePurpose) -> Identity {
        params.distinguished_name.push(DnType::CommonName, "a party of a test");
        self.issue_to(params, names, usage)
    }

    fn issue_to(&self, mut params: CertificateParams, names: &[Name], usage: ExtendedKeyUsagePurpose) -> Identity {
        let serial = SerialNumber::from(NEXT_SERIAL.fetch_add(1, Ordering::Relaxed));
        params.serial_number = Some(serial.clone());
        params.extended_key_usages = vec![usage];
        params.subject_alt_names = names
            .iter()
            .map(|name| match name {
                Name::Uri(uri) => SanType::URI(uri.as_str().try_into().expect("an ASCII URI")),
                Name::Dns(host) => SanType::DnsName(host.as_str().try_into().expect("an ASCII name")),
            })
            .collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), serial, key }
    }
}
