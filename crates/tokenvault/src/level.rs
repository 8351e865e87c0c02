//! How much of values a command asks for.

use clap::ValueEnum;
use vault_domain::{LevelAsked, RevealLevel};

/// A level on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Level {
    /// All of them, or a refusal
    Full,
    /// What the masks of their classes leave
    Masked,
    /// All where you may see that, else the mask, each class for itself
    #[value(alias = "best")]
    BestPermitted,
}

/// The choice of a level, shared by the commands that reveal.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LevelArgument {
    /// How much of the values to ask for
    #[arg(long, value_enum, default_value = "full")]
    level: Level,
}

impl LevelArgument {
    pub(crate) fn asked(self) -> LevelAsked {
        match self.level {
            Level::Full => LevelAsked::Exactly(RevealLevel::Full),
            Level::Masked => LevelAsked::Exactly(RevealLevel::Masked),
            Level::BestPermitted => LevelAsked::BestPermitted,
        }
    }
}
