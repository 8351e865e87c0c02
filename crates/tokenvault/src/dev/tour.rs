//! The guided tour: real input through the real door, and every claim checked on the way. It ends with the first claim
//! that does not hold.

mod evidence;
mod load;
mod refusals;
mod reveal;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use vault_client::{Answer, CallContext, CallMade, Client, Idempotency, Receipt};
use vault_domain::{Audience, Clock, Millis, Purpose, Reference, Region, SystemClock};

use crate::{
    bulk::Statistics,
    dev::{disk, furnish::Place, purchases},
    exit::{Exit, Failure},
    output::{self, BOLD, GREEN, PLAIN, grouped},
};

/// What the tour's calls state as their reference.
const REFERENCE: &str = "tour";
/// Rows whose values are revealed and compared.
const SAMPLE_ROWS: u64 = 500;

/// Calls that were made: by account and region.
type Calls = BTreeMap<(&'static str, &'static str), CallCount>;

/// Calls and messages of streams, the entries that their receipts name, and how often they were repeated: an attempt
/// that was repeated may stand in the log as well.
#[derive(Clone, Default)]
struct CallCount {
    calls: u64,
    /// Messages of a stream that were committed together share one.
    entries: BTreeSet<u64>,
    /// Calls that were refused as a whole: they have an entry and no receipt.
    refused: u64,
    repeats: u64,
}

/// A tour.
pub(crate) struct Tour<'a> {
    place: &'a Place,
    address: SocketAddr,
    input: &'a Path,
    begun: Millis,
    calls: RefCell<Calls>,
    receipts: RefCell<Vec<Receipt>>,
    clients: RefCell<HashMap<&'static str, Client>>,
}

/// A row of the input and what became of it.
struct Traced {
    values: [String; 3],
    tokens: [String; 3],
}

/// The columns that are tokenized, and their data classes.
const CLASSES: [&str; 3] = ["customer_id", "card_number", "email"];
const CUSTOMER_ID: usize = 0;
const CARD_NUMBER: usize = 1;

impl<'a> Tour<'a> {
    pub(crate) fn new(place: &'a Place, address: SocketAddr, input: &'a Path) -> Self {
        Self {
            place,
            address,
            input,
            begun: SystemClock::new().wall(),
            calls: RefCell::default(),
            receipts: RefCell::default(),
            clients: RefCell::default(),
        }
    }

    /// Goes through it.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        self.say(&format!("{BOLD}Tokenvault {}: a guided tour{PLAIN}", crate::arguments::VERSION))?;
        self.say(&format!(
            "a throwaway vault on https://{}, regions eu and us, TLS 1.3 with client certificates",
            self.address
        ))?;
        let purchases = self.path("purchases.csv");
        self.heading("1. The input")?;
        let joined = purchases::join(self.input, &purchases)?;
        self.say(&format!(
            "{} purchases of {} customers: real ones, of a music shop in 1997 and 1998.\n\
             Joined to each customer: a made-up card number in the range of test cards (4000 00…) with a valid check\n\
             digit, and a made-up address under example.com; nobody's, and always the same for the same customer.",
            grouped(joined.rows),
            grouped(u64::try_from(joined.customers).unwrap_or(u64::MAX))
        ))?;
        let statistics = self.load(&purchases, joined.rows).await?;
        let sample = self.trace(&purchases, joined.rows)?;
        let analytics = self.unlinkable(&sample).await?;
        self.reveal(&sample).await?;
        self.refusals(&sample, &analytics).await?;
        self.evidence().await?;
        self.figures(&statistics)
    }

    /// What the figures are, and under what conditions.
    fn figures(&self, statistics: &Statistics) -> Result<(), Failure> {
        self.heading("Figures")?;
        let disk = match disk::sync_median(self.place.folder(), &SystemClock::new())? {
            Some(median) => format!("forcing a write to this disk takes {:.2} ms", median.as_secs_f64() * 1000.0),
            None => "the folder lies in memory (tmpfs): these figures say nothing about a disk".to_owned(),
        };
        self.say(&format!(
            "{} values of {} rows tokenized in {:.1} s: {} rows/s, {} values/s\n\
             {} calls of up to 1000 values, 8 at once: p50 {:.1} ms, p99 {:.1} ms; each is on disk when answered\n\
             client and vault share this machine; {disk}",
            grouped(statistics.values),
            grouped(statistics.rows_in),
            statistics.took.as_secs_f64(),
            grouped(statistics.rows_per_second()),
            grouped(statistics.values_per_second()),
            grouped(statistics.calls),
            statistics.latencies.percentile(50).as_secs_f64() * 1000.0,
            statistics.latencies.percentile(99).as_secs_f64() * 1000.0,
        ))?;
        if !self.place.is_temporary() {
            self.say(&format!("everything is kept in {}", self.place.folder().display()))?;
        }
        self.say(&format!("\n{GREEN}{BOLD}Every claim held.{PLAIN}"))?;
        self.say(
            "To go on by hand, with commands to copy: `make build`, then `tokenvault dev --serve` (README, By hand).",
        )
    }

    /// The client of an account; one connection each.
    async fn client(&self, account: &'static str) -> Result<Client, Failure> {
        let connected = self.clients.borrow().get(account).cloned();
        if let Some(client) = connected {
            return Ok(client);
        }
        let client = self.place.connection(account, self.address)?.connect().await?;
        self.clients.borrow_mut().insert(account, client.clone());
        Ok(client)
    }

    /// Counts calls, and keeps their receipts.
    fn count(&self, account: &'static str, region: &'static str, calls: &[CallMade]) {
        let mut counts = self.calls.borrow_mut();
        let count = counts.entry((account, region)).or_default();
        for call in calls {
            count.calls += 1;
            count.repeats += u64::from(call.attempts).saturating_sub(1);
            match &call.outcome {
                Ok(receipt) => drop(count.entries.insert(receipt.index.0)),
                Err(_) => count.refused += 1,
            }
            self.receipts.borrow_mut().extend(call.outcome.as_ref().ok().cloned());
        }
    }

    /// Counts the calls of an answer and hands out its results; a call that was refused as a whole ends the tour.
    fn results<T>(
        &self,
        account: &'static str,
        region: &'static str,
        answer: Answer<T>,
    ) -> Result<Vec<Result<T, vault_client::ClientError>>, Failure> {
        self.count(account, region, &answer.calls);
        match answer.calls.into_iter().find_map(|call| call.outcome.err()) {
            Some(error) => Err(error.into()),
            None => Ok(answer.results),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.file(name)
    }

    fn heading(&self, text: &str) -> Result<(), Failure> {
        self.say(&format!("\n{BOLD}{text}{PLAIN}"))
    }

    /// A claim that was checked.
    fn held(&self, text: &str) -> Result<(), Failure> {
        self.say(&format!("{GREEN}✓{PLAIN} {text}"))
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        let mut out = output::stdout();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}

/// Where, for whom and why a call of the tour is made. All names are those of the sample catalog.
fn context(region: &str, audience: &str, purpose: &str) -> Result<CallContext, Failure> {
    Ok(CallContext {
        region: parsed(Region::parse(region))?,
        audience: parsed(Audience::parse(audience))?,
        purpose: Some(parsed(Purpose::parse(purpose))?),
        reference: Some(parsed(Reference::parse(REFERENCE))?),
        idempotency: Idempotency::Automatic,
    })
}

fn parsed<T>(id: Result<T, vault_domain::IdError>) -> Result<T, Failure> {
    id.map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}

/// A claim of the tour; `otherwise` says what was found instead, without a value or a token.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(Exit::Failure, format!("a claim does not hold: {}", otherwise()))) }
}
