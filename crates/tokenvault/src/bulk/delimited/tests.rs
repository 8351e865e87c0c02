//! Rows of CSV, drawn at random, against a reader that we did not write.

use proptest::prelude::*;

use super::*;

/// The cells of one row, read in pieces that end behind each line end; `None` while a quote is open.
fn read(row: &[u8], delimiter: u8) -> Option<(Vec<Vec<u8>>, Option<&'static str>)> {
    let mut scan = Scan::new(delimiter, None);
    let mut upto = 0;
    let mut ended = false;
    for piece in row.split_inclusive(|byte| *byte == b'\n') {
        assert!(!ended, "it went on behind the end of a row");
        ended = scan.feed(&row[..upto + piece.len()], upto);
        upto += piece.len();
    }
    if !ended && !scan.finish(row.len()) {
        return None;
    }
    assert_eq!(scan.cells.len(), scan.width);
    Some((scan.cells.iter().map(|cell| cell.decode(row)).collect(), scan.fault.map(|fault| fault.rule)))
}

fn cells(row: &str) -> Vec<String> {
    let (cells, fault) = read(row.as_bytes(), b',').unwrap();
    assert_eq!(fault, None, "{row:?}");
    cells.into_iter().map(|cell| String::from_utf8(cell).unwrap()).collect()
}

#[test]
fn cells_are_those_of_rfc_4180() {
    assert_eq!(cells("aaa,bbb,ccc\r\n"), ["aaa", "bbb", "ccc"]);
    assert_eq!(cells("\"aaa\",\"b\r\nbb\",\"c\"\"c\"\n"), ["aaa", "b\r\nbb", "c\"c"]);
    assert_eq!(cells("a,,\"\","), ["a", "", "", ""]);
    assert_eq!(cells("\"\"\"\"\r\n"), ["\""]);
    assert_eq!(cells(" \"a\" , 5\" b\n"), [" \"a\" ", " 5\" b"], "a quote inside of a cell is one");
    assert_eq!(cells("a\r"), ["a"], "cut between the bytes of a line end");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for (row, rule) in [
        ("\"a\"b,c\n", "quote"),
        ("\"a\" ,c\n", "quote"),
        ("a\rb,c\n", "carriage_return"),
        ("\"a\"\rb\n", "carriage_return"),
    ] {
        assert_eq!(read(row.as_bytes(), b',').unwrap().1, Some(rule), "{row:?}");
    }
    assert!(read(b"a,\"b\r\nc", b',').is_none(), "a quote that is not closed");
}

#[test]
fn only_the_cells_that_were_asked_for_are_kept() {
    let mut scan = Scan::new(b';', Some(&[1, 3]));
    assert!(scan.feed(b"a;b;c;\"d\";e\n", 0));
    let found: Vec<_> = scan.cells.iter().map(|cell| (cell.index, cell.span.clone(), cell.quoted)).collect();
    assert_eq!(found, [(1, 2..3, false), (3, 6..9, true)]);
    assert_eq!(scan.width, 5);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        values in prop::collection::vec(("[a,;\"\r\n é]{0,6}", any::<bool>()), 1..5),
        tail in "\r?\n|",
        semicolon in any::<bool>(),
    ) {
        let delimiter = if semicolon { b';' } else { b',' };
        let mut row = Vec::new();
        for (at, (value, quoted)) in values.iter().enumerate() {
            if at > 0 {
                row.push(delimiter);
            }
            encode(value.as_bytes(), delimiter, *quoted, &mut row);
        }
        row.extend_from_slice(tail.as_bytes());
        // A value that begins with a quote is put in quotes, for it holds one.
        let (cells, fault) = read(&row, delimiter).unwrap();
        let values: Vec<_> = values.into_iter().map(|(value, _)| value.into_bytes()).collect();
        prop_assert_eq!((cells, fault), (values.clone(), None));
        let mut reader = ::csv::ReaderBuilder::new();
        let mut reader = reader.delimiter(delimiter).has_headers(false).from_reader(row.as_slice());
        if let Some(record) = reader.byte_records().next() {
            prop_assert_eq!(record.unwrap().iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn any_row_is_read_as_another_reader_reads_it(row in "[ab,\" ]{0,12}\n") {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row.as_bytes());
        let record = reader.byte_records().next().map(Result::unwrap);
        if let (Some((cells, None)), Some(record)) = (read(row.as_bytes(), b','), record) {
            prop_assert_eq!(cells, record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(row in prop::collection::vec(prop::sample::select(b"a,\"\r\n\0\xff".to_vec()), 0..40)) {
        let mut scan = Scan::new(b',', None);
        let ended = scan.feed(&row, 0);
        let _closed = ended || scan.finish(row.len());
        for cell in &scan.cells {
            let _value = cell.decode(&row);
        }
    }
}
