//! The root key, from a passphrase: for development and tests only, since whoever knows it and has the disk has every
//! key.
//!
//! `stretched = Argon2id(passphrase, salt)` ([`Key256::stretch`]); the root key and the key of a check are derived from
//! that. Salt, costs and check stand in a file beside the stores:
//!
//! ```toml
//! format = "tokenvault/root-key/1"
//! algorithm = "argon2id"
//! memory_kib = 262144
//! passes = 3
//! lanes = 4
//! salt = "…"     # 32 bytes in hex
//! check = "…"    # 16 bytes in hex
//! ```
//!
//! The file is no secret. It is authenticated by the passphrase: the check is a MAC under a key that only this
//! passphrase gives with this salt at these costs, so that a wrong one is refused before anything is opened, made or
//! written.

use std::{fmt, path::Path};

use serde::Deserialize;
use vault_crypto::{Info, Key256, MacKey, MacTag, STRETCH_SALT_BYTES, StretchCost, same};
use vault_domain::Entropy;
use zeroize::Zeroizing;

use crate::{
    error::KeysError,
    private_file::{bytes_of_hex, create_private, put_hex, read_private, without_line_end},
    root::RootKey,
};

/// The fewest characters: what NIST SP 800-63B-4 section 3.1.1.2 asks of a password that is the only secret.
pub const PASSPHRASE_CHARS_MIN: usize = 15;
/// The most bytes.
const PASSPHRASE_BYTES_MAX: usize = 1024;
/// What is read at most: a passphrase, a line end, and one more byte to notice that there is too much.
const READ_BYTES_MAX: usize = PASSPHRASE_BYTES_MAX + 3;
/// The longest file of parameters.
const PARAMETERS_BYTES_MAX: usize = 4096;
/// Names the layout, and what is derived by it.
const FORMAT: &str = "tokenvault/root-key/1";
const ALGORITHM: &str = "argon2id";

/// A passphrase. Wiped when dropped; its `Debug` shows nothing.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// Reads it from a file that is this user's alone; one line end is taken off.
    ///
    /// # Errors
    /// When the file can't be read, is not this user's alone, or holds no passphrase of 15 characters or more.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        let refuse = |problem| KeysError::Passphrase { origin: format!("the file {}", path.display()), problem };
        let text = read_private(path, READ_BYTES_MAX).map_err(refuse)?;
        Self::parse(&text).map_err(refuse)
    }

    /// Takes it from a variable of the environment.
    ///
    /// # Errors
    /// When it is no passphrase of 15 characters or more.
    pub fn from_variable(name: &str, text: String) -> Result<Self, KeysError> {
        let text = Zeroizing::new(text);
        let refuse = |problem| KeysError::Passphrase { origin: format!("the variable {name}"), problem };
        Self::parse(text.as_bytes()).map_err(refuse)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let text = without_line_end(text);
        let Ok(words) = std::str::from_utf8(text) else {
            return Err("must hold text in UTF-8".to_owned());
        };
        if words.contains(char::is_control) {
            return Err("must hold one line without control characters".to_owned());
        }
        if words.trim().is_empty() {
            return Err("is empty: write a passphrase into it".to_owned());
        }
        if words.chars().count() < PASSPHRASE_CHARS_MIN {
            let problem = "holds fewer than 15 characters (NIST SP 800-63B-4 asks for 15 of a sole secret)";
            return Err(format!("{problem}: draw six words or more by dice or from a password manager"));
        }
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(format!("holds more than {PASSPHRASE_BYTES_MAX} bytes"));
        }
        Ok(Self(Zeroizing::new(text.to_vec())))
    }
}

