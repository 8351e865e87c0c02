//! Which data classes have tokens in a region, and the settings that those tokens rest on.
//!
//! A class that was given another format or determinism would not find its old tokens, or would find that they lead to
//! other values, and nobody would be told. So the settings are written down with the first token of a class, in the
//! same commit, and a catalog that says otherwise is refused at start. Row of the table `meta`: `class.` and the first
//! 12 bytes of SHA-256 of the name in hex; then a line for each setting.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use vault_catalog::{Catalog, Class, FixedSettings};
use vault_crypto::sha256;
use vault_domain::{DataClass, Reason, Region};
use vault_store::{
    Batch, Reader,
    table::{Meta, TextKey},
};

use crate::{
    authorize::Permit,
    open::{OpenError, said},
};

/// The classes of the catalog, in one region.
pub(crate) struct ClassesInUse(HashMap<DataClass, InUse>);

struct InUse {
    row: TextKey,
    written: AtomicBool,
}

impl ClassesInUse {
    /// Holds the catalog against what is written down.
    ///
    /// # Errors
    /// When a class in use has changed.
    pub(crate) async fn open(reader: &Reader, catalog: &Catalog, region: &Region) -> Result<Self, OpenError> {
        let mut classes = HashMap::with_capacity(catalog.classes().len());
        let snapshot = reader.snapshot();
        for class in catalog.classes() {
            let Some(row) = row(class.id()) else { continue };
            let stored = snapshot.get(Meta, &row).await?;
            if let Some(stored) = &stored {
                let before = std::str::from_utf8(stored).ok().and_then(FixedSettings::parse);
                let before = before.ok_or_else(|| OpenError::ClassUnreadable(class.id().clone()))?;
                check(class, &before, region)?;
            }
            classes.insert(class.id().clone(), InUse { row, written: AtomicBool::new(stored.is_some()) });
        }
        Ok(Self(classes))
    }

    /// Puts the settings of classes that get their first token into a batch. `with_tokens` says of the place of a
    /// class in the request whether it gets one. To be told to [`written`](Self::written) when the batch is committed.
    pub(crate) fn write<'a>(
        &self,
        permits: &[Result<Permit<'a>, Reason>],
        with_tokens: impl Fn(usize) -> bool,
        batch: &mut Batch,
    ) -> Vec<&'a Class> {
        let mut first = Vec::new();
        for (place, permit) in permits.iter().enumerate() {
            let Ok(permit) = permit else { continue };
            let class = permit.class();
            if let Some(in_use) = self.0.get(class.id())
                && !in_use.written.load(Ordering::Acquire)
                && with_tokens(place)
            {
                batch.put(Meta, &in_use.row, class.fixed_settings().to_string().as_bytes());
                first.push(class);
            }
        }
        first
    }

    /// Remembers that the settings of these classes are on disk.
    pub(crate) fn written(&self, classes: &[&Class]) {
        for class in classes {
            if let Some(in_use) = self.0.get(class.id()) {
                in_use.written.store(true, Ordering::Release);
            }
        }
    }
}

fn row(class: &DataClass) -> Option<TextKey> {
    let hash = sha256(&[class.as_str().as_bytes()]);
    let mut text = "class.".to_owned();
    for byte in hash.iter().take(12) {
        write!(text, "{byte:02x}").ok()?;
    }
    TextKey::new(&text)
}

fn check(class: &Class, before: &FixedSettings, region: &Region) -> Result<(), OpenError> {
    let Some(changed) = class.fixed_settings().changed_since(before) else { return Ok(()) };
    Err(OpenError::ClassChanged {
        class: class.id().clone(),
        region: region.clone(),
        setting: changed.name,
        was: said(changed.was),
        is: said(changed.is),
    })
}
