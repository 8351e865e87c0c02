//! One try at a call: what was read at one position, and what is to be committed on top of it.

use vault_domain::Millis;
use vault_journal::{Condition, Position, Submission};
use vault_store::{Batch, Table};

/// Rows and conditions in the making.
pub(crate) struct Draft {
    /// Where the journal stood before anything was read: what changed since fails the conditions, and never passes
    /// them.
    position: Position,
    pub(crate) now: Millis,
    pub(crate) batch: Batch,
    conditions: Vec<Condition>,
    valid_until: Option<Millis>,
}

impl Draft {
    pub(crate) fn new(position: Position, now: Millis) -> Self {
        Self { position, now, batch: Batch::default(), conditions: Vec::new(), valid_until: None }
    }

    /// The commit fails if this row changes before it.
    pub(crate) fn must_stay<T: Table>(&mut self, table: T, key: &T::Key) {
        self.conditions.push(Condition::unchanged(table, key, self.position));
    }

    /// The commit fails from this time on; zero for no bound.
    pub(crate) fn must_precede(&mut self, expires: Millis) {
        if expires != Millis::default() {
            self.valid_until = Some(self.valid_until.map_or(expires, |until| until.min(expires)));
        }
    }

    pub(crate) fn submission(self, entry: Vec<u8>) -> Submission {
        let Self { batch, conditions, valid_until, .. } = self;
        Submission { batch, conditions, valid_until, entry }
    }
}
