//! CSV (RFC 4180), for spreadsheets too: a row for each run of items of an entry, and one for an entry without any.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and principals and references are
//! their callers' own words. Such a cell gets an apostrophe in front, and so does one that begins with an apostrophe:
//! to read a cell back, take one leading apostrophe off.

use vault_proto::v1::{AccessLogEntry, AccessLogItems};

use super::{hex, log_time, moment, place};

/// The first line.
pub(super) const HEAD: &str = "time,wall_time,origin,index,leaf_hash,request_id,tenant,principal,explained_principal,\
certificate_sha256,identity_issuer,source,action,decision,reason,purpose,reference,audience,policy_ids,policy_version,\
count,run,data_class,outcome,level,items,record_numbers,token_hashes\r\n";

/// Writes the rows of an entry; returns how many.
pub(super) fn put(entry: &AccessLogEntry, out: &mut Vec<u8>) -> u64 {
    let (origin, index, leaf) = place(entry);
    let shared = [
        log_time(entry),
        moment(vault_domain::Millis(entry.wall_time_ms)),
        origin.to_owned(),
        index.to_string(),
        leaf,
        entry.request_id.clone(),
        entry.tenant.clone(),
        entry.principal.clone(),
        entry.explained_principal.clone(),
        entry.certificate_sha256.clone(),
        entry.identity_issuer.clone(),
        entry.source.clone(),
        entry.action.clone(),
        entry.decision.clone(),
        entry.reason.clone(),
        entry.purpose.clone(),
        entry.reference.clone(),
        entry.audience.clone(),
        entry.policy_ids.join(" "),
        entry.policy_version.clone(),
        entry.count.to_string(),
    ];
    let mut row = |run: [String; 7]| {
        for (at, field) in shared.iter().chain(&run).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            cell(field, out);
        }
        out.extend_from_slice(b"\r\n");
    };
    if entry.items.is_empty() {
        row(Default::default());
        return 1;
    }
    for (run, items) in entry.items.iter().enumerate() {
        row(run_cells(run, items));
    }
    entry.items.len() as u64
}

fn run_cells(run: usize, items: &AccessLogItems) -> [String; 7] {
    [
        run.to_string(),
        items.data_class.clone(),
        items.outcome.clone(),
        items.level.clone(),
        items.count.to_string(),
        items.record_numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        items.token_hashes.iter().map(|hash| hex(hash)).collect::<Vec<_>>().join(" "),
    ]
}

fn cell(text: &str, out: &mut Vec<u8>) {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte));
    let is_guarded = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']);
    if is_plain && !is_guarded {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if is_guarded {
        out.push(b'\'');
    }
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
