//! An order service: it takes card numbers and addresses at its door, keeps tokens, and sees a card again only to
//! settle the order. It must never write a value anywhere: not to its files, not to its log, not into an answer.
//!
//! | module | what |
//! |---|---|
//! | `service` | HTTP: what comes in, what goes out, by which status |
//! | `vault` | the two calls to the vault, and what its refusals mean for an order |
//! | `orders` | the files in which orders are kept |
//!
//! It runs against `tokenvault dev --serve`; docs/examples/README.md has the commands.

mod orders;
mod service;
mod vault;

use std::{error::Error, fs, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use vault_client::Endpoint;
use vault_domain::{Audience, Purpose, Region};

use crate::{orders::Orders, service::Service, vault::Vault};

/// All that differs from one place to another. Names of regions, audiences and purposes are those of the vault's
/// catalog; its operators say which ones a service is granted.
struct Settings {
    listen: SocketAddr,
    /// Where orders are kept.
    folder: PathBuf,
    endpoint: Endpoint,
    /// The authority that the vault's certificate must come from.
    ca: PathBuf,
    /// Where `<name>.pem` and `<name>.key` of our identities are.
    identities: PathBuf,
    /// The identity that brings values in: it can't see them again.
    takes_as: String,
    /// The identity that sees cards: it brings nothing in. A service that needs one of the two has only that one.
    settles_as: String,
    region: Region,
    /// Who the tokens are for.
    audience: Audience,
    take_purpose: Purpose,
    settle_purpose: Purpose,
}

impl Settings {
    fn read() -> Result<Self, Box<dyn Error>> {
        let needed = |name: &str| std::env::var(name).map_err(|_| format!("set {name}; see docs/examples/README.md"));
        let or = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        Ok(Self {
            listen: needed("ORDERS_LISTEN")?.parse()?,
            folder: needed("ORDERS_FOLDER")?.into(),
            endpoint: Endpoint::parse(&needed("TOKENVAULT_ENDPOINT")?)?,
            ca: needed("TOKENVAULT_CA")?.into(),
            identities: needed("ORDERS_IDENTITIES")?.into(),
            takes_as: or("ORDERS_TAKES_AS", "loader"),
            settles_as: or("ORDERS_SETTLES_AS", "payments"),
            region: Region::parse(&or("ORDERS_REGION", "eu"))?,
            audience: Audience::parse(&or("ORDERS_AUDIENCE", "payments"))?,
            take_purpose: Purpose::parse(&or("ORDERS_TAKE_PURPOSE", "bulk_load"))?,
            settle_purpose: Purpose::parse(&or("ORDERS_SETTLE_PURPOSE", "settlement"))?,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    let settings = Settings::read()?;
    fs::create_dir_all(&settings.folder)?;
    // A vault that can't be reached, or that is not ours, shows here and not at the first customer.
    let vault = Vault::connect(&settings).await?;
    let service = Arc::new(Service { vault, orders: Orders::open(settings.folder.clone()) });
    let listener = TcpListener::bind(settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, region = %settings.region, "listening");
    // Orders in flight end before the process does.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    };
    axum::serve(listener, service::routes(service)).with_graceful_shutdown(stop).await?;
    Ok(())
}
