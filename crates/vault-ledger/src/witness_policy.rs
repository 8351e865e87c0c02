//! Whose cosignatures make a checkpoint count (c2sp.org/tlog-policy): a text that names witnesses, groups of them, and
//! the quorum.
//!
//! ```text
//! witness <name> <verifier key> [<url>]
//! group <name> all|any|<k> <name>…
//! quorum <name>|none
//! log <verifier key> [<url>]          (passed over: a vault knows its own logs)
//! ```
//!
//! Blanks and tabs separate words; empty lines, and lines that begin with `#`, mean nothing. A name stands in one group
//! at most, so that no witness counts twice.

use std::fmt;

use thiserror::Error;

use crate::{cosignature::WitnessKey, error::LedgerError};

/// The longest policy.
pub const WITNESS_POLICY_BYTES_MAX: usize = 64 * 1024;
/// Witnesses of a policy, and groups.
const WITNESSES_MAX: usize = 32;

/// Witnesses, and how many of them have to agree.
#[derive(Clone, Debug, Default)]
pub struct WitnessPolicy {
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// One witness.
#[derive(Clone, Debug)]
pub struct PolicyWitness {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// Where it takes checkpoints: `<url>/add-checkpoint`.
    pub url: Option<String>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<Member>,
}

/// A witness or a group by its place in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// What is wrong with a policy. The line's own text is not repeated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct PolicyFault {
    /// The line, from 1; 0 for the whole.
    pub line: usize,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.problem),
            line => write!(f, "line {line}: {}", self.problem),
        }
    }
}

impl WitnessPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// With the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyFault> {
        let whole = |problem: &str| PolicyFault { line: 0, problem: problem.to_owned() };
        if text.len() > WITNESS_POLICY_BYTES_MAX {
            return Err(whole("a policy must be at most 64 KiB"));
        }
        let mut policy = Self::default();
        let (mut used, mut has_quorum) = (Vec::new(), false);
        for (line, text) in (1..).zip(text.split('\n')) {
            let fault = |problem: String| PolicyFault { line, problem };
            if text.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
                return Err(fault("must hold no control character but tabs".to_owned()));
            }
            let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            match words.as_slice() {
                [] | ["log", _] | ["log", _, _] => {}
                [first, ..] if first.starts_with('#') => {}
                ["witness", name, key, url @ ..] if url.len() <= 1 => {
                    policy.add_witness(name, key, url.first().copied()).map_err(fault)?;
                }
                ["group", name, threshold, members @ ..] => {
                    policy.add_group(name, threshold, members, &mut used).map_err(fault)?;
                }
                ["quorum", _] if has_quorum => return Err(fault("there must be one quorum".to_owned())),
                ["quorum", "none"] => has_quorum = true,
                ["quorum", name] => {
                    let unknown = || fault("names neither a witness nor a group of a line before".to_owned());
                    policy.quorum = Some(policy.member(name).ok_or_else(unknown)?);
                    has_quorum = true;
                }
                _ => return Err(fault("must be a witness, a group, a quorum, a log, or a comment".to_owned())),
            }
        }
        if has_quorum { Ok(policy) } else { Err(whole("a line \"quorum <name>\" must say which witnesses suffice")) }
    }

    /// The witnesses, in their order.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether a checkpoint counts that these witnesses, by their places, have cosigned.
    #[must_use]
    pub fn is_met(&self, cosigned: &[usize]) -> bool {
        self.quorum.is_none_or(|quorum| self.has_witnessed(quorum, cosigned))
    }

    fn has_witnessed(&self, member: Member, cosigned: &[usize]) -> bool {
        match member {
            Member::Witness(at) => cosigned.contains(&at),
            // A group names earlier ones alone: this ends.
            Member::Group(at) => self.groups.get(at).is_some_and(|group| {
                let agree = group.members.iter().filter(|member| self.has_witnessed(**member, cosigned));
                agree.count() >= group.threshold
            }),
        }
    }

    fn add_witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        self.must_be_new(name)?;
        let key = WitnessKey::parse(key).map_err(|error: LedgerError| error.to_string())?;
        if self.witnesses.iter().any(|witness| witness.key.is_same_key(&key)) {
            return Err("another witness has the same key: they would count as two and be one".to_owned());
        }
        if self.witnesses.len() >= WITNESSES_MAX {
            return Err(format!("there must be at most {WITNESSES_MAX} witnesses"));
        }
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn add_group(
        &mut self,
        name: &str,
        threshold: &str,
        members: &[&str],
        used: &mut Vec<Member>,
    ) -> Result<(), String> {
        self.must_be_new(name)?;
        if self.groups.len() >= WITNESSES_MAX {
            return Err(format!("there must be at most {WITNESSES_MAX} groups"));
        }
        let mut found = Vec::with_capacity(members.len());
        for member in members {
            let member = self.member(member).ok_or("names neither a witness nor a group of a line before")?;
            if used.contains(&member) {
                return Err("names a member that stands in a group already: it would count twice".to_owned());
            }
            used.push(member);
            found.push(member);
        }
        let threshold = match threshold {
            "all" => Some(found.len()),
            "any" => Some(1),
            number => number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit())),
        };
        let threshold = threshold.filter(|threshold| (1..=found.len()).contains(threshold));
        let threshold = threshold.ok_or("must say all, any, or a number from 1 to that of its members")?;
        self.groups.push(Group { name: name.to_owned(), threshold, members: found });
        Ok(())
    }

    fn must_be_new(&self, name: &str) -> Result<(), String> {
        if name == "none" || self.member(name).is_some() {
            return Err("its name is taken".to_owned());
        }
        Ok(())
    }

    fn member(&self, name: &str) -> Option<Member> {
        let witness = self.witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
        witness.or_else(|| self.groups.iter().position(|group| group.name == name).map(Member::Group))
    }
}

#[cfg(test)]
mod tests;
