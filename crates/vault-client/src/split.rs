//! More items than one request may hold: cut into runs that each fit one request.

use std::{collections::HashSet, ops::Range};

use prost::Message;
use vault_domain::limits;

use crate::error::ClientError;

/// Bytes of a request that are kept free for everything but its items: names, purpose, reference, key.
const REQUEST_HEAD_BYTES: usize = 4096;
/// Bytes of items that fit one request.
const REQUEST_ROOM_BYTES: usize = limits::REQUEST_BYTES_MAX - REQUEST_HEAD_BYTES;
/// Bytes of items that fit one message of a stream.
pub(crate) const STREAM_MESSAGE_ROOM_BYTES: usize = limits::STREAM_MESSAGE_BYTES_MAX - REQUEST_HEAD_BYTES;
/// Bytes around one item: its field's tag and its length.
const ITEM_HEAD_BYTES: usize = 6;

/// What counts of an item: the name of its class, and its length in bytes when encoded.
pub(crate) type Measured<'a> = (&'a str, usize);

/// Cuts items into runs, in order, each within `room` bytes and the limits of items and distinct classes. An item that
/// is too large by itself gets a run of its own, so that it is refused alone.
pub(crate) fn split<'a>(items: impl Iterator<Item = Measured<'a>>, room: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut run = 0..0;
    let mut bytes = 0_usize;
    let mut classes = HashSet::new();
    for (class, length) in items {
        let length = length.saturating_add(ITEM_HEAD_BYTES);
        let full = run.len() >= limits::BATCH_ITEMS_MAX
            || bytes.saturating_add(length) > room
            || (classes.len() >= limits::REQUEST_CLASSES_MAX && !classes.contains(class));
        if full && !run.is_empty() {
            runs.push(run.clone());
            run.start = run.end;
            bytes = 0;
            classes.clear();
        }
        run.end += 1;
        bytes = bytes.saturating_add(length);
        classes.insert(class);
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// The requests of a batch, each with the places of its items: `request` makes one of a run's items and its idempotency
/// key, and `keys` gives as many keys as there are runs.
///
/// # Errors
/// When `keys` gives none.
pub(crate) fn requests<I: Message, Q>(
    items: Vec<I>,
    class: fn(&I) -> &str,
    keys: impl FnOnce(usize) -> Result<Vec<String>, ClientError>,
    request: impl Fn(Vec<I>, String) -> Q,
) -> Result<Vec<(Range<usize>, Q)>, ClientError> {
    let runs = split(items.iter().map(|item| (class(item), item.encoded_len())), REQUEST_ROOM_BYTES);
    let keys = keys(runs.len())?;
    let mut items = items.into_iter();
    let requests = runs.into_iter().zip(keys).map(|(run, key)| {
        let items = items.by_ref().take(run.len()).collect();
        (run, request(items, key))
    });
    Ok(requests.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(items: &[Measured<'_>]) -> Vec<usize> {
        let runs = split(items.iter().copied(), REQUEST_ROOM_BYTES);
        let mut next = 0;
        for run in &runs {
            assert_eq!(run.start, next, "runs follow each other");
            next = run.end;
        }
        assert_eq!(next, items.len(), "nothing is lost");
        runs.iter().map(ExactSizeIterator::len).collect()
    }

    #[test]
    fn runs_hold_at_most_a_thousand_items() {
        assert_eq!(lengths(&[]), Vec::<usize>::new());
        assert_eq!(lengths(&[("c", 10); 1000]), [1000]);
        assert_eq!(lengths(&[("c", 10); 2001]), [1000, 1000, 1]);
    }

    #[test]
    fn runs_hold_at_most_eight_mebibytes() {
        let runs = lengths(&[("c", limits::VALUE_BYTES_MAX + 20); 300]);
        assert!(runs.iter().all(|items| items * limits::VALUE_BYTES_MAX < limits::REQUEST_BYTES_MAX), "{runs:?}");
        assert!(runs.len() <= 3, "{runs:?}");
    }

    #[test]
    fn what_is_too_large_stands_alone() {
        assert_eq!(lengths(&[("c", 10), ("c", 9 << 20), ("c", 10)]), [1, 1, 1]);
    }

    #[test]
    fn runs_name_at_most_as_many_classes_as_a_request_may() {
        let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(lengths(&items), [32, 8]);
    }
}
