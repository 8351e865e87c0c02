//! `tokenvault token renew`, `suspend`, `resume` and `revoke`: the life of tokens.

use std::time::Duration;

use serde_json::{Value, json};
use vault_client::{TokenChange, TokenLife, TokenState};

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, NameArgument, exchange, held_tokens},
    output::Column,
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("state", "/state"),
    ("not before", "/not_before"),
    ("expires", "/expires_at"),
    ("uses", "/uses"),
    ("of", "/max_uses"),
    ("refused", "/error/reason"),
    ("what to do", "/error/remedy"),
];

/// The arguments of `token suspend`, `resume` and `revoke`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChangeArguments {
    #[command(flatten)]
    name: NameArgument,
    #[command(flatten)]
    items: ItemArguments,
}

/// The arguments of `token renew`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RenewArguments {
    /// How long the tokens shall live from now, as 90s, 15m, 1h or 30d [default: as long as their data class says]
    #[arg(long, value_name = "SPAN", value_parser = timestamp::parse_lifetime)]
    ttl: Option<Duration>,
    #[command(flatten)]
    change: ChangeArguments,
}

impl RenewArguments {
    pub(crate) fn split(self) -> (TokenChange, ChangeArguments) {
        (TokenChange::Renew(self.ttl), self.change)
    }
}

pub(crate) async fn run(change: TokenChange, arguments: ChangeArguments) -> Result<Exit, Failure> {
    let ChangeArguments { name, items: arguments } = arguments;
    let class = arguments.class.clone();
    let call = async |client: &vault_client::Client, context: &vault_client::CallContext, batch: Vec<Vec<u8>>| {
        Ok(client.change(context, change, held_tokens(&class, batch)?).await?)
    };
    exchange(arguments, name.idempotency_key, "token", COLUMNS, call, life_json).await
}

fn life_json(life: &TokenLife) -> Value {
    let state = match life.state {
        TokenState::Active => "active",
        TokenState::Suspended => "suspended",
        TokenState::Revoked => "revoked",
    };
    json!({
        "state": state,
        "not_before": life.not_before.map(timestamp::show),
        "expires_at": life.expires.map(timestamp::show),
        "uses": life.uses.map(|(uses, _)| uses),
        "max_uses": life.uses.map(|(_, max)| max),
    })
}
