//! One try at a call: what was read at one position, and what is to be committed on top of it.

use vault_domain::{Clock, Millis};
use vault_journal::{Condition, Journal, Position, Receipt, Submission};
use vault_keys::Digest16;
use vault_store::{Batch, Reader, Snapshot, Table};

use crate::{
    budget::BudgetBook,
    error::Error,
    replay::{LetGo, Once},
};

/// Rows and conditions in the making.
pub(crate) struct Draft<'v> {
    /// Where the journal stood before anything was read: what changed since fails the conditions, and never passes
    /// them.
    position: Position,
    pub(crate) now: Millis,
    pub(crate) batch: Batch,
    conditions: Vec<Condition>,
    valid_until: Option<Millis>,
    pub(crate) let_go: Option<LetGo<'v>>,
    /// What the call was charged for, of which budgets.
    pub(crate) charged: Option<(&'v BudgetBook, Vec<Digest16>)>,
    /// The minimum index of the log from then on, if the entry is of a pruning.
    pub(crate) prune_to: Option<u64>,
}

impl<'v> Draft<'v> {
    /// Begins a try, with the call's nonce in it, and the moment of the store that it goes by.
    ///
    /// # Errors
    /// When the nonce was used before.
    pub(crate) async fn begin<'r>(
        journal: &Journal,
        reader: &'r Reader,
        clock: &dyn Clock,
        once: Option<&Once<'v>>,
    ) -> Result<(Self, Snapshot<'r>), Error> {
        let position = journal.position();
        let snapshot = reader.snapshot();
        let now = journal.now(clock.wall());
        let (batch, conditions) = (Batch::default(), Vec::new());
        let mut draft =
            Self { position, now, batch, conditions, valid_until: None, let_go: None, charged: None, prune_to: None };
        if let Some(once) = once {
            once.take(&snapshot, &mut draft).await?;
        }
        Ok((draft, snapshot))
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

    /// Commits the rows with the entry. The submission is queued at once; what is awaited is the answer.
    ///
    /// # Errors
    /// As of [`Journal::commit`].
    pub(crate) fn commit(
        self,
        journal: &Journal,
        entry: Vec<u8>,
    ) -> impl Future<Output = Result<Receipt, Error>> + use<'v> {
        let Self { mut batch, conditions, valid_until, let_go, charged, prune_to, .. } = self;
        let counted = charged.map(|(book, names)| book.put(&names, &mut batch));
        let committed = journal.commit(Submission { batch, conditions, valid_until, entry, prune_to });
        drop(counted);
        async move {
            let receipt = committed.await?;
            let_go.into_iter().for_each(LetGo::done);
            Ok(receipt)
        }
    }
}
