//! `tokenvault token explain`: whether a caller would be shown the values of tokens, and why not.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use vault_client::{AccessQuestion, ExplainedCaller, ExplainedToken, Explanation};
use vault_domain::{Assurance, LevelAsked, PrincipalId, Purpose, Reference, Region, Role, Scope};

use crate::{
    exit::{Exit, Failure},
    items::{ItemArguments, Items, Receipts, held_tokens, receipt_json},
    level::LevelArgument,
    output::{self, Column, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("shown", "/shown"),
    ("level", "/level"),
    ("reason", "/reason"),
    ("in words", "/text"),
    ("what to do", "/remedy"),
    ("policies", "/policies"),
];

/// Which tokens, and whose call.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExplainAccessArguments {
    #[command(flatten)]
    level: LevelArgument,
    #[command(flatten)]
    caller: CallerArguments,
    #[command(flatten)]
    items: ItemArguments,
}

/// Another caller, as it would come.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Who would call, if not you; needs a grant for \"explain_access\"")]
struct CallerArguments {
    /// Its principal, as the catalog has it; --purpose and --reference are then those of your question
    #[arg(long, value_name = "PRINCIPAL", value_parser = PrincipalId::parse)]
    caller: Option<PrincipalId>,
    /// The purpose that it would state
    #[arg(long, value_name = "PURPOSE", requires = "caller", value_parser = Purpose::parse)]
    caller_purpose: Option<Purpose>,
    /// The reference that it would carry
    #[arg(long, value_name = "REFERENCE", requires = "caller", value_parser = Reference::parse)]
    caller_reference: Option<Reference>,
    /// The address that it would come from
    #[arg(long, value_name = "ADDRESS", requires = "caller")]
    caller_source: Option<IpAddr>,
    /// A role in its access token; may be given several times
    #[arg(long, value_name = "ROLE", requires = "caller", value_parser = Role::parse)]
    caller_role: Vec<Role>,
    /// A scope in its access token; may be given several times
    #[arg(long, value_name = "SCOPE", requires = "caller", value_parser = Scope::parse)]
    caller_scope: Vec<Scope>,
    /// A region that its access token is for; may be given several times, and none says nothing
    #[arg(long, value_name = "REGION", requires = "caller", value_parser = Region::parse)]
    caller_clearance: Vec<Region>,
    /// How strongly it proved who it is, by its access token: 1 to 3
    #[arg(long, value_name = "LEVEL", requires = "caller", value_parser = parse_assurance)]
    caller_assurance: Option<Assurance>,
    /// How long ago that was: 90s, 15m, 1h
    #[arg(long, value_name = "SPAN", requires = "caller", value_parser = timestamp::parse_span)]
    caller_authenticated: Option<Duration>,
}

impl CallerArguments {
    /// The caller that was named. One that is named by an issuer comes with an access token, whatever it says.
    fn caller(self) -> Option<ExplainedCaller> {
        let principal = self.caller?;
        let says_something = !self.caller_role.is_empty()
            || !self.caller_scope.is_empty()
            || !self.caller_clearance.is_empty()
            || self.caller_assurance.is_some()
            || self.caller_authenticated.is_some();
        let has_token = says_something || vault_catalog::issuer(principal.as_str()).is_some();
        let access_token = has_token.then_some(ExplainedToken {
            roles: self.caller_role,
            scopes: self.caller_scope,
            clearance: self.caller_clearance,
            assurance: self.caller_assurance,
            authenticated: self.caller_authenticated,
        });
        let (purpose, reference) = (self.caller_purpose, self.caller_reference);
        Some(ExplainedCaller { principal, access_token, purpose, reference, source: self.caller_source })
    }
}

pub(crate) async fn run(arguments: ExplainAccessArguments) -> Result<Exit, Failure> {
    let ExplainAccessArguments { level, caller, items: arguments } = arguments;
    let (level, caller): (LevelAsked, _) = (level.asked(), caller.caller());
    let mut items = Items::open(&arguments.items, "token")?;
    let mut receipts = Receipts::open(arguments.context.receipts.as_ref())?;
    let client = arguments.connection.connect().await?;
    let context = &arguments.context;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut exit = Exit::Done;
    loop {
        let batch = items.next_batch()?;
        if batch.is_empty() {
            break;
        }
        for token in held_tokens(&arguments.class, batch)? {
            let question = AccessQuestion {
                region: context.region.clone(),
                purpose: context.purpose.clone(),
                reference: context.reference.clone(),
                audience: context.audience.clone(),
                level,
                token,
                caller: caller.clone(),
            };
            let explanation = client.explain_access(question).await?;
            receipts.append([&explanation.receipt])?;
            if explanation.outcome.is_err() {
                exit = Exit::Denied;
            }
            records.push(&explanation_json(&explanation))?;
        }
    }
    records.finish()?;
    Ok(exit)
}

fn explanation_json(explanation: &Explanation) -> Value {
    let why_not = explanation.outcome.as_ref().err();
    json!({
        "shown": explanation.outcome.is_ok(),
        "level": explanation.outcome.as_ref().ok().map(|level| level.name()),
        "reason": why_not.map(|why| &why.reason_name),
        "text": why_not.map(|why| &why.text),
        "remedy": why_not.map(|why| &why.remedy),
        "policies": explanation.policies,
        "receipt": receipt_json(&explanation.receipt),
    })
}

fn parse_assurance(text: &str) -> Result<Assurance, &'static str> {
    text.parse().ok().and_then(Assurance::new).ok_or("must be 1, 2 or 3")
}
