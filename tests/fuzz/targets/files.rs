//! Files: of `tokenvault bulk`, CSV and JSON Lines; of a log that was pruned; of a verification that goes on.

use tokenvault_cli::{read_back, read_state};
use vault_ledger::{TILE_HASHES, parse_minimum_index};

use super::{assert_clear, text};

/// The first byte says how the rest is read.
pub(super) fn file(bytes: &[u8]) {
    let Some((kind, input)) = bytes.split_first() else { return };
    let (delimiter, columns): (_, &[&str]) = match kind % 4 {
        0 => (Some(b','), &["pan", "email"]),
        1 => (Some(b';'), &["pan"]),
        2 => (None, &["pan", "/customer/email"]),
        _ => (None, &["/0", "pan"]),
    };
    let first = match read_back(input, delimiter, columns) {
        Ok(first) => first,
        Err(said) => {
            // The names of columns are shown, where the first row can be nothing else.
            let rows = input.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
            return assert_clear(&said, rows);
        }
    };
    // What was written is read again as the same, and stays as it is from then on.
    let second = read_back(&first.written, delimiter, columns).unwrap();
    assert!(second.values == first.values, "a value has changed");
    assert!(second.written == first.written, "what was written is written otherwise");
    assert_eq!(second.faulty, 0, "a row that was written can't be read");
}

/// The first 8 bytes are the log's size. One number has one text.
pub(super) fn minimum_index(bytes: &[u8]) {
    let Some((size, file)) = bytes.split_first_chunk() else { return };
    let size = u64::from_be_bytes(*size);
    if let Some(minimum) = parse_minimum_index(file, size) {
        assert!(minimum <= size && minimum.is_multiple_of(TILE_HASHES.into()));
        assert_eq!(file, format!("{minimum}\n").as_bytes());
    }
}

/// A state that can be read is written as it was read.
pub(super) fn state(bytes: &[u8]) {
    let Some(written) = read_state(&text(bytes)) else { return };
    assert_eq!(read_state(&written), Some(written));
}
