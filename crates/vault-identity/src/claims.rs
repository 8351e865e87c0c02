//! What claims become: the issuer's own words turned into the vault's by the rules of its settings.
//!
//! A claim that no rule takes grants nothing. A rule that narrows (tenant, clearance) and finds nothing makes nothing
//! wider: the one refuses the token, the other leaves no region.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};
use vault_domain::{Assurance, Millis, PrincipalId, Region, Role, Scope, Session, Tenant, limits};

use crate::fault::Fault;

/// Roles, scopes or regions of one token.
const WORDS_MAX: usize = 128;

/// What a rule gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gives {
    /// Who the caller is, behind the issuer's name and a colon.
    Principal,
    /// Whose data it works on.
    Tenant,
    /// Roles.
    Role,
    /// Scopes.
    Scope,
    /// Regions that it is cleared for.
    Clearance,
    /// When its owner last proved who it is.
    AuthenticatedAt,
    /// How strongly.
    Assurance,
}

impl Gives {
    /// The word in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Tenant => "tenant",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::Clearance => "clearance",
            Self::AuthenticatedAt => "authenticated_at",
            Self::Assurance => "assurance",
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) gives: Gives,
    /// Names of members, from the outside in.
    pub(crate) path: Vec<String>,
    /// What a value must begin with to count; it is taken off.
    pub(crate) prefix: String,
    /// The only values that count, and what each becomes.
    pub(crate) table: Option<BTreeMap<String, String>>,
}

/// The rules of an issuer, in the order of its settings.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Vec<Rule>);

/// What the claims of a token became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Who calls.
    pub principal: PrincipalId,
    /// All else.
    pub session: Session,
}

/// What a rule took from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it gives.
    pub gives: Gives,
    /// The rule's number in the settings, from 1; 0 for the rule that holds where none is written.
    pub rule: usize,
    /// The claim's path, joined by `/`.
    pub claim: String,
    /// What it made of the claim's values, in the vault's words.
    pub values: Vec<String>,
    /// How many of the claim's values it passed over.
    pub passed_over: usize,
}

/// What a token becomes and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What it becomes, or why it becomes nothing.
    pub mapped: Result<Mapped, Fault>,
    /// What each rule took, in their order.
    pub taken: Vec<Taken>,
    /// Names of claims that no rule takes and that are not looked at otherwise.
    pub ignored: Vec<String>,
}

/// Claims that verification looks at.
const VERIFIED: [&str; 8] = ["iss", "aud", "exp", "nbf", "iat", "jti", "cnf", "client_id"];

impl Rules {
    /// Rules, with one for the principal where none is written: `sub` as it is.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether a token can come to give this word: a rule without a table can give any.
    pub(crate) fn can_give(&self, gives: Gives, word: &str) -> bool {
        let mut rules = self.0.iter().filter(|rule| rule.gives == gives);
        rules.any(|rule| rule.table.as_ref().is_none_or(|table| table.values().any(|given| given == word)))
    }

    fn all(&self) -> impl Iterator<Item = (usize, Rule)> + '_ {
        let written = |gives| self.0.iter().any(|rule| rule.gives == gives);
        let subject =
            Rule { gives: Gives::Principal, path: vec!["sub".to_owned()], prefix: String::new(), table: None };
        let default = (!written(Gives::Principal)).then_some((0, subject));
        default.into_iter().chain(self.0.iter().cloned().enumerate().map(|(at, rule)| (at + 1, rule)))
    }

    /// Maps the claims of a token of the issuer with this name.
    pub(crate) fn map(&self, issuer: &str, claims: &Map<String, Value>) -> Result<Mapped, Fault> {
        self.explain(issuer, claims).mapped
    }

    /// The same, with what each rule did.
    pub(crate) fn explain(&self, issuer: &str, claims: &Map<String, Value>) -> Explained {
        let taken: Vec<Taken> = self.all().map(|(number, rule)| rule.take(number, claims)).collect();
        let used: BTreeSet<String> = self.all().filter_map(|(_, rule)| rule.path.first().cloned()).collect();
        let is_ignored = |name: &&String| !used.contains(*name) && !VERIFIED.contains(&name.as_str());
        let ignored = claims.keys().filter(is_ignored).cloned().collect();
        let asked = |gives| taken.iter().any(|taken: &Taken| taken.gives == gives);
        Explained { mapped: mapped(issuer, &taken, asked), taken, ignored }
    }
}

