//! The contract, told to whoever may call: gRPC server reflection, version 1.

use std::fs;

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use vault_tests::{
    connection::Connection,
    refusal::Refusal,
    requests::{email, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::vault;

/// The answer to one question.
async fn ask(connection: &Connection, question: MessageRequest) -> Result<MessageResponse, tonic::Status> {
    let mut client = ServerReflectionClient::with_origin(connection.clone(), connection.origin().clone());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
    Ok(answers.message().await?.expect("an answer").message_response.expect("a message"))
}

async fn services(vault: &TestVault, role: Role) -> Result<Vec<String>, tonic::Status> {
    let connection = vault.try_connect(role).await.unwrap();
    match ask(&connection, MessageRequest::ListServices(String::new())).await? {
        MessageResponse::ListServicesResponse(list) => Ok(list.service.into_iter().map(|known| known.name).collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_an_account_is_told_the_contract() {
    let vault = vault().await;
    let known = services(&vault, Role::Idle).await.unwrap();
    for service in ["tokenvault.v1.TokenService", "tokenvault.v1.AuditService", "grpc.health.v1.Health"] {
        assert!(known.iter().any(|name| name == service), "{known:?}");
    }
    let connection = vault.try_connect(Role::Payments).await.unwrap();
    let question = MessageRequest::FileContainingSymbol("tokenvault.v1.TokenService.TokenizeStream".to_owned());
    let MessageResponse::FileDescriptorResponse(files) = ask(&connection, question).await.unwrap() else {
        panic!("a file")
    };
    let file = FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
    assert_eq!(file.name(), "tokenvault/v1/token_service.proto");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_the_contract_without_an_account_or_where_it_is_switched_off() {
    let mut vault = vault().await;
    let refused = services(&vault, Role::Stranger).await.unwrap_err();
    Refusal::of_call(&refused).is(Code::Unauthenticated, "PRINCIPAL_UNKNOWN");
    vault.stop().await;
    let path = vault.directory().join("vault.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[listen]", "[listen]\nreflection = \"off\"")).unwrap();
    vault.start_again().await;
    let refused = services(&vault, Role::Payments).await.unwrap_err();
    Refusal::of_call(&refused).is(Code::Unimplemented, "METHOD_UNKNOWN");
    let loader = vault.caller(Role::Loader).await;
    assert!(loader.tokenize(tokenize("email", [email(1)])).await.is_ok());
    vault.finish().await;
}
