//! A throwaway certificate authority and what it issues. Made anew for every vault under test; never part of anything
//! that serves.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
        Identity { certificate: certificate.der().clone(), certificate_pem: certificate.pem(), key }
    }
}
