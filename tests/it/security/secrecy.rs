//! Values and tokens are in no file and in no line of the log. Every test of this binary looks for its own at its end;
//! these look in more places, and show that looking finds.

use std::{ffi::OsStr, fs, path::Path};

use vault_tests::{
    requests::{card, customer, detokenize, email, query, tokenize},
    roles::Role,
    secrets::Secrets,
    vault::TestVault,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_for_a_secret_finds_it_in_files_and_in_the_log() {
    let vault = vault().await;
    let secret = card(4_711);
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let file = vault.data_directory().join("eu").join("leak");
    for leak in [&secret, &hex, &hex.to_uppercase(), &format!("{:?}", secret.as_bytes()), &bytes.join(",")] {
        let secrets = Secrets::default();
        secrets.plant(secret.as_bytes());
        let search = secrets.search();
        assert_eq!(search.find_below(vault.directory()).0, None);
        fs::write(&file, format!("before{leak}after")).unwrap();
        assert!(search.find_below(vault.directory()).0.unwrap().contains(leak.as_str()));
        fs::remove_file(&file).unwrap();
        assert!(search.find(format!("before{}after", &leak[2..]).as_bytes()).is_none());
    }
    tracing::debug!(target: "vault_engine", leak = "leak-by-a-careless-line");
    let secrets = Secrets::default();
    secrets.plant(b"leak-by-a-careless-line");
    assert!(vault.process_log().read(|log| secrets.search().find(log)).is_some());
    vault.finish().await;
}

/// Files of sorted tables below a folder, and their bytes.
fn table_files(directory: &Path) -> (usize, u64) {
    let files = fs::read_dir(directory).unwrap().flatten();
    let tables = files.filter(|file| file.path().extension() == Some(OsStr::new("sst")));
    tables.fold((0, 0), |(count, bytes), file| (count + 1, bytes + file.metadata().unwrap().len()))
}

async fn work(vault: &TestVault) {
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let values: [fn(u64) -> String; 3] = [card, email, customer];
    for (class, value) in ["card_number", "email", "customer_id"].into_iter().zip(values) {
        let given = loader.tokenize(tokenize(class, (0..1000).map(value))).await.unwrap();
        payments.detokenize(detokenize(class, given.tokens())).await.unwrap();
    }
    // What is refused is no less secret: values of the wrong class, values sent as tokens, tokens that never were.
    loader.tokenize(tokenize("email", (2000..2100).map(card))).await.unwrap();
    payments.detokenize(detokenize("card_number", (3000..3100).map(card))).await.unwrap();
    payments.detokenize(detokenize("email", (4000..4100).map(email))).await.unwrap();
    loader.tokenize(tokenize(&card(5000), [email(5000)])).await.unwrap();
    vault.secrets().plant(card(5000).as_bytes());
    vault.caller(Role::Auditor).await.query(query("eu")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_and_no_token_is_in_any_file_before_and_after_the_tables_are_written() {
    let mut vault = vault().await;
    work(&vault).await;
    vault.assert_unseen();
    vault.stop().await;
    vault.assert_unseen();
    // At its next start the engine turns its write-ahead log into tables.
    vault.start_again().await;
    let (files, bytes) = table_files(&vault.data_directory().join("eu"));
    assert!(files > 0 && bytes > 500_000, "{files} files, {bytes} bytes");
    assert!(vault.secrets().count() > 6000);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_vault_are_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let vault = vault().await;
    vault.give("email", [email(1)]).await;
    for scope in ["eu", "us", "node"] {
        let mode = fs::metadata(vault.data_directory().join(scope)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{scope} has mode {mode:o}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_leave_no_equal_bytes() {
    let mut vault = vault().await;
    let value = b"a value that is long enough to be seen again in what a cipher without nonces makes of it".to_vec();
    let loader = vault.caller(Role::Loader).await;
    loader.tokenize(tokenize("blob", vec![value; 200])).await.unwrap();
    vault.stop().await;
    vault.start_again().await;
    vault.stop().await;
    let records = vault.stored_rows("eu");
    assert_eq!(records.len(), 200);
    // Behind its header each record is as long as the others and agrees with them in nothing.
    let parts: std::collections::BTreeSet<&[u8]> =
        records.iter().flat_map(|record| record[84..].chunks_exact(8)).collect();
    assert_eq!(parts.len(), records.iter().map(|record| record[84..].len() / 8).sum::<usize>());
    assert!(records.windows(2).all(|pair| pair[0].len() == pair[1].len()));
    vault.finish().await;
}
