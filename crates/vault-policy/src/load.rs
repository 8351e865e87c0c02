//! Reading policies: parse every source, give each policy the name that the log will know it by, check all of them.

use std::{collections::HashMap, ops::Range};

use cedar_policy::{Effect, Policy, PolicyId as CedarId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;
use vault_catalog::Catalog;
use vault_domain::Reason;

use crate::{
    DEFAULT_POLICIES,
    decision::PolicyId,
    fault::{Fault, PolicyError, Problem, is_denial},
    vocabulary::Vocabulary,
};

/// Policies in one set. An entry counts the policies of its decision in one byte, and evaluation takes time for each:
/// many rules of one kind belong into the catalog as grants.
pub const POLICIES_MAX: usize = 255;
/// All sources of one set together, in bytes.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// A text with policies, and what to call it in errors: the name of its file.
#[derive(Clone, Copy, Debug)]
pub struct PolicySource<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// The policies.
    pub text: &'a str,
}

impl PolicySource<'static> {
    /// The built-in policies.
    pub const DEFAULT: Self = Self { name: "default.cedar", text: DEFAULT_POLICIES };
}

/// What a decision needs to know of a policy.
#[derive(Debug)]
pub(crate) struct LoadedPolicy {
    pub(crate) id: PolicyId,
    /// What the log says of a denial by this forbid.
    pub(crate) reason: Option<Reason>,
    source: usize,
    span: Range<usize>,
}

type Loaded = (PolicySet, HashMap<CedarId, LoadedPolicy>);

/// Reads all sources as one set.
pub(crate) fn load(
    sources: &[PolicySource<'_>],
    vocabulary: &Vocabulary,
    catalog: &Catalog,
) -> Result<Loaded, PolicyError> {
    let mut loader = Loader { sources, found: Vec::new(), policies: PolicySet::new(), loaded: HashMap::new() };
    let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    if bytes > POLICY_BYTES_MAX {
        loader.found(0, 0, None, Problem::TooLarge);
        return loader.finish();
    }
    for at in 0..sources.len() {
        loader.read(at);
    }
    let count = loader.policies.num_of_policies();
    if count > POLICIES_MAX {
        loader.found(0, 0, None, Problem::TooMany(count));
        return loader.finish();
    }
    loader.validate(vocabulary);
    loader.check_names(vocabulary, catalog);
    loader.finish()
}

struct Loader<'s> {
    sources: &'s [PolicySource<'s>],
    found: Vec<Found>,
    policies: PolicySet,
    loaded: HashMap<CedarId, LoadedPolicy>,
}

struct Found {
    source: usize,
    offset: usize,
    policy: Option<PolicyId>,
    problem: Problem,
}

