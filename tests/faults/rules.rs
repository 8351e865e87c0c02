//! `kill -9` while rules are exchanged: afterwards the old ones serve or the new ones, whole, and log, versions and
//! what serves agree.

use std::{fs, time::Duration};

use tonic::Request;
use vault_domain::{Action, Entropy, SystemEntropy};
use vault_proto::v1::{
    self, ApplyPoliciesRequest, ListPolicyVersionsRequest, admin_service_client::AdminServiceClient,
    apply_policies_request::Target,
};
use vault_tests::{
    connection::{Connection, tls},
    roles::Role,
    stored_log::{StoredLog, people},
};

use crate::{
    load::Chance,
    site::{LOGS, Settings, Site, VAULT},
    vault::Vault,
};

const ROUNDS: u64 = 8;

async fn operator(site: &Site, vault: &Vault) -> AdminServiceClient<Connection> {
    let identity = site.identity(Role::Regional);
    let connection = Connection::open(vault.address(), tls(&site.authority, Some(&identity))).await.unwrap();
    let origin = connection.origin().clone();
    AdminServiceClient::with_origin(connection, origin)
}

async fn serving(operator: &mut AdminServiceClient<Connection>) -> (u64, String) {
    let listed = operator.list_policy_versions(Request::new(ListPolicyVersionsRequest::default())).await.unwrap();
    let listed = listed.into_inner();
    let newest = &listed.versions[0];
    assert_eq!((newest.version, &newest.fingerprint), (listed.serving_version, &listed.serving_fingerprint));
    (listed.serving_version, listed.serving_fingerprint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_rules_are_exchanged_it_goes_by_the_old_ones_or_the_new_ones_and_the_log_says_which() {
    let mut seed = [0; 4];
    SystemEntropy.fill(&mut seed).unwrap();
    let mut chance = Chance::new(u64::from(u32::from_be_bytes(seed)) << 24);
    let site = Site::new(Settings::default());
    let config = site.path("vault.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("rules_from = \"applied\"\n{text}")).unwrap();
    let catalog = fs::read_to_string(site.path("catalog.toml")).unwrap();
    let mut vault = site.start();
    let mut seen = 1;
    for round in 0..ROUNDS {
        let mut client = operator(&site, &vault).await;
        let (mut version, mut fingerprint) = serving(&mut client).await;
        let catalog = catalog.clone();
        let applying = tokio::spawn(async move {
            loop {
                let text = format!("{catalog}\n# {round} {version}\n");
                let target = Some(Target::Rules(v1::PolicyRules { catalog: text, policies: Vec::new() }));
                let (expected_version, expected_fingerprint) = (version, fingerprint);
                let request =
                    ApplyPoliciesRequest { target, expected_version, expected_fingerprint, ..Default::default() };
                let Ok(answer) = client.apply_policies(Request::new(request)).await else { return expected_version };
                let answer = answer.into_inner();
                (version, fingerprint) = (answer.version, answer.now);
            }
        });
        tokio::time::sleep(Duration::from_millis(chance.within(20..400))).await;
        vault.kill();
        let acknowledged = applying.await.unwrap();
        vault = site.start();
        let (now, fingerprint) = serving(&mut operator(&site, &vault).await).await;
        assert!((acknowledged..=acknowledged + 1).contains(&now), "{acknowledged} was acknowledged, {now} serves");
        vault.stop();
        for log in LOGS {
            let entries = StoredLog::read(&site.data.join(log), VAULT, log).decoded();
            let start = entries.iter().rev().find(|entry| entry.head.action == Action::Start).unwrap();
            let short: String = start.head.policy_set.0.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(fingerprint.starts_with(&short), "{log}: it started with what serves");
            if log == "node" {
                let steps: Vec<_> = entries
                    .iter()
                    .filter(|entry| people(entry).is_some_and(|who| who.difference().is_some()))
                    .collect();
                assert_eq!(steps.len() as u64, now, "one entry for each version, and no other");
                assert_eq!(steps.last().unwrap().head.policy_set, start.head.policy_set);
            }
        }
        seen = now;
        vault = site.start();
    }
    vault.stop();
    println!("{seen} versions in {ROUNDS} rounds");
    assert!(seen > ROUNDS, "a load that does nothing shows nothing");
}
