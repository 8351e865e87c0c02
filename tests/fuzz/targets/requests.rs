//! What a caller sends: messages, the token of the next page, the certificate.

use std::net::SocketAddr;

use prost::Message;
use vault_domain::{AccessLogFilter, Code, DataClass, limits};
use vault_engine::{AccessLogQuery, Error, PageToken};
use vault_proto::{FIELDS_MAX, holds_too_many_fields, v1};
use vault_server::{Naming, Peer, from_proto};

use super::{assert_clear, text};

/// A message of one of three kinds, told by the first byte.
pub(super) fn request(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => tokenize(bytes),
        1 => detokenize(bytes),
        _ => query(bytes),
    }
}

/// A message, as the codec of every method would hand it on; what it writes is read as the same.
fn decoded<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    if holds_too_many_fields(bytes) {
        return None;
    }
    let message = M::decode(bytes).ok()?;
    assert!(M::decode(message.encode_to_vec().as_slice()).as_ref() == Ok(&message), "a message is read as written");
    Some(message)
}

fn tokenize(bytes: &[u8]) {
    let Some(mut message) = decoded::<v1::TokenizeRequest>(bytes) else { return };
    assert!(message.items.len() <= FIELDS_MAX);
    let sent = message.clone();
    match from_proto::tokenize(&mut message) {
        Ok(request) => {
            assert_eq!((request.region.as_str(), request.audience.as_str()), (&*sent.region, &*sent.audience));
            let optional = [
                (request.purpose.as_ref().map(|id| id.as_str()), &sent.purpose),
                (request.reference.as_ref().map(|id| id.as_str()), &sent.reference),
                (request.parts[0].name.as_ref().map(|name| name.key.as_str()), &sent.idempotency_key),
            ];
            assert!(optional.iter().all(|(read, sent)| read.unwrap_or_default() == *sent));
            assert_eq!(request.items.len(), sent.items.len());
            for (item, sent) in request.items.iter().zip(&sent.items) {
                assert_item(item.class, &sent.data_class, &request.classes);
                assert!(item.value.expose() == sent.value, "a value changed on the way");
                if let Ok(subject) = &item.subject {
                    let subject = subject.as_ref().map(|name| name.expose()).unwrap_or_default();
                    assert!(subject == sent.subject, "a subject changed on the way");
                }
                assert_eq!(format!("{:?}", item.value), "Plaintext(..)");
            }
            assert_batch(request.items.len(), &request.classes);
        }
        Err(error) => assert_refused(&error, bytes, sent.items.len()),
    }
}

fn detokenize(bytes: &[u8]) {
    let Some(mut message) = decoded::<v1::DetokenizeRequest>(bytes) else { return };
    assert!(message.items.len() <= FIELDS_MAX);
    let sent = message.clone();
    match from_proto::detokenize(&mut message) {
        Ok(request) => {
            assert_eq!((request.region.as_str(), request.audience.as_str()), (&*sent.region, &*sent.audience));
            assert_eq!(request.items.len(), sent.items.len());
            for (item, sent) in request.items.iter().zip(&sent.items) {
                assert_item(item.class, &sent.data_class, &request.classes);
                assert!(item.token.expose() == sent.token, "a token changed on the way");
                assert_eq!(format!("{:?}", item.token), "TokenText(..)");
            }
            assert_batch(request.items.len(), &request.classes);
        }
        Err(error) => assert_refused(&error, bytes, sent.items.len()),
    }
}

