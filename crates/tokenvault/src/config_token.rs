//! `tokenvault config explain --token`: what an access token becomes by the file of issuers, and which rule made it so.
//!
//! Claims are shown by name, and what rules made of them; the token never, nor a value that no rule took. It says
//! nothing about the signature, the binding and the deny-list: the one who writes rules has no key and no certificate.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde_json::{Value, json};
use vault_domain::{Clock, SystemClock};
use vault_identity::{Explained, TOKEN_BYTES_MAX};
use vault_server::Config;
use zeroize::Zeroizing;

use crate::{
    config_explain::ExplainArguments,
    exit::{Exit, Failure},
    output::{self, Column, Records},
    serve::environment,
};

const COLUMNS: &[Column] = &[("what", "/what"), ("value", "/value"), ("claim", "/claim"), ("why", "/why")];

pub(crate) fn run(arguments: &ExplainArguments, file: &Path) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, error.to_string());
    let config = Config::load(&arguments.config, &environment()).map_err(|error| failed(&error))?;
    let now = SystemClock::new().wall();
    let issuers = config.issuers(now).map_err(|error| failed(&error))?;
    let Some((_, issuers)) = issuers else {
        return Err(Failure::usage("identity.issuers is not set: no access token becomes anything"));
    };
    let token = read(file).map_err(|error| Failure::usage(format!("--token {}: {error}", file.display())))?;
    let (issuer, explained) = issuers.explain(token.trim()).map_err(|fault| failed(&fault))?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    records.push(&json!({"what": "issuer", "value": issuer.name(), "claim": "iss", "why": "issuer"}))?;
    for record in rules(&explained) {
        records.push(&record)?;
    }
    let stands = match issuers.check_claims(token.trim(), now) {
        Ok(()) => json!({"what": "claims", "value": "stand now", "claim": "",
            "why": "signature, binding and deny-list are not looked at here"}),
        Err(fault) => json!({"what": "claims", "value": "are refused now", "claim": "", "why": fault.to_string()}),
    };
    records.push(&stands)?;
    let exit = match &explained.mapped {
        Ok(mapped) => {
            let who = mapped.principal.to_string();
            records.push(&json!({"what": "result", "value": who, "claim": "", "why": "the catalog's account"}))?;
            Exit::Done
        }
        Err(fault) => {
            records.push(&json!({"what": "result", "value": "refused", "claim": "", "why": fault.to_string()}))?;
            Exit::Failure
        }
    };
    records.finish()?;
    Ok(exit)
}

/// What each rule took, and what none did.
fn rules(explained: &Explained) -> Vec<Value> {
    let taken = explained.taken.iter().map(|taken| {
        let rule = match taken.rule {
            0 => "rule: the default".to_owned(),
            number => format!("rule {number}"),
        };
        let passed = match taken.passed_over {
            0 => String::new(),
            count => format!(", which passes over {count} of its values"),
        };
        let value = taken.values.join(" ");
        json!({"what": taken.gives.name(), "value": value, "claim": taken.claim, "why": format!("{rule}{passed}")})
    });
    let ignored = explained
        .ignored
        .iter()
        .map(|claim| json!({"what": "nothing", "value": "", "claim": claim, "why": "no rule takes it"}));
    taken.chain(ignored).collect()
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let most = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    File::open(file)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}
