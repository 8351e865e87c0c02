//! PCI DSS v4.0.1, requirement 10.2: which entries are evidence for which clause, and whether each says what 10.2.2
//! asks for.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vault_catalog::DATA_ACTIONS;
use vault_client::AccessLogEntry;
use vault_domain::{Action, Code, DataClass, Reason};

use super::{
    document::{Report, Row},
    facts::{done, is},
};

/// A clause, and what it asks for in short.
struct Clause {
    id: &'static str,
    asks: &'static str,
    /// What has to give the evidence that this vault's log of a region does not.
    elsewhere: &'static str,
}

const CLAUSES: [Clause; 7] = [
    Clause {
        id: "10.2.1.1",
        asks: "individual access to cardholder data",
        elsewhere: "Who stands behind a service's account is in that service's own log; data outside of the vault are \
                    in the logs of what holds them.",
    },
    Clause {
        id: "10.2.1.2",
        asks: "actions with administrative access",
        elsewhere: "Who applied rules, denied access tokens or looked at either is in the node's log (audit export-log \
                    --region node); what administrators do on the machine is in the log of its operating system.",
    },
    Clause {
        id: "10.2.1.3",
        asks: "access to audit logs",
        elsewhere: "Checkpoints and proofs tell nothing but hashes and are no entries when they are given; files of an \
                    exported log are in the log of the system that keeps them.",
    },
    Clause {
        id: "10.2.1.4",
        asks: "invalid logical access attempts",
        elsewhere: "Connections that were refused before any call are in the node's log; logins to the issuer of \
                    access tokens are in the issuer's.",
    },
    Clause {
        id: "10.2.1.5",
        asks: "changes of credentials and of privileges",
        elsewhere: "Who applied the rules is in the node's log under the same request, as are denied access tokens and \
                    exchanged files of TLS; certificates and access tokens are given and taken by their issuers, whose \
                    logs say so.",
    },
    Clause {
        id: "10.2.1.6",
        asks: "start, stop and pause of audit logs",
        elsewhere: "The log has no pause: a vault that can't write it refuses. A process that was killed has no stop; \
                    the next start says that it ended.",
    },
    Clause {
        id: "10.2.1.7",
        asks: "creation and deletion of system-level objects",
        elsewhere: "The vault has no kind of entry for this: programs, files and databases are made and deleted by the \
                    machine's operator. Evidence has to come from the operating system's audit and from a watch over \
                    the integrity of files (11.5.2).",
    },
];
/// The clause for which the vault has no kind of entry.
const NONE: &str = "10.2.1.7";

/// The clauses that an entry is evidence for.
pub(crate) fn clauses(classes: &[DataClass], entry: &AccessLogEntry) -> Vec<&'static str> {
    let Some(action) = Action::parse(&entry.action) else { return Vec::new() };
    let mut found = Vec::new();
    let concerns = |class: &str| classes.is_empty() || classes.iter().any(|known| known.as_str() == class);
    match action {
        Action::Tokenize | Action::Detokenize => {
            if done(entry).any(|items| concerns(&items.data_class)) {
                found.push("10.2.1.1");
            }
        }
        Action::QueryAccessLog | Action::GetCheckpoint | Action::ExportAccessLog => found.push("10.2.1.3"),
        Action::ApplyPolicies => found.extend(["10.2.1.2", "10.2.1.5"]),
        Action::DenyAccessToken
        | Action::PruneAccessLog
        | Action::ListDenied
        | Action::ListPolicyVersions
        | Action::GetPolicyVersion
        | Action::PlanPolicies
        | Action::Reload => found.push("10.2.1.2"),
        Action::Start | Action::Stop => found.push("10.2.1.6"),
        Action::Describe
        | Action::Find
        | Action::ExplainAccess
        | Action::Renew
        | Action::Suspend
        | Action::Resume
        | Action::Revoke
        | Action::Purge
        | Action::Connect
        | Action::Call => {}
    }
    if is_invalid_attempt(entry) {
        found.push("10.2.1.4");
    }
    found
}

