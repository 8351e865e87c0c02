//! grpc.health.v1, for whoever has a certificate.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use vault_tests::roles::Role;

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_every_certificate_and_leaves_no_entry() {
    let vault = vault().await;
    let (mark, node) = (vault.mark("eu").await, vault.mark("node").await);
    for role in [Role::Payments, Role::Stranger, Role::Nameless] {
        let connection = vault.try_connect(role).await.unwrap();
        let origin = connection.origin().clone();
        let mut health = HealthClient::with_origin(connection, origin);
        for service in ["", "tokenvault.v1.TokenService", "tokenvault.v1.AuditService"] {
            let asked = HealthCheckRequest { service: service.to_owned() };
            let answer = health.check(asked).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
        }
        let asked = HealthCheckRequest { service: "no.such.Service".to_owned() };
        assert_eq!(health.check(asked).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(vault.mark("eu").await.size(), mark.size());
    assert_eq!(vault.mark("node").await.size(), node.size());
    vault.finish().await;
}
