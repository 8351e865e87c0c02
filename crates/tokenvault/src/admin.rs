//! `tokenvault admin`: what operators do to a running vault.

use serde_json::{Value, json};
use vault_client::DeniedToken;
use vault_domain::{Millis, Reference};

use crate::{
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[("issuer", "/issuer"), ("jti", "/jti"), ("until", "/until"), ("reference", "/reference")];

/// Which access tokens to deny.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DenyArguments {
    /// The issuer's name in the vault's file of issuers
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The names of the tokens at their issuer (the claim jti), never the tokens themselves
    #[arg(value_name = "JTI", required = true)]
    jti: Vec<String>,
    /// When the tokens expire by themselves; the longest that a token may live if left out
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    until: Option<Millis>,
    /// A ticket, for the list
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    #[command(flatten)]
    connection: Connection,
}

/// How to show the list.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeniedArguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn deny(arguments: DenyArguments) -> Result<Exit, Failure> {
    let DenyArguments { issuer, jti, until, reference, connection } = arguments;
    if jti.iter().any(|jti| is_token(jti)) {
        return Err(Failure::usage("that looks like a token itself: give its claim jti"));
    }
    let denied = |jti| DeniedToken { issuer: issuer.clone(), jti, until, reference: reference.clone() };
    let tokens: Vec<DeniedToken> = jti.into_iter().map(denied).collect();
    connection.connect().await?.deny_access_tokens(&tokens).await?;
    output::note(&format!("{} denied at this node; every other node has a list of its own", tokens.len()));
    Ok(Exit::Done)
}

pub(crate) async fn denied(arguments: DeniedArguments) -> Result<Exit, Failure> {
    let client = arguments.connection.connect().await?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut from = None;
    loop {
        let page = client.denied_access_tokens(from.as_deref()).await?;
        page.tokens.iter().try_for_each(|token| records.push(&token_json(token)))?;
        from = page.next_page_token;
        if from.is_none() {
            break;
        }
    }
    records.finish()?;
    Ok(Exit::Done)
}

/// Whether a text is an access token rather than the name of one: behind a scheme, as it stands in a header, or three
/// parts between two dots, of which the first is JSON in Base64. What was typed by mistake must not go into a list.
fn is_token(text: &str) -> bool {
    let text = text.trim();
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c == ':').filter(|word| !word.is_empty()).collect();
    let has_scheme = words.len() > 1
        && words
            .iter()
            .any(|word| ["authorization", "bearer", "dpop"].iter().any(|name| word.eq_ignore_ascii_case(name)));
    let is_compact = |word: &&str| word.matches('.').count() == 2 && word.starts_with("ey");
    has_scheme || words.iter().any(is_compact)
}

fn token_json(token: &DeniedToken) -> Value {
    json!({
        "issuer": token.issuer,
        "jti": token.jti,
        "until": token.until.map(timestamp::show),
        "reference": token.reference.as_ref().map(Reference::as_str),
    })
}
