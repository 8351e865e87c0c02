//! The callers of the tests: who they are in the test catalog, and what their certificates say.

use crate::certificates::Name;

/// A caller. Its grants stand in vault/catalog.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Makes Acme's tokens, for all audiences; sees no value.
    Loader,
    /// Sees what it needs to settle: every class, for the audience `payments`.
    Payments,
    /// Sees e-mail addresses, for the audience `support`.
    Support,
    /// Sees customers and cards, for the audience `analytics`.
    Analytics,
    /// Is shown masks, for the audience `payments`; of customers' numbers alone the whole.
    Desk,
    /// Renews, suspends, resumes and revokes Acme's tokens for all audiences; sees no value.
    Steward,
    /// Reads Acme's log.
    Auditor,
    /// May do everything with e-mail addresses, in the region `eu` alone.
    Regional,
    /// Has an account of Acme's without any grant.
    Idle,
    /// Has an account under the DNS name of its certificate.
    Host,
    /// Makes Globex's tokens.
    GlobexLoader,
    /// Sees Globex's values.
    GlobexPayments,
    /// Reads Globex's log.
    GlobexAuditor,
    /// Has a good certificate and no account.
    Stranger,
    /// Has a certificate that names nobody.
    Nameless,
    /// Has a certificate that names two.
    TwoNames,
    /// Claims to be the payments service, by a certificate of another authority.
    Foreign,
    /// Has no certificate.
    Anonymous,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Loader,
        Self::Payments,
        Self::Support,
        Self::Analytics,
        Self::Desk,
        Self::Steward,
        Self::Auditor,
        Self::Regional,
        Self::Idle,
        Self::Host,
        Self::GlobexLoader,
        Self::GlobexPayments,
        Self::GlobexAuditor,
        Self::Stranger,
        Self::Nameless,
        Self::TwoNames,
        Self::Foreign,
        Self::Anonymous,
    ];

    /// The principal, as the catalog and the log write it; empty for who has none.
    #[must_use]
    pub fn principal(self) -> &'static str {
        match self {
            Self::Loader => "spiffe://test.tokenvault/loader",
            Self::Payments | Self::Foreign => "spiffe://test.tokenvault/payments",
            Self::Support => "spiffe://test.tokenvault/support",
            Self::Analytics => "spiffe://test.tokenvault/analytics",
            Self::Desk => "spiffe://test.tokenvault/desk",
            Self::Steward => "spiffe://test.tokenvault/steward",
            Self::Auditor => "spiffe://test.tokenvault/auditor",
            Self::Regional => "spiffe://test.tokenvault/regional",
            Self::Idle => "spiffe://test.tokenvault/idle",
            Self::Host => "dns:batch.test.tokenvault",
            Self::GlobexLoader => "spiffe://test.tokenvault/globex-loader",
            Self::GlobexPayments => "spiffe://test.tokenvault/globex-payments",
            Self::GlobexAuditor => "spiffe://test.tokenvault/globex-auditor",
            Self::Stranger => "spiffe://test.tokenvault/stranger",
            Self::Nameless | Self::TwoNames | Self::Anonymous => "",
        }
    }

    /// The names in its certificate.
    #[must_use]
    pub fn names(self) -> Vec<Name> {
        let uri = |name: &str| Name::Uri(name.to_owned());
        match self {
            Self::Nameless | Self::Anonymous => Vec::new(),
            Self::TwoNames => vec![uri(Self::Loader.principal()), uri(Self::Payments.principal())],
            Self::Host => vec![Name::Dns("batch.test.tokenvault".to_owned())],
            _ => vec![uri(self.principal())],
        }
    }
}
