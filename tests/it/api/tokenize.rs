//! Values in, tokens out.

use vault_proto::v1;
use vault_tests::{
    requests::{card, customer, detokenize, email, luhn_passes, scattered, tokenize, tokenize_item},
    roles::Role,
};

use crate::vault;

/// A value of each class of the catalog, the longest and the strangest among them.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let blob: Vec<u8> = (0..65_536_u64).map(|n| scattered(n).to_le_bytes()[0]).collect();
    vec![
        ("card_number", card(1).into()),
        ("email", email(1).into()),
        ("customer_id", customer(1).into()),
        ("passport", b"XY7430921".to_vec()),
        ("session", "Zoë Müller-Šimić, 平仮名, tab\t and\nline".into()),
        ("voucher", b"9081726354".to_vec()),
        ("blob", (0..=255).collect()),
        ("blob", blob),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_back() {
    let vault = vault().await;
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    for (class, value) in values() {
        let given = loader.tokenize(tokenize(class, [&value])).await.unwrap();
        let issued = given.results[0].as_ref().unwrap();
        assert!(issued.created, "{class}");
        let revealed = payments.detokenize(detokenize(class, [&issued.token])).await.unwrap();
        assert!(revealed.values() == [value], "{class}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_token_keeps_length_and_last_four_and_fails_the_luhn_check() {
    let vault = vault().await;
    let mut cards: Vec<String> = (0..200).map(card).collect();
    // Other lengths: American Express has 15 digits, Maestro 12 to 19.
    cards.extend(["378282246310005", "501800000009", "6759649826438453"].map(str::to_owned));
    for (card, token) in cards.iter().zip(vault.give("card_number", &cards).await) {
        assert_eq!(token.len(), card.len());
        assert!(token.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(token[token.len() - 4..], card[card.len() - 4..]);
        assert!(luhn_passes(card) && !luhn_passes(&token));
        assert_ne!(token, *card);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_token_passes_the_luhn_check_where_its_class_asks_for_that() {
    let vault = vault().await;
    let cards: Vec<String> = (0..100).map(card).collect();
    for (card, token) in cards.iter().zip(vault.give("card_passing", &cards).await) {
        assert_eq!((&token[..4], &token[12..]), (&card[..4], &card[12..]));
        assert!(luhn_passes(&token), "{token}");
        assert_ne!(token, *card);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_preserving_token_has_letters_for_letters_and_digits_for_digits() {
    let vault = vault().await;
    let passports: Vec<String> = (0..100).map(|n| format!("QZ{:07}", scattered(n) % 10_000_000)).collect();
    for (passport, token) in passports.iter().zip(vault.give("passport", &passports).await) {
        assert_eq!(token[..2], passport[..2], "the first two stay");
        assert!(token.len() == 9 && token[2..].bytes().all(|byte| byte.is_ascii_digit()));
        assert_ne!(token, *passport);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_names_its_region_and_nothing_else() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    for region in ["eu", "us"] {
        let request = v1::TokenizeRequest { region: region.to_owned(), ..tokenize("email", (0..100).map(email)) };
        let tokens = loader.tokenize(request).await.unwrap().tokens();
        let mut bodies: Vec<&str> = tokens
            .iter()
            .map(|token| token.strip_prefix("tok_").unwrap().strip_prefix(region).unwrap().strip_prefix('_').unwrap())
            .collect();
        for body in &bodies {
            assert!(body.len() == 29 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        // Neighbours by number share no more of their text than chance gives: the generation, and a digit or two.
        bodies.sort_unstable();
        let shared = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        assert!(bodies.windows(2).map(shared).max().unwrap() <= 6);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_value_has_the_same_token_inside_an_audience_and_another_one_outside() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    for (class, value) in [("card_number", card(7)), ("customer_id", customer(7))] {
        let mut tokens: Vec<String> = Vec::new();
        // Twice round, so that neither audience's token takes the place of the other's.
        for (round, audience) in ["payments", "analytics", "payments", "analytics"].into_iter().enumerate() {
            let request = v1::TokenizeRequest { audience: audience.to_owned(), ..tokenize(class, [&value]) };
            let issued = loader.tokenize(request).await.unwrap().results.remove(0).unwrap();
            assert_eq!(issued.created, round < 2, "{class} for {audience}");
            tokens.push(issued.token);
        }
        assert_eq!(tokens[..2], tokens[2..]);
        assert_ne!(tokens[0], tokens[1], "audiences can't compare their tokens");
        let elsewhere = v1::TokenizeRequest { region: "us".to_owned(), ..tokenize(class, [&value]) };
        assert!(!tokens.contains(&loader.tokenize(elsewhere).await.unwrap().tokens()[0]));
        let globex = vault.caller(Role::GlobexLoader).await;
        assert!(!tokens.contains(&globex.tokenize(tokenize(class, [&value])).await.unwrap().tokens()[0]));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_value_has_a_fresh_token_each_time_where_the_class_says_so() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let value = email(3);
    let given = loader.tokenize(tokenize("email", [&value, &value])).await.unwrap();
    assert!(given.results.iter().all(|result| result.as_ref().unwrap().created));
    let mut tokens = given.tokens();
    tokens.extend(vault.give("email", [&value]).await);
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_twice_in_one_request_gets_one_record() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let (first, second) = (card(1), card(2));
    let loader = vault.caller(Role::Loader).await;
    let given = loader.tokenize(tokenize("card_number", [&first, &second, &first, &first])).await.unwrap();
    let created: Vec<bool> = given.results.iter().map(|result| result.as_ref().unwrap().created).collect();
    assert_eq!(created, [true, true, false, false]);
    let tokens = given.tokens();
    assert!(tokens[0] == tokens[2] && tokens[0] == tokens[3] && tokens[0] != tokens[1]);
    let items = &vault.entry_since(&mark).await.items[0];
    let numbers = &items.record_numbers;
    assert_eq!((items.count, numbers.len()), (4, 4));
    assert!(numbers[0] == numbers[2] && numbers[0] == numbers[3] && numbers[0] != numbers[1]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_of_a_mixed_batch_has_its_own_answer_in_order() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let globex = vault.caller(Role::GlobexLoader).await;
    let items = vec![
        tokenize_item("card_number", card(1)),
        tokenize_item("card_number", "4111111111111112"),
        tokenize_item("no_such_class", card(2)),
        tokenize_item("email", email(1)),
        tokenize_item("session", "a class that Globex may not use"),
        tokenize_item("Not A Class", email(2)),
        tokenize_item("card_number", card(3)),
    ];
    let request = v1::TokenizeRequest { items, ..tokenize("", [""; 0]) };
    let given = globex.tokenize(request).await.unwrap();
    let reasons: Vec<&str> = given
        .results
        .iter()
        .map(|result| result.as_ref().map_or_else(|refusal| refusal.reason.as_str(), |_| ""))
        .collect();
    let denied = "ACCESS_DENIED";
    assert_eq!(reasons, ["", "VALUE_REJECTED", denied, "", denied, denied, ""]);

    let audit = vault.caller(Role::GlobexAuditor).await;
    let entry = audit.query(vault_tests::requests::query("eu")).await.unwrap().entries.remove(0);
    assert_eq!(entry.receipt, Some(given.receipt));
    assert_eq!(entry.decision, "allowed");
    let groups: Vec<(&str, &str, u32, usize)> = entry
        .items
        .iter()
        .map(|group| (group.data_class.as_str(), group.outcome.as_str(), group.count, group.record_numbers.len()))
        .collect();
    let expected = [
        ("card_number", "ok", 2, 2),
        ("card_number", "VALUE_REJECTED", 1, 0),
        ("unknown", "DATA_CLASS_UNKNOWN", 1, 0),
        ("email", "ok", 1, 1),
        ("session", "ACCESS_DENIED", 1, 0),
        ("unknown", "DATA_CLASS_UNKNOWN", 1, 0),
    ];
    assert_eq!(groups, expected);
    assert_eq!(vault.mark("eu").await.size(), mark.size() + 2, "the call and the question");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_items_of_all_kinds_are_answered_in_order() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let item = |n: u64| match n % 4 {
        0 => tokenize_item("card_number", card(n)),
        1 => tokenize_item("email", email(n)),
        2 => tokenize_item("customer_id", customer(n)),
        _ => tokenize_item("email", format!("no address {n:08}")),
    };
    let items: Vec<_> = (0..1000).map(item).collect();
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let request = v1::TokenizeRequest { items: items.clone(), ..tokenize("", [""; 0]) };
    let given = loader.tokenize(request).await.unwrap();
    let back = given.results.iter().zip(&items).filter_map(|(result, item)| match result {
        Ok(issued) => Some(v1::DetokenizeItem { data_class: item.data_class.clone(), token: issued.token.clone() }),
        Err(refusal) => {
            assert_eq!(refusal.reason, "VALUE_REJECTED");
            None
        }
    });
    let request = v1::DetokenizeRequest { items: back.collect(), ..detokenize("", [""; 0]) };
    assert_eq!(request.items.len(), 750);
    let values = payments.detokenize(request).await.unwrap().values();
    let good = items.iter().enumerate().filter(|(at, _)| at % 4 != 3).map(|(_, item)| item.value.clone());
    assert!(values.into_iter().eq(good));

    let entries = vault.entries_since(&mark, 2).await;
    let listed = |entry: &v1::AccessLogEntry| entry.items.iter().map(|group| group.record_numbers.len()).sum::<usize>();
    assert_eq!(entries.iter().map(listed).collect::<Vec<_>>(), [750, 750]);
    assert_eq!(entries[0].items.iter().map(|group| group.count).sum::<u32>(), 1000);
    vault.finish().await;
}
