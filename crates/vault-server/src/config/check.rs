//! `config check`: everything that can be found out about a configuration without serving it.

use std::{fmt, os::unix::fs::PermissionsExt};

use super::{Config, ConfigError};
use crate::tls;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Serves, but should not be left so.
    Warning,
    /// Does not serve.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: &'static str,
    /// What it is, and what to do.
    pub text: String,
}

impl Config {
    /// Looks at everything that the configuration names.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |severity, subject, text: String| Finding { severity, subject, text };
        let mut findings = vec![finding(
            Severity::Warning,
            "mode",
            "this is a development vault (mode = \"dev\"): its root key lies in a file, and whoever reads that file \
             has every key. Give it no real data. Providers with split custody and HSMs are on the way; until then no \
             other mode serves."
                .to_owned(),
        )];
        if let Err(error) = tls::server_config(&self.tls) {
            findings.push(finding(Severity::Error, "tls", error.to_string()));
        }
        match self.open() {
            Err(error @ ConfigError::RootKey(_)) => {
                findings.push(finding(Severity::Error, "root_key", error.to_string()));
            }
            Err(error) => findings.push(finding(Severity::Error, "catalog", error.to_string())),
            Ok((engine, _)) => {
                let catalog = engine.policies.catalog();
                findings.push(finding(
                    Severity::Note,
                    "catalog",
                    format!(
                        "{} data classes, {} audiences, {} accounts, {} policies; fingerprint {}",
                        catalog.classes().len(),
                        catalog.audiences().len(),
                        catalog.accounts().len(),
                        engine.policies.policy_ids().len(),
                        catalog.fingerprint()
                    ),
                ));
            }
        }
        if let Ok(metadata) = std::fs::metadata(&self.tls.key)
            && metadata.permissions().mode() & 0o077 != 0
        {
            let text = format!("{} can be read by other users: chmod 600", self.tls.key.display());
            findings.push(finding(Severity::Warning, "tls.key", text));
        }
        if !self.address.ip().is_loopback() {
            findings.push(finding(
                Severity::Warning,
                "listen.address",
                format!("{} can be reached from other machines", self.address),
            ));
        }
        findings
    }
}
