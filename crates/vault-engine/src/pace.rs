//! How often somebody calls: the rates of the catalog, counted in memory, by the monotonic clock.
//!
//! Each count is the generic cell rate algorithm (ITU-T I.371): one time, that at which the calls so far would have
//! come if they had come evenly. It is one node's, and begins anew with each start. There are no more
//! of them than rates times accounts of the catalogs that served.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use vault_catalog::Rate;
use vault_domain::{RateName, Reason};

use crate::{Engine, call::Call, error::Error};

/// When the calls so far would have come evenly, by rate and by whom they are counted for.
#[derive(Default)]
pub(crate) struct Pacer(Mutex<HashMap<RateName, HashMap<Box<str>, Duration>>>);

impl Pacer {
    /// Counts a call under these rates, or, if one has no room, says which and after how long it will.
    fn count<'r>(&self, rates: &[(&'r Rate, &str)], now: Duration) -> Result<(), (&'r Rate, Duration)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let even = |rate: &Rate, whom: &str| counts.get(rate.name()).and_then(|of_rate| of_rate.get(whom)).copied();
        let next = |rate: &Rate, whom: &str| even(rate, whom).unwrap_or_default().max(now).saturating_add(each(rate));
        let nexts: Vec<Duration> = rates.iter().map(|(rate, whom)| next(rate, whom)).collect();
        let waits = rates.iter().zip(&nexts).map(|((rate, _), next)| {
            let room = now.saturating_add(each(rate).saturating_mul(rate.burst()));
            (*rate, next.saturating_sub(room))
        });
        if let Some(refused) = waits.max_by_key(|(_, wait)| *wait).filter(|(_, wait)| !wait.is_zero()) {
            return Err(refused);
        }
        for ((rate, whom), next) in rates.iter().zip(nexts) {
            let of_rate = match counts.get_mut(rate.name()) {
                Some(of_rate) => of_rate,
                None => counts.entry(rate.name().clone()).or_default(),
            };
            match of_rate.get_mut(*whom) {
                Some(even) => *even = next,
                None => drop(of_rate.insert(Box::from(*whom), next)),
            }
        }
        Ok(())
    }
}

/// How far apart calls come that come evenly.
fn each(rate: &Rate) -> Duration {
    Duration::from_secs(1) / rate.per_second()
}

impl Engine {
    /// Counts a call under the rates that its caller has, before anything of it is read. Of nobody that is known,
    /// nothing is counted: that is refused elsewhere.
    ///
    /// # Errors
    /// When a rate has no room, with the time after which it has. The refusal is not in a log yet.
    pub fn pace(&self, call: &Call) -> Result<(), Error> {
        let rules = self.rules.load();
        let catalog = rules.policies.catalog();
        if catalog.rates().len() == 0 {
            return Ok(());
        }
        let Some(account) = catalog.account(call.principal.as_str()) else { return Ok(()) };
        let rates: Vec<_> = catalog.rates().filter_map(|rate| Some((rate, rate.counted_for(account)?))).collect();
        self.pacer.count(&rates, self.clock.monotonic()).map_err(|(rate, wait)| {
            let detail = format!("rate {}: {} calls a second", rate.name(), rate.per_second());
            Error::new(Reason::RateLimited).with_detail(detail).retry_after(wait)
        })
    }
}
