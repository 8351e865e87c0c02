//! `tokenvault token find`: the tokens that values have already.

use serde_json::{Value, json};
use vault_client::{FoundToken, KnownValue};
use vault_domain::{Plaintext, SubjectName};

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, exchange},
    output::Column,
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("token", "/token"),
    ("expires", "/expires_at"),
    ("refused", "/error/reason"),
    ("rule", "/error/rule"),
    ("what to do", "/error/remedy"),
];

/// The arguments of `token find`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FindArguments {
    /// The person that the values are about, for classes that are deterministic per subject. Others can see it
    #[arg(long, value_name = "NAME", value_parser = |name: &str| SubjectName::parse(name.to_owned()))]
    subject: Option<SubjectName>,
    #[command(flatten)]
    items: ItemArguments,
}

pub(crate) async fn run(arguments: FindArguments) -> Result<Exit, Failure> {
    let FindArguments { subject, items: arguments } = arguments;
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        let value = |value| KnownValue { class: class.clone(), value: Plaintext::new(value), subject: subject.clone() };
        Ok(client.find(context, batch.into_iter().map(value).collect()).await?)
    };
    exchange(arguments, None, "value", COLUMNS, call, found_json).await
}

fn found_json(found: &FoundToken) -> Value {
    json!({"token": found.token.expose(), "expires_at": found.expires.map(timestamp::show)})
}
