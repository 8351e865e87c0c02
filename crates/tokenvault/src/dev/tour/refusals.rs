//! Who may not see a value is told as little as possible; the log is told all.

use vault_client::{ClientError, HeldToken, Receipt, TokenChange};
use vault_domain::{DataClass, Reason, TokenText};

use super::{CUSTOMER_ID, Tour, Traced, context, ensure, evidence::Expected, parsed};
use crate::exit::{Exit, Failure};

/// A token presented where it should not be.
struct Attempt<'a> {
    account: &'static str,
    region: &'static str,
    audience: &'static str,
    purpose: &'static str,
    token: &'a str,
}

impl Tour<'_> {
    pub(super) async fn refusals(&self, sample: &[Traced], analytics: &[String]) -> Result<(), Failure> {
        self.heading("5. No value for anybody else")?;
        let (Some(traced), Some(own)) = (sample.first(), analytics.first()) else {
            return Err(Failure::new(Exit::Failure, "the input is too short for this tour"));
        };
        let token = traced.tokens[CUSTOMER_ID].as_str();
        let eu = Attempt { account: "analytics", region: "eu", audience: "analytics", purpose: "analysis", token: own };
        let (own, _) = self.present(&eu).await?;
        let same = own.is_ok_and(|value| value.expose() == traced.values[CUSTOMER_ID].as_bytes());
        ensure(same, || "analytics is not shown the value of its own token".to_owned())?;
        self.held("analytics is shown a customer by its own token,")?;

        let foreign = self.present(&Attempt { token, ..eu }).await?;
        let receipt = refused_as(foreign, Reason::TokenNotFound, "another audience")?;
        let expected =
            Expected { region: "eu", account: "analytics", receipt, outcome: Reason::TokenOfAnotherAudience };
        self.log_knows(&expected).await?;
        self.held(
            "  and by the token of payments it gets TOKEN_NOT_FOUND; the log alone says TOKEN_OF_ANOTHER_AUDIENCE",
        )?;

        let payments =
            Attempt { account: "payments", region: "us", audience: "payments", purpose: "settlement", token };
        let receipt = refused_as(self.present(&payments).await?, Reason::WrongRegion, "another region")?;
        let expected = Expected { region: "us", account: "payments", receipt, outcome: Reason::WrongRegion };
        self.log_knows(&expected).await?;
        self.held("payments presents a token of region eu in region us: WRONG_REGION, before anything is looked up")?;

        let stranger = Attempt { account: "globex-payments", region: "eu", ..payments };
        refused_as(self.present(&stranger).await?, Reason::TokenNotFound, "another tenant")?;
        self.held(
            "the payments service of another tenant gets TOKEN_NOT_FOUND too; the entry is in its own tenant's log",
        )?;

        self.change(TokenChange::Suspend, token).await?;
        let payments = Attempt { region: "eu", ..payments };
        let receipt = refused_as(self.present(&payments).await?, Reason::TokenNotFound, "a suspended token's holder")?;
        let expected = Expected { region: "eu", account: "payments", receipt, outcome: Reason::TokenSuspended };
        self.log_knows(&expected).await?;
        self.change(TokenChange::Resume, token).await?;
        let (shown, _) = self.present(&payments).await?;
        let same = shown.is_ok_and(|value| value.expose() == traced.values[CUSTOMER_ID].as_bytes());
        ensure(same, || "payments is not shown the value of a token that was resumed".to_owned())?;
        self.held(
            "the steward, who sees no value, suspends the token: payments gets TOKEN_NOT_FOUND, until it is resumed",
        )
    }

    /// Changes the life of a token of payments, as the steward.
    async fn change(&self, change: TokenChange, token: &str) -> Result<(), Failure> {
        let client = self.client("steward").await?;
        let class = parsed(DataClass::parse("customer_id"))?;
        let held = HeldToken { class, token: TokenText::new(token.to_owned()) };
        let answer = client.change(&context("eu", "payments", "housekeeping")?, change, vec![held]).await?;
        for changed in self.results("steward", "eu", answer)? {
            changed?;
        }
        Ok(())
    }

    async fn present(
        &self,
        attempt: &Attempt<'_>,
    ) -> Result<(Result<vault_domain::Plaintext, ClientError>, Receipt), Failure> {
        let client = self.client(attempt.account).await?;
        let context = context(attempt.region, attempt.audience, attempt.purpose)?;
        let class = parsed(DataClass::parse("customer_id"))?;
        let held = HeldToken { class, token: TokenText::new(attempt.token.to_owned()) };
        let answer = client.detokenize(&context, vec![held]).await?;
        let receipt = answer.calls.iter().find_map(|call| call.outcome.as_ref().ok().cloned());
        let result = self.results(attempt.account, attempt.region, answer)?.into_iter().next();
        let missing = || Failure::new(Exit::Failure, "an answer without a result or a receipt");
        Ok((result.ok_or_else(missing)?, receipt.ok_or_else(missing)?))
    }
}

/// Checks that a token was refused for this reason; returns the call's receipt.
fn refused_as<T>(
    (result, receipt): (Result<T, ClientError>, Receipt),
    expected: Reason,
    whom: &str,
) -> Result<Receipt, Failure> {
    match result {
        Ok(_) => ensure(false, || format!("{whom} is shown the value"))?,
        Err(error) => ensure(error.reason() == Some(expected), || {
            format!("{whom} should be refused by {expected}, and is told: {error}")
        })?,
    }
    Ok(receipt)
}