impl RootKey {
    /// Derives it as the file `parameters` says.
    ///
    /// # Errors
    /// When the file can't be read or used, or when it was made with another passphrase.
    pub fn from_passphrase(passphrase: &Passphrase, parameters: &Path) -> Result<Self, KeysError> {
        let refuse = |problem| KeysError::RootKeyParameters { path: parameters.to_owned(), problem };
        let text = read_private(parameters, PARAMETERS_BYTES_MAX + 1).map_err(refuse)?;
        let (parameters_read, check) = Parameters::parse(&text).map_err(refuse)?;
        let (root, expected) = parameters_read.derive(passphrase).map_err(refuse)?;
        if same(&expected, &check) { Ok(root) } else { Err(KeysError::PassphraseWrong { path: parameters.to_owned() }) }
    }

    /// Draws a salt, derives the key and writes the new file `parameters` with mode 0600; never over an existing one.
    ///
    /// # Errors
    /// When the file exists already or can't be written, when there is not enough memory, or when the source of
    /// randomness fails.
    pub fn create_passphrase(
        passphrase: &Passphrase,
        parameters: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeysError> {
        let mut salt = [0; STRETCH_SALT_BYTES];
        entropy.fill(&mut salt)?;
        let drawn = Parameters { cost: StretchCost::DEFAULT, salt };
        let refuse = |problem| KeysError::RootKeyParameters { path: parameters.to_owned(), problem };
        let (root, check) = drawn.derive(passphrase).map_err(refuse)?;
        create_private(parameters, drawn.text(&check).as_bytes()).map_err(refuse)?;
        Ok(root)
    }
}

/// How a key is derived.
struct Parameters {
    cost: StretchCost,
    salt: [u8; STRETCH_SALT_BYTES],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    check: String,
}

impl Parameters {
    fn parse(text: &[u8]) -> Result<(Self, MacTag), String> {
        let damaged = "is not what the vault wrote: put it back from a backup of the data directory";
        let text = std::str::from_utf8(text).map_err(|_| damaged.to_owned())?;
        let written: Written = toml::from_str(text).map_err(|error| format!("{damaged} ({})", error.message()))?;
        if (written.format.as_str(), written.algorithm.as_str()) != (FORMAT, ALGORITHM) {
            return Err(format!(
                "must have the format \"{FORMAT}\" and the algorithm \"{ALGORITHM}\": this version reads \
                                no other"
            ));
        }
        let cost = StretchCost { memory_kib: written.memory_kib, passes: written.passes, lanes: written.lanes };
        if !cost.is_allowed() {
            return Err(format!("names costs that this version does not take; {damaged}"));
        }
        let salt = bytes_of_hex(written.salt.as_bytes()).ok_or_else(|| damaged.to_owned())?;
        let check = bytes_of_hex(written.check.as_bytes()).ok_or_else(|| damaged.to_owned())?;
        Ok((Self { cost, salt: *salt }, *check))
    }

    fn text(&self, check: &MacTag) -> String {
        let StretchCost { memory_kib, passes, lanes } = self.cost;
        let mut text = format!(
            "# How the root key of this vault is derived from its passphrase. No secret, but without it no passphrase\n\
             # opens anything: keep it with the backups of this directory, and never change it.\n\
             format = \"{FORMAT}\"\nalgorithm = \"{ALGORITHM}\"\nmemory_kib = {memory_kib}\npasses = {passes}\n\
             lanes = {lanes}\nsalt = \""
        );
        put_hex(&mut text, &self.salt);
        text.push_str("\"\ncheck = \"");
        put_hex(&mut text, check);
        text.push_str("\"\n");
        text
    }

