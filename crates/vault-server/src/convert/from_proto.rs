//! Messages to domain types. What breaks a rule is refused here, with the field's name and the rule, never its content.

use std::{mem::take, sync::Arc, time::Duration};

use vault_domain::{
    AccessLogFilter, Action, Assurance, Audience, CountBy, DataClass, Decision, IdError, IdempotencyKey, LevelAsked,
    LogIndex, Millis, Network, Plaintext, PrincipalId, Purpose, Reason, Reference, Region, RequestId, Role, Scope,
    Session, SubjectName, TokenText, limits,
};
use vault_engine::{
    AccessLogQuery, Change, DetokenizeItem, DetokenizeRequest, EntryQuery, Error, ExplainRequest, ExplainedCaller,
    ExportFormat, ExportRange, LifeAsked, Part, RequestName, TokenizeItem, TokenizeRequest,
};
use vault_proto::v1;

/// Parses a request to tokenize.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn tokenize(message: &mut v1::TokenizeRequest) -> Result<TokenizeRequest, Error> {
    check_count(message.items.len())?;
    let v1::TokenizeRequest { region, purpose, reference, audience, idempotency_key, items } = message;
    let about = About::parse(region, purpose, reference, audience, idempotency_key)?;
    about.tokenize(vec![(None, take(items))])
}

/// Parses a request to detokenize.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn detokenize(message: &mut v1::DetokenizeRequest) -> Result<DetokenizeRequest, Error> {
    check_count(message.items.len())?;
    let v1::DetokenizeRequest { region, purpose, reference, audience, idempotency_key, items, level } = message;
    let about = About::parse(region, purpose, reference, audience, idempotency_key)?.at(*level)?;
    about.detokenize(vec![(None, take(items))])
}

/// Parses a question about tokens.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn describe(message: &mut v1::DescribeTokensRequest) -> Result<DetokenizeRequest, Error> {
    check_count(message.items.len())?;
    let v1::DescribeTokensRequest { region, purpose, reference, audience, items } = message;
    About::parse(region, purpose, reference, audience, "")?.detokenize(vec![(None, take(items))])
}

/// Parses a question which tokens values have.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn find(message: &mut v1::FindTokensRequest) -> Result<TokenizeRequest, Error> {
    check_count(message.items.len())?;
    let v1::FindTokensRequest { region, purpose, reference, audience, items } = message;
    let item = |mut item: v1::FindItem| v1::TokenizeItem {
        data_class: take(&mut item.data_class),
        value: take(&mut item.value),
        subject: take(&mut item.subject),
        ttl_seconds: 0,
        not_before_ms: 0,
        max_uses: 0,
    };
    let items = take(items).into_iter().map(item).collect();
    About::parse(region, purpose, reference, audience, "")?.tokenize(vec![(None, items)])
}

/// Parses a change in the life of tokens; `change` makes it of the lifetime that is asked for.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn change(
    message: &mut v1::ChangeTokensRequest,
    change: fn(Option<Duration>) -> Change,
) -> Result<(Change, DetokenizeRequest), Error> {
    check_count(message.items.len())?;
    let v1::ChangeTokensRequest { region, purpose, reference, audience, idempotency_key, items, ttl_seconds } = message;
    let ttl = seconds(*ttl_seconds);
    let change = change(ttl);
    if ttl.is_some() && change != Change::Renew(ttl) {
        return Err(Error::field("ttl_seconds", "says for how long RenewTokens renews: leave it out"));
    }
    let about = About::parse(region, purpose, reference, audience, idempotency_key)?;
    Ok((change, about.detokenize(vec![(None, take(items))])?))
}

/// A lifetime; `None` for that of the class.
fn seconds(seconds: u64) -> Option<Duration> {
    (seconds != 0).then(|| Duration::from_secs(seconds))
}

/// Parses a question whether a value would be shown.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn explain(message: &mut v1::ExplainAccessRequest) -> Result<ExplainRequest, Error> {
    let v1::ExplainAccessRequest { region, purpose, reference, explained } = message;
    let explained = explained.as_mut().ok_or(Error::field("explained", "says which call it is about: fill it in"))?;
    let v1::ExplainedCall { audience, item, level, purpose: theirs, reference: their_reference, caller } = explained;
    let item = item.take().ok_or(Error::field("explained.item", "says which token it is about: fill it in"))?;
    let tokens =
        About::parse(region, purpose, reference, audience, "")?.at(*level)?.detokenize(vec![(None, vec![item])])?;
    let caller = match caller.take() {
        Some(caller) => {
            let purpose = optional(theirs, Purpose::parse)?;
            let reference = optional(their_reference, Reference::parse)?;
            Some(ExplainedCaller { purpose, reference, ..explained_caller(&caller)? })
        }
        None if !theirs.is_empty() || !their_reference.is_empty() => {
            let rule = "a call of one's own states the purpose and the reference of the question: leave it out";
            return Err(Error::field("explained.purpose", rule));
        }
        None => None,
    };
    Ok(ExplainRequest { tokens, caller })
}

