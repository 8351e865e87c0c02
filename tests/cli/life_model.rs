//! The life of tokens against a model: long rows of calls in random order, on a clock that likes the very milliseconds
//! at which something begins or ends, with restarts in between. What the vault answers must be what a few lines of
//! plain rules say; and in the end its records must be those that its log tells of.
//!
//! `TOKENVAULT_MODEL_OPERATIONS` and `TOKENVAULT_MODEL_SEED` make it longer and another one (`make campaign-life`).
#![expect(clippy::indexing_slicing, reason = "what is not there fails the test, which is what it is for")]

use std::{
    collections::{HashMap, HashSet},
    env,
    path::Path,
    time::Duration,
};

use vault_domain::{Clock, ManualClock, limits::PURGE_DELAY};
use vault_proto::google::rpc;
use vault_proto::v1::{
    self, change_token_result, describe_token_result, detokenize_result, token_service_client::TokenServiceClient,
    tokenize_result,
};
use vault_tests::{
    connection::Connection,
    requests::{change, describe, detokenize, scattered, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::audited::verify;

/// Operations of a run in `make test`.
const OPERATIONS: u64 = 4000;
/// How long a repeated reveal counts once, in ms.
const RETRY_WINDOW_MS: u64 = 60_000;
const NOT_FOUND: &str = "TOKEN_NOT_FOUND";

/// A data class of the tests' catalog, as far as lives go.
#[derive(Clone, Copy)]
struct Class {
    name: &'static str,
    is_deterministic: bool,
    ttl_default: u64,
    ttl_max: u64,
}

const CLASSES: [Class; 4] = [
    Class { name: "ticket", is_deterministic: false, ttl_default: 60, ttl_max: 300 },
    Class { name: "email", is_deterministic: false, ttl_default: 0, ttl_max: 0 },
    Class { name: "customer_id", is_deterministic: true, ttl_default: 0, ttl_max: 0 },
    Class { name: "voucher", is_deterministic: true, ttl_default: 60, ttl_max: 0 },
];

/// A token, as the model has it.
struct Token {
    class: Class,
    value: String,
    text: String,
    created: u64,
    not_before: u64,
    expires: u64,
    max_uses: u32,
    uses: u32,
    is_suspended: bool,
    is_revoked: bool,
}

impl Token {
    fn is_over(&self, now: u64) -> bool {
        self.is_revoked || self.expires != 0 && now >= self.expires
    }

    fn is_spent(&self) -> bool {
        self.max_uses != 0 && self.uses == self.max_uses
    }

    fn may_be_shown(&self, now: u64) -> bool {
        !self.is_over(now) && !self.is_spent() && now >= self.not_before && !self.is_suspended
    }

    fn count_a_use(&mut self) {
        self.uses += u32::from(self.max_uses != 0);
    }
}

/// What a call of a change asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Renew(u64),
    Suspend,
    Resume,
    Revoke,
}

/// A call that was made under a key, and may come again.
enum Keyed {
    Reveal { at: usize, when: u64, was_shown: bool },
    Change { at: usize, change: Change, was_done: bool },
}

struct Model {
    clock: ManualClock,
    seed: u64,
    drawn: u64,
    tokens: Vec<Token>,
    /// The texts of all of them.
    texts: HashSet<String>,
    /// The newest token of each value of a deterministic class.
    of_value: HashMap<(&'static str, String), usize>,
    keyed: Vec<Keyed>,
}

/// The callers, each on a connection of its own.
struct Callers {
    loader: TokenServiceClient<Connection>,
    payments: TokenServiceClient<Connection>,
    steward: TokenServiceClient<Connection>,
}

impl Callers {
    async fn connect(vault: &TestVault) -> Self {
        // The generated clients as they are: thousands of answers are too many to be searched for secrets.
        let bare = async |role| {
            let connection = vault.try_connect(role).await.unwrap();
            let origin = connection.origin().clone();
            TokenServiceClient::with_origin(connection, origin)
        };
        Self {
            loader: bare(Role::Loader).await,
            payments: bare(Role::Payments).await,
            steward: bare(Role::Steward).await,
        }
    }
}

/// The name of the reason in an item's status, which is all that the model knows of refusals.
fn reason(status: &rpc::Status) -> String {
    vault_tests::refusal::Refusal::of_item(status).reason
}

impl Model {
    fn now(&self) -> u64 {
        self.clock.wall().0
    }

    /// A number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        scattered(self.seed.wrapping_mul(1 << 32).wrapping_add(self.drawn)) % below
    }

    fn one_of(&mut self, choices: &[u64]) -> u64 {
        let at = self.draw(choices.len() as u64);
        choices[usize::try_from(at).unwrap()]
    }

    /// A token, mostly one of the newest.
    fn a_token(&mut self) -> Option<usize> {
        let count = self.tokens.len() as u64;
        let reach = if self.draw(4) == 0 { count } else { count.min(12) };
        (count > 0).then(|| self.tokens.len() - 1 - usize::try_from(self.draw(reach)).unwrap())
    }

    /// One to four tokens of one class, some of them twice.
    fn some_tokens(&mut self) -> Vec<usize> {
        let Some(first) = self.a_token() else { return Vec::new() };
        let class = self.tokens[first].class.name;
        let others: Vec<usize> = (0..self.draw(4)).filter_map(|_| self.a_token()).collect();
        [first].into_iter().chain(others.into_iter().filter(|at| self.tokens[*at].class.name == class)).collect()
    }

    fn texts_of<'a>(&'a self, of: &'a [usize]) -> impl Iterator<Item = String> + 'a {
        of.iter().map(|at| self.tokens[*at].text.clone())
    }

    /// Moves the clock: a little, a lot, or to a moment at which something begins or ends, or just before it.
    fn move_on(&mut self) {
        let now = self.now();
        let mut moments = vec![now + 1, now + 1000, now + 30_000];
        if let Some(token) = self.a_token().map(|at| &self.tokens[at]) {
            moments.extend([token.not_before, token.expires, token.expires.saturating_sub(1), token.created + 300_000]);
        }
        if let Some(Keyed::Reveal { when, .. }) = self.keyed.last() {
            moments.extend([when + RETRY_WINDOW_MS, when + RETRY_WINDOW_MS + 1]);
        }
        moments.retain(|moment| (now..now + 400_000).contains(moment));
        let to = self.one_of(&moments);
        self.clock.advance(Duration::from_millis(to - now));
    }

    async fn make(&mut self, callers: &mut Callers) {
        let (now, class) = (self.now(), CLASSES[usize::try_from(self.draw(4)).unwrap()]);
        let value = match class.name {
            "email" => format!("m{}@example.org", self.draw(6)),
            "voucher" => format!("70319452{}", 10 + self.draw(6)),
            _ => format!("{}", 1000 + self.draw(6)),
        };
        let mut request = tokenize(class.name, [&value]);
        let item = &mut request.items[0];
        item.ttl_seconds = self.one_of(&[0, 0, 1, 45, 300, 301]);
        item.not_before_ms = [0, 0, now - 1, now, now + 1, now + 45_000][usize::try_from(self.draw(6)).unwrap()];
        item.max_uses = u32::try_from(self.one_of(&[0, 0, 1, 2, 5])).unwrap();
        let (ttl, not_before, max_uses) = (item.ttl_seconds, item.not_before_ms, item.max_uses);
        let result = callers.loader.tokenize(request).await.unwrap().into_inner().results.remove(0).outcome.unwrap();
        let lives = if ttl == 0 { class.ttl_default } else { ttl };
        let expires = if lives == 0 { 0 } else { now + 1000 * lives };
        let refused = match () {
            () if class.ttl_max != 0 && ttl > class.ttl_max => Some("LIFETIME_TOO_LONG"),
            () if expires != 0 && not_before >= expires => Some("LIFETIME_EMPTY"),
            () => None,
        };
        let issued = match (result, refused) {
            (tokenize_result::Outcome::Issued(issued), None) => issued,
            (tokenize_result::Outcome::Error(status), Some(expected)) => return assert_eq!(reason(&status), expected),
            (result, refused) => panic!("{result:?}, and the model says {refused:?}"),
        };
        let known = self.of_value.get(&(class.name, value.clone())).copied();
        let again = known.filter(|at| !self.tokens[*at].is_over(now) && !self.tokens[*at].is_spent());
        match again.filter(|_| class.is_deterministic) {
            Some(at) => {
                let token = &self.tokens[at];
                assert_eq!((&issued.token, issued.created, issued.expires_at_ms), (&token.text, false, token.expires));
            }
            None => {
                assert!(issued.created && self.texts.insert(issued.token.clone()), "a token is new");
                assert_eq!(issued.expires_at_ms, expires);
                self.of_value.insert((class.name, value.clone()), self.tokens.len());
                let (text, created) = (issued.token.clone(), now);
                let (uses, is_suspended, is_revoked) = (0, false, false);
                #[rustfmt::skip]
                self.tokens.push(Token {
                    class, value, text, created, not_before, expires, max_uses, uses, is_suspended, is_revoked,
                });
            }
        }
    }

    async fn reveal(&mut self, callers: &mut Callers) {
        let (now, of) = (self.now(), self.some_tokens());
        let Some(class) = of.first().map(|at| self.tokens[*at].class.name) else { return };
        let mut request = detokenize(class, self.texts_of(&of));
        let key = (of.len() == 1 && self.draw(2) == 0).then_some(self.keyed.len());
        request.idempotency_key = key.map_or_else(String::new, |key| format!("model-{key}"));
        let results = callers.payments.detokenize(request).await.unwrap().into_inner().results;
        let mut was_shown = false;
        for (at, result) in of.iter().zip(results) {
            was_shown = self.tokens[*at].may_be_shown(now);
            self.assert_shown(*at, was_shown, result);
            if was_shown {
                self.tokens[*at].count_a_use();
            }
        }
        if key.is_some() {
            self.keyed.push(Keyed::Reveal { at: of[0], when: now, was_shown });
        }
    }

    fn assert_shown(&self, at: usize, is_shown: bool, result: v1::DetokenizeResult) {
        let token = &self.tokens[at];
        match result.outcome.unwrap() {
            detokenize_result::Outcome::Revealed(revealed) => {
                assert!(is_shown, "it was shown");
                assert_eq!(revealed.value, token.value.as_bytes());
            }
            detokenize_result::Outcome::Error(status) => {
                assert!(!is_shown, "it was not shown");
                assert_eq!(reason(&status), NOT_FOUND);
            }
        }
    }

    async fn describe(&mut self, callers: &mut Callers) {
        let (now, of) = (self.now(), self.some_tokens());
        let Some(class) = of.first().map(|at| self.tokens[*at].class.name) else { return };
        let request = describe(class, self.texts_of(&of));
        let results = callers.payments.describe_tokens(request).await.unwrap().into_inner().results;
        for (at, result) in of.iter().zip(results) {
            let token = &self.tokens[*at];
            match result.outcome.unwrap() {
                describe_token_result::Outcome::Described(told) => {
                    assert!(token.may_be_shown(now), "it was described");
                    let told = (told.created_at_ms, told.expires_at_ms, told.uses, told.max_uses);
                    assert_eq!(told, (token.created, token.expires, token.uses, token.max_uses));
                }
                describe_token_result::Outcome::Error(status) => {
                    assert!(!token.may_be_shown(now), "it was not described");
                    assert_eq!(reason(&status), NOT_FOUND);
                }
            }
        }
    }

    /// What becomes of a change, by the rules alone. `again`: it was made before.
    fn expected(&mut self, at: usize, change: Change, again: bool) -> Result<(), &'static str> {
        let now = self.now();
        let token = &mut self.tokens[at];
        if again && change == Change::Revoke && token.is_revoked {
            return Ok(());
        }
        if token.is_over(now) {
            return Err(NOT_FOUND);
        }
        if let Change::Renew(ttl) = change {
            // A repeat of what was done is not kept from it by uses that were spent since.
            if now < token.not_before || token.is_suspended || token.is_spent() && !again {
                return Err(NOT_FOUND);
            }
            if again {
                return Ok(());
            }
            let latest = if token.class.ttl_max == 0 { u64::MAX } else { token.created + 1000 * token.class.ttl_max };
            let lives = if ttl == 0 { token.class.ttl_default } else { ttl };
            let until = if lives == 0 { 0 } else { now + 1000 * lives };
            if latest <= now || ttl != 0 && until > latest {
                return Err("LIFETIME_TOO_LONG");
            }
            token.expires = until.min(latest);
            return Ok(());
        }
        match change {
            _ if again => {}
            Change::Suspend => token.is_suspended = true,
            Change::Resume => token.is_suspended = false,
            Change::Revoke | Change::Renew(_) => token.is_revoked = true,
        }
        Ok(())
    }

    async fn send(&self, callers: &mut Callers, of: &[usize], change_to: Change, key: Option<usize>) -> Vec<Sent> {
        let mut request = change(self.tokens[of[0]].class.name, self.texts_of(of));
        request.idempotency_key = key.map_or_else(String::new, |key| format!("model-{key}"));
        let answer = match change_to {
            Change::Renew(ttl) => {
                request.ttl_seconds = ttl;
                callers.steward.renew_tokens(request).await
            }
            Change::Suspend => callers.steward.suspend_tokens(request).await,
            Change::Resume => callers.steward.resume_tokens(request).await,
            Change::Revoke => callers.steward.revoke_tokens(request).await,
        };
        let results = answer.unwrap().into_inner().results.into_iter();
        let results = results.map(|result| match result.outcome.unwrap() {
            change_token_result::Outcome::Changed(life) => Ok(life),
            change_token_result::Outcome::Error(status) => Err(reason(&status)),
        });
        results.collect()
    }

    fn assert_changed(&self, at: usize, expected: Result<(), &str>, sent: Sent) {
        let token = &self.tokens[at];
        match (sent, expected) {
            (Ok(life), Ok(())) => {
                let told = (life.not_before_ms, life.expires_at_ms, life.uses, life.max_uses);
                assert_eq!(told, (token.not_before, token.expires, token.uses, token.max_uses));
                let state = match (token.is_revoked, token.is_suspended) {
                    (true, _) => v1::TokenState::Revoked,
                    (false, true) => v1::TokenState::Suspended,
                    (false, false) => v1::TokenState::Active,
                };
                assert_eq!(life.state(), state);
            }
            (Err(reason), Err(expected)) => assert_eq!(reason, expected),
            (sent, expected) => panic!("{sent:?}, and the model says {expected:?}"),
        }
    }

    async fn change(&mut self, callers: &mut Callers) {
        let of = self.some_tokens();
        if of.is_empty() {
            return;
        }
        let ttl = self.one_of(&[0, 0, 1, 60, 240, 300, 301]);
        let change = [
            Change::Renew(ttl),
            Change::Renew(ttl),
            Change::Suspend,
            Change::Suspend,
            Change::Resume,
            Change::Resume,
            Change::Resume,
            Change::Revoke,
        ][usize::try_from(self.draw(8)).unwrap()];
        let key = (of.len() == 1 && self.draw(2) == 0).then_some(self.keyed.len());
        let sent = self.send(callers, &of, change, key).await;
        let mut seen: HashMap<usize, bool> = HashMap::new();
        // All answers tell of the end of the call; each token is changed once in it.
        let mut expected = Vec::new();
        for at in &of {
            let again = seen.get(at) == Some(&true);
            let outcome = self.expected(*at, change, again);
            seen.insert(*at, again || outcome.is_ok());
            expected.push(outcome);
        }
        let was_done = expected[0].is_ok();
        for ((at, expected), sent) in of.iter().zip(expected).zip(sent) {
            self.assert_changed(*at, expected, sent);
        }
        if key.is_some() {
            self.keyed.push(Keyed::Change { at: of[0], change, was_done });
        }
    }

    /// Sends a call again that had a key.
    async fn repeat(&mut self, callers: &mut Callers) {
        let Some(newest) = self.keyed.len().checked_sub(1) else { return };
        let key = newest - usize::try_from(self.draw(newest.min(6) as u64 + 1)).unwrap();
        let now = self.now();
        match self.keyed[key] {
            Keyed::Reveal { at, when, was_shown } => {
                let token = &mut self.tokens[at];
                let is_free = was_shown && now <= when + RETRY_WINDOW_MS;
                let may_be = !token.is_over(now) && now >= token.not_before && !token.is_suspended;
                let is_shown = may_be && (is_free || !token.is_spent());
                if is_shown && !is_free {
                    token.count_a_use();
                }
                let mut request = detokenize(token.class.name, [token.text.clone()]);
                request.idempotency_key = format!("model-{key}");
                let result = callers.payments.detokenize(request).await.unwrap().into_inner().results.remove(0);
                self.assert_shown(at, is_shown, result);
            }
            Keyed::Change { at, change, was_done } => {
                let sent = self.send(callers, &[at], change, Some(key)).await.remove(0);
                match was_done {
                    true => {
                        let expected = self.expected(at, change, true);
                        self.assert_changed(at, expected, sent);
                    }
                    // What was refused stays refused, by the reason that callers may know.
                    false => assert!(sent.is_err(), "{sent:?}"),
                }
            }
        }
    }
}

