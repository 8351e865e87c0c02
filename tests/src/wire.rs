//! A wire between a client and a vault that breaks when it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Carries the bytes of TCP connections to an address, both ways.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    came: Arc<AtomicU32>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    cuts: u32,
    /// The connections made while there were no more cuts than this get no answers.
    deaf: Option<u32>,
    is_down: bool,
}

impl Wire {
    /// One to this address.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (state, watched) = watch::channel(State::default());
        let wire = Self { address: listener.local_addr().expect("its address"), came: Arc::default(), state };
        let came = wire.came.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                came.fetch_add(1, Ordering::SeqCst);
                if !watched.borrow().is_down {
                    tokio::spawn(carry(near, address, watched.clone()));
                }
            }
        });
        wire
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were asked for.
    #[must_use]
    pub fn came(&self) -> u32 {
        self.came.load(Ordering::SeqCst)
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Breaks all connections, and makes none until it is up again.
    pub fn down(&self) {
        self.state.send_modify(|state| (state.is_down, state.cuts) = (true, state.cuts + 1));
    }

    /// Makes connections again.
    pub fn up(&self) {
        self.state.send_modify(|state| state.is_down = false);
    }

    /// Loses the answers on all connections that there are, which stay; those made after the next cut are whole.
    pub fn lose_answers(&self) {
        self.state.send_modify(|state| state.deaf = Some(state.cuts));
    }
}

async fn carry(near: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    let born = state.borrow().cuts;
    let Ok(far) = TcpStream::connect(to).await else { return };
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let heard = state.clone();
    let answers = async move {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read) = from_far.read(&mut bytes).await {
            let is_lost = heard.borrow().deaf.is_some_and(|deaf| born <= deaf);
            let Some(part) = bytes.get(..read).filter(|part| !part.is_empty()) else { break };
            if !is_lost && to_near.write_all(part).await.is_err() {
                break;
            }
        }
    };
    let questions = async move {
        // Whichever end goes, the other is told.
        let _ = copy(&mut from_near, &mut to_far).await;
    };
    tokio::select! {
        () = answers => {}
        () = questions => {}
        _ = state.wait_for(|state| state.cuts > born) => {}
    }
}
