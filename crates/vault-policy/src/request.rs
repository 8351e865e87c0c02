//! What is asked of the policies: all that a decision may depend on, and nothing else.

use std::net::IpAddr;

use vault_catalog::LOG_ACTIONS;
use vault_domain::{Action, Audience, DataClass, Millis, PrincipalId, Purpose, Region, RevealLevel, Session};

/// One question: may this principal do this, for this purpose?
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks; authenticated.
    pub principal: &'a PrincipalId,
    /// What for; None if the caller states nothing.
    pub purpose: Option<&'a Purpose>,
    /// What is to be done.
    pub ask: Ask<'a>,
    /// How, from where and when it asks.
    pub circumstances: Circumstances<'a>,
}

/// What policies may know of a call beside who makes it and what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// What the caller's access token says; None for a caller that is known by its certificate alone.
    pub session: Option<&'a Session>,
    /// Where it calls from, if that is known.
    pub source: Option<IpAddr>,
    /// When, on the wall clock.
    pub now: Millis,
}

/// What is to be done, and with what.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// To be shown values, this much of them.
    Detokenize(DataScope<'a>, RevealLevel),
    /// Any other of [`DATA_ACTIONS`](vault_catalog::DATA_ACTIONS): none of them shows values.
    Data(Action, DataScope<'a>),
    /// One of [`LOG_ACTIONS`], done to a log or to the node itself. Any other action is none of the schema's for a log,
    /// and is denied.
    Log(Action, Log<'a>),
}

/// The data that a request is about.
#[derive(Clone, Copy, Debug)]
pub struct DataScope<'a> {
    /// What kind of values.
    pub class: &'a DataClass,
    /// Whom the tokens are for.
    pub audience: &'a Audience,
    /// Where the records live.
    pub region: &'a Region,
}

/// The log that a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Log<'a> {
    /// The log of a region.
    Region(&'a Region),
    /// The log of this node, which belongs to no region.
    Node,
}

impl Ask<'_> {
    /// How much of values is to be shown; None for what shows no values.
    #[must_use]
    pub fn level(&self) -> Option<RevealLevel> {
        match self {
            Self::Detokenize(_, level) => Some(*level),
            Self::Data(..) | Self::Log(..) => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Detokenize(..) => Action::Detokenize,
            Self::Data(action, _) | Self::Log(action, _) => *action,
        }
    }
}

impl<'a> Log<'a> {
    /// The log of a region, or of the node where there is none.
    #[must_use]
    pub fn of(region: Option<&'a Region>) -> Self {
        region.map_or(Self::Node, Self::Region)
    }

    /// The region's name, or `node`, which no region is called.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Region(region) => region.as_str(),
            Self::Node => NODE,
        }
    }

    /// Whether this log can be asked for the action: entries are read of regions alone, checkpoints given of each log,
    /// and everything else that operators do is done to the node.
    #[must_use]
    pub fn takes(self, action: Action) -> bool {
        match (action, self) {
            (Action::QueryAccessLog | Action::ExportAccessLog, log) => matches!(log, Self::Region(_)),
            (Action::GetCheckpoint, _) => true,
            (action, log) => matches!(log, Self::Node) && LOG_ACTIONS.contains(&action),
        }
    }
}

/// The name of the node's own log.
pub(crate) const NODE: &str = "node";
