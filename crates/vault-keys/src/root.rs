//! The root key, from a file: for development and tests only, since whoever reads that one file has every key.
//!
//! The file holds 64 lowercase hex digits and an optional line end, belongs to the user who runs the vault, and is
//! readable by nobody else (mode 0600 or 0400): otherwise it is refused.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::unistd::Uid;
use vault_crypto::Key256;
use vault_domain::Entropy;
use zeroize::Zeroizing;

use crate::error::KeysError;

/// Hex digits of the key.
const DIGITS: usize = 64;
/// What is read at most: the digits, a line end, and one more to notice that there is too much.
const READ_BYTES_MAX: usize = 67;

/// The key that wraps every key of a region.
pub struct RootKey(pub(crate) Key256);

impl RootKey {
    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file can't be read, is not this user's alone, or does not hold exactly one key.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        let refuse = |problem: String| KeysError::RootKeyFile { path: path.to_owned(), problem };
        let file = File::open(path).map_err(|error| refuse(format!("can't be opened: {error}")))?;
        // The checks look at the open file, not at its name, which could be made to lead elsewhere in between.
        let metadata = file.metadata().map_err(|error| refuse(format!("can't be examined: {error}")))?;
        if !metadata.is_file() {
            return Err(refuse("is no regular file".to_owned()));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refuse(format!("has mode {mode:04o}; make it readable by its owner alone: chmod 600")));
        }
        if metadata.uid() != Uid::effective().as_raw() {
            return Err(refuse("belongs to another user than the one who runs the vault: chown it".to_owned()));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(READ_BYTES_MAX));
        file.take(READ_BYTES_MAX as u64)
            .read_to_end(&mut text)
            .map_err(|error| refuse(format!("can't be read: {error}")))?;
        parse(&text).ok_or_else(|| refuse("must hold 64 hex digits (0-9, a-f) and nothing else".to_owned()))
    }

    /// Draws a fresh key and writes it to a new file with mode 0600; never overwrites one.
    ///
    /// # Errors
    /// When the file exists already or can't be written, or when the source of randomness fails.
    pub fn create_file(path: &Path, entropy: &dyn Entropy) -> Result<(), KeysError> {
        let refuse = |problem: std::io::Error| KeysError::RootKeyFile {
            path: path.to_owned(),
            problem: format!("can't be created: {problem}"),
        };
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice())?;
        let mut text = Zeroizing::new(Vec::with_capacity(DIGITS + 1));
        for byte in bytes.iter() {
            text.extend([hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        text.push(b'\n');
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(refuse)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(refuse)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(refuse)
    }
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn parse(text: &[u8]) -> Option<RootKey> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    if digits.len() != DIGITS {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | nibble;
        }
    }
    Some(RootKey(Key256::from_bytes(&key)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vault_domain::SystemEntropy;

    use super::*;

    fn problem(path: &Path) -> String {
        match RootKey::from_file(path) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the file was accepted"),
        }
    }

    #[test]
    fn only_a_private_file_with_exactly_one_key_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::create_file(&path, &SystemEntropy).unwrap();
        assert!(RootKey::from_file(&path).is_ok());
        assert!(RootKey::create_file(&path, &SystemEntropy).is_err(), "an existing key must never be overwritten");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(problem(&path).contains("0644"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(RootKey::from_file(&path).is_ok());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("{}\n\n", "0".repeat(64))] {
            fs::write(&path, bad).unwrap();
            assert!(problem(&path).contains("64 hex digits"), "{bad}");
        }
        assert!(problem(&dir.path().join("none")).contains("can't be opened"));
        assert!(problem(dir.path()).contains("regular file"));
    }
}