impl Loader<'_> {
    fn found(&mut self, source: usize, offset: usize, policy: Option<PolicyId>, problem: Problem) {
        self.found.push(Found { source, offset, policy, problem });
    }

    /// Parses one source and takes its policies over under their `@id`s.
    fn read(&mut self, source: usize) {
        let text = self.sources.get(source).map_or("", |source| source.text);
        let parsed = match text.parse::<PolicySet>() {
            Ok(parsed) => parsed,
            Err(errors) => {
                for error in errors.iter() {
                    let offset = span_of(error).map_or(0, |span| span.start);
                    self.found(source, offset, None, Problem::Syntax(words_of(error)));
                }
                return;
            }
        };
        for template in parsed.templates() {
            let own = without_comments(&template.to_cedar());
            self.found(source, without_comments(text).find(&own).unwrap_or(0), None, Problem::Template);
        }
        // Cedar numbers policies in the order of the text, but gives them back in none.
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(u64::MAX));
        // Where each of them stands: Cedar tells its text but not its place, and a comment may hold the same text.
        let bare = without_comments(text);
        let mut end = 0;
        for policy in policies {
            let own = without_comments(&policy.to_cedar().unwrap_or_default());
            let start = bare.get(end..).and_then(|rest| rest.find(&own)).map_or(end, |at| end + at);
            end = start + own.len();
            self.take(source, start..end, policy);
        }
    }

    /// Takes one policy over under its `@id`.
    fn take(&mut self, source: usize, span: Range<usize>, policy: &Policy) {
        let Some(written) = policy.annotation("id") else {
            return self.found(source, span.start, None, Problem::IdMissing);
        };
        let Some(id) = PolicyId::parse(written) else { return self.found(source, span.start, None, Problem::Id) };
        let cedar_id = CedarId::new(id.as_str());
        if let Some(first) = self.loaded.get(&cedar_id) {
            let place = self.place(first.source, first.span.start);
            return self.found(source, span.start, Some(id), Problem::IdTwice(place));
        }
        for (name, _) in policy.annotations().filter(|(name, _)| !matches!(*name, "id" | "reason" | "description")) {
            self.found(source, span.start, Some(id.clone()), Problem::Annotation(name.to_owned()));
        }
        let written = policy.annotation("reason");
        let reason = Reason::ALL.iter().copied().find(|reason| is_denial(*reason) && Some(reason.name()) == written);
        if written.is_some() && (reason.is_none() || policy.effect() != Effect::Forbid) {
            self.found(source, span.start, Some(id.clone()), Problem::Reason);
        }
        if let Err(error) = self.policies.add(policy.new_id(cedar_id.clone())) {
            self.found(source, span.start, Some(id.clone()), Problem::Invalid(error.to_string()));
        }
        self.loaded.insert(cedar_id, LoadedPolicy { id, reason, source, span });
    }

    /// Strict validation of the whole set. A warning (a policy that can never apply, look-alike characters) is a
    /// refusal too, unless the policy was refused anyhow.
    fn validate(&mut self, vocabulary: &Vocabulary) {
        let result = Validator::new(vocabulary.schema.clone()).validate(&self.policies, ValidationMode::Strict);
        let errors = result.validation_errors().map(|error| (error.policy_id().clone(), error as &dyn Diagnostic));
        let mut complaints: Vec<_> = errors.collect();
        let refused = complaints.len();
        for warning in result.validation_warnings() {
            let is_refused = complaints.iter().take(refused).any(|(id, _)| id == warning.policy_id());
            if !is_refused {
                complaints.push((warning.policy_id().clone(), warning));
            }
        }
        let mut found: Vec<Found> = Vec::new();
        for (id, complaint) in complaints {
            let policy = self.loaded.get(&id);
            let source = policy.map_or(0, |policy| policy.source);
            let start = policy.map_or(0, |policy| policy.span.start);
            let offset = span_of(complaint).map_or(start, |span| span.start);
            let (policy, problem) = (policy.map(|policy| policy.id.clone()), Problem::Invalid(words_of(complaint)));
            found.push(Found { source, offset, policy, problem });
        }
        // One mistake is reported for every action that the policy may apply to: once is enough.
        found.sort_by(|a, b| {
            (a.source, a.offset, a.problem.to_string()).cmp(&(b.source, b.offset, b.problem.to_string()))
        });
        found.dedup_by_key(|found| (found.source, found.offset));
        self.found.append(&mut found);
    }

    /// Checks every entity that a policy names: Cedar can't know that Vault::Purpose::"setlement" is a typo.
    fn check_names(&mut self, vocabulary: &Vocabulary, catalog: &Catalog) {
        let mut found = Vec::new();
        for policy in self.policies.policies() {
            let Some(loaded) = self.loaded.get(policy.id()) else { continue };
            for uid in policy.entity_literals() {
                let Some(entity) = vocabulary.find(catalog, &uid).filter(|entity| !entity.exists) else { continue };
                let text = self.sources.get(loaded.source).and_then(|source| source.text.get(loaded.span.clone()));
                let quoted = format!("\"{}\"", uid.id().escaped());
                let within = text.and_then(|text| text.find(&quoted)).unwrap_or(0);
                let problem = Problem::NotInCatalog { kind: entity.kind, id: entity.id };
                let (source, offset) = (loaded.source, loaded.span.start + within);
                found.push(Found { source, offset, policy: Some(loaded.id.clone()), problem });
            }
        }
        self.found.append(&mut found);
    }

    fn finish(mut self) -> Result<Loaded, PolicyError> {
        if self.found.is_empty() {
            return Ok((self.policies, self.loaded));
        }
        self.found.sort_by_key(|found| (found.source, found.offset));
        self.found.dedup_by(|a, b| (a.source, a.offset) == (b.source, b.offset) && a.problem == b.problem);
        let faults = self.found.iter().map(|found| {
            let (name, line, column) = self.position(found.source, found.offset);
            let policy = found.policy.as_ref().map(ToString::to_string);
            Fault { source: name.to_owned(), line, column, policy, problem: found.problem.clone() }
        });
        Err(PolicyError::new(faults.collect()))
    }

    fn place(&self, source: usize, offset: usize) -> String {
        let (name, line, _) = self.position(source, offset);
        format!("{name}:{line}")
    }

    /// The source's name, line and column of a byte, both from 1.
    fn position(&self, source: usize, offset: usize) -> (&str, usize, usize) {
        let Some(source) = self.sources.get(source) else { return ("", 1, 1) };
        let before = source.text.get(..offset).unwrap_or(source.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (source.name, before.bytes().filter(|&byte| byte == b'\n').count() + 1, column)
    }
}

/// The text with every comment blanked out, byte for byte, so that places stay the same.
fn without_comments(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let (mut in_string, mut in_comment, mut escaped) = (false, false, false);
    let mut previous = ' ';
    for c in text.chars() {
        if in_comment {
            in_comment = c != '\n';
        } else if in_string {
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else if c == '/' && previous == '/' {
            in_comment = true;
            bare.pop();
            bare.push(' ');
        } else {
            in_string = c == '"';
        }
        previous = c;
        match in_comment {
            true => bare.extend(std::iter::repeat_n(' ', c.len_utf8())),
            false => bare.push(c),
        }
    }
    bare
}

/// The place that a diagnostic points to.
fn span_of(diagnostic: &(impl Diagnostic + ?Sized)) -> Option<Range<usize>> {
    let label = diagnostic.labels()?.next()?;
    Some(label.offset()..label.offset() + label.len())
}

/// What a diagnostic says, with its advice; the policy is named by the fault itself.
fn words_of(diagnostic: &(impl Diagnostic + ?Sized)) -> String {
    let said = diagnostic.to_string();
    let said = said
        .strip_prefix("for policy `")
        .and_then(|rest| rest.split_once("`, "))
        .map_or(said.as_str(), |(_, rest)| rest);
    let label = diagnostic.labels().and_then(|mut labels| labels.next()?.label().map(str::to_owned));
    let help = diagnostic.help().map(|help| help.to_string());
    [Some(said.to_owned()), label, help].into_iter().flatten().collect::<Vec<_>>().join("; ")
}