fn query(bytes: &[u8]) {
    let Some(mut message) = decoded::<v1::QueryAccessLogRequest>(bytes) else { return };
    let sent = message.clone();
    match from_proto::query(&mut message) {
        Ok(query) => {
            assert!((1..=limits::QUERY_PAGE_ENTRIES_MAX).contains(&query.page_size));
            assert_eq!(query.region.as_str(), sent.region);
            let asked = sent.filter.unwrap_or_default();
            assert_eq!(query.filter.action.map_or("", |action| action.name()), asked.action);
            assert_eq!(query.filter.decision.map_or("", |decision| decision.name()), asked.decision);
            assert_eq!(query.filter.principal.as_ref().map_or("", |id| id.as_str()), asked.principal);
            assert_eq!(query.filter.from.map_or(0, |time| time.0), asked.from_ms);
            assert_eq!(query.filter.until.map_or(0, |time| time.0), asked.until_ms);
            assert_eq!(query.filter.audience.as_ref().map_or("", |name| name.as_str()), asked.audience);
            assert_eq!(query.filter.purpose.as_ref().map_or("", |name| name.as_str()), asked.purpose);
            assert_eq!(query.filter.reference.as_ref().map_or("", |text| text.as_str()), asked.reference);
            assert_eq!(query.filter.reason.map_or("", |reason| reason.name()), asked.reason);
            assert_eq!(query.filter.request_id.map(|id| id.to_string()).unwrap_or_default(), asked.request_id);
            assert_eq!(query.oldest_first, sent.oldest_first);
            assert!(query.filter.token.as_ref().map_or("", |token| token.expose()) == asked.token);
            assert!(asked.token.len() <= limits::TOKEN_BYTES_MAX);
            // The token alone is a secret; what else is asked may be shown.
            let filter = AccessLogFilter { principal: None, reference: None, ..query.filter };
            let open = AccessLogQuery { page_token: None, reference: None, filter, ..query };
            assert!(asked.token.len() < 80 || !format!("{open:?}").contains(&asked.token), "a token in Debug");
        }
        // A question without items breaks no rule of batches.
        Err(error) => assert_refused(&error, bytes, 1),
    }
}

fn assert_item(class: usize, name: &str, classes: &[Option<DataClass>]) {
    let class = classes.get(class).unwrap().as_ref();
    assert_eq!(class.map(DataClass::as_str), DataClass::parse(name).is_ok().then_some(name));
}

fn assert_batch(items: usize, classes: &[Option<DataClass>]) {
    assert!((1..=limits::BATCH_ITEMS_MAX).contains(&items));
    assert!((1..=limits::REQUEST_CLASSES_MAX).contains(&classes.len()));
}

/// A refusal is the caller's fault, names a field and its rule, and nothing that was sent.
fn assert_refused(error: &Error, bytes: &[u8], items: usize) {
    assert_eq!(error.code(), Code::InvalidArgument, "{:?}", error.reason());
    let in_bounds = (1..=limits::BATCH_ITEMS_MAX).contains(&items);
    assert_eq!(error.invalid_field().is_some(), in_bounds, "{:?} of {items} items", error.reason());
    for text in [error.to_string(), format!("{error:?}")] {
        assert_clear(&text, bytes);
    }
}

pub(super) fn page_token(bytes: &[u8]) {
    let text = text(bytes);
    if let Some(token) = PageToken::parse(&text) {
        assert_eq!(token.to_string(), text, "one place has one text");
        assert_eq!(text.len(), 48);
    }
}

/// A certificate, verified or not, names one principal or nobody.
pub(super) fn certificate(bytes: &[u8]) {
    let peer = Peer::read(bytes, SocketAddr::from(([127, 0, 0, 1], 1)), &Naming::default());
    if let Ok(principal) = &peer.principal {
        let name = principal.as_str();
        let host = name.strip_prefix("dns:");
        assert!(host.is_some() != name.starts_with("spiffe://"), "another kind of principal");
        assert!(host.is_none_or(|host| !host.contains(['*', '/', ':']) && host.to_ascii_lowercase() == host));
        assert!(!name.contains(['%', '?', '#', ' ', '\0']));
        let mut path = name.strip_prefix("spiffe://").unwrap_or_default().split('/').skip(1);
        assert!(path.all(|segment| !["", ".", ".."].contains(&segment)), "a path that another one equals");
        // It stands in the certificate, in one case or the other.
        let stands = |part: &str| bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
        assert!(stands(host.unwrap_or(name)), "a name of nobody's");
    }
}
