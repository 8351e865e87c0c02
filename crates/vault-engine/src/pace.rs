//! How often somebody calls: the rates of the catalog, counted in memory, by the monotonic clock.
//!
//! Each count is the generic cell rate algorithm (ITU-T I.371): one time, that at which the calls so far would have
//! come if they had come evenly. It is one node's, and begins anew with each start.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use vault_catalog::Rate;
use vault_domain::{RateName, Reason};

use crate::{Engine, call::Call, error::Error};

/// So many counts are kept before those of who rested are forgotten.
const COUNTS_KEPT: usize = 65_536;

/// When the calls so far would have come evenly, by rate and by whom they are counted for.
#[derive(Default)]
pub(crate) struct Pacer(Mutex<HashMap<(RateName, Box<str>), Duration>>);

impl Pacer {
    /// Counts a call under these rates, or, if one has no room, says which and after how long it will.
    fn count(&self, rates: &[(&Rate, &str)], now: Duration) -> Result<(), (RateName, u32, Duration)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |rate: &Rate, even: Duration| {
            let each = Duration::from_secs(1) / rate.per_second();
            let next = even.max(now).saturating_add(each);
            (next, next.saturating_sub(now).saturating_sub(each.saturating_mul(rate.burst())))
        };
        let mut longest: Option<(RateName, u32, Duration)> = None;
        for (rate, whom) in rates {
            let even = counts.get(&(rate.name().clone(), Box::from(*whom))).copied().unwrap_or_default();
            let (_, wait) = due(rate, even);
            if longest.as_ref().is_none_or(|(.., longest)| wait > *longest) {
                longest = Some((rate.name().clone(), rate.per_second(), wait));
            }
        }
        if let Some(refused) = longest.filter(|(.., wait)| !wait.is_zero()) {
            return Err(refused);
        }
        if counts.len() >= COUNTS_KEPT {
            counts.retain(|_, even| *even > now);
        }
        for (rate, whom) in rates {
            let even = counts.entry((rate.name().clone(), Box::from(*whom))).or_default();
            *even = due(rate, *even).0;
        }
        Ok(())
    }
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
        self.pacer.count(&rates, self.clock.monotonic()).map_err(|(name, per_second, wait)| {
            let detail = format!("rate {name}: {per_second} calls a second");
            Error::new(Reason::RateLimited).with_detail(detail).retry_after(wait)
        })
    }
}
