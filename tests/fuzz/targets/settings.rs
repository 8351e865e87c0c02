//! What operators write: the catalog, policies, the configuration with its environment.

use std::{collections::BTreeSet, path::Path, sync::LazyLock};

use vault_catalog::{Catalog, Class, FAULTS_SHOWN_MAX, Format};
use vault_domain::limits;
use vault_format::{LuhnMode, Numerals};
use vault_policy::{PolicySet, PolicySource};
use vault_server::{Config, ConfigError, Environment};

use super::text;

/// A catalog that is taken holds together; of one that is refused every fault has its place.
pub(super) fn catalog(bytes: &[u8]) {
    let text = text(bytes);
    match Catalog::parse(&text) {
        Ok(catalog) => {
            assert!(catalog.classes().len() <= limits::CLASSES_MAX);
            catalog.classes().for_each(assert_class);
            for account in catalog.accounts() {
                assert!(catalog.tenant(account.tenant().as_str()).is_some());
                assert!(account.audiences().iter().all(|name| catalog.audience(name.as_str()).is_some()));
                assert!(account.regions().iter().all(|name| catalog.region(name.as_str()).is_some()));
                for grant in account.grants() {
                    assert!(grant.classes().iter().all(|name| catalog.class(name.as_str()).is_some()));
                    let purposes = grant.purposes().unwrap_or_default();
                    assert!(purposes.iter().all(|name| catalog.purpose(name.as_str()).is_some()));
                }
            }
            assert_eq!(Catalog::parse(&text).unwrap().fingerprint(), catalog.fingerprint());
        }
        Err(error) => {
            assert!((1..=FAULTS_SHOWN_MAX).contains(&error.faults().len()) && error.faults().len() <= error.found());
            let lines = text.split('\n').count();
            let places: Vec<_> = error.faults().iter().map(|fault| (fault.line, fault.column)).collect();
            assert!(places.iter().all(|(line, column)| (1..=lines).contains(line) && *column >= 1), "{places:?}");
            assert!(places.is_sorted(), "{places:?}");
            let shown = error.to_string();
            assert!(error.faults().iter().all(|fault| shown.contains(&fault.to_string())));
            assert_eq!(shown.ends_with(" more"), error.found() > FAULTS_SHOWN_MAX);
        }
    }
}

/// What no class may be, whatever its keys say.
fn assert_class(class: &Class) {
    if let (Some(default), Some(max)) = (class.ttl_default(), class.ttl_max()) {
        assert!(default <= max, "{} lives longer than it may", class.id());
    }
    match class.format() {
        Format::FormatPreserving(config) => {
            assert!(config.reserved.is_none() || config.luhn == LuhnMode::Any, "{} has no tokens", class.id());
        }
        Format::Ff1(permuted) => {
            let check_digit = permuted.luhn != LuhnMode::Any;
            assert!(
                !check_digit || (permuted.keep_last == 0 && permuted.numerals == Numerals::Digits),
                "{}",
                class.id()
            );
        }
        Format::Opaque | Format::Uuid | Format::OneWay => {}
    }
}

pub(super) fn policy(bytes: &[u8]) {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::parse(vault_catalog::SAMPLE).unwrap());
    let text = text(bytes);
    match PolicySet::load(&[PolicySource { name: "own.cedar", text: &text }], &CATALOG) {
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("own.cedar"), "{error}"),
    }
}

/// The text of the file; behind a zero byte, lines of `NAME=VALUE` for the environment.
pub(super) fn configuration(bytes: &[u8]) {
    let text = text(bytes);
    let (file, variables) = text.split_once('\0').unwrap_or((&text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let environment: Environment = variables.iter().cloned().collect();
    match Config::parse(Path::new("/etc/tokenvault/tokenvault.toml"), file, &environment) {
        Ok(config) => {
            assert!(config.data_directory().is_absolute(), "relative paths are relative to the file");
            // What is taken is what one of the two says.
            let address = config.address().to_string();
            let said = |text: &str| text.contains(&address) || address.contains('[');
            assert!(said(file) || variables.iter().any(|(_, value)| said(value)) || file.contains('\\'), "{address}");
            let names: BTreeSet<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
            assert!(names.iter().all(|name| !format!("{environment:?}").contains(&format!("{name}="))));
        }
        Err(ConfigError::Faults { faults, .. }) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.problem.is_empty()));
        }
        Err(ConfigError::NotForProduction { faults }) => assert!(!faults.is_empty()),
        // A passphrase that is too short.
        Err(ConfigError::RootKey(error)) => assert!(!error.to_string().is_empty()),
        Err(ConfigError::Key { key, problem }) => assert!(!key.is_empty() && problem.len() > 8, "{key}: {problem}"),
        Err(error) => panic!("no file was to be read: {error}"),
    }
}
