//! `tokenvault token describe`: what the vault knows of tokens, beside their values.

use serde_json::{Value, json};
use vault_client::TokenDescription;

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, exchange, held_tokens},
    output::Column,
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("format", "/format"),
    ("stored", "/stored"),
    ("created", "/created_at"),
    ("expires", "/expires_at"),
    ("uses", "/uses"),
    ("of", "/max_uses"),
    ("refused", "/error/reason"),
    ("what to do", "/error/remedy"),
];

pub(crate) async fn run(arguments: ItemArguments) -> Result<Exit, Failure> {
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        Ok(client.describe(context, held_tokens(&class, batch)?).await?)
    };
    exchange(arguments, None, "token", COLUMNS, call, description_json).await
}

fn description_json(description: &TokenDescription) -> Value {
    json!({
        "format": description.format,
        "stored": description.created.is_some(),
        "created_at": description.created.map(timestamp::show),
        "expires_at": description.expires.map(timestamp::show),
        "uses": description.uses.map(|(uses, _)| uses),
        "max_uses": description.uses.map(|(_, max)| max),
    })
}
