//! What is read from statuses.

use std::collections::HashMap;

use super::*;

const ID: &str = "000102030405060708090a0b0c0d0e0f";

fn status(code: Code, reason: &str, domain: &str) -> Status {
    let metadata = HashMap::from([("region".to_owned(), "apac".to_owned())]);
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    details.set_request_info(ID, "");
    details.set_retry_info(Some(Duration::from_millis(100)));
    details.add_bad_request_violation("purpose", "must match a rule");
    Status::with_error_details(code, "what happened", details)
}

#[test]
fn a_refusal_is_read_whole() {
    let error = ClientError::of_call(&status(Code::FailedPrecondition, "WRONG_REGION", "tokenvault"));
    assert_eq!(error.reason(), Some(Reason::WrongRegion));
    assert_eq!(error.request_id(), RequestId::parse(ID));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.metadata.get("region").map(String::as_str), Some("apac"));
    assert_eq!(refusal.violations, [Violation { field: "purpose".to_owned(), rule: "must match a rule".to_owned() }]);
    assert_eq!(refusal.remedy(), Some(Reason::WrongRegion.remedy()));
    assert_eq!(error.to_string(), format!("what happened (WRONG_REGION, request {ID})"));
}

#[test]
fn a_reason_of_a_newer_release_keeps_its_name() {
    let error = ClientError::of_call(&status(Code::NotFound, "NOT_INVENTED_YET", "tokenvault"));
    assert_eq!(error.reason(), None);
    assert_eq!(error.refusal().unwrap().reason_name, "NOT_INVENTED_YET");
}

#[test]
fn what_others_say_is_not_taken_for_the_vaults_word() {
    let error = ClientError::of_call(&status(Code::NotFound, "TOKEN_NOT_FOUND", "proxy.example.com"));
    assert_eq!(error.reason(), None);
    let error = ClientError::of_call(&Status::unavailable("upstream connect error"));
    assert!(matches!(error, ClientError::Transport { .. }), "{error:?}");
}

#[test]
fn items_are_read_like_calls() {
    let status = status(Code::NotFound, "TOKEN_NOT_FOUND", "tokenvault");
    let item: rpc::Status = prost::Message::decode(status.details()).unwrap();
    let error = ClientError::of_item(item, None);
    assert_eq!(error.reason(), Some(Reason::TokenNotFound));
    assert_eq!(error.refusal().unwrap().code, Code::NotFound);
    let bare = rpc::Status { code: 5, message: "gone".to_owned(), details: Vec::new() };
    let error = ClientError::of_item(bare, RequestId::parse(ID));
    assert_eq!((error.reason(), error.request_id()), (None, RequestId::parse(ID)));
}

#[test]
fn denials_and_passing_faults_are_told_apart() {
    let of = |code| ClientError::of_call(&status(code, "BUSY", "tokenvault"));
    assert!(of(Code::PermissionDenied).is_denial() && of(Code::Unauthenticated).is_denial());
    assert!(!of(Code::NotFound).is_denial());
    assert!(of(Code::Unavailable).is_passing());
    for code in [Code::Aborted, Code::DeadlineExceeded, Code::FailedPrecondition, Code::Internal, Code::Unknown] {
        assert!(!of(code).is_passing(), "{code:?}");
    }
}