/// What came back of one item of a change.
type Sent = Result<v1::TokenLife, String>;

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_tokens_is_what_plain_rules_say_in_any_order_of_calls() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let operations = number("TOKENVAULT_MODEL_OPERATIONS").unwrap_or(OPERATIONS);
    let seed = number("TOKENVAULT_MODEL_SEED").unwrap_or(1);
    let clock = ManualClock::at(BEGINNING);
    let mut vault = TestVault::start_by(Path::new(env!("CARGO_TARGET_TMPDIR")), &clock).await;
    let mut callers = Callers::connect(&vault).await;
    let (tokens, of_value, keyed) = (Vec::new(), HashMap::new(), Vec::new());
    let mut model = Model { clock, seed, drawn: 0, tokens, texts: HashSet::new(), of_value, keyed };
    for operation in 0..operations {
        // A panic shows which: libtest prints what a failed test wrote.
        println!("seed {seed}, operation {operation}");
        match model.draw(100) {
            0..22 => model.make(&mut callers).await,
            22..50 => model.reveal(&mut callers).await,
            50..55 => model.describe(&mut callers).await,
            55..75 => model.change(&mut callers).await,
            75..85 => model.repeat(&mut callers).await,
            _ => model.move_on(),
        }
        if operation % 1500 == 1499 {
            drop(callers);
            vault.stop().await;
            vault.start_again().await;
            callers = Callers::connect(&vault).await;
        }
    }
    drop(callers);
    vault.stop().await;
    let checked = verify(&vault.data_directory().join("eu"), &["--records"]).with(0).lines().remove(0);
    let counted = |checked: &serde_json::Value, name: &str| checked[name].as_u64().unwrap();
    let made = model.tokens.len() as u64;
    assert_eq!(counted(&checked, "records") + counted(&checked, "purged_records"), made, "{checked}");
    assert!(counted(&checked, "states") > counted(&checked, "records") / 10, "{checked}");
    // A day later all that has ended is gone, and nothing else.
    model.clock.advance(PURGE_DELAY);
    let due = model.clock.wall().0 - u64::try_from(PURGE_DELAY.as_millis()).unwrap();
    let ended = model.tokens.iter().filter(|token| token.is_over(due) || token.is_spent()).count() as u64;
    for _ in 0..20 {
        vault.start_again().await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        vault.stop().await;
        let checked = verify(&vault.data_directory().join("eu"), &["--records"]).with(0).lines().remove(0);
        assert!(counted(&checked, "purged_records") <= ended, "{checked}");
        if counted(&checked, "purged_records") == ended {
            assert_eq!(counted(&checked, "records"), made - ended, "{checked}");
            break;
        }
    }
    let checked = verify(&vault.data_directory().join("eu"), &["--records"]).with(0).lines().remove(0);
    assert_eq!((counted(&checked, "purged_records"), counted(&checked, "overdue_records")), (ended, 0), "{checked}");
    vault.finish().await;
}
