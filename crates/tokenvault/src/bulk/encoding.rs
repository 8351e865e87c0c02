//! What a file is, by its first bytes: text in UTF-8 is read, anything else is refused with the word how to convert it.

use crate::exit::Failure;

/// What some programs put before UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes that are enough to know what a file is.
pub(crate) const SIGNATURE_BYTES: usize = 4;

/// First bytes that are no text in UTF-8: what they begin, and how it becomes such a text. Of two that begin alike the
/// longer one stands first. Byte order marks: Unicode 16.0 section 23.8.
const SIGNATURES: [(&[u8], &str, &str); 8] = [
    (b"\xff\xfe\0\0", "is in UTF-32LE", "iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff", "is in UTF-32BE", "iconv -f UTF-32 -t UTF-8"),
    (b"\xff\xfe", "is in UTF-16LE", "iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "is in UTF-16BE", "iconv -f UTF-16 -t UTF-8"),
    (b"\x1f\x8b", "is compressed (gzip)", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd)", "zstd -dc"),
    (b"PK\x03\x04", "is an archive or a workbook (zip)", "export it as CSV in UTF-8"),
    (b"PAR1", "is in Parquet", "export it as CSV or JSON Lines in UTF-8"),
];

/// Refuses what does not begin as UTF-8 does; otherwise gives the length of the byte order mark, 0 if there is none.
pub(crate) fn recognise(begin: &[u8]) -> Result<usize, Failure> {
    for (signature, what, remedy) in SIGNATURES {
        if begin.starts_with(signature) {
            return Err(Failure::usage(format!("the input {what}; convert it to UTF-8 first: {remedy}")));
        }
    }
    Ok(if begin.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 })
}

/// Refuses a beginning that is no text, with what it looks like.
pub(crate) fn check_no_nul(begin: &[u8]) -> Result<(), Failure> {
    if let Some(at) = begin.iter().position(|byte| *byte == 0) {
        // ASCII in UTF-16 without a mark: every other byte is zero.
        let name = if at % 2 == 0 { "UTF-16BE" } else { "UTF-16LE" };
        return Err(Failure::usage(format!(
            "the input holds NUL bytes at its beginning: it is no text in UTF-8, {name} without a byte order mark \
             perhaps; convert it first: iconv -f {name} -t UTF-8"
        )));
    }
    Ok(())
}

/// Refuses a row of names that is no text in UTF-8, with what it looks like.
pub(crate) fn check_names(row: &[u8]) -> Result<(), Failure> {
    check_no_nul(row)?;
    if std::str::from_utf8(row).is_err() {
        return Err(Failure::usage(
            "the input's row of names is not UTF-8, WINDOWS-1252 or ISO-8859-1 perhaps; convert the file first: \
             iconv -f WINDOWS-1252 -t UTF-8",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_is_named_with_how_to_convert_it() {
        let rows: [(&[u8], &str); 8] = [
            (b"\xff\xfei\0", "UTF-16LE"),
            (b"\xfe\xff\0i", "UTF-16BE"),
            (b"\xff\xfe\0\0", "UTF-32LE"),
            (b"\0\0\xfe\xff", "UTF-32BE"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"PK\x03\x04", "workbook"),
            (b"PAR1", "Parquet"),
        ];
        for (begin, said) in rows {
            let refused = recognise(begin).unwrap_err();
            assert!(refused.message().contains(said), "{}", refused.message());
        }
        assert_eq!(recognise(b"id,c").unwrap(), 0);
        assert_eq!(recognise(b"").unwrap(), 0);
        assert_eq!(recognise(b"\xef\xbb\xbfi").unwrap(), 3);
    }

    #[test]
    fn a_row_of_names_is_text() {
        assert!(check_names("id,naïve\n".as_bytes()).is_ok());
        for (row, said) in [(&b"i\0d\0"[..], "UTF-16LE"), (b"\0i\0d", "UTF-16BE"), (b"na\xefve", "WINDOWS-1252")] {
            let refused = check_names(row).unwrap_err();
            assert!(refused.message().contains(said) && refused.message().contains("iconv"), "{}", refused.message());
        }
    }
}
