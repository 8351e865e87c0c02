//! A random sample revealed by who may, and compared with the input.

use vault_client::HeldToken;
use vault_domain::{DataClass, TokenText};

use super::{CLASSES, Tour, Traced, context, ensure, parsed};
use crate::{exit::Failure, output::grouped};

impl Tour<'_> {
    pub(super) async fn reveal(&self, sample: &[Traced]) -> Result<(), Failure> {
        self.heading("4. Back to values, for who may see them")?;
        let classes: Result<Vec<_>, _> = CLASSES.iter().map(|class| parsed(DataClass::parse(class))).collect();
        let classes = classes?;
        let held = sample.iter().flat_map(|traced| {
            let tokens = traced.tokens.iter().zip(&classes);
            tokens.map(|(token, class)| HeldToken { class: class.clone(), token: TokenText::new(token.clone()) })
        });
        let client = self.client("payments").await?;
        let answer = client.detokenize(&context("eu", "payments", "settlement")?, held.collect()).await?;
        let revealed = self.results("payments", "eu", answer)?;
        let values = sample.iter().flat_map(|traced| &traced.values);
        ensure(revealed.len() == sample.len() * CLASSES.len(), || "some tokens have no answer".to_owned())?;
        for (revealed, value) in revealed.into_iter().zip(values) {
            ensure(revealed?.expose() == value.as_bytes(), || {
                "a revealed value is not the one that was given".to_owned()
            })?;
        }
        self.held(&format!(
            "payments is shown the values of {} random rows, and all {} equal the input",
            grouped(sample.len() as u64),
            grouped((sample.len() * CLASSES.len()) as u64)
        ))
    }
}
