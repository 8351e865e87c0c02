//! `tokenvault tokenize`: values in, tokens out.

use serde_json::{Value, json};
use vault_client::{IssuedToken, NewValue};
use vault_domain::{Plaintext, SubjectName};

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, NameArgument, exchange},
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

/// The arguments of `tokenize`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TokenizeArguments {
    /// The person that the values are about, for classes that are deterministic per subject. Others can see it
    #[arg(long, value_name = "NAME", value_parser = |name: &str| SubjectName::parse(name.to_owned()))]
    subject: Option<SubjectName>,
    #[command(flatten)]
    name: NameArgument,
    #[command(flatten)]
    items: ItemArguments,
}

pub(crate) async fn run(arguments: TokenizeArguments) -> Result<Exit, Failure> {
    let TokenizeArguments { subject, name, items: arguments } = arguments;
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        let value = |value| NewValue { class: class.clone(), value: Plaintext::new(value), subject: subject.clone() };
        Ok(client.tokenize(context, batch.into_iter().map(value).collect()).await?)
    };
    exchange(arguments, name.idempotency_key, "value", COLUMNS, call, issued_json).await
}

fn issued_json(issued: &IssuedToken) -> Value {
    json!({
        "token": issued.token.expose(),
        "created": issued.created,
        "expires_at": issued.expires.map(timestamp::show),
    })
}
