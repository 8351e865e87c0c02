//! What is wrong with a catalog: every fault with its line, column and key, and what to do about it.

use std::{error::Error, fmt, ops::Range};

use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use vault_domain::{IdError, limits};

use crate::{BUDGET_ITEMS_MAX, CATALOG_BYTES_MAX, RATE_CALLS_MAX, STEP_UP_SECONDS_MAX};

/// Faults that one error shows; the rest is counted.
pub const FAULTS_SHOWN_MAX: usize = 50;

/// A catalog that was refused, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogError {
    faults: Vec<Fault>,
    found: usize,
}

impl CatalogError {
    /// The faults by line, at most [`FAULTS_SHOWN_MAX`].
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many faults there are, shown or not.
    #[must_use]
    pub fn found(&self) -> usize {
        self.found
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        match self.found.saturating_sub(self.faults.len()) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Error for CatalogError {}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key, from the top: `accounts."dns:a.example".grants[0].classes[1]`. Empty if the fault has none.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong at one place, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The text is too long to be read.
    #[error("the catalog must be at most {CATALOG_BYTES_MAX} bytes long: split the accounts among several vaults")]
    TooLarge,
    /// The text is no TOML, or a key is unknown, missing or of another type: the reader's own words.
    #[error("{0}")]
    Toml(String),
    /// A section has more entries than it may.
    #[error("{found} entries are more than the {max} that are allowed: remove some")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A name that breaks its rule.
    #[error("{0}: rename it")]
    Name(IdError),
    /// An account under a name that no certificate can prove.
    #[error(
        "an account must be named by a SPIFFE ID (spiffe://trust-domain/path), a DNS name (dns:host.example) or a \
         subject (subject:CN=name), in the form that certificates carry, or by an issuer's name and a subject \
         (issuer:subject), and at most {} bytes long",
        limits::PRINCIPAL_BYTES_MAX
    )]
    Principal,
    /// A reference to something that is not in the catalog.
    #[error("there is no {kind} {name:?}: correct the name or add [{section}.{name}]; there is {known}")]
    NotInCatalog {
        /// What it should have been.
        kind: &'static str,
        /// The section where it would stand.
        section: &'static str,
        /// The name that leads nowhere.
        name: String,
        /// The names that are there.
        known: String,
    },
    /// A word outside a fixed list.
    #[error("{word:?} is no {kind}: write {known}")]
    UnknownWord {
        /// What it should have been.
        kind: &'static str,
        /// The word.
        word: String,
        /// The words of this version.
        known: String,
    },
    /// A list that names one thing twice.
    #[error("{0:?} stands in this list twice: remove one")]
    Twice(String),
    /// A list without which nothing is granted.
    #[error("this list is empty: name at least one, or remove what it belongs to")]
    Empty,
    /// A key that is missing because of another one.
    #[error("{key} is missing: {because}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What asks for it.
        because: &'static str,
    },
    /// A key that means nothing here.
    #[error("{key} means nothing here, for {because}: remove it")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// What makes it meaningless.
        because: &'static str,
    },
    /// The rule of a data class can't be made.
    #[error("{0}")]
    Rule(String),
    /// The class takes values that its format does not.
    #[error("the format takes values of at most {max} bytes: let the rule take no longer ones")]
    TooLong {
        /// The longest, in bytes.
        max: usize,
    },
    /// No value of the class has room for tokens in its format.
    #[error(
        "no value of this class leaves {} tokens to choose from: keep fewer characters, allow longer values, or take \
         the format \"opaque\"",
        limits::FORMAT_PRESERVING_SPACE_MIN
    )]
    TokenSpace,
    /// All values of the class keep what tells tokens of the reserved range from values.
    #[error(
        "every value of this class keeps a character by which its tokens are told from real values: keep fewer at that \
         end, or write range = \"any\" and tokens may be the numbers of others"
    )]
    ReservedKept,
    /// A mask that is for values of another kind.
    #[error("{0}")]
    Mask(&'static str),
    /// A mask that shows too much of a card number.
    #[error(
        "of a card number, at most the first 6 and the last 4 digits may be shown (PCI DSS 3.4.1, PCI SSC FAQ 1091): \
         keep fewer, or write mask_beyond_pci = true and document the need"
    )]
    MaskBeyondPci,
    /// A mask that shows nothing of any value.
    #[error(
        "every value of this class is too short for this mask, for at least half of its characters (of a card number, \
         4) stay hidden: keep fewer"
    )]
    MaskTooLong,
    /// A grant of masks on a class that has none.
    #[error("the data class {0:?} has no mask, so this grant could never show anything: add one to [classes.{0}]")]
    Maskless(String),
    /// A lifetime that is none.
    #[error("a lifetime must be 1 to {max} seconds: correct it, or leave it out for tokens that do not expire")]
    Lifetime {
        /// The longest that is allowed here.
        max: u64,
    },
    /// A strength of authentication that there is not.
    #[error("an assurance level is 1, 2 or 3 (NIST SP 800-63B): correct it")]
    Assurance,
    /// A time since an authentication that is none, or too long to ask for anything.
    #[error("step_up_seconds must be 1 to {STEP_UP_SECONDS_MAX}: correct it")]
    StepUpAge,
    /// A number of items that is none, or too large to ever be reached.
    #[error("a budget is 1 to {BUDGET_ITEMS_MAX} items: correct it, or leave it out where no bound is meant")]
    BudgetItems,
    /// A bound that a tighter one over a longer time keeps from ever being reached.
    #[error("more than {longer} allows in all: lower it, or raise {longer}")]
    BudgetOrder {
        /// The key of the bound over the longer time.
        longer: &'static str,
    },
    /// A number of calls that is none, or too large to ever be reached.
    #[error("a rate is 1 to {RATE_CALLS_MAX} calls: correct it")]
    RateCalls,
    /// A scope that no access token can carry.
    #[error("{0}: correct it")]
    Scope(IdError),
    /// An endpoint that a client can't follow.
    #[error("an endpoint must be https://host or https://host:port, without a path")]
    Endpoint,
    /// Data and log in one grant.
    #[error(
        "a grant is either for data (tokenize, detokenize) or for the log (query_access_log, get_checkpoint) \
        and the node (deny_access_token, apply_policies and the like): write two grants"
    )]
    MixedGrant,
    /// A grant to reveal what this account could never reveal.
    #[error(
        "the account is no member of the audience {0:?}, so it could never detokenize for it: add the audience to \
        the account's own, or take it out of the grant"
    )]
    NotOwnAudience(String),
}

