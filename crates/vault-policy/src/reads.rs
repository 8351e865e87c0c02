//! What policies look at of that which changes from call to call. A decision is remembered for exactly what they see:
//! if no policy asks where a call came from, calls from everywhere share one.

use cedar_policy::PolicySet;
use serde_json::Value;

/// The fields of `context.caller` that some policy reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The time of the call.
    pub(crate) now: bool,
    /// How long ago the caller authenticated.
    pub(crate) age: bool,
    /// Where the call came from.
    pub(crate) source: bool,
}

impl Reads {
    pub(crate) const ALL: Self = Self { now: true, age: true, source: true };

    /// Looks through all policies. What can't be looked through counts as reading everything.
    pub(crate) fn of(policies: &PolicySet) -> Self {
        let mut reads = Self::default();
        for policy in policies.policies() {
            match policy.to_json() {
                Ok(json) => reads.note(&json),
                Err(_) => return Self::ALL,
            }
        }
        reads
    }

    /// Notes what an expression of Cedar's JSON policy format reads. The caller as a whole, or the whole context, is
    /// everything.
    fn note(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (operator, operand) in fields {
                    match (operator.as_str(), field(operand)) {
                        ("." | "has", Some((left, attribute))) if is_caller(left) => self.note_field(attribute),
                        ("." | "has", Some((left, attribute))) if is_context(left) && attribute != "caller" => {}
                        ("has", Some((left, _))) if is_context(left) => {}
                        ("Var", _) if operand == "context" => *self = Self::ALL,
                        _ => self.note(operand),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            _ => {}
        }
    }

    fn note_field(&mut self, attribute: &str) {
        match attribute {
            "now" => self.now = true,
            "authenticated_seconds" => self.age = true,
            "source" => self.source = true,
            // What a session holds is always part of what a decision is remembered for.
            _ => {}
        }
    }
}

/// Left side and name of an attribute's operand.
fn field(operand: &Value) -> Option<(&Value, &str)> {
    Some((operand.get("left")?, operand.get("attr")?.as_str()?))
}

fn is_context(value: &Value) -> bool {
    value.get("Var").is_some_and(|name| name == "context")
}

fn is_caller(value: &Value) -> bool {
    value.get(".").and_then(field).is_some_and(|(left, attribute)| is_context(left) && attribute == "caller")
}

#[cfg(test)]
mod tests;