fn mapped(issuer: &str, taken: &[Taken], asked: impl Fn(Gives) -> bool) -> Result<Mapped, Fault> {
    let values = |gives: Gives| taken.iter().filter(move |taken| taken.gives == gives).flat_map(|taken| &taken.values);
    let first = |gives: Gives| values(gives).next();
    let subject = first(Gives::Principal).ok_or(Fault::Unmapped("principal"))?;
    let principal = PrincipalId::parse(&format!("{issuer}:{subject}")).map_err(|_| Fault::Unmapped("principal"))?;
    let tenant = first(Gives::Tenant).and_then(|text| Tenant::parse(text).ok());
    if asked(Gives::Tenant) && tenant.is_none() {
        return Err(Fault::Unmapped("tenant"));
    }
    let roles = words(values(Gives::Role), |text| Role::parse(text).ok()).ok_or(Fault::TooMany)?;
    let scopes = words(values(Gives::Scope), |text| Scope::parse(text).ok()).ok_or(Fault::TooMany)?;
    let cleared = words(values(Gives::Clearance), |text| Region::parse(text).ok()).ok_or(Fault::TooMany)?;
    let session = Session {
        tenant,
        roles,
        scopes,
        clearance: asked(Gives::Clearance).then_some(cleared),
        authenticated_at: first(Gives::AuthenticatedAt).and_then(|text| text.parse().ok()).map(Millis),
        // Of several, the lowest of the rules that say anything: a second rule can't lift what the first one says.
        assurance: values(Gives::Assurance).filter_map(|text| Assurance::new(text.parse().ok()?)).min(),
    };
    Ok(Mapped { principal, session })
}

/// Sorted, nothing twice. None: there are too many.
fn words<'t, Id: Ord>(
    texts: impl Iterator<Item = &'t String>,
    parse: impl Fn(&str) -> Option<Id>,
) -> Option<Box<[Id]>> {
    let words: BTreeSet<Id> = texts.filter_map(|text| parse(text)).collect();
    (words.len() <= WORDS_MAX).then(|| words.into_iter().collect())
}

impl Rule {
    fn take(&self, number: usize, claims: &Map<String, Value>) -> Taken {
        let found = self.find(claims);
        let (given, all) = match self.gives {
            Gives::AuthenticatedAt => {
                let time = found.and_then(seconds).map(|time| time.0.to_string());
                (time.into_iter().collect(), usize::from(found.is_some()))
            }
            Gives::Assurance => self.levels(found),
            Gives::Principal | Gives::Tenant => {
                // One text: of a list, nobody can say which is meant.
                let text = found.and_then(Value::as_str);
                (text.and_then(|text| self.translate(text)).into_iter().collect(), usize::from(found.is_some()))
            }
            Gives::Role | Gives::Scope | Gives::Clearance => {
                let texts = texts(found, self.gives == Gives::Scope);
                (texts.iter().filter_map(|text| self.translate(text)).collect::<Vec<_>>(), texts.len())
            }
        };
        let values: Vec<String> = given.into_iter().filter(|text| self.is_word(text)).collect();
        let passed_over = all.saturating_sub(values.len());
        Taken { gives: self.gives, rule: number, claim: self.path.join("/"), values, passed_over }
    }

    fn find<'v>(&self, claims: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.path.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// A value without its prefix, by the table.
    fn translate(&self, text: &str) -> Option<String> {
        let text = text.strip_prefix(self.prefix.as_str())?;
        match &self.table {
            Some(table) => table.get(text).cloned(),
            None => Some(text.to_owned()),
        }
    }

    /// The level of `acr`, or the highest that the methods of `amr` reach, alone or together: of several, the table may
    /// name them all in alphabetical order with `+` between (RFC 8176).
    fn levels(&self, found: Option<&Value>) -> (Vec<String>, usize) {
        let mut texts = texts(found, false);
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        let together = texts.join("+");
        let levels = texts.iter().map(String::as_str).chain([together.as_str()]).filter_map(|text| {
            let level: u8 = self.translate(text)?.parse().ok()?;
            Assurance::new(level)
        });
        let highest = levels.max();
        (highest.map(|level| level.level().to_string()).into_iter().collect(), count)
    }

    /// Whether a text can be what this rule gives; if not, it is passed over.
    fn is_word(&self, text: &str) -> bool {
        match self.gives {
            Gives::Principal => {
                (1..=limits::PRINCIPAL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
            }
            Gives::Tenant => Tenant::parse(text).is_ok(),
            Gives::Role => Role::parse(text).is_ok(),
            Gives::Scope => Scope::parse(text).is_ok(),
            Gives::Clearance => Region::parse(text).is_ok(),
            Gives::AuthenticatedAt | Gives::Assurance => true,
        }
    }
}

/// The texts of a claim: itself, or a list of them; scopes stand in one text with spaces between (RFC 6749 section
/// 3.3).
fn texts(value: Option<&Value>, split: bool) -> Vec<String> {
    match value {
        Some(Value::String(text)) if split => {
            text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970, with or without a fraction.
pub(crate) fn seconds(value: &Value) -> Option<Millis> {
    let millis = match value.as_u64() {
        Some(seconds) => seconds.checked_mul(1000)?,
        None => {
            let seconds = value.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
            std::time::Duration::try_from_secs_f64(seconds).ok()?.as_millis().try_into().ok()?
        }
    };
    (millis <= Millis::MAX.0).then_some(Millis(millis))
}
