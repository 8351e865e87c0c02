//! How old a connection may grow.

use std::{path::Path, sync::Arc, time::Duration};

use vault_domain::SystemClock;
use vault_proto::v1;
use vault_tests::{
    requests::{email, tokenize, tokenize_item},
    roles::Role,
    stream::{loading, values},
    vault::TestVault,
};

use super::LONG;
use crate::DISK;

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_takes_no_more_calls_and_those_in_flight_end_well() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    vault.configure("listen", "connection_seconds_max = 3");
    vault.start_again().await;
    let connection = vault.try_connect(Role::Loader).await.unwrap();
    let loader = vault.caller_on(Role::Loader, connection);
    let mut stream = loader.tokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(loading()), ..Default::default() }).await);
    assert!(stream.send(values(1, vec![tokenize_item("email", email(1))])).await);
    assert_eq!(stream.answer().await.unwrap().unwrap().0, 1);
    loader.tokenize(tokenize("email", [email(2)])).await.unwrap();
    let refused = async {
        while loader.tokenize(tokenize("email", [email(3)])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("an end of the connection");
    // The stream was there before, and goes on for as long as it likes.
    for sequence in 2..5 {
        assert!(stream.send(values(sequence, vec![tokenize_item("email", email(sequence))])).await);
        assert_eq!(stream.answer().await.unwrap().unwrap().0, sequence);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stream.half_close();
    assert!(stream.answer().await.unwrap().is_none(), "a good end");
    // Whoever comes anew is served.
    let fresh = vault.caller_on(Role::Loader, vault.try_connect(Role::Loader).await.unwrap());
    fresh.tokenize(tokenize("email", [email(9)])).await.unwrap();
    vault.finish().await;
}
