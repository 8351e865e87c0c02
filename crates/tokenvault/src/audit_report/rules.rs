//! What catalog and policies say, of the caller's own tenant: who can be shown a class, and what was granted. It is
//! asked of the same judge that the vault decides by, as `config diff` asks it.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use serde_json::{Value, json};
use vault_catalog::Account;
use vault_domain::{Action, DataClass, Millis, Region, RevealLevel};
use vault_policy::{PolicySet, Way};
use vault_server::{Config, Environment, Reading};

use super::document::Asked;
use crate::{
    config_diff::WhenArguments,
    exit::{Exit, Failure},
    timestamp,
};

/// What follows from the rules, and which rules they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// SHA-256 over catalog and policies; entries name its first eight bytes.
    pub(crate) fingerprint: String,
    /// Whose accounts.
    pub(crate) tenant: String,
    /// When and from where it was asked who can, for policies that look at that.
    pub(crate) at: Option<Millis>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) can: Vec<Can>,
    pub(crate) grants: Vec<Granted>,
}

/// That somebody can be shown values of a class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Can {
    pub(crate) principal: String,
    pub(crate) region: String,
    pub(crate) audience: String,
    pub(crate) level: String,
    /// None where none need be stated.
    pub(crate) purpose: Option<String>,
    /// The ways in which the caller has to come, any of them.
    pub(crate) with: Vec<String>,
}

/// A grant of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) principal: String,
    /// Its place in the account's list, from 1.
    pub(crate) place: u64,
    pub(crate) actions: Vec<String>,
    pub(crate) classes: Vec<String>,
    pub(crate) audiences: Vec<String>,
    /// None: any.
    pub(crate) purposes: Option<Vec<String>>,
    /// How much detokenize shows at most.
    pub(crate) level: String,
}

/// The files of a configuration.
pub(crate) struct RuleFiles {
    policies: PolicySet,
    regions: Vec<Region>,
}

impl RuleFiles {
    /// Reads them, whatever else the configuration says; the environment overrides nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let config: Config = Reading::of_file(path, &Environment::default())?.into_config()?;
        Ok(Self { policies: config.policies()?, regions: config.regions().to_vec() })
    }

    /// The regions that the vault serves.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What these files say in the place of what a report says of them, asked in the same way.
    pub(crate) fn anew(&self, asked: &Asked, regions: &[Region], stated: &Rules) -> Result<Rules, Failure> {
        match asked {
            Asked::Class(class) => {
                let at =
                    stated.at.ok_or_else(|| Failure::usage("the report does not say when its rules were asked"))?;
                self.who_can(class, regions, &stated.tenant, &WhenArguments { at, source: stated.source })
            }
            _ => Ok(self.granted(&stated.tenant)),
        }
    }

    fn rules(&self, tenant: &str) -> Rules {
        let fingerprint = self.policies.fingerprint_hex();
        let tenant = tenant.to_owned();
        Rules { fingerprint, tenant, at: None, source: None, can: Vec::new(), grants: Vec::new() }
    }

    fn accounts<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = &'a Account> {
        self.policies.catalog().accounts().filter(move |account| account.tenant().as_str() == tenant)
    }

    /// Who of the tenant can be shown values of the class, in these regions.
    pub(crate) fn who_can(
        &self,
        class: &DataClass,
        regions: &[Region],
        tenant: &str,
        when: &WhenArguments,
    ) -> Result<Rules, Failure> {
        if self.policies.catalog().class(class.as_str()).is_none() {
            return Err(Failure::usage(format!("the catalog has no data class {class}")));
        }
        let ways = Way::all(&[&self.policies], when.at);
        let reviewed = self.policies.review_ways(&ways, when.source, when.at);
        let reviewed = reviewed.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        let own: Vec<&str> = self.accounts(tenant).map(|account| account.principal().as_str()).collect();
        let mut found: BTreeMap<Can, Vec<String>> = BTreeMap::new();
        for (way, allowed) in ways.iter().zip(reviewed) {
            for access in allowed {
                let is_asked = access.action == Action::Detokenize && access.class.as_ref() == Some(class);
                let (Some(region), Some(audience)) = (access.region, access.audience) else { continue };
                if !is_asked || !own.contains(&access.principal.as_str()) || !regions.contains(&region) {
                    continue;
                }
                let can = Can {
                    principal: access.principal.to_string(),
                    region: region.to_string(),
                    audience: audience.to_string(),
                    level: access.level.unwrap_or(RevealLevel::Full).name().to_owned(),
                    purpose: access.purpose.map(|purpose| purpose.to_string()),
                    with: Vec::new(),
                };
                found.entry(can).or_default().push(way.name.clone());
            }
        }
        let can = found.into_iter().map(|(can, with)| Can { with, ..can }).collect();
        Ok(Rules { at: Some(when.at), source: when.source, can, ..self.rules(tenant) })
    }

    /// All grants of the tenant's accounts.
    pub(crate) fn granted(&self, tenant: &str) -> Rules {
        let grants = self.accounts(tenant).flat_map(|account| {
            (1..).zip(account.grants()).map(|(place, grant)| Granted {
                principal: account.principal().to_string(),
                place,
                actions: grant.actions().iter().map(ToString::to_string).collect(),
                classes: grant.classes().iter().map(ToString::to_string).collect(),
                audiences: grant.audiences().iter().map(ToString::to_string).collect(),
                purposes: grant.purposes().map(|purposes| purposes.iter().map(ToString::to_string).collect()),
                level: grant.level().name().to_owned(),
            })
        });
        Rules { grants: grants.collect(), ..self.rules(tenant) }
    }
}

