//! What the tests of this crate share: fixed and random entries, a signer, trees.

use std::num::NonZeroU32;

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::{collection::vec, option, prelude::*, sample::select};
use vault_domain::{
    Action, Audience, DataClass, Decision, KeyVersion, Millis, PrincipalId, Purpose, Reason, RecordNumber, Reference,
    RequestId, SubjectId, Tenant,
};

use crate::*;

/// The number.
pub(crate) fn number(number: u64) -> RecordNumber {
    RecordNumber::new(number).unwrap()
}

/// A signer with a fixed key.
pub(crate) struct TestSigner(SigningKey);

impl TestSigner {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }
}

impl Signer for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// A head with every field set.
pub(crate) fn head(action: Action, decision: Decision) -> EntryHead {
    EntryHead {
        wall_time: Millis(1_790_000_000_123),
        salt: EntrySalt([0xa5; 16]),
        action,
        decision,
        reason: None,
        request_id: RequestId([0x11; 16]),
        trace_id: TraceId::new([0x22; 16]),
        count: NonZeroU32::MIN,
        purpose: Some(Purpose::parse("payment").unwrap()),
        audience: Some(Audience::parse("checkout").unwrap()),
        policy_set: PolicySetFingerprint([0x33; 8]),
    }
}

/// A sealed part with fixed contents.
pub(crate) fn sealed() -> SealedPeople {
    SealedPeople {
        tenant_tag: TenantTag([0x44; 8]),
        principal_tag: PrincipalTag([0x55; 8]),
        key_version: KeyVersion(3),
        epoch_id: [0x66; 8],
        nonce: [0x77; 12],
        ciphertext: (0..120).collect(),
    }
}

/// People with every field set.
pub(crate) fn people() -> People {
    People {
        tenant: Some(Tenant::parse("acme").unwrap()),
        principal: Some(PrincipalId::parse("spiffe://acme.example/checkout").unwrap()),
        issuer: Some(Issuer::parse("CN=Acme Client CA").unwrap()),
        certificate: CertificateSha256::new([0x88; 32]),
        source: Some("192.0.2.7".parse().unwrap()),
        reference: Some(Reference::parse("CASE-4711").unwrap()),
        subject: Some(SubjectId([0x99; 16])),
        parent: Some(number(4711)),
        about: None,
    }
}

/// An allowed detokenize of these records of `card_number`.
pub(crate) fn detokenize(log_time: u64, numbers: impl IntoIterator<Item = u64>) -> Entry {
    let numbers: NumberRuns = numbers.into_iter().map(number).collect();
    let group = Group {
        class: DataClass::parse("card_number").unwrap(),
        outcome: Outcome::Done,
        items: u32::try_from(numbers.total()).unwrap(),
        numbers,
        token_hashes: Vec::new(),
    };
    Entry {
        log_time: Millis(log_time),
        head: head(Action::Detokenize, Decision::Allowed),
        policies: vec![PolicyId::parse("checkout-reads-cards").unwrap()],
        groups: vec![group],
        people: SealedPart::Sealed(sealed()),
    }
}

/// Any name of one to six letters: few enough to meet again.
pub(crate) fn name() -> impl Strategy<Value = String> {
    "[a-c][a-c_-]{0,5}"
}

/// Record numbers as calls hold them: some consecutive, some scattered, some repeated, in no order.
pub(crate) fn numbers() -> impl Strategy<Value = Vec<u64>> {
    let first = prop_oneof![0..64_u64, 0..=RecordNumber::MAX.get() - 64];
    vec((first, 1..12_u64), 0..8).prop_map(|runs| runs.into_iter().flat_map(|(at, count)| at..at + count).collect())
}

pub(crate) fn token_hashes() -> impl Strategy<Value = Vec<TokenHash>> {
    vec(any::<[u8; 16]>().prop_map(TokenHash), 0..4)
}

fn reason() -> impl Strategy<Value = Option<Reason>> {
    option::of(select(Reason::ALL))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Done), Just(Outcome::Masked), select(Reason::ALL).prop_map(Outcome::Refused)]
}

fn millis() -> impl Strategy<Value = Millis> {
    prop_oneof![0..16_u64, 0..=Millis::MAX.0].prop_map(Millis)
}

