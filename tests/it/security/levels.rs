//! Who may see masks alone is never sent the value: not by any class, call, stream or repeat. The log says how much was
//! shown.

use prost::Message;
use tonic::Code;
use vault_proto::v1::{self, RevealLevel, detokenize_result::Outcome};
use vault_tests::{
    refusal::Refusal,
    requests::{card, customer, detokenize, detokenize_item, email, luhn_passes, tokenize_item},
    roles::Role,
    stream::{settling, tokens},
    vault::TestVault,
};

use crate::vault;

const DETOKENIZE: &str = "/tokenvault.v1.TokenService/Detokenize";
const DENIED: (Code, &str) = (Code::PermissionDenied, "LEVEL_NOT_PERMITTED");

/// A question of the support desk's.
fn of_desk(level: RevealLevel, items: Vec<v1::DetokenizeItem>) -> v1::DetokenizeRequest {
    let purpose = "support_case".to_owned();
    v1::DetokenizeRequest { purpose, level: level.into(), items, ..detokenize("", [""; 0]) }
}

/// The answer as it came over the wire, and what it says of each item: level and text, or the refusal.
async fn ask(
    vault: &TestVault,
    role: Role,
    request: &v1::DetokenizeRequest,
) -> (Vec<u8>, Vec<Result<(RevealLevel, String), Box<Refusal>>>) {
    request.items.iter().for_each(|item| vault.secrets().plant(item.token.as_bytes()));
    let caller = vault.caller(role).await;
    let reply = caller.connection().post(DETOKENIZE, &request.encode_to_vec()).await.unwrap();
    assert_eq!(reply.status().code(), Code::Ok, "{:?}", reply.status());
    let answer = v1::DetokenizeResponse::decode(&reply.body[5..]).unwrap();
    let results = answer.results.into_iter().map(|result| match result.outcome.unwrap() {
        Outcome::Revealed(revealed) => Ok((revealed.level(), String::from_utf8(revealed.value.clone()).unwrap())),
        Outcome::Error(status) => Err(Box::new(Refusal::of_item(&status))),
    });
    (reply.body.to_vec(), results.collect())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Outcome and level of each group of an entry.
fn levels(entry: &v1::AccessLogEntry) -> Vec<(&str, &str, &str)> {
    entry.items.iter().map(|items| (items.data_class.as_str(), items.outcome.as_str(), items.level.as_str())).collect()
}

/// A value of every class that the desk is shown masks of, what it is shown, and a part that must stay hidden.
const MASKS: [(&str, &str, &str, &str); 10] = [
    ("card_number", "5555341244441115", "************1115", "555534"),
    ("card_passing", "4012888888881881", "401288******1881", "888888"),
    ("card_vaultless", "378282246310005", "378282*****0005", "24631"),
    ("account", "4711081512", "******1512", "471108"),
    ("iban", "DE89 3704 0044 0532 0130 00", "**** **** **** **** **30 00", "0532"),
    ("us_ssn", "055-09-0001", "***-**-0001", "055"),
    ("birthday", "1984-05-23", "1984-**-**", "05-23"),
    ("name", "Zo\u{eb} van Dyck", "Z. v. D.", "Dyck"),
    ("plate", "AB-CD 1234", "A*-** **34", "B-CD"),
    ("contact", "jane.doe@example.com", "j***@example.com", "jane"),
];

async fn given(vault: &TestVault) -> Vec<v1::DetokenizeItem> {
    let mut items = Vec::new();
    for (class, value, ..) in MASKS {
        items.push(detokenize_item(class, vault.give(class, [value]).await.remove(0)));
    }
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mask_is_made_inside_of_the_vault() {
    let vault = vault().await;
    let items = given(&vault).await;
    for level in [RevealLevel::Masked, RevealLevel::BestPermitted] {
        let mark = vault.mark("eu").await;
        let (bytes, results) = ask(&vault, Role::Desk, &of_desk(level, items.clone())).await;
        for ((class, value, mask, hidden), result) in MASKS.into_iter().zip(results) {
            assert_eq!(result.unwrap(), (RevealLevel::Masked, mask.to_owned()), "{class}");
            assert!(!holds(&bytes, value) && !holds(&bytes, hidden), "{class}");
        }
        let entry = vault.entry_since(&mark).await;
        assert_eq!(entry.decision, "allowed");
        assert_eq!(levels(&entry), MASKS.map(|(class, ..)| (class, "ok", "masked")));
    }
    // Whoever may see all of them can ask for masks, and is shown all when nothing is said, as before there were
    // levels.
    let mark = vault.mark("eu").await;
    let settling = |level: RevealLevel| v1::DetokenizeRequest {
        purpose: "settlement".to_owned(),
        ..of_desk(level, items.clone())
    };
    let (_, masked) = ask(&vault, Role::Payments, &settling(RevealLevel::Masked)).await;
    assert_eq!(masked[0].clone().unwrap(), (RevealLevel::Masked, MASKS[0].2.to_owned()));
    for level in [RevealLevel::Unspecified, RevealLevel::Full, RevealLevel::BestPermitted] {
        let (_, all) = ask(&vault, Role::Payments, &settling(level)).await;
        for ((class, value, ..), result) in MASKS.into_iter().zip(all) {
            assert_eq!(result.unwrap(), (RevealLevel::Full, value.to_owned()), "{class}");
        }
    }
    let entries = vault.entries_since(&mark, 4).await;
    assert!(levels(&entries[0]).iter().all(|(_, outcome, level)| (*outcome, *level) == ("ok", "masked")));
    assert!(entries[1..].iter().all(|entry| levels(entry).iter().all(|(.., level)| *level == "full")));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_more_than_a_mask_is_refused_and_shown_nothing() {
    let vault = vault().await;
    let items = given(&vault).await;
    for level in [RevealLevel::Unspecified, RevealLevel::Full] {
        let mark = vault.mark("eu").await;
        let (bytes, results) = ask(&vault, Role::Desk, &of_desk(level, items.clone())).await;
        for ((class, value, mask, hidden), result) in MASKS.into_iter().zip(results) {
            result.unwrap_err().is(DENIED.0, DENIED.1);
            for part in [value, mask, hidden] {
                assert!(!holds(&bytes, part), "{class} {part}");
            }
        }
        let entry = vault.entry_since(&mark).await;
        assert_eq!((entry.decision.as_str(), entry.principal.as_str()), ("denied", Role::Desk.principal()));
        assert_eq!(levels(&entry), MASKS.map(|(class, ..)| (class, DENIED.1, "")));
        assert!(entry.items.iter().all(|items| items.record_numbers.is_empty() && items.token_hashes.is_empty()));
    }
    // A mask is granted for a purpose too, and not to who may not use the class at all.
    let elsewhere = v1::DetokenizeRequest {
        purpose: "analysis".to_owned(),
        ..of_desk(RevealLevel::BestPermitted, vec![items[0].clone()])
    };
    let (_, refused) = ask(&vault, Role::Desk, &elsewhere).await;
    refused[0].clone().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    for level in [RevealLevel::Full, RevealLevel::Masked, RevealLevel::BestPermitted] {
        let (_, refused) = ask(&vault, Role::Idle, &of_desk(level, vec![items[0].clone()])).await;
        refused[0].clone().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_that_is_permitted_is_another_one_for_each_class() {
    let vault = vault().await;
    let number = customer(1);
    let own = detokenize_item("customer_id", vault.give("customer_id", [&number]).await.remove(0));
    let masked = detokenize_item("card_number", vault.give("card_number", [card(1)]).await.remove(0));
    let foreign = detokenize_item("email", vault.give("email", [email(1)]).await.remove(0));
    // A token of another class; one whose digits pass the check that tokens of cards fail would not even look like one.
    let others = vault.give("customer_id", (2..60).map(customer)).await;
    let digits = |token: &String| token.chars().filter(char::is_ascii_digit).collect::<String>();
    let wrong = others.iter().find(|token| !luhn_passes(&digits(token))).expect("nine in ten");
    let wrong = detokenize_item("card_number", wrong);
    let items = || vec![masked.clone(), own.clone(), foreign.clone(), wrong.clone()];
    let mark = vault.mark("eu").await;
    let (bytes, results) = ask(&vault, Role::Desk, &of_desk(RevealLevel::BestPermitted, items())).await;
    assert_eq!(results[0].clone().unwrap(), (RevealLevel::Masked, format!("{}{}", "*".repeat(12), &card(1)[12..])));
    assert_eq!(results[1].clone().unwrap(), (RevealLevel::Full, number.clone()));
    results[2].clone().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    results[3].clone().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    assert!(!holds(&bytes, &card(1)) && !holds(&bytes, &email(1)));
    // All at once: what may be shown is, the rest says why not.
    let (_, results) = ask(&vault, Role::Desk, &of_desk(RevealLevel::Full, items())).await;
    results[0].clone().unwrap_err().is(DENIED.0, DENIED.1);
    assert_eq!(results[1].clone().unwrap(), (RevealLevel::Full, number));
    // Masks: of a class without one, nothing is shown, not even to who may see all.
    let (_, results) = ask(&vault, Role::Desk, &of_desk(RevealLevel::Masked, items())).await;
    assert_eq!(results[0].clone().unwrap().0, RevealLevel::Masked);
    results[1].clone().unwrap_err().is(Code::FailedPrecondition, "MASK_UNAVAILABLE");
    let entries = vault.entries_since(&mark, 3).await;
    let expected: [&[(&str, &str, &str)]; 3] = [
        &[
            ("card_number", "ok", "masked"),
            ("customer_id", "ok", "full"),
            ("email", "ACCESS_DENIED", ""),
            ("card_number", "TOKEN_UNKNOWN", ""),
        ],
        &[("card_number", DENIED.1, ""), ("customer_id", "ok", "full"), ("email", "ACCESS_DENIED", "")],
        &[
            ("card_number", "ok", "masked"),
            ("customer_id", "MASK_UNAVAILABLE", ""),
            ("email", "ACCESS_DENIED", ""),
            ("card_number", "TOKEN_UNKNOWN", ""),
        ],
    ];
    for (entry, expected) in entries.iter().zip(expected) {
        assert_eq!(levels(entry), expected);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_masks_to_who_may_see_no_more() {
    let vault = vault().await;
    let desk = vault.caller(Role::Desk).await;
    let (value, token) = (card(7), vault.give("card_number", [card(7)]).await.remove(0));
    let mask = format!("{}{}", "*".repeat(12), &value[12..]);
    for (level, shown) in [
        (RevealLevel::Masked, Ok(mask.clone())),
        (RevealLevel::BestPermitted, Ok(mask)),
        (RevealLevel::Full, Err(DENIED.1)),
        (RevealLevel::Unspecified, Err(DENIED.1)),
    ] {
        let mark = vault.mark("eu").await;
        let start = v1::StreamStart { purpose: "support_case".to_owned(), level: level.into(), ..settling() };
        let mut stream = desk.detokenize_stream(None).await.unwrap();
        let first = tokens(1, vec![detokenize_item("card_number", &token)]);
        assert!(stream.send(v1::DetokenizeStreamRequest { start: Some(start), ..first }).await);
        stream.half_close();
        let (_, mut answer) = stream.answer().await.unwrap().unwrap();
        let result = answer.results.remove(0);
        match &shown {
            Ok(mask) => assert_eq!(result.unwrap(), mask.as_bytes()),
            Err(reason) => drop(result.unwrap_err().is(Code::PermissionDenied, reason)),
        }
        let entry = vault.entry_since(&mark).await;
        assert_eq!(
            levels(&entry),
            [if shown.is_ok() { ("card_number", "ok", "masked") } else { ("card_number", DENIED.1, "") }]
        );
    }
    // A stream that makes tokens has no level.
    let mut stream = vault.caller(Role::Loader).await.tokenize_stream(None).await.unwrap();
    let start = v1::StreamStart { level: RevealLevel::Masked.into(), ..vault_tests::stream::loading() };
    let first = vault_tests::stream::values(1, vec![tokenize_item("email", email(1))]);
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(start), ..first }).await);
    let refused = stream.answer().await.unwrap_err();
    refused.is(Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(refused.fields[0].0, "level");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_masked_anew_and_another_level_is_another_request() {
    let vault = vault().await;
    let token = vault.give("card_number", [card(3)]).await.remove(0);
    let named = |level| v1::DetokenizeRequest {
        idempotency_key: "case-1".to_owned(),
        ..of_desk(level, vec![detokenize_item("card_number", &token)])
    };
    let mark = vault.mark("eu").await;
    let (_, first) = ask(&vault, Role::Desk, &named(RevealLevel::Masked)).await;
    let (bytes, again) = ask(&vault, Role::Desk, &named(RevealLevel::Masked)).await;
    assert_eq!(again[0].clone().unwrap(), first[0].clone().unwrap());
    assert!(!holds(&bytes, &card(3)));
    let desk = vault.caller(Role::Desk).await;
    for other in [RevealLevel::Full, RevealLevel::BestPermitted, RevealLevel::Unspecified] {
        let refused = desk.detokenize(named(other)).await.unwrap_err();
        refused.is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    }
    let entries = vault.entries_since(&mark, 5).await;
    assert!(entries[..2].iter().all(|entry| levels(entry) == [("card_number", "ok", "masked")]));
    // All, said or not said, is one request.
    let payments = vault.caller(Role::Payments).await;
    for level in [RevealLevel::Unspecified, RevealLevel::Full] {
        let request = v1::DetokenizeRequest { purpose: "settlement".to_owned(), ..named(level) };
        assert_eq!(payments.detokenize(request).await.unwrap().values(), [card(3).into_bytes()]);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_is_of_the_value_as_it_was_given() {
    let vault = vault().await;
    let token = vault.give("iban", ["DE89370400440532013000"]).await.remove(0);
    let items = vec![detokenize_item("iban", token)];
    let (_, results) = ask(&vault, Role::Desk, &of_desk(RevealLevel::Masked, items)).await;
    assert_eq!(results[0].clone().unwrap().1, format!("{}3000", "*".repeat(18)));
    // Of a card with less than 15 digits, the beginning is hidden too (PCI SSC FAQ 1091).
    let token = vault.give("card_vaultless", ["36227206271667"]).await.remove(0);
    let items = vec![detokenize_item("card_vaultless", token)];
    let (_, results) = ask(&vault, Role::Desk, &of_desk(RevealLevel::Masked, items)).await;
    assert_eq!(results[0].clone().unwrap().1, "**********1667");
    vault.finish().await;
}
