//! What callers do and how it was decided: the words that policies, errors and entries of the log share.

use std::fmt;

macro_rules! words {
    ($(#[$enum_doc:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $($(#[$doc])* $variant = $number,)*
        }

        impl $enum {
            /// All of them, by rising number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in policies, entries and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The one with this number, as entries store it.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// What was done or attempted. Numbers are written into entries and never used again for anything else.
    Action {
        /// Values in, tokens out.
        Tokenize = 1 "tokenize",
        /// Tokens in, values out.
        Detokenize = 2 "detokenize",
        /// The log is asked.
        QueryAccessLog = 3 "query_access_log",
        /// The newest checkpoint is asked for.
        GetCheckpoint = 4 "get_checkpoint",
        /// What is known of tokens beside their values is asked for.
        Describe = 5 "describe",
        /// Access tokens are put on the deny-list (node log).
        DenyAccessToken = 6 "deny_access_token",
        /// It is asked whether a caller would be shown the value of a token.
        ExplainAccess = 7 "explain_access",
        /// The deny-list is asked for (node log).
        ListDenied = 8 "list_denied",
        /// Policies and catalog were exchanged while the vault served (in the logs of the regions and of the node).
        ApplyPolicies = 9 "apply_policies",
        /// The versions of policies and catalog are asked for (node log).
        ListPolicyVersions = 10 "list_policy_versions",
        /// The texts of a version of policies and catalog are asked for (node log).
        GetPolicyVersion = 11 "get_policy_version",
        /// It is asked what policies and catalog would come to, without exchanging them (node log).
        PlanPolicies = 12 "plan_policies",
        /// A part of the log is written out as a file.
        ExportAccessLog = 13 "export_access_log",
        /// Old entries are taken from a log, whose hashes stay (in that log, and in the log of the node).
        PruneAccessLog = 14 "prune_access_log",
        /// Tokens are given a new end of their lifetime.
        Renew = 15 "renew",
        /// Tokens are made to lead nowhere, until they are resumed.
        Suspend = 16 "suspend",
        /// Tokens that were suspended lead to their values again.
        Resume = 17 "resume",
        /// Tokens are made to lead nowhere, for ever.
        Revoke = 18 "revoke",
        /// It is asked which tokens values have.
        Find = 19 "find",
        /// A vault process began to serve (in the logs of the regions and of the node).
        Start = 64 "start",
        /// A vault process stopped in good order.
        Stop = 65 "stop",
        /// A connection was refused before any call (node log; aggregated).
        Connect = 66 "connect",
        /// A call that never reached a verb: no such method, a malformed message (node log; aggregated).
        Call = 67 "call",
        /// The files of TLS changed and were loaded, or were refused while the old ones stay (node log).
        Reload = 68 "reload",
        /// What had ended for a day was deleted: records with all that led to them (in the log of their region).
        Purge = 69 "purge",
    }
}

words! {
    /// How an attempt ended.
    Decision {
        /// Allowed, and carried out for at least one item.
        Allowed = 1 "allowed",
        /// Refused for who asked or what was asked of whom.
        Denied = 2 "denied",
        /// Allowed by policy, but nothing was carried out: bad input, no such token, a limit.
        Failed = 3 "failed",
    }
}
