//! Values that are none of their class.

use tonic::Code;
use vault_tests::{
    requests::{email, tokenize},
    roles::Role,
};

use super::assert_item_refused;
use crate::vault;

/// A class, a value that breaks a rule of it, and the rule.
fn rows() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |class, value: &str, rule| (class, value.as_bytes().to_vec(), rule);
    let mut rows = vec![
        text("card_number", "", "length"),
        text("card_number", "4929831700526640", "luhn"),
        text("card_number", "9429831700526640", "luhn"),
        text("card_number", "492983170052669", "brand_length"),
        text("card_number", "37828224631000", "brand_length"),
        text("card_number", "55555555555544440", "brand_length"),
        text("card_number", "49298317005", "length"),
        text("card_number", "49298317005266414929", "length"),
        text("card_number", "4929 8317 0052 6641", "separators"),
        text("card_number", "4929-8317-0052-6641", "separators"),
        text("card_number", " 4929831700526641", "separators"),
        text("card_number", "4929831700526641\n", "characters"),
        text("card_number", "+4929831700526641", "characters"),
        text("card_number", "492983170052664O", "characters"),
        text("card_number", "٤٩٢٩٨٣١٧٠٠٥٢٦٦٤٠", "characters"),
        text("card_number", "４９２９８３１７００５２６６４０", "characters"),
        text("card_number", "4929831700526641\0", "characters"),
        text("email", "", "length"),
        text("email", "nobody.example.org", "email_at"),
        text("email", "@example.org", "email_local_part"),
        text("email", "no body@example.org", "email_local_part"),
        text("email", "no@body@example.org", "email_local_part"),
        text("email", ".nobody@example.org", "email_local_part"),
        text("email", "nöbody@example.org", "email_local_part"),
        text("email", "nobody@", "email_domain"),
        text("email", "nobody@localhost", "email_domain"),
        text("email", "nobody@exa mple.org", "email_domain"),
        text("email", "nobody@example..org", "email_domain"),
        text("email", "nobody@192.168.0.1", "email_domain"),
        text("email", "nobody@example.org\r\n", "email_domain"),
        text("customer_id", "", "length"),
        text("customer_id", "1234567890123", "length"),
        text("customer_id", "12345678901x", "pattern"),
        text("customer_id", "-12345678901", "pattern"),
        text("customer_id", "１２３４", "pattern"),
        text("passport", "xy7430921", "pattern"),
        text("passport", "XYZ430921", "pattern"),
        text("session", "a bell \u{7} rings", "characters"),
        text("voucher", "12345", "length"),
        text("voucher", "12345 6789", "separators"),
        text("blob", "", "length"),
    ];
    rows.push(("email", format!("{}@example.org", "n".repeat(65)).into(), "email_local_part"));
    rows.push(("email", format!("n@{}.org", "example.".repeat(32)).into(), "length"));
    rows.push(("session", "s".repeat(257).into(), "length"));
    rows.push(("session", b"no \xC3\x28 text".to_vec(), "utf8"));
    rows.push(("customer_id", b"\xFF\xFE123".to_vec(), "utf8"));
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_breaks_a_rule_of_its_class_is_refused_by_the_rules_name() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    for (class, value, rule) in rows() {
        let request = tokenize(class, [&value]);
        let call = async { Ok(loader.tokenize(request).await?.results.remove(0)) };
        let expected = (Code::InvalidArgument, "VALUE_REJECTED");
        let outcome = ("failed", "VALUE_REJECTED");
        let (refusal, entry) = assert_item_refused(&vault, call, expected, outcome).await;
        assert_eq!(refusal.metadata["rule"], rule, "{class}: {}", String::from_utf8_lossy(&value));
        assert_eq!(entry.items[0].data_class, class);
        assert!(entry.items[0].record_numbers.is_empty() && entry.items[0].token_hashes.is_empty());
        if value.len() >= 4 {
            let shown = refusal.bytes.windows(value.len()).any(|part| part == value);
            assert!(!shown, "the answer repeats the value");
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_beyond_64_kib_is_refused_whatever_its_class() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let long: Vec<u8> = (0..65_537_u32).map(|n| b'0' + u8::try_from(n % 10).unwrap()).collect();
    for class in ["blob", "card_number", "email", "session"] {
        let request = tokenize(class, [&long]);
        let call = async { Ok(loader.tokenize(request).await?.results.remove(0)) };
        let expected = (Code::ResourceExhausted, "VALUE_TOO_LARGE");
        assert_item_refused(&vault, call, expected, ("failed", "VALUE_TOO_LARGE")).await;
    }
    assert_eq!(loader.tokenize(tokenize("blob", [&long[1..]])).await.unwrap().tokens().len(), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_items_do_not_keep_the_others_of_their_batch_from_being_stored() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let mut request = tokenize("email", (0..50).map(email));
    for (class, value, _) in rows() {
        request.items.push(vault_tests::requests::tokenize_item(class, value));
    }
    let given = loader.tokenize(request).await.unwrap().results;
    assert_eq!(given.iter().filter(|result| result.is_ok()).count(), 50);
    assert!(given[..50].iter().all(Result::is_ok));
    vault.finish().await;
}