/// The faults found so far, by their place in the text.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Range<usize>, Problem)>);

impl Faults {
    pub(crate) fn add(&mut self, span: Range<usize>, problem: Problem) {
        self.0.push((span, problem));
    }

    /// Takes over an error of the TOML reader; without a place of its own it stands at `span`.
    pub(crate) fn add_toml(&mut self, span: Range<usize>, error: &toml::de::Error) {
        self.add(error.span().unwrap_or(span), Problem::Toml(error.message().trim_end().to_owned()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds line, column and key of the faults. The text is read once more for it, so that reading a catalog without a
    /// fault does not pay for it.
    pub(crate) fn into_error(mut self, text: &str) -> CatalogError {
        let found = self.0.len();
        self.0.sort_by_key(|(span, _)| span.start);
        self.0.truncate(FAULTS_SHOWN_MAX);
        let root = if text.len() > CATALOG_BYTES_MAX { None } else { Some(DeTable::parse_recoverable(text).0) };
        let faults = self.0.into_iter().map(|(span, problem)| {
            let (line, column) = position(text, span.start);
            let mut search = Search { span: &span, path: Vec::new(), best: None };
            if let Some(root) = &root {
                search.table(root.get_ref());
            }
            Fault { line, column, path: search.best.map(|(_, path)| path).unwrap_or_default(), problem }
        });
        CatalogError { faults: faults.collect(), found }
    }
}

/// Line and column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.bytes().filter(|&byte| byte == b'\n').count() + 1, column + 1)
}

/// The search for the key that stands at a place: the smallest that holds it and, of equal ones, the deepest.
struct Search<'s> {
    span: &'s Range<usize>,
    path: Vec<String>,
    best: Option<(usize, String)>,
}

impl Search<'_> {
    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.path.push(format!("{dot}{}", Key(key.get_ref())));
            self.consider(&key.span());
            self.value(value);
            self.path.pop();
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) {
        self.consider(&value.span());
        match value.get_ref() {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(array) => {
                for (at, element) in array.iter().enumerate() {
                    self.path.push(format!("[{at}]"));
                    self.value(element);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn consider(&mut self, span: &Range<usize>) {
        let holds = span.start <= self.span.start && self.span.end <= span.end;
        let smallest = self.best.as_ref().is_none_or(|(length, _)| span.len() <= *length);
        if holds && smallest {
            self.best = Some((span.len(), self.path.concat()));
        }
    }
}

/// A key as TOML writes it: bare where it can be, quoted otherwise.
struct Key<'k>(&'k str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if bare && !self.0.is_empty() { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}

impl From<IdError> for Problem {
    fn from(error: IdError) -> Self {
        Self::Name(error)
    }
}
