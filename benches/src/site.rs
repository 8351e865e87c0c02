//! The files of a vault that is only there to be measured: a CA, certificates, a catalog, a configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use vault_domain::{Clock, SystemClock, SystemEntropy};
use vault_keys::RootKey;
use vault_tests::issuer::{ISSUER, SigningKey, VAULT_AUDIENCE, claims, jwks};

use crate::Failure;

/// The region that everything lives in.
pub const REGION: &str = "eu";
/// The audience of all tokens.
pub const AUDIENCE: &str = "payments";
/// The stated purpose.
pub const PURPOSE: &str = "settlement";
/// The stated purpose of questions to the log.
pub const AUDIT_PURPOSE: &str = "audit";
/// The vault's name.
pub const VAULT: &str = "bench.tokenvault.internal";
/// The name in the server's certificate.
pub const SERVER_NAME: &str = "localhost";

const CATALOG: &str = r#"
[tenants.acme]
[regions.eu]
[audiences.payments]
[purposes.settlement]
[purposes.audit]

[classes.customer_id]
rule = "pattern"
pattern = "[0-9]{1,12}"
length_bytes_max = 12
format = "opaque"
determinism = "none"

[classes.customer_join_id]
rule = "pattern"
pattern = "[0-9]{1,12}"
length_bytes_max = 12
format = "opaque"
determinism = "per_audience"

[classes.card_number]
rule = "pan"
format = "format_preserving"
keep_last = 4
luhn = "invalid"
determinism = "none"

[accounts."spiffe://dev.tokenvault.internal/bench"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["tokenize", "detokenize"], classes = ["customer_id", "customer_join_id", "card_number"],
      purposes = ["settlement"] },
    { actions = ["query_access_log", "export_access_log"], purposes = ["audit"] },
    { actions = ["get_checkpoint"] },
]

[accounts."idp:orders"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["tokenize", "detokenize"], classes = ["customer_id", "customer_join_id", "card_number"],
      purposes = ["settlement"] },
]
"#;

const CONFIGURATION: &str = r#"
mode = "dev"
vault = "bench.tokenvault.internal"
node = "bench"
data_directory = "data"
regions = ["eu"]
catalog = "catalog.toml"

[listen]
address = "127.0.0.1:0"

[tls]
certificate = "server.pem"
key = "server.key"
client_ca = ["ca.pem"]

[root_key]
provider = "file"
path = "root.key"

[identity]
issuers = "issuers.toml"

[replay]
required_for = []

[store]
ballast_bytes = 0

[log]
level = "warn"
format = "text"
"#;

/// What tokens have in `sub`.
const SUBJECT: &str = "orders";

/// The folder of a vault's files.
#[derive(Clone, Debug)]
pub struct Site {
    folder: PathBuf,
    /// The key of an issuer that the vault believes; of a site that was written before, none.
    issuer: Option<Arc<SigningKey>>,
}

impl Site {
    /// Writes everything that a vault needs into a new folder.
    ///
    /// # Errors
    /// When a file can't be written or a certificate can't be made.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir(folder)?;
        let signing_key = SigningKey::ec("bench");
        let site = Self { folder: folder.to_owned(), issuer: Some(Arc::new(signing_key)) };
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "bench CA");
        site.write("ca.pem", ca.self_signed(&ca_key)?.pem())?;
        let issuer = Issuer::new(ca, ca_key);
        let server = CertificateParams::new([SERVER_NAME.to_owned()])?;
        let mut client = CertificateParams::default();
        client.subject_alt_names.push(SanType::URI("spiffe://dev.tokenvault.internal/bench".try_into()?));
        for (name, parameters) in [("server", server), ("client", client)] {
            let key = KeyPair::generate()?;
            site.write(&format!("{name}.pem"), parameters.signed_by(&key, &issuer)?.pem())?;
            site.write(&format!("{name}.key"), key.serialize_pem())?;
        }
        site.write("issuers.json", jwks(&site.issuer.iter().map(|key| &**key).collect::<Vec<_>>()))?;
        let issuers = format!(
            "[issuers.idp]\nissuer = \"{ISSUER}\"\naudiences = [\"{VAULT_AUDIENCE}\"]\nalgorithms = [\"ES256\"]\n\
             jwks_file = \"issuers.json\"\n"
        );
        site.write("issuers.toml", issuers)?;
        site.write("catalog.toml", CATALOG)?;
        site.write("vault.toml", CONFIGURATION)?;
        RootKey::create_file(&site.file("root.key"), &SystemEntropy)?;
        Ok(site)
    }

    /// A folder that was written before.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), issuer: None }
    }

    /// A new access token that is bound to the client's certificate (RFC 8705), good for five minutes.
    ///
    /// # Errors
    /// When the site was not created here, or its certificate can't be read.
    pub fn access_token(&self) -> Result<String, Failure> {
        let key = self.issuer.as_ref().ok_or("the issuer's key is with the process that made the site")?;
        let chain = self.chain("client")?;
        let certificate = chain.first().ok_or("a client without a certificate")?;
        Ok(key.token(&claims(SUBJECT, certificate, SystemClock::new().wall())))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the vault's stores are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.file("data")
    }

    /// The root key's file.
    #[must_use]
    pub fn root_key(&self) -> PathBuf {
        self.file("root.key")
    }

    /// The vault's configuration.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.file("vault.toml")
    }

    /// The client's side of TLS, as vault-client has it: 1.3 alone, a certificate, no resumption.
    ///
    /// # Errors
    /// When a file is not what it should be.
    pub fn client_tls(&self) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain("client")?, self.key("client")?)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The server's side of TLS, as vault-server has it: 1.3 alone, client certificates, no resumption.
    ///
    /// # Errors
    /// When a file is not what it should be.
    pub fn server_tls(&self) -> Result<ServerConfig, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain("server")?, self.key("server")?)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Failure> {
        let mut roots = RootCertStore::empty();
        for certificate in self.chain("ca")? {
            roots.add(certificate)?;
        }
        Ok(roots)
    }

    fn chain(&self, name: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let read = CertificateDer::pem_file_iter(self.file(&format!("{name}.pem")))?;
        Ok(read.collect::<Result<_, _>>()?)
    }

    fn key(&self, name: &str) -> Result<PrivateKeyDer<'static>, Failure> {
        Ok(PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")))?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        Ok(fs::write(self.file(name), text)?)
    }
}
