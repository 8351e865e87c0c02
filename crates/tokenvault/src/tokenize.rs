//! `tokenvault tokenize`: values in, tokens out.

use std::{num::NonZeroU32, time::Duration};

use serde_json::{Value, json};
use vault_client::{IssuedToken, NewLife, NewValue};
use vault_domain::{Millis, Plaintext, SubjectName};

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
    life: LifeArguments,
    #[command(flatten)]
    name: NameArgument,
    #[command(flatten)]
    items: ItemArguments,
}

/// What the life of new tokens shall be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LifeArguments {
    /// How long the tokens shall live, as 90s, 15m, 1h or 30d [default: as long as their data class says]
    #[arg(long, value_name = "SPAN", value_parser = timestamp::parse_lifetime)]
    ttl: Option<Duration>,
    /// From when on they may be revealed, as 2026-11-22T10:30:00Z [default: at once]
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    not_before: Option<Millis>,
    /// How often they may be revealed [default: as often as may be]
    #[arg(long, value_name = "NUMBER", value_parser = parse_uses)]
    max_uses: Option<NonZeroU32>,
}

impl LifeArguments {
    /// As the client asks for it.
    pub(crate) fn asked(&self) -> NewLife {
        NewLife { ttl: self.ttl, not_before: self.not_before, max_uses: self.max_uses }
    }
}

fn parse_uses(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse().map_err(|_| "must be a number from 1; leave it out for as often as may be")
}

pub(crate) async fn run(arguments: TokenizeArguments) -> Result<Exit, Failure> {
    let TokenizeArguments { subject, life, name, items: arguments } = arguments;
    let life = life.asked();
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        let value =
            |value| NewValue { subject: subject.clone(), life, ..NewValue::new(class.clone(), Plaintext::new(value)) };
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