/// Another caller, as it would come.
fn explained_caller(message: &v1::ExplainedCaller) -> Result<ExplainedCaller, Error> {
    let v1::ExplainedCaller { principal, access_token, roles, scopes, clearance, assurance, source, .. } = message;
    fn list<T: Ord>(texts: &[String], parse: impl Fn(&str) -> Result<T, IdError>) -> Result<Box<[T]>, Error> {
        let mut list: Vec<T> = texts.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
        list.sort_unstable();
        list.dedup();
        Ok(list.into())
    }
    let level = u8::try_from(*assurance).ok().filter(|level| *level <= 3);
    let level = level.ok_or(Error::field("explained.caller.assurance", "must be 1, 2 or 3, or 0 for none"))?;
    let principal = PrincipalId::parse(principal)?;
    if *access_token && vault_catalog::issuer(principal.as_str()).is_none() {
        let rule =
            "who brings an access token is named by its issuer, as corp:orders: leave it out, or name that account";
        return Err(Error::field("explained.caller.access_token", rule));
    }
    let roles = list(roles, Role::parse)?;
    let scopes = list(scopes, Scope::parse)?;
    let clearance = list(clearance, Region::parse)?;
    let session = Session {
        tenant: None,
        roles,
        scopes,
        clearance: Some(clearance).filter(|regions| !regions.is_empty()),
        authenticated_at: None,
        assurance: Assurance::new(level),
    };
    let source = optional(source, |text| {
        text.parse().map_err(|_| Error::field("explained.caller.source", "must be an IP address"))
    })?;
    Ok(ExplainedCaller {
        principal,
        barred: None,
        session: access_token.then(|| Arc::new(session)),
        authenticated: message.authenticated_seconds.map(Duration::from_secs),
        source,
        purpose: None,
        reference: None,
    })
}

/// Parses what holds for a whole stream.
pub(crate) fn start(message: &v1::StreamStart, action: Action) -> Result<About, Error> {
    let v1::StreamStart { region, purpose, reference, audience, idempotency_key, level } = message;
    if action != Action::Detokenize && *level != i32::from(v1::RevealLevel::Unspecified) {
        return Err(Error::field("level", "says how much Detokenize shows: leave it out"));
    }
    About::parse(region, purpose, reference, audience, idempotency_key)?.at(*level)
}

/// What requests for data say beside their items.
#[derive(Clone)]
pub(crate) struct About {
    region: Region,
    purpose: Option<Purpose>,
    reference: Option<Reference>,
    audience: Audience,
    idempotency_key: Option<IdempotencyKey>,
    level: LevelAsked,
}

impl About {
    fn parse(region: &str, purpose: &str, reference: &str, audience: &str, key: &str) -> Result<Self, Error> {
        Ok(Self {
            region: Region::parse(region)?,
            purpose: optional(purpose, Purpose::parse)?,
            reference: optional(reference, Reference::parse)?,
            audience: Audience::parse(audience)?,
            idempotency_key: optional(key, IdempotencyKey::parse)?,
            level: LevelAsked::FULL,
        })
    }

    /// The same, with how much is asked for.
    fn at(self, level: i32) -> Result<Self, Error> {
        let level = match v1::RevealLevel::try_from(level) {
            Ok(v1::RevealLevel::Unspecified | v1::RevealLevel::Full) => LevelAsked::FULL,
            Ok(v1::RevealLevel::Masked) => LevelAsked::MASKED,
            Ok(v1::RevealLevel::BestPermitted) => LevelAsked::BestPermitted,
            Err(_) => return Err(Error::field("level", "must be one of the levels in the contract")),
        };
        Ok(Self { level, ..self })
    }

