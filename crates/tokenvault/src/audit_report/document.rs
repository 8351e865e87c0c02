//! The report as a document: what was asked, which part of which logs was read, the entries, and what follows from
//! them. Whatever can be computed of the rest (numbers, findings, the Markdown) is computed of it, by who writes a
//! report and by who verifies it: a number that the entries don't add up to can't stay in it.

use serde_json::{Value, json};
use vault_client::AccessLogEntry;
use vault_domain::{DataClass, Millis, Region};

use super::{class, facts, facts::done, grants, pci, purges, residency, rules::Rules, subject};
use crate::{audit::entry_json, output::add, timestamp};

/// The version of the document.
const FORMAT: u64 = 1;
/// What no report shows, whatever it is about.
const LIMITS: [&str; 4] = [
    "Proofs of inclusion show that the log held each of these entries under the signed checkpoint. They do not show \
     that no entry of the range was left out: that takes the whole log, `audit export-log` and \
     `audit verify-report --log`.",
    "Who asked, from where and with what reference is sealed inside of an entry, and only the vault can open it: these \
     fields are the vault's word. Equal callers of one log must be equal in all entries that are proved.",
    "An entry without a proof, and what is told of entries that are not listed, is the word of the vault and of who \
     made the report.",
    "The log says what the vault wrote down before it answered. Other tenants' entries can't be read, and refused \
     connections and what operators do to the node stand in the node's log, which is read offline alone.",
];

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// PCI DSS 10.2; of these classes as cardholder data, of all if there are none.
    Pci(Vec<DataClass>),
    /// So many tokens of a class, by their places from 1.
    Subject(DataClass, u64),
    /// Who can see a class and who did.
    Class(DataClass),
    /// Grants that nobody used.
    UnusedGrants,
    /// Reveals outside of a region.
    Residency(Region),
    /// What was deleted because it had ended.
    Purges,
}

/// A part of a log that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogRead {
    pub(crate) region: Region,
    pub(crate) origin: String,
    pub(crate) verifier_key: String,
    /// The checkpoint's size and root.
    pub(crate) size: u64,
    pub(crate) root: String,
    /// The entries from the first index to just before the end.
    pub(crate) first: u64,
    pub(crate) end: u64,
    /// Entries of the range that the caller was shown; `None` where the vault picked those about tokens.
    pub(crate) shown: Option<u64>,
    /// Entries of nobody (starts, stops, changes of rules) that were asked for one by one; `None` if they were not.
    pub(crate) of_nobody: Option<u64>,
}

/// An entry that is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) region: Region,
    pub(crate) index: u64,
    pub(crate) entry: AccessLogEntry,
    pub(crate) is_proved: bool,
    /// The tokens that it concerns, by their places from 1.
    pub(crate) tokens: Vec<u64>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) asked: Asked,
    pub(crate) from: Option<Millis>,
    pub(crate) until: Option<Millis>,
    pub(crate) made: Millis,
    pub(crate) logs: Vec<LogRead>,
    pub(crate) rules: Option<Rules>,
    pub(crate) rows: Vec<Row>,
}

impl Asked {
    /// The name of the kind, as on the command line.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Pci(_) => "pci",
            Self::Subject(..) => "subject",
            Self::Class(_) => "class",
            Self::UnusedGrants => "unused-grants",
            Self::Residency(_) => "residency",
            Self::Purges => "purges",
        }
    }

    /// Whether an entry is counted.
    pub(crate) fn keeps(&self, entry: &AccessLogEntry) -> bool {
        match self {
            Self::Pci(_) | Self::Subject(..) => true,
            Self::Class(class) => class::keeps(class, entry),
            Self::UnusedGrants => grants::keeps(entry),
            Self::Residency(_) => residency::keeps(entry),
            Self::Purges => purges::keeps(entry),
        }
    }

    /// What an entry is an example of. Empty: it is cited in any case.
    pub(crate) fn examples_of(&self, row: &Row) -> Vec<String> {
        match self {
            Self::Pci(classes) => {
                let clauses = pci::clauses(classes, &row.entry);
                let none = clauses.is_empty().then_some("none");
                clauses.into_iter().chain(none).map(str::to_owned).collect()
            }
            Self::Subject(..) => Vec::new(),
            Self::Class(_) | Self::UnusedGrants => vec![format!("{} {}", row.entry.principal, row.entry.action)],
            Self::Residency(region) if row.region == *region => vec![row.entry.decision.clone()],
            Self::Residency(_) => Vec::new(),
            Self::Purges => done(&row.entry).map(|items| items.data_class.clone()).collect(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Pci(classes) => {
                let classes: Vec<_> = classes.iter().map(DataClass::as_str).collect();
                json!({"cardholder_data_classes": classes})
            }
            Self::Subject(class, tokens) => json!({"data_class": class.as_str(), "tokens": tokens}),
            Self::Class(class) => json!({"data_class": class.as_str()}),
            Self::UnusedGrants | Self::Purges => json!({}),
            Self::Residency(region) => json!({"tenant_region": region.as_str()}),
        }
    }

    fn read(kind: &str, asked: &Value) -> Option<Self> {
        let class = || DataClass::parse(asked.get("data_class")?.as_str()?).ok();
        match kind {
            "pci" => {
                let classes = asked.get("cardholder_data_classes")?.as_array()?.iter();
                classes.map(|class| DataClass::parse(class.as_str()?).ok()).collect::<Option<_>>().map(Self::Pci)
            }
            "subject" => Some(Self::Subject(class()?, asked.get("tokens")?.as_u64()?)),
            "class" => class().map(Self::Class),
            "unused-grants" => Some(Self::UnusedGrants),
            "purges" => Some(Self::Purges),
            "residency" => Region::parse(asked.get("tenant_region")?.as_str()?).ok().map(Self::Residency),
            _ => None,
        }
    }

    /// What the entries come to.
    fn summary(&self, report: &Report) -> Value {
        match self {
            Self::Pci(classes) => pci::summary(classes, report),
            Self::Subject(class, tokens) => subject::summary(class, *tokens, report),
            Self::Class(class) => class::summary(class, report),
            Self::UnusedGrants => grants::summary(report),
            Self::Residency(region) => residency::summary(region, report),
            Self::Purges => purges::summary(report),
        }
    }
}

