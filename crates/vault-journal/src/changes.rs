//! Which rows changed lately: what conditions are checked against, instead of reading again.
//!
//! Only rows that can be a condition are remembered: `states`, `tokens`, `values`, `idempotency`, and records that are
//! deleted. A fresh record is no change, for nobody can have read it. What is older than the table reaches counts as
//! changed: the call reads again.

use std::collections::{HashMap, VecDeque};

use vault_store::{Operation, Table};

use crate::submission::{Condition, RowKey};

/// Rows that are remembered at once.
const CHANGES_MAX: usize = 1 << 20;

/// A moment in the journal: the number of groups committed before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub(crate) u64);

/// The rows that changed since some position.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The group that changed a row last.
    last: HashMap<(Table, RowKey), u64>,
    /// Changes in the order in which they were made, for forgetting.
    order: VecDeque<(u64, Table, RowKey)>,
    /// Invariant: every change after this group is in `last`.
    known_since: u64,
    /// The last group that changed anything that can be a condition.
    newest: u64,
}

impl Changes {
    /// Whether every condition holds for a submission that is about to be part of a group.
    pub(crate) fn allow(&self, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| {
            let since = condition.since.0;
            since >= self.newest
                || since >= self.known_since
                    && self.last.get(&(condition.table, condition.key)).is_none_or(|changed| *changed <= since)
        })
    }

    /// Remembers what a submission of this group changes.
    pub(crate) fn note<'a>(&mut self, group: u64, operations: impl Iterator<Item = Operation<'a>>) {
        for operation in operations {
            let (table, key) = match operation {
                Operation::Put { table: Table::Records, .. } => continue,
                Operation::Put { table, key, .. } | Operation::Delete { table, key } => (table, key),
                Operation::DeleteRange { .. } => {
                    // Which rows went is not known: every reader from before reads again.
                    self.known_since = group;
                    self.newest = group;
                    continue;
                }
            };
            let conditional =
                matches!(table, Table::Records | Table::States | Table::Tokens | Table::Values | Table::Idempotency);
            let Some(key) = RowKey::new(key).filter(|_| conditional) else { continue };
            self.last.insert((table, key), group);
            self.order.push_back((group, table, key));
            self.newest = group;
        }
        while self.order.len() > CHANGES_MAX {
            let Some((group, table, key)) = self.order.pop_front() else { break };
            self.known_since = self.known_since.max(group);
            if self.last.get(&(table, key)) == Some(&group) {
                self.last.remove(&(table, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_store::Batch;

    use super::*;

    fn since(group: u64, table: Table, key: &[u8]) -> [Condition; 1] {
        [Condition { table, key: RowKey::new(key).unwrap(), since: Position(group) }]
    }

    fn note(changes: &mut Changes, group: u64, make: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new();
        make(&mut batch);
        changes.note(group, batch.operations());
    }

    #[test]
    fn a_condition_holds_until_its_own_row_changes() {
        let mut changes = Changes::default();
        assert!(changes.allow(&since(0, Table::Values, b"a")));
        note(&mut changes, 5, |batch| batch.put(Table::Values, b"a", b""));
        assert!(!changes.allow(&since(4, Table::Values, b"a")));
        assert!(changes.allow(&since(5, Table::Values, b"a")));
        assert!(changes.allow(&since(4, Table::Values, b"b")));
        assert!(changes.allow(&since(4, Table::Tokens, b"a")));
        note(&mut changes, 6, |batch| batch.delete(Table::Records, b"12345678"));
        assert!(!changes.allow(&since(5, Table::Records, b"12345678")));
    }

    #[test]
    fn a_fresh_record_is_no_change_and_a_deleted_range_is_one_for_everybody() {
        let mut changes = Changes::default();
        note(&mut changes, 3, |batch| batch.put(Table::Records, b"12345678", b"row"));
        assert!(changes.allow(&since(2, Table::Records, b"12345678")));
        note(&mut changes, 4, |batch| batch.delete_range(Table::Idempotency, b"a", b"b"));
        assert!(!changes.allow(&since(3, Table::Values, b"x")));
        assert!(changes.allow(&since(4, Table::Values, b"x")));
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let mut changes = Changes::default();
        for group in 1..=3 {
            note(&mut changes, group, |batch| {
                for i in 0..CHANGES_MAX / 2 {
                    batch.put(Table::Values, &(group << 32 | i as u64).to_be_bytes(), b"");
                }
            });
        }
        assert!(changes.last.len() <= CHANGES_MAX);
        assert!(!changes.allow(&since(0, Table::Values, b"never written")));
        assert!(changes.allow(&since(2, Table::Values, b"never written")));
    }
}
