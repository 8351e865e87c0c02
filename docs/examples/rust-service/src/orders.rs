//! Orders on disk, one JSON file each: tokens, and the receipts of the calls that were made for them. A company has its
//! database here. It must never see a value: nothing in this file takes one.

use std::{fmt, io, path::PathBuf};

use serde::{Deserialize, Serialize};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
    sync::Mutex,
};
use vault_domain::Reference;

const NUMBER_CHARS_MAX: usize = 32;

/// The number of an order: what the vault takes as a reference, and what can be a file's name. A reference holds no run
/// of 13 digits, so a card number that was sent in the wrong field gets into no log and no path.
#[derive(Clone)]
pub(crate) struct OrderNumber(Reference);

impl OrderNumber {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Reference::parse(text).ok().filter(|_| plain && text.len() <= NUMBER_CHARS_MAX).map(Self)
    }

    pub(crate) fn reference(&self) -> Reference {
        self.0.clone()
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What stands where a card number and an address stood. Worthless to a thief, yet a key to the values for whoever has
/// our identity: no Debug, so that they get into no log by accident.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) card_number: String,
    pub(crate) email: String,
}

/// The receipt of a call to the vault: the place of its entry in the vault's log, and the entry's hash.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) call: String,
    /// The id under which the vault's logs know the call.
    pub(crate) request: String,
    pub(crate) origin: String,
    pub(crate) index: u64,
    pub(crate) leaf_hash: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    /// The key of the request that placed it.
    pub(crate) key: String,
    pub(crate) amount_cents: u64,
    pub(crate) tokens: Tokens,
    pub(crate) settled: bool,
    pub(crate) receipts: Vec<Evidence>,
}

/// What became of a new order.
pub(crate) enum Placed {
    New,
    /// The very same order was there already.
    Again(Order),
    /// Another order was there under this number.
    Taken,
}

/// All orders.
pub(crate) struct Orders {
    folder: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl Orders {
    pub(crate) fn open(folder: PathBuf) -> Self {
        Self { folder, writing: Mutex::new(()) }
    }

    pub(crate) async fn find(&self, number: &OrderNumber) -> io::Result<Option<Order>> {
        match fs::read(self.path(number)).await {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn place(&self, number: &OrderNumber, order: &Order) -> io::Result<Placed> {
        let _writing = self.writing.lock().await;
        match self.find(number).await? {
            None => self.write(number, order).await.map(|()| Placed::New),
            Some(there) if (&there.tokens, there.amount_cents) == (&order.tokens, order.amount_cents) => {
                Ok(Placed::Again(there))
            }
            Some(_) => Ok(Placed::Taken),
        }
    }

    /// Changes an order that is there.
    pub(crate) async fn change(&self, number: &OrderNumber, change: impl FnOnce(&mut Order)) -> io::Result<Order> {
        let _writing = self.writing.lock().await;
        let mut order = self.find(number).await?.ok_or(io::ErrorKind::NotFound)?;
        change(&mut order);
        self.write(number, &order).await?;
        Ok(order)
    }

    /// Writes it whole or not at all, and not only into the system's memory.
    async fn write(&self, number: &OrderNumber, order: &Order) -> io::Result<()> {
        let new = self.folder.join("order.new");
        let mut file = File::create(&new).await?;
        file.write_all(&serde_json::to_vec_pretty(order)?).await?;
        file.sync_all().await?;
        fs::rename(&new, self.path(number)).await?;
        File::open(&self.folder).await?.sync_all().await
    }

    fn path(&self, number: &OrderNumber) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }
}
