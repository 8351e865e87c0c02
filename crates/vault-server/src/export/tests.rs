//! What callers chose ends no cell, no field and no line; the rest is shown through the doors, in
//! tests/it/api/export.rs.

use vault_proto::v1::{AccessLogItems, Receipt};

use super::*;

fn entry() -> AccessLogEntry {
    let items = |class: &str, outcome: &str, count| AccessLogItems {
        data_class: class.to_owned(),
        outcome: outcome.to_owned(),
        count,
        record_numbers: vec![7, 8],
        token_hashes: vec![vec![0xab; 16]],
        level: if outcome == "ok" { "masked" } else { "" }.to_owned(),
    };
    let receipt = Receipt { origin: "v/audit/eu/1".to_owned(), index: 4, leaf_hash: vec![1; 32], log_id: vec![2; 32] };
    AccessLogEntry {
        receipt: Some(receipt),
        log_time_ms: 1_795_343_400_123,
        principal: "=idp:a,b|c\\d\"e=f".to_owned(),
        reference: "-1+1".to_owned(),
        source: "192.0.2.1".to_owned(),
        action: "detokenize".to_owned(),
        decision: "allowed".to_owned(),
        items: vec![items("card_number", "ok", 3), items("email", "TOKEN_UNKNOWN", 1)],
        count: 1,
        ..AccessLogEntry::default()
    }
}

fn written(format: ExportFormat) -> (String, u64) {
    let mut out = Vec::new();
    let rows = put_lines(format, &entry(), &mut out);
    (String::from_utf8(out).unwrap(), rows)
}

#[test]
fn an_entry_is_summed_up() {
    assert_eq!(json::summary(&entry()), "3 card_number masked, 1 email TOKEN_UNKNOWN");
    let refused = AccessLogEntry { reason: "ACCESS_DENIED".to_owned(), items: vec![], count: 5, ..entry() };
    assert_eq!(json::summary(&refused), "ACCESS_DENIED, 5 times");
}

#[test]
fn what_the_vault_does_by_itself_is_an_event_of_the_vault() {
    let nobodys =
        AccessLogEntry { action: "purge".to_owned(), principal: String::new(), source: String::new(), ..entry() };
    let event = ocsf::event(&nobodys);
    assert_eq!((&event["type_uid"], &event["activity_id"]), (&600_507.into(), &7.into()));
    // An empty uid would name somebody, and an actor or an endpoint without any name is none.
    assert_eq!(event["actor"], serde_json::json!({ "app_name": "Tokenvault" }));
    assert_eq!(event["src_endpoint"], serde_json::json!({ "svc_name": "Tokenvault" }));
}

#[test]
fn a_row_of_csv_is_a_run_of_items_and_no_cell_is_a_formula() {
    let (text, rows) = written(ExportFormat::Csv);
    assert_eq!((rows, text.matches("\r\n").count()), (2, 2));
    assert!(text.contains(",\"'=idp:a,b|c\\d\"\"e=f\","), "{text}");
    assert!(text.contains(",\"'-1+1\","), "{text}");
    assert!(text.contains(",0,card_number,ok,masked,3,\"7 8\","), "{text}");
    let apostrophe = AccessLogEntry { reference: "'-1".to_owned(), items: vec![], ..entry() };
    let mut out = Vec::new();
    assert_eq!(put_lines(ExportFormat::Csv, &apostrophe, &mut out), 1);
    assert!(String::from_utf8(out).unwrap().contains(",\"''-1\","));
}

#[test]
fn what_a_caller_chose_ends_no_field_of_cef() {
    let (text, _) = written(ExportFormat::Cef);
    let start = concat!("CEF:0|Tokenvault|Tokenvault|", env!("CARGO_PKG_VERSION"), "|detokenize|3 card_number masked");
    assert!(text.starts_with(start), "{text}");
    assert!(!text.contains("purpose"), "what is empty has no label: {text}");
    assert!(text.contains(" suser=\\=idp:a,b|c\\\\d\"e\\=f "), "{text}");
    let hostile = AccessLogEntry { reference: "a\ncs1=x\r\u{b}".to_owned(), action: "x|\\\n".to_owned(), ..entry() };
    let line = cef::line(&hostile);
    assert!(line.contains("|x\\|\\\\ |") && line.ends_with("cs5=a\\ncs1\\=x\\r "), "{line}");
    assert!(!line.contains(['\n', '\r']));
}

#[test]
fn an_event_of_ocsf_says_what_was_done_to_what() {
    let event: serde_json::Value = serde_json::from_str(&written(ExportFormat::Ocsf).0).unwrap();
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&6005.into(), &600_510.into()));
    assert_eq!(event["database"]["name"], "eu");
    assert!(event.get("table").is_none(), "two classes");
    let asked = AccessLogEntry { action: "query_access_log".to_owned(), source: String::new(), ..entry() };
    let event = ocsf::event(&asked);
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&6003.into(), &600_302.into()));
    assert_eq!(event["src_endpoint"]["uid"], asked.principal.as_str());
}