/// Whether it was refused for who asked or for what was asked of whom, as a whole or in an item; a token that leads
/// nowhere is an attempt at somebody's value.
fn is_invalid_attempt(entry: &AccessLogEntry) -> bool {
    let refuses = |name: &str| {
        let reason = Reason::ALL.iter().find(|reason| reason.name() == name);
        reason.is_some_and(|reason| {
            matches!(reason.outside().code(), Code::Denied | Code::Unauthenticated | Code::NotFound)
        })
    };
    entry.decision == "denied" || entry.items.iter().any(|items| refuses(&items.outcome))
}

/// The counts of each clause, and what entries lack of 10.2.2.
pub(crate) fn summary(classes: &[DataClass], report: &Report) -> Value {
    let sorted: Vec<(&Row, Vec<&str>)> = report.rows.iter().map(|row| (row, clauses(classes, &row.entry))).collect();
    let clauses: Vec<_> = CLAUSES
        .iter()
        .map(|clause| {
            let rows: Vec<&Row> =
                sorted.iter().filter(|(_, found)| found.contains(&clause.id)).map(|(row, _)| *row).collect();
            let evidence = match (clause.id, rows.is_empty()) {
                (NONE, _) => "this vault has no kind of entry for it",
                (_, true) => "no such entry in the range",
                (_, false) => "entries of this log",
            };
            json!({
                "clause": clause.id,
                "asks_for": clause.asks,
                "evidence": evidence,
                "entries": rows.len(),
                "attempts": rows.iter().map(|row| row.entry.count).fold(0, u64::saturating_add),
                "by_action": by_action(&rows),
                "examples": rows.iter().filter(|row| row.is_proved).map(|row| row.place()).collect::<Vec<_>>(),
                "elsewhere": clause.elsewhere,
            })
        })
        .collect();
    let without: Vec<&Row> = sorted.iter().filter(|(_, found)| found.is_empty()).map(|(row, _)| *row).collect();
    json!({
        "requirement": "PCI DSS v4.0.1, 10.2.1.1 to 10.2.1.7 and 10.2.2",
        "clauses": clauses,
        "without_clause": by_action(&without),
        "said_of_each_entry": elements(&report.rows),
    })
}

/// Entries by action and decision: `detokenize allowed`.
fn by_action(rows: &[&Row]) -> Value {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *counted.entry(format!("{} {}", row.entry.action, row.entry.decision)).or_default() += 1;
    }
    json!(counted)
}

/// Of each element of 10.2.2: how many entries say it, and which don't.
fn elements(rows: &[Row]) -> Vec<Value> {
    type Says = fn(&AccessLogEntry) -> bool;
    let asked: [(&str, &str, Says); 6] = [
        ("user identification", "principal, with certificate or issuer", |entry| !entry.principal.is_empty()),
        ("type of event", "action", |entry| Action::parse(&entry.action).is_some()),
        ("date and time", "time (of the log) and wall_time", |entry| entry.log_time_ms > 0 && entry.wall_time_ms > 0),
        ("success and failure indication", "decision, and outcome of items", |entry| !entry.decision.is_empty()),
        ("origination of event", "source", |entry| !entry.source.is_empty()),
        ("identity or name of affected data", "items; of questions to the log, the log itself", |entry| {
            let is_of_data = DATA_ACTIONS.iter().any(|of| is(entry, *of));
            !is_of_data || !entry.items.is_empty()
        }),
    ];
    let element = |(element, field, says): &(&str, &str, Says)| {
        let lacking: Vec<&Row> = rows.iter().filter(|row| !says(&row.entry)).collect();
        json!({
            "clause": "10.2.2",
            "element": element,
            "field": field,
            "said_by": rows.len() - lacking.len(),
            "lacking_in": by_action(&lacking),
        })
    };
    asked.iter().map(element).collect()
}
