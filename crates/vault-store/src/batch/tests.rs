//! A batch is, byte for byte, what the engine itself would have encoded.

use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteBatch};
use vault_domain::{LogIndex, RecordNumber};

use super::*;
use crate::table::{Entries, Idempotency, IdempotencyRow, Meta, Records, Summaries, TextKey, Tokens};

fn number(number: u64) -> RecordNumber {
    RecordNumber::new(number).unwrap()
}

/// Invariant of the writer: a batch's bytes are what RocksDB encodes for the same operations. Breaks if a new version
/// of the engine changes its encoding.
#[test]
fn a_batch_is_byte_for_byte_what_the_engine_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let families = TableId::ALL.iter().map(|table| ColumnFamilyDescriptor::new(table.name(), Options::default()));
    let db = DB::open_cf_descriptors(&options, directory.path(), families).unwrap();
    let family = |table: TableId| db.cf_handle(table.name()).unwrap();

    let mut ours = Batch::default();
    let mut theirs = WriteBatch::default();
    for (index, length) in
        [0usize, 1, 100, 127, 128, 129, 16_383, 16_384, 65_535, ROW_BYTES_MAX].into_iter().enumerate()
    {
        let value = vec![7u8; length];
        let index = u64::try_from(index).unwrap();
        ours.put(Entries, &LogIndex(index), &value);
        theirs.put_cf(family(TableId::Entries), index.to_be_bytes(), &value);
    }
    ours.put_parts(Records, &number(9), &[b"head", b"", b"tail"]);
    theirs.put_cf(family(TableId::Records), 9u64.to_be_bytes(), b"headtail");
    ours.delete(Tokens, &[0xAB; 16]);
    theirs.delete_cf(family(TableId::Tokens), [0xAB; 16]);
    let (from, to) = (IdempotencyRow { day: 1, hash: [0; 16] }, IdempotencyRow { day: 3, hash: [0; 16] });
    ours.delete_range(Idempotency, &from..&to);
    theirs.delete_range_cf(family(TableId::Idempotency), from.to_bytes(), to.to_bytes());
    ours.clear_table(Summaries);
    theirs.delete_range_cf(family(TableId::Summaries), &[][..], &AFTER_EVERY_KEY[..]);

    assert_eq!(ours.len(), theirs.len());
    assert_eq!(ours.encoded(), &theirs.data()[12..]);
}

#[test]
fn operations_come_back_in_order() {
    let mut batch = Batch::with_capacity(64);
    assert!(batch.is_empty());
    batch.put(Entries, &LogIndex(5), &[1; 200]);
    batch.delete(Records, &number(6));
    batch.delete_range(Records, &number(7)..&number(9));
    let operations: Vec<_> = batch.operations().collect();
    assert_eq!(
        operations,
        [
            Operation::Put { table: TableId::Entries, key: &5u64.to_be_bytes(), value: &[1; 200] },
            Operation::Delete { table: TableId::Records, key: &6u64.to_be_bytes() },
            Operation::DeleteRange { table: TableId::Records, from: &7u64.to_be_bytes(), to: &9u64.to_be_bytes() },
        ]
    );
    assert_eq!(batch.len(), 3);
}

#[test]
fn an_empty_range_is_no_operation() {
    let mut batch = Batch::default();
    batch.delete_range(Records, &number(9)..&number(9));
    batch.delete_range(Records, &number(9)..&number(7));
    assert!(batch.is_empty());
    assert_eq!(batch.bytes(), 0);
}

#[test]
#[should_panic(expected = "passes the limit")]
fn a_row_beyond_the_limit_is_a_fault() {
    Batch::default().put(Entries, &LogIndex(0), &vec![0; ROW_BYTES_MAX + 1]);
}

#[test]
#[should_panic(expected = "own rows")]
fn the_stores_own_rows_can_not_be_changed() {
    Batch::default().put(Meta, &TextKey::new("vault").unwrap(), b"another");
}