impl Report {
    /// The document.
    pub(crate) fn json(&self) -> Value {
        let mut document = self.head();
        add(&mut document, "entries", self.rows.iter().map(Row::json).collect::<Vec<_>>());
        document
    }

    /// The document without its entries.
    pub(crate) fn head(&self) -> Value {
        let moment = |time: Option<Millis>| time.map(timestamp::show);
        let mut asked = self.asked.json();
        add(&mut asked, "from", moment(self.from));
        add(&mut asked, "until", moment(self.until));
        let proved = self.rows.iter().filter(|row| row.is_proved).count();
        json!({
            "format": FORMAT,
            "report": self.asked.kind(),
            "made": timestamp::show(self.made),
            "asked": asked,
            "logs": self.logs.iter().map(LogRead::json).collect::<Vec<_>>(),
            "rules": self.rules.as_ref().map(Rules::json),
            "entries_counted": self.rows.len(),
            "entries_proved": proved,
            "summary": self.asked.summary(self),
            "limits": LIMITS,
        })
    }

    /// Reads a document. `None` if it is none; what is computed is not looked at.
    pub(crate) fn read(document: &Value) -> Option<Self> {
        let moment = |pointer: &str| match document.pointer(pointer)? {
            Value::Null => Some(None),
            time => timestamp::parse(time.as_str()?).ok().map(Some),
        };
        if document.get("format")?.as_u64()? != FORMAT {
            return None;
        }
        let rules = match document.get("rules")? {
            Value::Null => None,
            rules => Some(Rules::read(rules)?),
        };
        Some(Self {
            asked: Asked::read(document.get("report")?.as_str()?, document.get("asked")?)?,
            from: moment("/asked/from")?,
            until: moment("/asked/until")?,
            made: moment("/made")??,
            logs: document.get("logs")?.as_array()?.iter().map(LogRead::read).collect::<Option<_>>()?,
            rules,
            rows: document.get("entries")?.as_array()?.iter().map(Row::read).collect::<Option<_>>()?,
        })
    }
}

impl LogRead {
    fn json(&self) -> Value {
        let range = self.end.saturating_sub(self.first);
        let not_shown = self.shown.map(|shown| range.saturating_sub(shown + self.of_nobody.unwrap_or_default()));
        let read = match self.shown {
            Some(_) => "every entry of the range was asked for, oldest first, none left out",
            None => "the vault was asked for the entries of the range that concern each token",
        };
        json!({
            "region": self.region.as_str(),
            "origin": self.origin,
            "verifier_key": self.verifier_key,
            "checkpoint_size": self.size,
            "checkpoint_root": self.root,
            "first_index": self.first,
            "end_index": self.end,
            "read": read,
            "entries_shown": self.shown,
            "entries_of_nobody": self.of_nobody,
            "entries_not_shown": not_shown,
        })
    }

    fn read(json: &Value) -> Option<Self> {
        let text = |name: &str| json.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| json.get(name)?.as_u64();
        let perhaps = |name: &str| json.get(name).map(Value::as_u64);
        Some(Self {
            region: Region::parse(json.get("region")?.as_str()?).ok()?,
            origin: text("origin")?,
            verifier_key: text("verifier_key")?,
            size: number("checkpoint_size")?,
            root: text("checkpoint_root")?,
            first: number("first_index")?,
            end: number("end_index")?,
            shown: perhaps("entries_shown")?,
            of_nobody: perhaps("entries_of_nobody")?,
        })
    }
}

impl Row {
    /// The name of the entry inside of a report: `eu/7`.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.region, self.index)
    }

    /// The file of its proof inside of the folder.
    pub(crate) fn proof_file(&self) -> String {
        format!("{}-{}.tlog-proof", self.region, self.index)
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "region": self.region.as_str(),
            "index": self.index,
            "proof": self.is_proved.then(|| self.proof_file()),
        });
        if !self.tokens.is_empty() {
            add(&mut row, "tokens", self.tokens.clone());
        }
        add(&mut row, "entry", entry_json(&self.entry));
        row
    }

    fn read(json: &Value) -> Option<Self> {
        let tokens = match json.get("tokens") {
            None => Vec::new(),
            Some(tokens) => tokens.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?,
        };
        Some(Self {
            region: Region::parse(json.get("region")?.as_str()?).ok()?,
            index: json.get("index")?.as_u64()?,
            entry: facts::read(json.get("entry")?)?,
            is_proved: !json.get("proof")?.is_null(),
            tokens,
        })
    }
}
