//! `tokenvault detokenize`: tokens in, values out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use vault_domain::Plaintext;

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, exchange, held_tokens},
    output::Column,
};

const COLUMNS: &[Column] = &[
    ("value", "/value"),
    ("base64", "/value_base64"),
    ("refused", "/error/reason"),
    ("rule", "/error/rule"),
    ("what to do", "/error/remedy"),
];

pub(crate) async fn run(arguments: ItemArguments) -> Result<Exit, Failure> {
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        Ok(client.detokenize(context, held_tokens(&class, batch)?).await?)
    };
    exchange(arguments, "token", COLUMNS, call, value_json).await
}

/// Text as text; bytes that are no text in base64, under another name so that nobody takes one for the other.
fn value_json(value: &Plaintext) -> Value {
    match std::str::from_utf8(value.expose()) {
        Ok(text) => json!({"value": text}),
        Err(_) => json!({"value_base64": STANDARD.encode(value.expose())}),
    }
}
