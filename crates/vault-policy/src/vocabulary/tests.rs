//! What is handed to Cedar is what the schema says, for every kind of account and class: strict validation of the
//! policies promises nothing about anything else.

use std::{collections::BTreeSet, net::IpAddr};

use vault_catalog::{DATA_ACTIONS, RuleName};
use vault_domain::{Action, Assurance, Audience, Purpose, Region, RevealLevel, Role, Scope, Session};

use super::*;
use crate::{SCHEMA, request::Circumstances};

const CLASSES: &str = r#"
[tenants.acme]
[regions.eu]
[audiences.a]
[purposes.p]
[accounts."dns:none.example"]
tenant = "acme"
regions = ["eu"]
[accounts."dns:a.example"]
tenant = "acme"
regions = ["eu"]
audiences = ["a"]
[classes.pan]
rule = "pan"
[classes.pan_fp]
rule = "pan"
format = "format_preserving"
determinism = "per_audience"
[classes.email]
rule = "email"
step_up_assurance = 2
step_up_seconds = 900
purpose_required = false
[classes.digits]
rule = "digits"
digits_min = 1
digits_max = 9
[classes.pattern]
rule = "pattern"
pattern = "x"
length_bytes_max = 1
[classes.text]
rule = "text"
length_bytes_max = 1
[classes.bytes]
rule = "bytes"
length_bytes_max = 1
[classes.date]
rule = "date"
year_min = 1900
year_max = 2099
[classes]
iban = { rule = "iban" }
phone = { rule = "phone" }
us_ssn = { rule = "us_ssn" }
de_steuer_id = { rule = "de_steuer_id" }
es_dni_nie = { rule = "es_dni_nie" }
fr_nir = { rule = "fr_nir" }
nl_bsn = { rule = "nl_bsn" }
pl_pesel = { rule = "pl_pesel" }
uk_nino = { rule = "uk_nino" }
"#;

#[test]
fn facts_conform_to_the_schema() {
    let vocabulary = Vocabulary::new(SCHEMA).unwrap();
    let catalog = Catalog::parse(CLASSES).unwrap_or_else(|error| panic!("{error}"));
    let (audience, region, purpose) =
        (Audience::parse("a").unwrap(), Region::parse("eu").unwrap(), Purpose::parse("p").unwrap());
    let session = Session {
        tenant: None,
        roles: [Role::parse("support").unwrap()].into(),
        scopes: [Scope::parse("vault:reveal").unwrap()].into(),
        clearance: Some([region.clone()].into()),
        authenticated_at: Some(Millis(1_763_708_400_000)),
        assurance: Assurance::new(2),
    };
    let whole = Circumstances {
        session: Some(&session),
        source: Some(IpAddr::from([10, 0, 0, 1])),
        now: Millis(1_763_708_700_999),
    };
    let mut checked = 0;
    for (account, circumstances) in
        catalog.accounts().flat_map(|account| [(account, Circumstances::default()), (account, whole)])
    {
        for purpose in [None, Some(&purpose)] {
            let logs = [Log::Node, Log::Region(&region)];
            let mut asks: Vec<Ask<'_>> = logs
                .into_iter()
                .flat_map(|log| [Ask::Log(Action::QueryAccessLog, log), Ask::Log(Action::GetCheckpoint, log)])
                .collect();
            for class in catalog.classes() {
                let scope = DataScope { class: class.id(), audience: &audience, region: &region };
                let others = DATA_ACTIONS.into_iter().filter(|action| *action != Action::Detokenize);
                asks.extend(others.map(|action| Ask::Data(action, scope)));
                asks.extend(RevealLevel::ALL.iter().map(|level| Ask::Detokenize(scope, *level)));
            }
            for ask in asks {
                let request = Request { principal: account.principal(), purpose, ask, circumstances };
                let (cedar, entities) = vocabulary.facts(&catalog, &request).unwrap().unwrap();
                let conforming = Entities::from_entities(entities.iter().cloned(), Some(&vocabulary.schema));
                assert!(conforming.is_ok(), "{request:?}: {:?}", conforming.err());
                assert_eq!(cedar.principal().unwrap().id().unescaped(), account.principal().as_str());
                checked += 1;
            }
        }
    }
    let rules: BTreeSet<_> = catalog.classes().map(|class| class.rule_name()).collect();
    assert_eq!(rules.len(), RuleName::ALL.len(), "a class of every rule");
    assert_eq!(checked, 2 * 2 * 2 * (4 + 10 * 17));
}
