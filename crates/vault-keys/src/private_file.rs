//! Files with secrets in them: read only if they are their owner's alone, written so from the first byte.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::Uid};
use vault_crypto::Key256;
use zeroize::Zeroizing;

/// Reads at most `bytes_max` bytes of a file that is this user's alone.
///
/// # Errors
/// With the problem, without a byte of the file.
pub fn read_private(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    // A pipe without a writer would hold us up; a regular file does not mind the flag.
    let flags = OFlag::O_NONBLOCK.bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| format!("can't be opened: {error}"))?;
    // The checks look at the open file, not at its name, which could be made to lead elsewhere in between.
    let metadata = file.metadata().map_err(|error| format!("can't be examined: {error}"))?;
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("has mode {mode:04o}; make it readable by its owner alone: chmod 600"));
    }
    if metadata.uid() != Uid::effective().as_raw() {
        return Err("belongs to another user than the one who runs the vault: chown it".to_owned());
    }
    // All at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(bytes_max));
    file.take(bytes_max as u64).read_to_end(&mut text).map_err(|error| format!("can't be read: {error}"))?;
    Ok(text)
}

/// Writes a new file with mode 0600, durably; never over an existing one, and never half of it: the name appears when
/// all of it is on the disk.
///
/// # Errors
/// With the problem.
pub fn create_private(path: &Path, content: &[u8]) -> Result<(), String> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = path.with_file_name(name);
    let created = write_then_link(&unfinished, path, content);
    // Under its own name it is nobody's business any more; where it was never made, there is nothing to remove.
    let _removed = fs::remove_file(&unfinished);
    created.and_then(|()| sync_folder(path)).map_err(|error| format!("can't be created: {error}"))
}

fn write_then_link(unfinished: &PathBuf, path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::hard_link(unfinished, path)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The text without one line end.
pub(crate) fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Appends two lowercase hex digits a byte. With room reserved, no copy is left behind.
pub(crate) fn put_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.extend([hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 })
}

/// The key that 64 lowercase hex digits stand for.
pub(crate) fn key_of_hex(digits: &[u8]) -> Option<Key256> {
    let bytes = bytes_of_hex::<32>(digits)?;
    Some(Key256::from_bytes(&bytes))
}

/// The bytes that lowercase hex digits stand for, if they are as many as are wanted.
pub(crate) fn bytes_of_hex<const N: usize>(digits: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | nibble;
        }
    }
    Some(bytes)
}
