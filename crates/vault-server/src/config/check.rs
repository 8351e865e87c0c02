//! `config check`: everything that can be found out about a configuration without serving it.

use std::{fmt, os::unix::fs::PermissionsExt, sync::Arc};

use vault_domain::{Clock, Millis, SystemClock};
use vault_engine::PolicySet;

use super::Config;
use crate::{
    access_token::AccessTokens,
    tls::{self, Expiry},
};

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
    /// Looks at everything that the configuration names, at the time `now`.
    #[must_use]
    pub fn findings(&self, now: Millis) -> Vec<Finding> {
        let finding = |severity, subject, text: String| Finding { severity, subject, text };
        let mut findings = vec![finding(
            Severity::Warning,
            "mode",
            format!(
                "this is a development vault (mode = \"dev\"): {}. Give it no real data. Providers with split custody \
                 and HSMs are on the way; until then no other mode serves.",
                self.root_key.custody()
            ),
        )];
        match tls::server_config(&self.tls).and_then(|_| tls::expiry(&self.tls)) {
            Err(error) => findings.push(finding(Severity::Error, "tls", error.to_string())),
            Ok(expiry) => findings.extend(expiry.problem(now).map(|(severity, text)| {
                finding(severity, "tls.certificate", format!("{} {text}", self.tls.certificate.display()))
            })),
        }
        findings.extend(self.directory_findings());
        match self.root_key.look() {
            Err(error) => findings.push(finding(Severity::Error, "root_key", error.to_string())),
            Ok(Some(_)) => {}
            Ok(None) => findings.push(finding(
                Severity::Note,
                "root_key",
                "there is no store yet: the first start fixes the passphrase".to_owned(),
            )),
        }
        if let Err(error) = AccessTokens::open(self, &(Arc::new(SystemClock::new()) as Arc<dyn Clock>)) {
            findings.push(finding(Severity::Error, "identity.issuers", error.to_string()));
        }
        match self.engine() {
            Err(error) => findings.push(finding(Severity::Error, "catalog", error.to_string())),
            Ok(engine) => {
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
                findings.extend(doubts(&engine.policies, now));
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
        findings.extend(self.unknown_variables.iter().filter(|name| !is_of_kubernetes(name)).map(|name| {
            let text = format!("{name} is set, and no key of the configuration has that name: it has no effect");
            finding(Severity::Warning, "environment", text)
        }));
        findings
    }

    fn directory_findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (subject, path) in
            [("data_directory", &self.data_directory), ("checkpoint_directory", &self.checkpoint_directory)]
        {
            // A link that leads nowhere is there, and can't be made a directory of.
            if path.symlink_metadata().is_ok() && !path.is_dir() {
                let text = format!("{} is there and is no directory: name another, or remove it", path.display());
                findings.push(Finding { severity: Severity::Error, subject, text });
            }
        }
        if self.checkpoint_directory.starts_with(&self.data_directory) {
            let text = format!(
                "{} lies in data_directory: whoever puts back an old copy of the stores puts back the old checkpoints \
                 too, and nothing tells; keep it elsewhere, best on another disk",
                self.checkpoint_directory.display()
            );
            findings.push(Finding { severity: Severity::Warning, subject: "checkpoint_directory", text });
        }
        findings
    }
}

/// What catalog and policies come to, but hardly mean.
fn doubts(policies: &PolicySet, now: Millis) -> Vec<Finding> {
    let finding = |severity, text| Finding { severity, subject: "policies", text };
    let doubts = match policies.doubts(now) {
        Ok(doubts) => doubts,
        Err(too_many) => {
            return vec![finding(Severity::Note, format!("not looked for grants that open nothing: {too_many}"))];
        }
    };
    let severity = |warning| if warning { Severity::Warning } else { Severity::Note };
    doubts.iter().map(|doubt| finding(severity(doubt.is_warning()), doubt.to_string())).collect()
}

/// Whether a variable is one of those that Kubernetes sets in every container for a service called `tokenvault`.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = name.strip_prefix(super::PREFIX).unwrap_or(name);
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_HOST") || rest.starts_with("SERVICE_PORT")
}

impl Expiry {
    /// What to say of a certificate at the time `now`, if anything.
    fn problem(self, now: Millis) -> Option<(Severity, String)> {
        let seconds = now.0 / 1000;
        if seconds < self.not_before {
            return Some((Severity::Error, "is not valid yet: look at the clock, and at the certificate".to_owned()));
        }
        let left = self.not_after.saturating_sub(seconds);
        let days = left / SECONDS_A_DAY;
        match left {
            0 => Some((Severity::Error, "has expired: no client accepts it; issue a new one".to_owned())),
            _ if days < EXPIRES_SOON_DAYS => {
                Some((Severity::Warning, format!("expires in {days} days: issue a new one")))
            }
            _ => None,
        }
    }
}

const SECONDS_A_DAY: u64 = 24 * 3600;
/// When a certificate's end is near enough to warn of it.
const EXPIRES_SOON_DAYS: u64 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_in_its_last_fortnight() {
        let day = SECONDS_A_DAY;
        let expiry = Expiry { not_before: 10 * day, not_after: 40 * day };
        let severity = |seconds: u64| expiry.problem(Millis(seconds * 1000)).map(|(severity, _)| severity);
        assert_eq!(severity(10 * day - 1), Some(Severity::Error));
        assert_eq!(severity(10 * day), None);
        assert_eq!(severity(26 * day), None);
        assert_eq!(severity(26 * day + 1), Some(Severity::Warning));
        assert_eq!(severity(40 * day - 1), Some(Severity::Warning));
        assert_eq!(severity(40 * day), Some(Severity::Error));
    }
}
