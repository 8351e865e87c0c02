//! `tokenvault detokenize`: tokens in, values out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use vault_client::Revealed;

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, NameArgument, exchange, held_tokens},
    level::LevelArgument,
    output::Column,
};

const COLUMNS: &[Column] = &[
    ("value", "/value"),
    ("base64", "/value_base64"),
    ("level", "/level"),
    ("refused", "/error/reason"),
    ("rule", "/error/rule"),
    ("what to do", "/error/remedy"),
];

/// The arguments of `detokenize`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DetokenizeArguments {
    #[command(flatten)]
    level: LevelArgument,
    #[command(flatten)]
    name: NameArgument,
    #[command(flatten)]
    items: ItemArguments,
}

pub(crate) async fn run(arguments: DetokenizeArguments) -> Result<Exit, Failure> {
    let DetokenizeArguments { level, name, items: arguments } = arguments;
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        Ok(client.detokenize_as(context, level.asked(), held_tokens(&class, batch)?).await?)
    };
    exchange(arguments, name.idempotency_key, "token", COLUMNS, call, value_json).await
}

/// Text as text; bytes that are no text in base64, under another name so that nobody takes one for the other.
fn value_json(revealed: &Revealed) -> Value {
    let (value, level) = (revealed.value.expose(), revealed.level.name());
    match std::str::from_utf8(value) {
        Ok(text) => json!({"value": text, "level": level}),
        Err(_) => json!({"value_base64": STANDARD.encode(value), "level": level}),
    }
}
