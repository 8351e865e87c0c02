//! What a count of entries can tell apart.

/// By what entries of a log are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountBy {
    /// Their decision.
    Decision,
    /// Who asked.
    Principal,
    /// The data classes that they concern: an entry counts once for each of them, and for none if it concerns none.
    DataClass,
    /// Their action.
    Action,
    /// The hour of their log time, from its full hour in UTC.
    Hour,
}

impl CountBy {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Decision, Self::Principal, Self::DataClass, Self::Action, Self::Hour];

    /// The name, as callers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Principal => "principal",
            Self::DataClass => "data_class",
            Self::Action => "action",
            Self::Hour => "hour",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|by| by.name() == name)
    }
}
