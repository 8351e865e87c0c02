//! Check keys by themselves: who holds them can tell offline which texts are opaque tokens of which class, and nothing
//! else. For tools and gateways, which get no other keys.
//!
//! # The file
//!
//! TOML, mode 0600, one region of one vault:
//!
//! ```toml
//! format = "tokenvault/check-keys/1"
//! name = "check keys of vault.example.org, region eu"
//! warning = "Secret: …"
//! vault = "vault.example.org"
//! region = "eu"
//!
//! [[key]]
//! tenant = "acme"
//! class = "email"
//! generation = 0
//! key = "…"      # 64 hex digits
//! ```
//!
//! Unknown keys and other formats are refused. Nothing authenticates the file but its mode: a changed key makes checks
//! fail, a changed name names the wrong class.

use std::{fmt::Write as _, path::Path};

use serde::Deserialize;
use vault_crypto::{Block, BlockKey, Key256};
use vault_domain::{DataClass, Generation, Region, Tenant, VaultId};
use vault_store::Reader;
use zeroize::Zeroizing;

use crate::{
    error::KeysError,
    lookup::{check_key, check_of},
    private_file::{create_private, key_of_hex, read_private},
    region::lookup_rings,
    root::RootKey,
};

/// The most keys in one file.
pub const CHECK_KEYS_MAX: usize = 16_384;
/// The longest file: that many keys with the longest names fit.
const FILE_BYTES_MAX: usize = 8 << 20;
/// Names the layout.
const FORMAT: &str = "tokenvault/check-keys/1";
/// What whoever opens the file should know.
const WARNING: &str = "Secret: whoever has this file can tell which texts are tokens of these classes, and can make up \
                       texts that pass for such until a vault is asked. It opens no token and no value, and grants \
                       nothing. Keep it at mode 0600, and give it to nobody who does not filter tokens.";

/// The check keys of classes of one region.
pub struct CheckKeys {
    vault: VaultId,
    region: Region,
    keys: Vec<CheckKey>,
}

struct CheckKey {
    tenant: Tenant,
    class: DataClass,
    generation: Generation,
    key: Key256,
    block_key: BlockKey,
}

impl CheckKey {
    fn new(tenant: Tenant, class: DataClass, generation: Generation, key: Key256) -> Self {
        let block_key = BlockKey::new(&key);
        Self { tenant, class, generation, key, block_key }
    }
}

/// What check keys say of an opaque token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked<'a> {
    /// It is a token of this class of this tenant; a made-up text passes one key in 56,800,235,584.
    Holds {
        /// The tenant.
        tenant: &'a Tenant,
        /// The class.
        class: &'a DataClass,
    },
    /// There are keys of its generation, and none fits.
    Fails,
    /// There is no key of its generation.
    NoKey,
}

impl CheckKeys {
    /// Derives the keys of these classes, in every generation that the region has.
    ///
    /// # Errors
    /// When the key table can't be read or does not unwrap, or when there would be more than [`CHECK_KEYS_MAX`].
    pub async fn derive(
        root: &RootKey,
        vault: &VaultId,
        region: &Region,
        reader: &Reader,
        classes: &[(Tenant, DataClass)],
    ) -> Result<Self, KeysError> {
        let rings = lookup_rings(root, vault, region, reader).await?;
        if classes.len().saturating_mul(rings.len()) > CHECK_KEYS_MAX {
            return Err(KeysError::TooManyCheckKeys);
        }
        let of_ring = |(generation, ring): (&Generation, &Key256)| {
            let generation = *generation;
            let keys = classes.iter().map(|(tenant, class)| {
                CheckKey::new(tenant.clone(), class.clone(), generation, check_key(ring, tenant, class))
            });
            keys.collect::<Vec<_>>()
        };
        let keys = rings.iter().flat_map(of_ring).collect();
        Ok(Self { vault: vault.clone(), region: region.clone(), keys })
    }

    /// Reads a file that is this user's alone.
    ///
    /// # Errors
    /// When the file can't be read, is not this user's alone, or is no file of check keys.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        let refuse = |problem| KeysError::CheckKeyFile { path: path.to_owned(), problem };
        let text = read_private(path, FILE_BYTES_MAX + 1).map_err(refuse)?;
        Self::parse(&text).map_err(|problem| refuse(problem.to_owned()))
    }

    /// Writes a new file with mode 0600; never over an existing one.
    ///
    /// # Errors
    /// When the file is there already or can't be written.
    pub fn create_file(&self, path: &Path) -> Result<(), KeysError> {
        let written = create_private(path, self.text().as_bytes());
        written.map_err(|problem| KeysError::CheckKeyFile { path: path.to_owned(), problem })
    }

    /// The vault's name.
    #[must_use]
    pub fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose token this is, of a token of this region. It says nothing about whether the token was ever given out.
    #[must_use]
    pub fn check(&self, generation: Generation, block: &Block, check: u64) -> Checked<'_> {
        let mut found = Checked::NoKey;
        for key in self.keys.iter().filter(|key| key.generation == generation) {
            if check_of(&key.block_key, block) == check {
                return Checked::Holds { tenant: &key.tenant, class: &key.class };
            }
            found = Checked::Fails;
        }
        found
    }

    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let no_file = "is no file of check keys: have it exported again";
        if text.len() > FILE_BYTES_MAX {
            return Err("is longer than a file of check keys can be");
        }
        let text = std::str::from_utf8(text).map_err(|_| no_file)?;
        let written: Written = toml::from_str(text).map_err(|_| no_file)?;
        if written.format != FORMAT {
            return Err("has another format than this version reads (\"tokenvault/check-keys/1\")");
        }
        if written.key.is_empty() || written.key.len() > CHECK_KEYS_MAX {
            return Err(no_file);
        }
        let read = |key: WrittenKey| {
            let digits = Zeroizing::new(key.key);
            Some(CheckKey::new(
                Tenant::parse(&key.tenant).ok()?,
                DataClass::parse(&key.class).ok()?,
                Generation::new(key.generation)?,
                key_of_hex(digits.as_bytes())?,
            ))
        };
        Ok(Self {
            vault: VaultId::parse(&written.vault).map_err(|_| no_file)?,
            region: Region::parse(&written.region).map_err(|_| no_file)?,
            keys: written.key.into_iter().map(read).collect::<Option<_>>().ok_or(no_file)?,
        })
    }

    fn text(&self) -> Zeroizing<String> {
        let Self { vault, region, keys } = self;
        // A buffer that grows leaves copies behind; names have at most 64 bytes, and the rest of a key fits in 256.
        let mut text = Zeroizing::new(String::with_capacity(1024 + keys.len() * 512));
        let mut put = |line: std::fmt::Arguments<'_>| {
            // Writing into a string does not fail.
            let _written = text.write_fmt(line);
        };
        put(format_args!("format = \"{FORMAT}\"\nname = \"check keys of {vault}, region {region}\"\n"));
        put(format_args!("warning = \"{WARNING}\"\nvault = \"{vault}\"\nregion = \"{region}\"\n"));
        for CheckKey { tenant, class, generation, key, .. } in keys {
            let generation = generation.get();
            put(format_args!("\n[[key]]\ntenant = \"{tenant}\"\nclass = \"{class}\"\ngeneration = {generation}\n"));
            put(format_args!("key = \"{}\"\n", *key.danger_hex()));
        }
        text
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "warning")]
    _warning: String,
    vault: String,
    region: String,
    key: Vec<WrittenKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    tenant: String,
    class: String,
    generation: u8,
    key: String,
}
