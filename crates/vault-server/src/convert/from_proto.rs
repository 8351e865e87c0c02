//! Messages to domain types. What breaks a rule is refused here, with the field's name and the rule, never its content.

use std::mem::take;

use vault_domain::{
    Action, Audience, DataClass, Decision, IdempotencyKey, Millis, Plaintext, PrincipalId, Purpose, Reason, Reference,
    Region, TokenText, limits,
};
use vault_engine::{AccessLogQuery, DetokenizeItem, DetokenizeRequest, Error, TokenizeItem, TokenizeRequest};
use vault_proto::v1;

/// Parses a request to tokenize.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn tokenize(message: &mut v1::TokenizeRequest) -> Result<TokenizeRequest, Error> {
    let mut classes = Classes::default();
    check_count(message.items.len())?;
    Ok(TokenizeRequest {
        region: Region::parse(&message.region)?,
        purpose: optional(&message.purpose, Purpose::parse)?,
        reference: optional(&message.reference, Reference::parse)?,
        audience: Audience::parse(&message.audience)?,
        idempotency_key: optional(&message.idempotency_key, IdempotencyKey::parse)?,
        items: message
            .items
            .iter_mut()
            .map(|item| {
                let class = classes.index(&item.data_class)?;
                Ok(TokenizeItem { class, value: Plaintext::new(take(&mut item.value)) })
            })
            .collect::<Result<_, Error>>()?,
        classes: classes.list,
    })
}

/// Parses a request to detokenize.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn detokenize(message: &mut v1::DetokenizeRequest) -> Result<DetokenizeRequest, Error> {
    let mut classes = Classes::default();
    check_count(message.items.len())?;
    Ok(DetokenizeRequest {
        region: Region::parse(&message.region)?,
        purpose: optional(&message.purpose, Purpose::parse)?,
        reference: optional(&message.reference, Reference::parse)?,
        audience: Audience::parse(&message.audience)?,
        idempotency_key: optional(&message.idempotency_key, IdempotencyKey::parse)?,
        items: message
            .items
            .iter_mut()
            .map(|item| {
                let class = classes.index(&item.data_class)?;
                Ok(DetokenizeItem { class, token: TokenText::new(take(&mut item.token)) })
            })
            .collect::<Result<_, Error>>()?,
        classes: classes.list,
    })
}

/// Parses a question to the log.
///
/// # Errors
/// With the first rule that it breaks; the message may have been emptied in part by then.
pub fn query(message: &mut v1::QueryAccessLogRequest) -> Result<AccessLogQuery, Error> {
    let page_size = match usize::try_from(message.page_size) {
        Ok(0) => limits::QUERY_PAGE_ENTRIES_DEFAULT,
        Ok(size) if size <= limits::QUERY_PAGE_ENTRIES_MAX => size,
        _ => return Err(Error::field("page_size", "must be at most 1000")),
    };
    let action = |text: &str| {
        Action::parse(text).ok_or(Error::field("action", "must be an action's name: tokenize, detokenize, …"))
    };
    let decision =
        |text: &str| Decision::parse(text).ok_or(Error::field("decision", "must be allowed, denied or failed"));
    let token = take(&mut message.token);
    if token.len() > limits::TOKEN_BYTES_MAX {
        return Err(Error::field("token", "is longer than any token"));
    }
    Ok(AccessLogQuery {
        region: Region::parse(&message.region)?,
        purpose: optional(&message.purpose, Purpose::parse)?,
        reference: optional(&message.reference, Reference::parse)?,
        from: time(message.from_ms),
        until: time(message.until_ms),
        principal: optional(&message.principal, PrincipalId::parse)?,
        action: optional(&message.action, action)?,
        decision: optional(&message.decision, decision)?,
        data_class: optional(&message.data_class, DataClass::parse)?,
        token: (!token.is_empty()).then(|| TokenText::new(token)),
        page_size,
        page_token: (!message.page_token.is_empty()).then(|| take(&mut message.page_token)),
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

fn check_count(items: usize) -> Result<(), Error> {
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
