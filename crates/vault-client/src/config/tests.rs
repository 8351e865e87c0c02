//! What a configuration accepts.

use super::*;

#[test]
fn an_endpoint_is_a_host_and_a_port_under_https() {
    let endpoint = Endpoint::parse("https://vault.example.com:8443").unwrap();
    assert_eq!((endpoint.host(), endpoint.port()), ("vault.example.com", 8443));
    assert_eq!(endpoint.to_string(), "https://vault.example.com:8443");
    assert_eq!(Endpoint::parse("https://[::1]:8443/").unwrap().to_string(), "https://[::1]:8443");
    for bad in [
        "",
        "vault.example.com:8443",
        "http://vault.example.com:8443",
        "https://vault.example.com",
        "https://vault.example.com:0",
        "https://user@vault.example.com:8443",
        "https://vault.example.com:8443/path",
        "https://vault.example.com:8443/?query",
    ] {
        assert!(Endpoint::parse(bad).is_err(), "{bad}");
    }
}

struct Identity {
    ca: String,
    certificate: String,
    key: Zeroizing<Vec<u8>>,
}

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = Zeroizing::new(key.serialize_pem().into_bytes());
    Identity { ca: certificate.pem(), certificate: certificate.pem(), key }
}

fn build(identity: &Identity) -> Result<ClientConfig, ClientError> {
    let endpoint = Endpoint::parse("https://localhost:8443").unwrap();
    ClientConfig::new(endpoint, identity.ca.as_bytes(), identity.certificate.as_bytes(), &identity.key)
}

#[test]
fn certificate_and_key_must_belong_together() {
    let (one, other) = (identity(), identity());
    assert!(build(&one).is_ok());
    assert!(build(&Identity { key: other.key, ..one }).is_err());
}

#[test]
fn every_file_must_hold_what_it_is_for_and_errors_name_it() {
    let whole = identity();
    let bad_ca = build(&Identity { ca: String::new(), ..identity() }).unwrap_err().to_string();
    assert!(bad_ca.starts_with("the server's CA"), "{bad_ca}");
    let swapped = Identity { certificate: String::from_utf8(whole.key.to_vec()).unwrap(), ..whole };
    let bad_certificate = build(&swapped).unwrap_err().to_string();
    assert!(bad_certificate.starts_with("the client certificate"), "{bad_certificate}");
    let bad_key = Identity { key: Zeroizing::new(b"-----BEGIN".to_vec()), ..identity() };
    assert!(build(&bad_key).unwrap_err().to_string().starts_with("the client key"));
}

#[test]
fn nothing_secret_is_shown_for_debugging() {
    let identity = identity();
    let shown = format!("{:?}", build(&identity).unwrap());
    assert!(shown.contains("localhost"));
    assert!(!shown.contains("key"), "{shown}");
}

#[test]
fn limits_hold() {
    let config = build(&identity()).unwrap();
    assert!(config.clone().with_deadline(Duration::ZERO).is_err());
    assert!(config.clone().with_deadline(Duration::from_secs(3601)).is_err());
    assert_eq!(config.clone().with_attempts_max(0).attempts_max, 1);
    assert_eq!(config.clone().with_attempts_max(1000).attempts_max, ATTEMPTS_MAX);
    let endpoint = Endpoint::parse("https://elsewhere.example.com:8443").unwrap();
    let full = (0..FOLLOWED_ENDPOINTS_MAX).try_fold(config, |config, _| config.following(endpoint.clone())).unwrap();
    assert!(full.following(endpoint).is_err());
}
