//! docs/ERRORS.md and the reasons in the contract say what `vault_domain::Reason` says.
//!
//! `make docs` writes the document.

use std::{
    collections::BTreeMap,
    fmt::{Error, Write as _},
};

use vault_domain::{Code, Reason};

use crate::tree::Tree;

const DOCUMENT: &str = "docs/ERRORS.md";

/// Refusals of connections: there is no call yet that could be answered with a reason.
const BEFORE_ANY_CALL: [Reason; 1] = [Reason::HandshakeRefused];

/// True if callers can meet the reason by its own name.
fn leaves(reason: Reason) -> bool {
    reason.outside() == reason && !BEFORE_ANY_CALL.contains(&reason)
}

/// The gRPC code of each kind of refusal, as vault-server's one mapping has it.
fn grpc_code(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::Denied => "PERMISSION_DENIED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Conflict => "ABORTED",
        Code::LimitExceeded => "RESOURCE_EXHAUSTED",
        Code::Busy | Code::AuditUnavailable => "UNAVAILABLE",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Cancelled => "CANCELLED",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Corrupt => "DATA_LOSS",
        Code::Internal => "INTERNAL",
    }
}

/// The document, whole.
fn render() -> Result<String, Error> {
    let mut out = String::from(
        "# Errors\n\n\
         <!-- Generated from vault_domain::Reason by `make docs`. -->\n\n\
         Every refusal, of a call or of a single item, carries `google.rpc.ErrorInfo` with the domain `tokenvault`\n\
         and a reason from the first table; match on the reason, not on the text. `google.rpc.RequestInfo` holds the\n\
         id under which the access log knows the call.\n\n\
         ## What callers see\n\n\
         | reason | gRPC code | what happened | what to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL.iter().copied().filter(|reason| leaves(*reason)) {
        let code = grpc_code(reason.code());
        writeln!(out, "| `{reason}` | {code} | {} | {} |", cell(reason.text()), cell(reason.remedy()))?;
    }
    out.push_str(
        "\n## What only the log tells\n\n\
         These are precise where a caller must not, or need not, be told: from outside, another's token looks like\n\
         one that never was. Entries of the access log hold them by name.\n\n\
         | reason | callers see | what happened | what to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL.iter().copied().filter(|reason| !leaves(*reason)) {
        let seen = if BEFORE_ANY_CALL.contains(&reason) {
            "a closed connection".to_owned()
        } else {
            format!("`{}`", reason.outside())
        };
        writeln!(out, "| `{reason}` | {seen} | {} | {} |", cell(reason.text()), cell(reason.remedy()))?;
    }
    Ok(out)
}

/// A text that can stand in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The document on disk against the one rendered.
fn document(tree: &Tree, rendered: &str) -> Vec<String> {
    let written = tree.file(DOCUMENT).map_or("", |file| &file.text);
    if written == rendered {
        return Vec::new();
    }
    let first = (1..).zip(written.lines().zip(rendered.lines())).find(|(_, (is, should))| is != should);
    let line = first.map_or(written.lines().count().min(rendered.lines().count()) + 1, |(line, _)| line);
    vec![format!("{DOCUMENT}:{line}: differs from vault_domain::Reason; run `make docs`")]
}

/// The enum in the contract: just the reasons that leave, under their numbers.
fn contract(in_proto: &BTreeMap<String, i32>) -> Vec<String> {
    let unspecified = [("REASON_UNSPECIFIED".to_owned(), 0)];
    let leaving = Reason::ALL.iter().filter(|reason| leaves(**reason));
    let expected: BTreeMap<String, i32> =
        leaving.map(|reason| (reason.name().to_owned(), i32::from(*reason as u16))).chain(unspecified).collect();
    let missing = expected.iter().filter(|(name, number)| in_proto.get(*name) != Some(number));
    let extra = in_proto.keys().filter(|name| !expected.contains_key(*name));
    missing
        .map(|(name, number)| format!("errors.proto: {name} = {number} is missing"))
        .chain(extra.map(|name| format!("errors.proto: {name} is no reason that leaves the vault")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::descriptors,
        tree::{assert_none, root, updates},
    };

    #[test]
    fn the_document_says_what_the_code_says() {
        let rendered = render().unwrap();
        if updates("1") {
            std::fs::write(root().join(DOCUMENT), &rendered).unwrap();
        }
        assert_none(&document(&Tree::read().unwrap(), &rendered));
    }

    fn in_proto() -> BTreeMap<String, i32> {
        let files = descriptors().unwrap();
        let enums = files.file.iter().filter(|file| file.package() == "tokenvault.v1").flat_map(|file| &file.enum_type);
        let reasons = enums.filter(|found| found.name() == "Reason").flat_map(|found| &found.value);
        reasons.map(|value| (value.name().to_owned(), value.number())).collect()
    }

    #[test]
    fn the_contract_holds_just_the_reasons_that_leave() {
        assert_none(&contract(&in_proto()));
    }

    #[test]
    fn a_reason_that_stays_inside_may_not_be_in_the_contract() {
        let mut values = in_proto();
        values.insert("TOKEN_REVOKED".to_owned(), 50);
        values.insert("BUSY".to_owned(), 99);
        values.remove("INTERNAL");
        assert_eq!(contract(&values).len(), 3);
    }

    #[test]
    fn a_changed_line_is_found_and_a_missing_document_is_a_fault() {
        let rendered = render().unwrap();
        assert_none(&document(&Tree::of(&[(DOCUMENT, &rendered)]), &rendered));
        let changed = rendered.replace("`BATCH_EMPTY` | INVALID", "`BATCH_EMPTY` | VALID");
        assert_eq!(document(&Tree::of(&[(DOCUMENT, &changed)]), &rendered).len(), 1);
        assert_eq!(document(&Tree::of(&[]), &rendered).len(), 1);
        assert!(!rendered.lines().any(|line| line.contains("TOKEN_REVOKED` | NOT_FOUND")));
        assert!(rendered.contains("| `TOKEN_REVOKED` | `TOKEN_NOT_FOUND` |"));
    }
}
