//! `tokenvault tokenize`: values in, tokens out.

use serde_json::{Value, json};
use vault_client::{IssuedToken, NewValue};
use vault_domain::Plaintext;

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, exchange},
    output::Column,
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("token", "/token"),
    ("created", "/created"),
    ("expires", "/expires_at"),
    ("refused", "/error/reason"),
    ("rule", "/error/rule"),
    ("what to do", "/error/remedy"),
];

pub(crate) async fn run(arguments: ItemArguments) -> Result<Exit, Failure> {
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        let values = batch.into_iter().map(|value| NewValue { class: class.clone(), value: Plaintext::new(value) });
        Ok(client.tokenize(context, values.collect()).await?)
    };
    exchange(arguments, "value", COLUMNS, call, issued_json).await
}

fn issued_json(issued: &IssuedToken) -> Value {
    json!({
        "token": issued.token.expose(),
        "created": issued.created,
        "expires_at": issued.expires.map(timestamp::show),
    })
}
