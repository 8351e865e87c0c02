//! The whole file through the bulk command's own code, and what its tokens show and don't show.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    num::NonZeroUsize,
    path::Path,
};

use vault_client::{NewLife, NewValue};
use vault_domain::{DataClass, Entropy, Plaintext, SystemEntropy};

use super::{CARD_NUMBER, CLASSES, CUSTOMER_ID, SAMPLE_ROWS, Tour, Traced, context, ensure, parsed};
use crate::{
    bulk::{self, Begin, ColumnRule, Files, Format, Job, Shape, Statistics, Way},
    dev::purchases::luhn_holds,
    exit::{Exit, Failure},
    output::{grouped, table},
};

/// Rows that are shown before and after.
const SHOWN_ROWS: usize = 5;
/// Calls that are open at once.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

impl Tour<'_> {
    /// Tokenizes the file as the loader, for the audience payments.
    pub(super) async fn load(&self, purchases: &Path, rows: u64) -> Result<Statistics, Failure> {
        self.heading("2. Tokens instead of values")?;
        let rule = |class: &&str| ColumnRule::parse(&format!("{class}={class}"));
        let columns: Result<_, _> = CLASSES.iter().map(rule).collect();
        let columns = columns.map_err(Failure::usage)?;
        let job = Job {
            way: Way::Tokenize(NewLife::default()),
            context: context("eu", "payments", "bulk_load")?,
            shape: Shape { format: Format::Csv, delimiter: b',', keep_empty: false, columns },
            overwrite: true,
            begin: Begin::Anew,
            danger_resume_late: false,
            in_flight: IN_FLIGHT,
        };
        let (output, rejects) = (self.path("tokenized.csv"), self.path("rejects.csv"));
        let files = Files { input: purchases, output: &output, rejects: &rejects };
        let client = self.client("loader").await?;
        let counted = |calls: &[_]| {
            self.count("loader", "eu", calls);
            Ok(())
        };
        let statistics = bulk::transform(&client, &job, &files, counted).await?;
        let (read, written, rejected) = (statistics.rows_in, statistics.rows_out, statistics.rows_rejected);
        ensure(read == rows && read == written + rejected, || {
            format!("{rows} rows were joined, {read} read, {written} written and {rejected} rejected")
        })?;
        ensure(rejected == 0, || format!("all values are valid, and yet {rejected} rows were rejected"))?;
        self.held(&format!(
            "{} rows in = {} rows out + {rejected} rejected; {} values in {} messages of one gRPC stream, as the \
             loader in region eu",
            grouped(read),
            grouped(written),
            grouped(statistics.values),
            grouped(statistics.calls)
        ))?;
        Ok(statistics)
    }

    /// Reads both files side by side: shows the first rows, checks every token's form, and takes a random sample.
    pub(super) fn trace(&self, purchases: &Path, rows: u64) -> Result<Vec<Traced>, Failure> {
        let wanted = draw_rows(rows)?;
        let mut sample = Vec::new();
        let mut shown = Vec::new();
        let mut forms = Forms::default();
        let (mut before, mut after) = (open(purchases)?, open(&self.path("tokenized.csv"))?);
        let mut pairs = before.records().zip(after.records()).zip(0_u64..);
        pairs.try_for_each(|((before, after), number)| {
            let unreadable = |error: csv::Error| Failure::file(purchases, error);
            let (before, after) = (before.map_err(unreadable)?, after.map_err(unreadable)?);
            let traced = Traced { values: take(&before), tokens: take(&after) };
            forms.check(&traced)?;
            if shown.len() < SHOWN_ROWS * 2 {
                shown.push(before.iter().map(str::to_owned).collect());
                shown.push(after.iter().map(str::to_owned).collect());
            }
            if wanted.contains(&number) {
                sample.push(traced);
            }
            Ok::<_, Failure>(())
        })?;
        self.show(shown)?;
        forms.check_counts(rows)?;
        self.held(
            "a card token is as long as the card, keeps its last four digits and fails the Luhn check: it \
         can't be\n  taken for a card",
        )?;
        self.held("a customer, and a card, has one token inside the audience: tokens can be joined on")?;
        self.held("an e-mail address has a fresh token each time: its tokens tell nothing, not even equality")?;
        Ok(sample)
    }

    fn show(&self, shown: Vec<Vec<String>>) -> Result<(), Failure> {
        let titles = ["", "customer_id", "date", "cds", "dollars", "card_number", "email"];
        let labelled = shown.into_iter().zip(["before", "after"].into_iter().cycle()).map(|(mut row, label)| {
            row.insert(0, label.to_owned());
            row
        });
        self.say(&table(titles.into_iter(), labelled).to_string())
    }

    /// Makes tokens of the same customers for another audience, and compares. Returns them in the order of the sample.
    pub(super) async fn unlinkable(&self, sample: &[Traced]) -> Result<Vec<String>, Failure> {
        self.heading("3. Another audience, other tokens")?;
        let class = parsed(DataClass::parse("customer_id"))?;
        let value = |traced: &Traced| {
            let [id, ..] = &traced.values;
            NewValue::new(class.clone(), Plaintext::new(id.clone().into_bytes()))
        };
        let client = self.client("loader").await?;
        let context = context("eu", "analytics", "bulk_load")?;
        let answer = client.tokenize(&context, sample.iter().map(value).collect()).await?;
        let issued: Result<Vec<_>, _> = self.results("loader", "eu", answer)?.into_iter().collect();
        let issued: Vec<String> = issued?.into_iter().map(|issued| issued.token.into_exposed()).collect();
        let payments: HashSet<&str> = sample.iter().map(|traced| traced.tokens[CUSTOMER_ID].as_str()).collect();
        ensure(issued.iter().all(|token| !payments.contains(token.as_str())), || {
            "a customer has the same token for two audiences".to_owned()
        })?;
        let rows = sample.iter().zip(&issued).take(3).map(|(traced, analytics)| {
            let ([customer, ..], [payments, ..]) = (&traced.values, &traced.tokens);
            vec![customer.clone(), payments.clone(), analytics.clone()]
        });
        self.say(&table(["customer_id", "token for payments", "token for analytics"].into_iter(), rows).to_string())?;
        self.held(&format!("none of {} tokens for analytics is known to payments", grouped(sample.len() as u64)))?;
        Ok(issued)
    }
}