impl Rules {
    pub(crate) fn json(&self) -> Value {
        json!({
            "fingerprint": self.fingerprint,
            "tenant": self.tenant,
            "at": self.at.map(timestamp::show),
            "source": self.source.map(|source| source.to_string()),
            "can": self.can.iter().map(Can::json).collect::<Vec<_>>(),
            "grants": self.grants.iter().map(Granted::json).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn read(json: &Value) -> Option<Self> {
        Some(Self {
            fingerprint: text(json, "fingerprint")?,
            tenant: text(json, "tenant")?,
            at: perhaps(json, "at", |at| timestamp::parse(at).ok())?,
            source: perhaps(json, "source", |source| source.parse().ok())?,
            can: json.get("can")?.as_array()?.iter().map(Can::read).collect::<Option<_>>()?,
            grants: json.get("grants")?.as_array()?.iter().map(Granted::read).collect::<Option<_>>()?,
        })
    }
}

impl Can {
    fn json(&self) -> Value {
        json!({
            "principal": self.principal, "region": self.region, "audience": self.audience, "level": self.level,
            "purpose": self.purpose, "with": self.with,
        })
    }

    fn read(json: &Value) -> Option<Self> {
        Some(Self {
            principal: text(json, "principal")?,
            region: text(json, "region")?,
            audience: text(json, "audience")?,
            level: text(json, "level")?,
            purpose: perhaps(json, "purpose", |purpose| Some(purpose.to_owned()))?,
            with: texts(json.get("with")?)?,
        })
    }
}

impl Granted {
    fn json(&self) -> Value {
        json!({
            "principal": self.principal, "grant": self.place, "actions": self.actions, "data_classes": self.classes,
            "audiences": self.audiences, "purposes": self.purposes, "level": self.level,
        })
    }

    fn read(json: &Value) -> Option<Self> {
        let purposes = match json.get("purposes")? {
            Value::Null => None,
            purposes => Some(texts(purposes)?),
        };
        Some(Self {
            principal: text(json, "principal")?,
            place: json.get("grant")?.as_u64()?,
            actions: texts(json.get("actions")?)?,
            classes: texts(json.get("data_classes")?)?,
            audiences: texts(json.get("audiences")?)?,
            purposes,
            level: text(json, "level")?,
        })
    }
}

fn text(json: &Value, name: &str) -> Option<String> {
    json.get(name)?.as_str().map(str::to_owned)
}

fn perhaps<T>(json: &Value, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match json.get(name)? {
        Value::Null => Some(None),
        text => read(text.as_str()?).map(Some),
    }
}

fn texts(json: &Value) -> Option<Vec<String>> {
    json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}