    /// The region.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// A request of these messages, each with its number if it came on a stream.
    pub(crate) fn tokenize(&self, messages: Vec<Message<v1::TokenizeItem>>) -> Result<TokenizeRequest, Error> {
        let mut classes = Classes::default();
        let parts = self.parts(&messages);
        let items = messages.into_iter().flat_map(|(_, items)| items).map(|mut item| {
            let class = classes.index(&item.data_class)?;
            let subject = take(&mut item.subject);
            let subject = if subject.is_empty() { Ok(None) } else { SubjectName::parse(subject).map(Some) };
            let life = LifeAsked {
                ttl: seconds(item.ttl_seconds),
                not_before: Millis(item.not_before_ms),
                max_uses: item.max_uses,
            };
            Ok(TokenizeItem { class, value: Plaintext::new(take(&mut item.value)), subject, life })
        });
        let items = items.collect::<Result<_, Error>>()?;
        let Self { region, purpose, reference, audience, .. } = self.clone();
        Ok(TokenizeRequest { region, purpose, reference, audience, parts, classes: classes.list, items })
    }

    /// The same for tokens.
    pub(crate) fn detokenize(&self, messages: Vec<Message<v1::DetokenizeItem>>) -> Result<DetokenizeRequest, Error> {
        let mut classes = Classes::default();
        let parts = self.parts(&messages);
        let items = messages.into_iter().flat_map(|(_, items)| items).map(|mut item| {
            let class = classes.index(&item.data_class)?;
            Ok(DetokenizeItem { class, token: TokenText::new(take(&mut item.token)) })
        });
        let items = items.collect::<Result<_, Error>>()?;
        let Self { region, purpose, reference, audience, level, .. } = self.clone();
        Ok(DetokenizeRequest { region, purpose, reference, audience, level, parts, classes: classes.list, items })
    }

    fn parts<I>(&self, messages: &[Message<I>]) -> Vec<Part> {
        let name = |sequence| Some(RequestName { key: self.idempotency_key.clone()?, sequence });
        messages.iter().map(|(sequence, items)| Part { items: items.len(), name: name(*sequence) }).collect()
    }
}

/// The items of one message, and its number on a stream.
pub(crate) type Message<I> = (Option<u64>, Vec<I>);

/// Parses a question to the log.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn query(message: &mut v1::QueryAccessLogRequest) -> Result<AccessLogQuery, Error> {
    let v1::QueryAccessLogRequest { region, purpose, reference, filter, oldest_first, page_size, page_token } = message;
    let page_size = match usize::try_from(*page_size) {
        Ok(0) => limits::QUERY_PAGE_ENTRIES_DEFAULT,
        Ok(size) if size <= limits::QUERY_PAGE_ENTRIES_MAX => size,
        _ => return Err(Error::field("page_size", "must be at most 1000")),
    };
    let asked = asked(region, purpose, reference, filter)?;
    Ok(AccessLogQuery { oldest_first: *oldest_first, page_size, page_token: page(page_token), ..asked })
}

/// Reads the question of a TailAccessLogRequest; the token is taken out of it.
///
/// # Errors
/// When a field is not valid.
pub fn tail(message: &mut v1::TailAccessLogRequest) -> Result<AccessLogQuery, Error> {
    let v1::TailAccessLogRequest { region, purpose, reference, filter, from_index: _ } = message;
    asked(region, purpose, reference, filter)
}

/// Reads the question of a CountAccessLogRequest, and by what it counts; the token is taken out of it.
///
/// # Errors
/// When a field is not valid.
pub fn count(message: &mut v1::CountAccessLogRequest) -> Result<(AccessLogQuery, Option<CountBy>), Error> {
    let v1::CountAccessLogRequest { region, purpose, reference, filter, group_by, page_token } = message;
    let by = optional(group_by, |text| {
        let rule = "must be decision, principal, data_class, action, hour or nothing";
        CountBy::parse(text).ok_or(Error::field("group_by", rule))
    })?;
    let asked = asked(region, purpose, reference, filter)?;
    Ok((AccessLogQuery { page_token: page(page_token), ..asked }, by))
}

/// Reads the question of an ExportAccessLogRequest; the token is taken out of it.
///
/// # Errors
/// When a field is not valid.
pub fn export(message: &mut v1::ExportAccessLogRequest) -> Result<(AccessLogQuery, ExportRange, ExportFormat), Error> {
    let v1::ExportAccessLogRequest { region, purpose, reference, filter, format, from_index, until_index } = message;
    let format = ExportFormat::parse(format).ok_or(Error::field("format", ExportFormat::RULE))?;
    let range = ExportRange { from: *from_index, until: *until_index };
    Ok((asked(region, purpose, reference, filter)?, range, format))
}

