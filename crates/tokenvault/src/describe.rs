//! `tokenvault token describe`: what the vault knows of tokens, beside their values.

use serde_json::{Value, json};
use vault_client::{HeldToken, TokenDescription};
use vault_domain::TokenText;

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, exchange},
    output::Column,
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("format", "/format"),
    ("stored", "/stored"),
    ("created", "/created_at"),
    ("expires", "/expires_at"),
    ("refused", "/error/reason"),
    ("what to do", "/error/remedy"),
];

pub(crate) async fn run(arguments: ItemArguments) -> Result<Exit, Failure> {
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        let held = batch.into_iter().map(|token| {
            let text = String::from_utf8(token).map_err(|_| Failure::usage("a token is text in UTF-8; one is not"))?;
            Ok(HeldToken { class: class.clone(), token: TokenText::new(text) })
        });
        Ok(client.describe(context, held.collect::<Result<_, Failure>>()?).await?)
    };
    exchange(arguments, "token", COLUMNS, call, description_json).await
}

fn description_json(description: &TokenDescription) -> Value {
    json!({
        "format": description.format,
        "stored": description.created.is_some(),
        "created_at": description.created.map(timestamp::show),
        "expires_at": description.expires.map(timestamp::show),
    })
}
