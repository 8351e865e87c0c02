//! What an endpoint takes, what its answers become, and when it is asked again.

use http::StatusCode;
use vault_domain::{ManualClock, SystemEntropy};
use zeroize::Zeroizing;

use super::*;

fn endpoint(url: &str, client_id: &str) -> Result<TokenEndpoint, ClientError> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (pem, key) = (certificate.pem(), Zeroizing::new(key.serialize_pem().into_bytes()));
    TokenEndpoint::new(url, pem.as_bytes(), pem.as_bytes(), &key, client_id)
}

const URL: &str = "https://idp.example.com/token?realm=a";

#[test]
fn a_token_endpoint_is_an_address_under_https() {
    assert!(endpoint(URL, "orders").is_ok());
    assert!(endpoint("https://[::1]:8443", "orders").is_ok());
    for bad in
        ["", "idp.example.com", "http://idp.example.com/token", "https://me@idp.example.com/token", "https://a/#b"]
    {
        assert!(endpoint(bad, "orders").is_err(), "{bad}");
    }
    for bad in ["", "a\nb", "ä", &"x".repeat(1025)] {
        assert!(endpoint(URL, bad).is_err());
        assert!(endpoint(URL, "orders").unwrap().with_scope(bad).is_err());
        assert!(endpoint(URL, "orders").unwrap().with_resource(bad).is_err());
    }
}

#[test]
fn answers_become_tokens_or_errors_that_repeat_nothing() {
    let endpoint = endpoint(URL, "orders").unwrap();
    let good = |rest: &str| format!(r#"{{"access_token": "se.cr.et", "token_type": "Bearer"{rest}}}"#);
    for (rest, life) in [(", \"expires_in\": 300", 300), ("", 60), (", \"expires_in\": 99999999", 86400)] {
        let fetched = endpoint.read(StatusCode::OK, good(rest).as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(fetched.life, Duration::from_secs(life));
        assert!(fetched.authorization.is_sensitive());
        assert_eq!(fetched.authorization.to_str().unwrap(), "Bearer se.cr.et");
    }
    let nonsense = [
        (StatusCode::OK, "<html>secret</html>".to_owned()),
        (StatusCode::OK, r#"{"access_token": 5, "token_type": "secret"}"#.to_owned()),
        (StatusCode::OK, r#"{"access_token": "a secret", "token_type": "Bearer"}"#.to_owned()),
        (StatusCode::OK, r#"{"access_token": "secret", "token_type": "DPoP"}"#.to_owned()),
        (StatusCode::OK, good(", \"expires_in\": 0")),
        (StatusCode::OK, good(", \"expires_in\": -1")),
        (StatusCode::FOUND, good("")),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error": "secret"}"#.to_owned()),
        (StatusCode::BAD_REQUEST, r#"{"error": "Secret 1"}"#.to_owned()),
    ];
    for (status, body) in nonsense {
        let error = endpoint.read(status, body.as_bytes()).err().expect("no token");
        assert!(matches!(error, ClientError::Connect { .. }), "{error}");
        assert!(!format!("{error}{error:?}").to_lowercase().contains("secret"), "{error}");
    }
    let refused = br#"{"error": "invalid_client", "error_description": "secret"}"#;
    let error = endpoint.read(StatusCode::UNAUTHORIZED, refused).err().expect("no token");
    assert_eq!(error.to_string(), "the token endpoint refuses the client: invalid_client");
}

#[test]
fn a_token_is_fetched_again_before_it_ends_and_failures_pause_longer_up_to_a_bound() {
    let endpoint = endpoint(URL, "orders").unwrap();
    let life = Duration::from_secs(300);
    let (clock, entropy) = (Arc::new(ManualClock::at(Millis(1_000_000))), Arc::new(SystemEntropy));
    let token = || Fetched { authorization: crate::bearer("se.cr.et").unwrap(), life };
    let held = Mutex::new(Held::new(token(), &*clock));
    let shared = Shared { endpoint, clock: clock.clone(), entropy, held, wanted: Notify::new() };
    let rests: std::collections::BTreeSet<Duration> = (0..100).map(|_| shared.rest(life)).collect();
    assert!(rests.len() > 10, "they are spread");
    assert!(rests.iter().all(|rest| (180..=240).contains(&rest.as_secs())));
    for (failures, most) in [(1, 1), (2, 2), (4, 8), (7, 60), (1000, 60)] {
        let pause = shared.pause(failures).as_millis();
        assert!((most * 500..=most * 1000).contains(&pause), "{failures}: {pause}");
    }
    // To its last millisecond, by either clock.
    clock.advance(life - Duration::from_millis(1));
    assert!(!shared.held.lock().unwrap().is_over(&*clock));
    clock.advance(Duration::from_millis(1));
    assert!(shared.held.lock().unwrap().is_over(&*clock));
}
