//! `config check`: everything that can be found out about a configuration without serving it.

use std::{
    fmt,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    sync::Arc,
};

use vault_domain::{Clock, ManualClock, Millis, SystemClock, limits};
use vault_engine::PolicySet;

use super::{Config, OwnIdentity, check_issuers};
use crate::{
    access_token::AccessTokens,
    outside::Outside,
    tls::{self, Timing},
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
        findings.extend(self.tls_findings(now));
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
        if let Err(error) = Outside::open(self, &(Arc::new(SystemClock::new()) as Arc<dyn Clock>)) {
            findings.push(finding(Severity::Error, "witnesses", error.to_string()));
        }
        match self.engine() {
            Err(error) => findings.push(finding(Severity::Error, "catalog", error.to_string())),
            Ok(engine) => findings.extend(about_policies(&engine.policies)),
        }
        findings.extend(self.length_finding());
        if self.rules_are_applied() {
            findings.push(finding(
                Severity::Note,
                "rules_from",
                "the version that was applied last serves, and these files only as long as there is none: `tokenvault \
                 config history` asks the running vault"
                    .to_owned(),
            ));
        }
        if let OwnIdentity::Files { key, .. } = &self.tls.own
            && let Ok(metadata) = std::fs::metadata(key)
            && metadata.permissions().mode() & 0o077 != 0
        {
            let text = format!("{} can be read by other users: chmod 600", key.display());
            findings.push(finding(Severity::Warning, "tls.key", text));
        }
        if !self.address.ip().is_loopback() {
            findings.push(finding(
                Severity::Warning,
                "listen.address",
                format!("{} can be reached from other machines", self.address),
            ));
        }
        findings.extend(self.repeatable().map(|action| {
            let name = action.name();
            let text =
                format!("does not hold \"{name}\": whoever gets hold of such a call on its way can send it again");
            finding(Severity::Warning, "replay.required_for", text)
        }));
        findings.extend(self.unknown_variables.iter().filter(|name| !is_of_kubernetes(name)).map(|name| {
            let text = format!("{name} is set, and no key of the configuration has that name: it has no effect");
            finding(Severity::Warning, "environment", text)
        }));
        findings
    }

    /// Whether catalog and policies are longer than a version may be, which files that serve by themselves may.
    fn length_finding(&self) -> Option<Finding> {
        // What can't be read is a finding of its own.
        let bytes = self.rule_texts().ok()?.bytes();
        let (severity, then) = match self.rules_are_applied() {
            true => (Severity::Error, "with rules_from = \"applied\" they can't become one"),
            false => (Severity::Warning, "these files serve, and could not with rules_from = \"applied\""),
        };
        let text = format!(
            "catalog and policies are {bytes} bytes long, and a version of them at most {}: {then}. Make them shorter",
            limits::RULES_BYTES_MAX
        );
        (bytes > limits::RULES_BYTES_MAX).then_some(Finding { severity, subject: "catalog", text })
    }

    /// What is wrong with the files of TLS, and how old each certificate and list is and when it ends.
    fn tls_findings(&self, now: Millis) -> Vec<Finding> {
        let finding = |severity, subject, text: String| Finding { severity, subject, text };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now));
        let (dated, without_list) = match tls::look(&self.tls, &clock) {
            Ok(found) => found,
            Err(error) => return vec![finding(Severity::Error, "tls", error.to_string())],
        };
        let dated = dated.iter().map(|dated| {
            let timing = dated.timing(now, self.tls.expiry_warning);
            let severity = match timing {
                Timing::Good => Severity::Note,
                Timing::EndsSoon => Severity::Warning,
                Timing::Early | Timing::Over => Severity::Error,
            };
            finding(severity, dated.kind.key(), format!("{} {}", dated.name(), dated.text(now, timing)))
        });
        let mut findings: Vec<Finding> = dated.collect();
        findings.extend(without_list.iter().map(|path| {
            let text = format!("{path} holds an authority without a list in tls.client_crl: its clients are refused");
            finding(Severity::Warning, "tls.client_crl", text)
        }));
        if let OwnIdentity::WorkloadApi { socket } = &self.tls.own {
            let (severity, is) = match std::fs::metadata(socket).map(|found| found.file_type().is_socket()) {
                Ok(true) => (Severity::Note, "gives the server's certificate when it serves; it was not asked here"),
                Ok(false) => (Severity::Error, "is no socket"),
                Err(_) => (Severity::Error, "is not there, or can't be looked at: is the agent running?"),
            };
            findings.push(finding(severity, "tls.workload_api", format!("{} {is}", socket.display())));
        }
        if self.tls.client_crl.is_empty() {
            let text = "none: a certificate counts until it expires, whoever has it by then".to_owned();
            findings.push(finding(Severity::Note, "tls.client_crl", text));
        }
        if self.tls.naming.trust_domains.is_empty() {
            let text = "none named: SPIFFE IDs of any trust domain are principals; name those that are yours before \
                        production"
                .to_owned();
            findings.push(finding(Severity::Note, "tls.spiffe_trust_domains", text));
        }
        findings
    }

    /// What catalog and policies come to, but hardly mean. It asks them about everything that anybody may do, which
    /// takes seconds where there are many grants: not for a start.
    #[must_use]
    pub fn doubts(&self, now: Millis) -> Vec<Finding> {
        let finding = |severity, text| Finding { severity, subject: "policies", text };
        // What is wrong with them is a finding of its own.
        let Ok(policies) = self.policies() else { return Vec::new() };
        let mut found = match policies.doubts(now) {
            Ok(doubts) => {
                let severity = |warns| if warns { Severity::Warning } else { Severity::Note };
                doubts.iter().map(|doubt| finding(severity(doubt.is_warning()), doubt.to_string())).collect()
            }
            Err(too_many) => {
                vec![finding(Severity::Note, format!("not looked for grants that open nothing: {too_many}"))]
            }
        };
        if let Ok(issuers) = self.issuers(now) {
            let missing = check_issuers::missing(&policies, issuers.as_ref().map(|(_, issuers)| issuers));
            found.extend(missing.into_iter().map(|text| finding(Severity::Warning, text)));
        }
        found
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

/// What there is to say of catalog and policies that can be used: what they are, and where they go beyond what PCI DSS
/// asks for.
fn about_policies(policies: &PolicySet) -> Vec<Finding> {
    let finding = |severity, subject, text| Finding { severity, subject, text };
    let catalog = policies.catalog();
    let text = format!(
        "{} data classes, {} audiences, {} accounts, {} policies; fingerprint {}",
        catalog.classes().len(),
        catalog.audiences().len(),
        catalog.accounts().len(),
        policies.policy_ids().len(),
        catalog.fingerprint()
    );
    let mut findings = vec![finding(Severity::Note, "catalog", text)];
    findings.extend(catalog.classes().filter(|class| class.is_mask_beyond_pci()).map(|class| {
        let text = format!(
            "masks of the class {:?} show more of a card number than its first 6 and last 4 digits \
             (mask_beyond_pci = true): PCI DSS 3.4.1 asks for a documented need",
            class.id().as_str()
        );
        finding(Severity::Warning, "catalog", text)
    }));
    findings
}

/// Whether a variable is one of those that Kubernetes sets in every container for a service called `tokenvault`.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = name.strip_prefix(super::PREFIX).unwrap_or(name);
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_HOST") || rest.starts_with("SERVICE_PORT")
}
