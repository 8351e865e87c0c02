//! What is wrong with policies: every fault with its source, line, column and policy, and what to do about it.

use std::{error::Error, fmt};

use thiserror::Error;
use vault_domain::Reason;

use crate::load::{POLICIES_MAX, POLICY_BYTES_MAX};

/// Faults that one error shows; the rest is counted.
pub const FAULTS_SHOWN_MAX: usize = 50;

/// Policies that were refused, and all that is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    faults: Vec<Fault>,
    found: usize,
}

impl PolicyError {
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        let found = faults.len();
        faults.truncate(FAULTS_SHOWN_MAX);
        Self { faults, found }
    }

    pub(crate) fn of_schema(text: &str) -> Self {
        let (source, problem) = ("schema.cedarschema".to_owned(), Problem::Schema(text.to_owned()));
        Self::new(vec![Fault { source, line: 1, column: 1, policy: None, problem }])
    }

    /// The faults by source and line, at most [`FAULTS_SHOWN_MAX`].
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

impl fmt::Display for PolicyError {
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

impl Error for PolicyError {}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the source, as it was given.
    pub source: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The policy's `@id`, where one is known.
    pub policy: Option<String>,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.source, self.line, self.column)?;
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy:?}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong at one place, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The schema of this very build is broken.
    #[error("the built-in schema does not read, which is a fault of this build: {0}")]
    Schema(String),
    /// All sources together are too long.
    #[error("the policies must be at most {POLICY_BYTES_MAX} bytes long in all: put grants into the catalog")]
    TooLarge,
    /// There are too many policies.
    #[error("there are {0} policies and may be {POLICIES_MAX}: put grants into the catalog")]
    TooMany(usize),
    /// The source is no Cedar: the parser's own words.
    #[error("{0}")]
    Syntax(String),
    /// The validator refuses a policy or doubts it: its own words.
    #[error("{0}")]
    Invalid(String),
    /// A template.
    #[error(
        "a policy with ?principal or ?resource is a template, which nothing here fills in: write the entity itself"
    )]
    Template,
    /// No `@id`.
    #[error("the policy has no @id, by which the log could name it: add @id(\"…\") in front of it")]
    IdMissing,
    /// An `@id` that is none.
    #[error("an @id must match [a-z][a-z0-9_-]{{0,63}}: rename it")]
    Id,
    /// An `@id` that stands twice.
    #[error("this @id stands before at {0}: rename one of them")]
    IdTwice(String),
    /// An annotation that the vault does not know.
    #[error("the annotation @{0} means nothing here: write @id, @reason or @description")]
    Annotation(String),
    /// A `@reason` that can't be one.
    #[error(
        "a @reason must be one of {0}, and belongs to a forbid: correct it, or leave it out for ACCESS_DENIED",
        reasons()
    )]
    Reason,
    /// A name that the catalog does not have.
    #[error(
        "the catalog has no {kind} {id:?}, so the policy would not do what it says: correct the name or declare it"
    )]
    NotInCatalog {
        /// What it should be.
        kind: &'static str,
        /// The name.
        id: String,
    },
}

/// What an entity literal of a policy names.
pub(crate) struct FoundEntity {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) exists: bool,
}

/// The reasons that a forbid may give: those of a denial.
fn reasons() -> String {
    let names: Vec<_> = Reason::ALL.iter().filter(|reason| is_denial(**reason)).map(|reason| reason.name()).collect();
    names.join(", ")
}

pub(crate) fn is_denial(reason: Reason) -> bool {
    reason.code() == vault_domain::Code::Denied
}