fn group() -> impl Strategy<Value = Group> {
    (name(), outcome(), numbers(), token_hashes(), 0..3_u32).prop_map(
        |(class, outcome, numbers, token_hashes, more)| {
            let numbers: NumberRuns = numbers.into_iter().map(number).collect();
            let listed = u32::try_from(numbers.total()).unwrap() + u32::try_from(token_hashes.len()).unwrap();
            let class = DataClass::parse(&class).unwrap();
            Group { class, outcome, items: (listed + more).max(1), numbers, token_hashes }
        },
    )
}

fn any_head() -> impl Strategy<Value = EntryHead> {
    let fixed = (millis(), any::<[u8; 16]>(), select(Action::ALL), select(Decision::ALL), reason());
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), 1..=u32::MAX, any::<[u8; 8]>());
    (fixed, ids, option::of(name()), option::of(name())).prop_map(|(fixed, ids, purpose, audience)| {
        let (wall_time, salt, action, decision, reason) = fixed;
        let (request_id, trace_id, count, policy_set) = ids;
        EntryHead {
            wall_time,
            salt: EntrySalt(salt),
            action,
            decision,
            reason,
            request_id: RequestId(request_id),
            trace_id: TraceId::new(trace_id),
            count: NonZeroU32::new(count).unwrap(),
            purpose: purpose.map(|name| Purpose::parse(&name).unwrap()),
            audience: audience.map(|name| Audience::parse(&name).unwrap()),
            policy_set: PolicySetFingerprint(policy_set),
        }
    })
}

fn any_matter() -> impl Strategy<Value = Matter> {
    let difference = any::<[u8; 32]>().prop_map(|hash| Matter::Difference(vault_domain::RulesDifference(hash)));
    let caller = "[!-~]{1,256}".prop_map(|text| Matter::Caller(PrincipalId::parse(&text).unwrap()));
    prop_oneof![difference, caller]
}

pub(crate) fn any_people() -> impl Strategy<Value = People> {
    let names = (option::of(name()), option::of("[!-~]{1,256}"), option::of("[ -~ä]{1,120}"), option::of(name()));
    let ids = (any::<[u8; 32]>(), option::of(any::<std::net::IpAddr>()), option::of(any::<[u8; 16]>()));
    let of_changes = (option::of(0..=RecordNumber::MAX.get()), option::of(any_matter()));
    (names, ids, of_changes).prop_map(|(names, (certificate, source, subject), (parent, about))| {
        let (tenant, principal, issuer, reference) = names;
        People {
            tenant: tenant.map(|text| Tenant::parse(&text).unwrap()),
            principal: principal.map(|text| PrincipalId::parse(&text).unwrap()),
            issuer: issuer.map(|text| Issuer::parse(&text).unwrap()),
            certificate: CertificateSha256::new(certificate),
            source,
            reference: reference.map(|text| Reference::parse(&text).unwrap()),
            subject: subject.map(SubjectId),
            parent: parent.map(number),
            about,
        }
    })
}

fn any_part() -> impl Strategy<Value = SealedPart> {
    // Few tags, so that queries meet them.
    let tags = (0..3_u8, 0..3_u8);
    let sealed = (tags, any::<(u32, [u8; 8], [u8; 12])>(), vec(any::<u8>(), 16..200)).prop_map(
        |((tenant, principal), (key_version, epoch_id, nonce), ciphertext)| {
            SealedPart::Sealed(SealedPeople {
                tenant_tag: TenantTag([tenant; 8]),
                principal_tag: PrincipalTag([principal; 8]),
                key_version: KeyVersion(key_version),
                epoch_id,
                nonce,
                ciphertext,
            })
        },
    );
    prop_oneof![
        1 => Just(SealedPart::None),
        6 => sealed,
        1 => any_people().prop_map(|people| SealedPart::Clear(Box::new(people))),
    ]
}

/// Any entry.
pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
    (millis(), any_head(), vec(name(), 0..4), vec(group(), 0..5), any_part()).prop_map(
        |(log_time, head, policies, groups, people)| {
            let policies = policies.iter().map(|id| PolicyId::parse(id).unwrap()).collect();
            Entry { log_time, head, policies, groups, people }
        },
    )
}