    /// The root key, and the check that this passphrase gives.
    fn derive(&self, passphrase: &Passphrase) -> Result<(RootKey, MacTag), String> {
        let stretched = Key256::stretch(&passphrase.0, &self.salt, self.cost, FORMAT.as_bytes())
            .map_err(|error| format!("asks for {} MiB: {error}", self.cost.memory_kib >> 10))?;
        let derive = |usage| stretched.derive(&Info { label: FORMAT, tenant: "", class: "", usage, salt: &[] });
        let costs = [self.cost.memory_kib, self.cost.passes, self.cost.lanes].map(u32::to_be_bytes);
        let check = MacKey::new(&derive("check")).tag(&[&self.salt, costs.as_flattened()]);
        Ok((RootKey(derive("root")), check))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vault_domain::SystemEntropy;

    use super::*;

    fn passphrase(text: &str) -> Result<Passphrase, KeysError> {
        Passphrase::from_variable("PASSPHRASE", text.to_owned())
    }

    /// What a root key wraps, another one does not unwrap.
    fn is_same(one: &RootKey, other: &RootKey) -> bool {
        let key = Key256::generate(&SystemEntropy).unwrap();
        other.0.unwrap(&one.0.wrap(&key, b"", &SystemEntropy).unwrap(), b"").is_ok()
    }

    #[test]
    fn a_passphrase_is_one_line_of_fifteen_characters_or_more() {
        for good in ["correct horse battery", "fünfzehn Zeiché", "correct horse battery\n", "correct horse battery\r\n"]
        {
            assert!(passphrase(good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(PASSPHRASE_BYTES_MAX + 1);
        for (bad, said) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("                      ", "is empty"),
            ("only 14 chars.", "fewer than 15"),
            ("only 14 chars.\n", "fewer than 15"),
            ("ééééééééé", "fewer than 15"),
            ("correct horse battery\n\n", "one line"),
            ("correct horse\nbattery staple", "one line"),
            (&long, "more than 1024 bytes"),
        ] {
            let refused = passphrase(bad).unwrap_err().to_string();
            assert!(refused.contains(said) && refused.contains("PASSPHRASE"), "{bad:?}: {refused}");
        }
        assert_eq!(format!("{:?}", passphrase("correct horse battery").unwrap()), "Passphrase(..)");
    }

    #[test]
    fn the_key_comes_back_with_its_passphrase_and_file_and_with_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root-key.toml");
        let right = passphrase("correct horse battery staple").unwrap();
        let root = RootKey::create_passphrase(&right, &path, &SystemEntropy).unwrap();
        assert!(RootKey::create_passphrase(&right, &path, &SystemEntropy).is_err(), "never over an existing one");
        assert!(is_same(&root, &RootKey::from_passphrase(&right, &path).unwrap()));
        let with_line_end = passphrase("correct horse battery staple\n").unwrap();
        assert!(is_same(&root, &RootKey::from_passphrase(&with_line_end, &path).unwrap()));

        let wrong = passphrase("correct horse battery stable").unwrap();
        assert!(matches!(RootKey::from_passphrase(&wrong, &path), Err(KeysError::PassphraseWrong { .. })));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["root-key.toml"], "nothing unfinished stays behind");
    }

    #[test]
    fn a_changed_file_of_parameters_gives_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root-key.toml");
        let right = passphrase("correct horse battery staple").unwrap();
        RootKey::create_passphrase(&right, &path, &SystemEntropy).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let salt = good.lines().find_map(|line| line.strip_prefix("salt = \"")).unwrap();
        let other_salt = format!("{}{}", if salt.starts_with('0') { '1' } else { '0' }, &salt[1..]);
        for (from, to, said) in [
            ("memory_kib = 262144", "memory_kib = 65536", "is not the one"),
            (salt, other_salt.as_str(), "is not the one"),
            ("memory_kib = 262144", "memory_kib = 1024", "costs that this version does not take"),
            ("passes = 3", "passes = 1", "costs that this version does not take"),
            ("lanes = 4", "lanes = 4\nsecret = 1", "is not what the vault wrote"),
            ("argon2id", "argon2d", "this version reads no other"),
            ("root-key/1", "root-key/2", "this version reads no other"),
            ("salt = \"", "salt = \"0", "is not what the vault wrote"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good);
            fs::write(&path, changed).unwrap();
            let refused = RootKey::from_passphrase(&right, &path).err().unwrap().to_string();
            assert!(refused.contains(said), "{to}: {refused}");
        }
        fs::write(&path, "").unwrap();
        assert!(RootKey::from_passphrase(&right, &path).is_err());
    }
}
