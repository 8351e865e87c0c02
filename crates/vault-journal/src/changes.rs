//! Which rows changed lately: what conditions are checked against, instead of reading again.
//!
//! Only rows that can be a condition are remembered: `states`, `tokens`, `values`, `idempotency`, `nonces`, and
//! records that are deleted. A fresh record is no change, for nobody can have read it. What is older than the table
//! reaches counts as changed: the call reads again.

use std::collections::{HashMap, VecDeque};

use vault_store::{Operation, TableId};

use crate::submission::Condition;

/// The longest key of a row that can be a condition.
const KEY_BYTES_MAX: usize = 20;

/// A row's key, as short as those that can be a condition.
pub(crate) type RowKey = ([u8; KEY_BYTES_MAX], u8);

/// Rows that are remembered at once: more than the calls and streams that may be under way can change, so that none of
/// them looks back beyond it on a slow disk.
const CHANGES_MAX: usize = 1 << 20;

/// The numbers of tables are below this one.
const TABLES: usize = 32;

/// A moment in the journal: the number of groups committed before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub(crate) u64);

/// The rows that changed since some position.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The group that changed a row last.
    last: HashMap<(TableId, RowKey), u64>,
    /// Changes in the order in which they were made, for forgetting.
    order: VecDeque<(u64, TableId, RowKey)>,
    /// Invariant: every change after this group is in `last`.
    known_since: u64,
    /// The last group that changed anything in a table, by the table: most conditions are of tables that rest.
    newest: [u64; TABLES],
}

impl Changes {
    /// Whether every condition holds for a submission that is about to be part of a group.
    pub(crate) fn allow(&self, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| {
            let since = condition.since.0;
            since >= self.newest.get(condition.table as usize).copied().unwrap_or(u64::MAX)
                || since >= self.known_since
                    && condition
                        .key
                        .is_some_and(|key| self.last.get(&(condition.table, key)).is_none_or(|last| *last <= since))
        })
    }

    /// Remembers what a submission of this group changes.
    pub(crate) fn note<'a>(&mut self, group: u64, operations: impl Iterator<Item = Operation<'a>>) {
        for operation in operations {
            let (table, key) = match operation {
                Operation::Put { table: TableId::Records, .. } => continue,
                // Nobody asks for nonces any more by the time that they go.
                Operation::DeleteRange { table: TableId::Nonces, .. } => continue,
                Operation::Put { table, key, .. } | Operation::Delete { table, key } => (table, key),
                Operation::DeleteRange { .. } => {
                    // Which rows went is not known: every reader from before reads again.
                    self.known_since = group;
                    self.newest = [group; TABLES];
                    continue;
                }
            };
            let conditional = matches!(
                table,
                TableId::Records
                    | TableId::States
                    | TableId::Tokens
                    | TableId::Values
                    | TableId::Idempotency
                    | TableId::Nonces
            );
            let Some(key) = row_key(key).filter(|_| conditional) else { continue };
            self.last.insert((table, key), group);
            self.order.push_back((group, table, key));
            self.newest.get_mut(table as usize).into_iter().for_each(|newest| *newest = group);
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

pub(crate) fn row_key(key: &[u8]) -> Option<RowKey> {
    let mut bytes = [0; KEY_BYTES_MAX];
    bytes.get_mut(..key.len())?.copy_from_slice(key);
    Some((bytes, u8::try_from(key.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use vault_domain::RecordNumber;
    use vault_store::{
        Batch, Table,
        table::{Idempotency, IdempotencyRow, Records, Tokens, Values},
    };

    use super::*;

    fn since<T: Table>(group: u64, table: T, key: &T::Key) -> [Condition; 1] {
        [Condition::unchanged(table, key, Position(group))]
    }

    fn note(changes: &mut Changes, group: u64, make: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::default();
        make(&mut batch);
        changes.note(group, batch.operations());
    }

    #[test]
    fn a_condition_holds_until_its_own_row_changes() {
        let (a, b) = ([1; 16], [2; 16]);
        let number = RecordNumber::new(7).unwrap();
        let mut changes = Changes::default();
        assert!(changes.allow(&since(0, Values, &a)));
        note(&mut changes, 5, |batch| batch.put(Values, &a, b""));
        assert!(!changes.allow(&since(4, Values, &a)));
        assert!(changes.allow(&since(5, Values, &a)));
        assert!(changes.allow(&since(4, Values, &b)));
        assert!(changes.allow(&since(4, Tokens, &a)));
        note(&mut changes, 6, |batch| batch.delete(Records, &number));
        assert!(!changes.allow(&since(5, Records, &number)));
    }

    #[test]
    fn a_fresh_record_is_no_change_and_a_deleted_range_is_one_for_everybody() {
        let number = RecordNumber::new(7).unwrap();
        let row = |day| IdempotencyRow { day, hash: [0; 16] };
        let mut changes = Changes::default();
        note(&mut changes, 3, |batch| batch.put(Records, &number, b"row"));
        assert!(changes.allow(&since(2, Records, &number)));
        note(&mut changes, 4, |batch| batch.delete_range(Idempotency, &row(1)..&row(2)));
        assert!(!changes.allow(&since(3, Values, &[9; 16])));
        assert!(changes.allow(&since(4, Values, &[9; 16])));
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let mut changes = Changes::default();
        for group in 1..=3_u64 {
            note(&mut changes, group, |batch| {
                for i in 0..CHANGES_MAX as u64 / 2 {
                    batch.put(Values, &u128::from(group << 32 | i).to_be_bytes(), b"");
                }
            });
        }
        assert!(changes.last.len() <= CHANGES_MAX);
        assert!(!changes.allow(&since(0, Values, &[0xFF; 16])));
        assert!(changes.allow(&since(2, Values, &[0xFF; 16])));
        assert!(!changes.allow(&since(2, Values, &u128::from(3_u64 << 32).to_be_bytes())));
    }
}