/// What is known of the tokens seen so far.
#[derive(Default)]
struct Forms {
    customers: HashMap<String, String>,
    cards: HashMap<String, String>,
    customer_tokens: HashSet<String>,
    email_tokens: HashSet<String>,
}

impl Forms {
    fn check(&mut self, traced: &Traced) -> Result<(), Failure> {
        let ([customer, card, email], [customer_token, card_token, email_token]) = (&traced.values, &traced.tokens);
        let digits = card_token.len() == card.len() && card_token.bytes().all(|byte| byte.is_ascii_digit());
        let last_four = card.get(12..) == card_token.get(12..);
        ensure(digits && last_four && card_token != card && !luhn_holds(card_token), || {
            "a card's token has not the form that its class promises".to_owned()
        })?;
        ensure(customer_token != customer && email_token != email, || "a token is its own value".to_owned())?;
        let same_customer = self.customers.entry(customer.clone()).or_insert_with(|| customer_token.clone());
        let same_card = self.cards.entry(card.clone()).or_insert_with(|| card_token.clone());
        ensure(same_customer == customer_token && same_card == card_token, || {
            "a value has two tokens inside one audience".to_owned()
        })?;
        self.customer_tokens.insert(customer_token.clone());
        self.email_tokens.insert(email_token.clone());
        Ok(())
    }

    fn check_counts(&self, rows: u64) -> Result<(), Failure> {
        ensure(self.customer_tokens.len() == self.customers.len(), || "two customers share a token".to_owned())?;
        ensure(u64::try_from(self.email_tokens.len()) == Ok(rows), || {
            format!("{rows} addresses have {} tokens", self.email_tokens.len())
        })
    }
}

fn open(path: &Path) -> Result<csv::Reader<File>, Failure> {
    csv::Reader::from_path(path).map_err(|error| Failure::file(path, error))
}

/// The cells of the columns that are tokenized, in the order of `CLASSES`.
fn take(record: &csv::StringRecord) -> [String; 3] {
    [0, 4, 5].map(|index| record.get(index).unwrap_or_default().to_owned())
}

/// Distinct rows, drawn at random.
fn draw_rows(rows: u64) -> Result<BTreeSet<u64>, Failure> {
    let mut drawn = BTreeSet::new();
    let wanted = SAMPLE_ROWS.min(rows);
    while (drawn.len() as u64) < wanted {
        let mut bytes = [0; 8];
        SystemEntropy.fill(&mut bytes).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        drawn.insert(u64::from_be_bytes(bytes) % rows);
    }
    Ok(drawn)
}

const _: () = assert!(CUSTOMER_ID == 0 && CARD_NUMBER == 1, "cells are taken in the order of the classes");
