//! The node's own log: what belongs to no region that is served here. Refusals before any region, connections turned
//! away, start and stop. It holds no values, record numbers or token hashes.
//!
//! The first refusal of a kind is written at once, repeats are counted and written once a minute: nobody can fill the
//! disk by knocking.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use vault_crypto::CallRandom;
use vault_domain::{Action, Clock, Decision, Entropy, Millis, PrincipalId, Reason, RequestId};
use vault_journal::{Journal, Submission};
use vault_ledger::{CertificateSha256, EntryBuilder, EntryHead, EntrySalt, People, PolicySetFingerprint, SealedPart};
use vault_store::{Batch, Reader};

use crate::{call::Call, error::Error, replay::NonceBook};

/// How long repeats of a refusal are counted before they are written.
pub const REPEATS_WINDOW: Duration = Duration::from_secs(60);
/// Kinds of refusals that are counted at once; what is beyond them is counted as one kind.
const KINDS_MAX: usize = 4096;

/// A refusal that belongs to no region.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What was attempted.
    pub action: Action,
    /// Why it was refused.
    pub reason: Reason,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Who it was, if that is known.
    pub principal: Option<PrincipalId>,
    /// The certificate, if there was one.
    pub certificate: Option<CertificateSha256>,
    /// The id of the call, if there was one.
    pub request_id: RequestId,
}

impl Refusal {
    fn of(call: &Call, action: Action, reason: Reason) -> Self {
        Self {
            action,
            reason,
            source: call.source,
            principal: Some(call.principal.clone()),
            certificate: call.certificate,
            request_id: call.request_id,
        }
    }
}

/// What makes two refusals repeats of each other.
type Kind = (Option<IpAddr>, Reason, Action);

struct Repeats {
    last: Refusal,
    count: u32,
    since: Duration,
}

/// The node's log and the refusals that wait for it.
pub(crate) struct Node {
    pub(crate) journal: Journal,
    pub(crate) reader: Reader,
    /// The nonces of operators' calls.
    pub(crate) nonces: NonceBook,
    repeats: Mutex<HashMap<Kind, Repeats>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Node {
    pub(crate) fn new(
        journal: Journal,
        reader: Reader,
        nonces: NonceBook,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { journal, reader, nonces, repeats: Mutex::default(), clock, entropy }
    }

    /// Writes the refusal of a call.
    pub(crate) async fn record(&self, call: &Call, action: Action, reason: Reason) -> Result<(), Error> {
        self.refused(Refusal::of(call, action, reason)).await
    }

    /// Writes the refusal of an operator's call with the row of its nonce, even if its like was written a moment ago.
    pub(crate) async fn record_once(
        &self,
        call: &Call,
        action: Action,
        reason: Reason,
        nonce: Batch,
    ) -> Result<(), Error> {
        self.write(&Refusal::of(call, action, reason), NonZeroU32::MIN, nonce).await
    }

    /// Writes a refusal, or counts it if its like was written a moment ago.
    pub(crate) async fn refused(&self, refusal: Refusal) -> Result<(), Error> {
        if self.is_repeat(&refusal) {
            return if self.journal.has_failed() { Err(Reason::AuditUnavailable.into()) } else { Ok(()) };
        }
        self.write(&refusal, NonZeroU32::MIN, Batch::default()).await
    }

    /// Writes that the files of TLS were loaded anew, or why they were not.
    pub(crate) async fn note_reload(&self, refused: Option<Reason>) -> Result<(), Error> {
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let request_id = RequestId(random.bytes());
        let decision = if refused.is_some() { Decision::Failed } else { Decision::Allowed };
        let what = (Action::Reload, decision, refused);
        let people = SealedPart::None;
        let (wall, once) = (self.clock.wall(), NonZeroU32::MIN);
        // By no rules: it is about certificates.
        let entry = plain_entry(&mut random, wall, what, [0; 8], request_id, once, &people)?;
        self.journal.commit(Submission { entry, ..Submission::default() }).await?;
        Ok(())
    }

    fn is_repeat(&self, refusal: &Refusal) -> bool {
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = (refusal.source, refusal.reason, refusal.action);
        if !repeats.contains_key(&kind) && repeats.len() >= KINDS_MAX {
            kind = (None, Reason::HandshakeRefused, Action::Connect);
        }
        if let Some(known) = repeats.get_mut(&kind) {
            known.count = known.count.saturating_add(1);
            let other = known.last.principal != refusal.principal;
            known.last = refusal.clone();
            if other {
                // It stands for several callers: naming one would accuse it of what others did.
                (known.last.principal, known.last.certificate) = (None, None);
            }
            return true;
        }
        repeats.insert(kind, Repeats { last: refusal.clone(), count: 0, since: self.clock.monotonic() });
        false
    }

    /// Writes the repeats whose minute is over; all of them if `all`.
    pub(crate) async fn flush(&self, all: bool) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let due: Vec<Repeats> = {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            let over = |_: &Kind, known: &mut Repeats| all || now.saturating_sub(known.since) >= REPEATS_WINDOW;
            repeats.extract_if(over).map(|(_, known)| known).collect()
        };
        for Repeats { last, count, .. } in due {
            if let Some(count) = NonZeroU32::new(count) {
                self.write(&last, count, Batch::default()).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, refusal: &Refusal, count: NonZeroU32, batch: Batch) -> Result<(), Error> {
        let people = People {
            principal: refusal.principal.clone(),
            certificate: refusal.certificate,
            source: refusal.source,
            ..People::default()
        };
        let entry = plain_entry(
            &mut CallRandom::seeded(&*self.entropy)?,
            self.clock.wall(),
            (refusal.action, Decision::Denied, Some(refusal.reason)),
            // Nobody was looked up by any rules.
            [0; 8],
            refusal.request_id,
            count,
            &SealedPart::Clear(Box::new(people)),
        )?;
        self.journal.commit(Submission { batch, entry, ..Submission::default() }).await?;
        Ok(())
    }
}

/// An entry without items: of the vault itself, or of somebody who is nobody here.
pub(crate) fn plain_entry(
    random: &mut CallRandom,
    wall_time: Millis,
    (action, decision, reason): (Action, Decision, Option<Reason>),
    policy_set: [u8; 8],
    request_id: RequestId,
    count: NonZeroU32,
    people: &SealedPart,
) -> Result<Vec<u8>, Error> {
    let head = EntryHead {
        wall_time: wall_time.min(Millis::MAX),
        salt: EntrySalt(random.bytes()),
        action,
        decision,
        reason,
        request_id,
        trace_id: None,
        count,
        purpose: None,
        audience: None,
        policy_set: PolicySetFingerprint(policy_set),
    };
    Ok(EntryBuilder::new(&head, [""; 0])?.finish(people)?)
}
