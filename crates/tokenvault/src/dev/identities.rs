//! A throwaway authority, and certificates by it: one for the server, one for each account. The authority's own key is
//! never written anywhere: nobody can make further identities. All of them bear a mark in their names, by which a vault
//! in production refuses them.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use vault_domain::{Clock, PrincipalId};
use vault_server::THROWAWAY_ORGANIZATION;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// How long everything is valid.
const VALID: Duration = Duration::days(30);
/// How far back it is valid, for clocks that differ.
const VALID_BEFORE: Duration = Duration::minutes(5);
/// The scheme of a SPIFFE ID, and what stands before a DNS name that is a principal.
const SPIFFE: &str = "spiffe://";
const DNS: &str = "dns:";

/// Signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: OffsetDateTime,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: Zeroizing<String>,
}

impl Authority {
    pub(crate) fn new(clock: &dyn Clock) -> Result<Self, Failure> {
        let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(clock.wall().0) * 1_000_000).map_err(refused)?;
        let mut params = params("throwaway authority of tokenvault dev", now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(refused)?).map_err(refused)?;
        Ok(Self { issuer, now })
    }

    /// The authority's certificate in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// For the server, on this machine alone.
    pub(crate) fn server(&self) -> Result<Identity, Failure> {
        let mut params = params("tokenvault dev", self.now);
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().map_err(refused)?),
            SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
            SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
        ];
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For the account of this principal.
    pub(crate) fn client(&self, principal: &PrincipalId) -> Result<Identity, Failure> {
        let text = principal.as_str();
        let name = match text.strip_prefix(DNS) {
            Some(host) => SanType::DnsName(host.try_into().map_err(refused)?),
            None if text.starts_with(SPIFFE) => SanType::URI(text.try_into().map_err(refused)?),
            None => return Err(refused(format!("{principal} is neither a SPIFFE ID nor a DNS name"))),
        };
        let mut params = params("client of tokenvault dev", self.now);
        params.subject_alt_names = vec![name];
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Identity, Failure> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(Identity { certificate: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }
}

fn params(name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, THROWAWAY_ORGANIZATION);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - VALID_BEFORE;
    params.not_after = now + VALID;
    params
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failure, format!("the identities can't be made: {error}"))
}
