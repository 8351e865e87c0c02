//! How long the entries of each log are kept online, and where they go before they are pruned.

mod kind;

use std::{collections::BTreeMap, path::PathBuf};

use vault_catalog::{Catalog, RuleName};
use vault_domain::Region;

pub use kind::EntryKind;

/// The name of the log that belongs to no region; no region can be called so.
pub(crate) const NODE: &str = "node";
/// What PCI DSS 10.5.1 asks for where there are card numbers: twelve months, the longest there are.
pub const CARD_DAYS_MIN: u32 = 366;

/// How long entries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days that the entries of a log are kept online.
    pub days: u32,
    /// The same of logs that have a number of their own, by the name of a region or `node`.
    pub log_days: BTreeMap<String, u32>,
    /// Days that entries of a kind are kept in every log, where that is longer.
    pub kind_days: BTreeMap<EntryKind, u32>,
    /// Whether logs are pruned once a day without being asked.
    pub automatic: bool,
    /// Where what is pruned goes first. Nothing is pruned without one.
    pub archive_directory: Option<PathBuf>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            days: CARD_DAYS_MIN,
            log_days: BTreeMap::new(),
            kind_days: BTreeMap::new(),
            automatic: false,
            archive_directory: None,
        }
    }
}

/// Why a retention is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RetentionFault {
    /// A log that tells of card numbers would not be kept for twelve months.
    #[error(
        "entries of the log {log:?} would be kept for {days} days, and the data class {class:?} holds card numbers, \
         for which PCI DSS 10.5.1 asks for 12 months: set retention to {CARD_DAYS_MIN} days at least"
    )]
    TooShort {
        /// The log.
        log: String,
        /// Its retention.
        days: u32,
        /// The first class of card numbers.
        class: String,
    },
    /// A log is named that is not served here.
    #[error("retention.log_days names {log:?}, which is neither \"node\" nor a region that is served here")]
    LogUnknown {
        /// The name.
        log: String,
    },
    /// A kind would be kept for a shorter time than its log.
    #[error(
        "retention.kind_days keeps entries of the kind {kind:?} for {days} days, and those of the log {log:?} are all \
         kept for {log_days}: a kind can be kept longer than its log, not shorter; set it to {log_days} at least, or \
         leave it out"
    )]
    KindTooShort {
        /// The kind.
        kind: &'static str,
        /// Its retention.
        days: u32,
        /// The log that is kept longer.
        log: String,
        /// The retention of that log.
        log_days: u32,
    },
}

impl Retention {
    /// The days of a log.
    #[must_use]
    pub fn days_of(&self, log: &str) -> u32 {
        self.log_days.get(log).copied().unwrap_or(self.days)
    }

    /// Holds the retention against a catalog and the regions that are served. A class can be used in every region, and
    /// the node's log tells who was refused.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn check<'a>(
        &self,
        catalog: &Catalog,
        regions: impl Iterator<Item = &'a Region>,
    ) -> Result<(), RetentionFault> {
        let logs: Vec<&str> = regions.map(Region::as_str).chain([NODE]).collect();
        if let Some(log) = self.log_days.keys().find(|log| !logs.contains(&log.as_str())) {
            return Err(RetentionFault::LogUnknown { log: log.clone() });
        }
        for (kind, &days) in &self.kind_days {
            if let Some(log) = logs.iter().find(|log| days < self.days_of(log)) {
                let (log, log_days) = ((*log).to_owned(), self.days_of(log));
                return Err(RetentionFault::KindTooShort { kind: kind.name(), days, log, log_days });
            }
        }
        let Some(cards) = catalog.classes().find(|class| class.rule_name() == RuleName::Pan) else {
            return Ok(());
        };
        let short = logs.into_iter().map(|log| (log, self.days_of(log))).find(|(_, days)| *days < CARD_DAYS_MIN);
        short.map_or(Ok(()), |(log, days)| {
            Err(RetentionFault::TooShort { log: log.to_owned(), days, class: cards.id().to_string() })
        })
    }
}