/// What every question to the log says: a first page of it, newest first.
fn asked(
    region: &str,
    purpose: &str,
    reference: &str,
    filter: &mut Option<v1::AccessLogFilter>,
) -> Result<AccessLogQuery, Error> {
    Ok(AccessLogQuery {
        region: Region::parse(region)?,
        purpose: optional(purpose, Purpose::parse)?,
        reference: optional(reference, Reference::parse)?,
        filter: filter.take().map(access_log_filter).transpose()?.unwrap_or_default(),
        oldest_first: false,
        page_size: limits::QUERY_PAGE_ENTRIES_DEFAULT,
        page_token: None,
    })
}

/// Which entries are meant.
fn access_log_filter(mut message: v1::AccessLogFilter) -> Result<AccessLogFilter, Error> {
    // Moved, so that it is wiped.
    let token = TokenText::new(take(&mut message.token));
    let v1::AccessLogFilter { from_ms, until_ms, principal, action, decision, data_class, token: _, .. } = &message;
    let v1::AccessLogFilter { audience, purpose, reference, reason, source, request_id, .. } = &message;
    if token.expose().len() > limits::TOKEN_BYTES_MAX {
        return Err(Error::field("filter.token", "is longer than any token"));
    }
    let rule = |field: &'static str| move |error: IdError| Error::field(field, error.rule);
    Ok(AccessLogFilter {
        from: time(*from_ms),
        until: time(*until_ms),
        principal: optional(principal, |text| PrincipalId::parse(text).map_err(rule("filter.principal")))?,
        action: optional(action, |text| {
            Action::parse(text)
                .ok_or(Error::field("filter.action", "must be an action's name: tokenize, detokenize, …"))
        })?,
        decision: optional(decision, |text| {
            Decision::parse(text).ok_or(Error::field("filter.decision", "must be allowed, denied or failed"))
        })?,
        data_class: optional(data_class, |text| DataClass::parse(text).map_err(rule("filter.data_class")))?,
        token: (!token.expose().is_empty()).then_some(token),
        audience: optional(audience, |text| Audience::parse(text).map_err(rule("filter.audience")))?,
        purpose: optional(purpose, |text| Purpose::parse(text).map_err(rule("filter.purpose")))?,
        reference: optional(reference, |text| Reference::parse(text).map_err(rule("filter.reference")))?,
        reason: optional(reason, |text| {
            Reason::parse(text).ok_or(Error::field("filter.reason", "must be a reason's name: ACCESS_DENIED, …"))
        })?,
        source: optional(source, |text| Network::parse(text).map_err(rule("filter.source")))?,
        request_id: optional(request_id, |text| {
            let shown = "must be 32 lowercase hex digits, as entries show it";
            RequestId::parse(text).ok_or(Error::field("filter.request_id", shown))
        })?,
    })
}

/// Where a page begins; empty for the first.
fn page(token: &mut String) -> Option<String> {
    (!token.is_empty()).then(|| take(token))
}

/// Reads a GetEntryRequest.
///
/// # Errors
/// When a field is not valid.
pub fn entry(message: &v1::GetEntryRequest) -> Result<EntryQuery, Error> {
    Ok(EntryQuery {
        region: Region::parse(&message.region)?,
        purpose: optional(&message.purpose, Purpose::parse)?,
        reference: optional(&message.reference, Reference::parse)?,
        index: LogIndex(message.index),
    })
}

/// The distinct classes of a request, in the order in which they are first named.
#[derive(Default)]
struct Classes {
    list: Vec<Option<DataClass>>,
    names: Vec<String>,
}

impl Classes {
    fn index(&mut self, name: &str) -> Result<usize, Error> {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return Ok(known);
        }
        if self.names.len() >= limits::REQUEST_CLASSES_MAX {
            return Err(Error::field("items.data_class", "must be of at most 32 different classes in one request"));
        }
        self.names.push(name.to_owned());
        self.list.push(DataClass::parse(name).ok());
        Ok(self.names.len() - 1)
    }
}

/// Refuses messages with no item, and with too many.
pub(crate) fn check_count(items: usize) -> Result<(), Error> {
    match items {
        0 => Err(Error::new(Reason::BatchEmpty)),
        1..=limits::BATCH_ITEMS_MAX => Ok(()),
        _ => Err(Error::new(Reason::BatchTooLarge)),
    }
}

/// A field that is empty when it is not given.
fn optional<T, E: Into<Error>>(text: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some).map_err(Into::into) }
}

/// A time bound; zero for none.
fn time(millis: u64) -> Option<Millis> {
    (millis != 0).then_some(Millis(millis))
}
