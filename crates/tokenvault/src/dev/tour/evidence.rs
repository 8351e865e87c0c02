//! The access log against what the tour did: every call is there, none is there twice, and the log is signed.

use vault_client::{AccessLogEntry, AccessLogQuery, LogName, Receipt};
use vault_domain::{AccessLogFilter, PrincipalId, Purpose, Reason, Reference, Region, limits};

use super::{REFERENCE, Tour, ensure, parsed};
use crate::{
    audit::{COLUMNS, entry_json},
    exit::Failure,
    output::{Output, Records, grouped, stdout},
};

/// Entries that are shown.
const SHOWN_ENTRIES: u32 = 10;

/// What the log should hold about one refused call.
pub(super) struct Expected {
    pub(super) region: &'static str,
    pub(super) account: &'static str,
    pub(super) receipt: Receipt,
    pub(super) outcome: Reason,
}

impl Tour<'_> {
    pub(super) async fn evidence(&self) -> Result<(), Failure> {
        self.heading("6. Who saw what: the access log, as the auditor")?;
        self.show_newest().await?;
        self.count_entries().await?;
        self.checkpoint().await
    }

    async fn show_newest(&self) -> Result<(), Failure> {
        let client = self.client("auditor").await?;
        let query = AccessLogQuery { page_size: Some(SHOWN_ENTRIES), ..self.question("eu", None)? };
        let page = client.query_access_log(&query).await?;
        let mut records = Records::new(stdout(), Output::Table, COLUMNS);
        page.entries.iter().try_for_each(|entry| records.push(&entry_json(entry)))?;
        records.finish()?;
        Ok(())
    }

    /// Compares the number of entries of each account with the number of its calls.
    async fn count_entries(&self) -> Result<(), Failure> {
        let calls: Vec<_> = self.calls.borrow().iter().map(|(key, count)| (*key, count.clone())).collect();
        let (mut total, mut made_all) = (0, 0);
        // Entries of another tenant are not shown to this auditor.
        for ((account, region), made) in calls.into_iter().filter(|((account, _), _)| *account != "globex-payments") {
            let entries = self.entries_of(account, region).await?;
            let counted = entries.iter().map(|entry| entry.count).sum::<u64>();
            let due = made.refused + u64::try_from(made.entries.len()).unwrap_or(u64::MAX);
            ensure((due..=due + made.repeats).contains(&counted), || {
                format!("the calls of {account} in {region} left {due} entries, and the log holds {counted} of it")
            })?;
            total += counted;
            made_all += made.calls;
        }
        self.held(&format!(
            "{} calls and messages left {} entries, as their receipts say: the log holds no more and no less",
            grouped(made_all),
            grouped(total)
        ))
    }

    /// All entries of an account since the tour began.
    pub(super) async fn entries_of(
        &self,
        account: &'static str,
        region: &'static str,
    ) -> Result<Vec<AccessLogEntry>, Failure> {
        let client = self.client("auditor").await?;
        let principal = self.place.principal(account)?;
        let page_size = u32::try_from(limits::QUERY_PAGE_ENTRIES_MAX).ok();
        let mut query = AccessLogQuery { page_size, ..self.question(region, Some(principal))? };
        let mut entries = Vec::new();
        loop {
            let page = client.query_access_log(&query).await?;
            entries.extend(page.entries);
            match page.next_page_token {
                Some(token) => query.page_token = Some(token),
                None => return Ok(entries),
            }
        }
    }

    /// Checks that the log gives the precise reason of a refused call, where its receipt says.
    pub(super) async fn log_knows(&self, expected: &Expected) -> Result<(), Failure> {
        let entries = self.entries_of(expected.account, expected.region).await?;
        let at_receipt = |entry: &&AccessLogEntry| {
            Receipt::read(entry.receipt.as_ref()).is_ok_and(|receipt| receipt == expected.receipt)
        };
        let entry = entries.iter().find(at_receipt);
        let outcome = entry.and_then(|entry| entry.items.first()).map(|items| items.outcome.as_str());
        ensure(outcome == Some(expected.outcome.name()), || {
            format!(
                "the entry of the refused call should say {}, and says {}",
                expected.outcome,
                outcome.unwrap_or("nothing, for it is not there")
            )
        })
    }

    async fn checkpoint(&self) -> Result<(), Failure> {
        let client = self.client("auditor").await?;
        let eu = LogName::Region(parsed(Region::parse("eu"))?);
        let verified = client.checkpoint(&eu, None).await?;
        self.say(&format!("\n{}", verified.note.trim_end()))?;
        let head = &verified.checkpoint.head;
        let receipts = self.receipts.borrow();
        let own = receipts.iter().filter(|receipt| receipt.origin == verified.checkpoint.origin);
        ensure(own.clone().all(|receipt| receipt.index.0 < head.size.0), || {
            "a receipt is for an entry that the signed log does not hold".to_owned()
        })?;
        self.held(&format!(
            "the log of eu is signed at {} entries (Ed25519), and the {} receipts of this tour lie within",
            grouped(head.size.0),
            grouped(own.count() as u64)
        ))
    }

    /// A question to the log about what happened since the tour began.
    fn question(&self, region: &str, principal: Option<PrincipalId>) -> Result<AccessLogQuery, Failure> {
        Ok(AccessLogQuery {
            purpose: Some(parsed(Purpose::parse("audit"))?),
            reference: Some(parsed(Reference::parse(REFERENCE))?),
            filter: AccessLogFilter { from: Some(self.begun), principal, ..AccessLogFilter::default() },
            ..AccessLogQuery::all(parsed(Region::parse(region))?)
        })
    }
}
