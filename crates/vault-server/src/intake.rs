//! Reading requests: whole, and not more of them at once than there is room for.
//!
//! A call begins when its request is there. A caller who opens many requests and ends none could fill the memory, and
//! one who announces a large message would be given the room for it at once by the layers above. So requests are read
//! here: what goes beyond a small part of each needs room, and where there is none, it is not read, and HTTP/2's flow
//! control tells its sender to wait. Small requests never wait for room, and who does not get on is cut off by its
//! deadline.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vault_domain::{Reason, limits};

/// A gRPC message's head: whether it is compressed, and its length in 4 bytes (gRPC over HTTP/2, "Requests").
const HEAD_BYTES: usize = 5;

/// How a message is written into a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Head and message as they are.
    Bytes,
    /// Both in base64: four characters for three bytes.
    Base64,
}

/// The room that all requests share. Clones are handles on the same room.
#[derive(Clone)]
pub(crate) struct Intake(Arc<Semaphore>);

/// A request's body, and the room that it takes for as long as this is kept.
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Intake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::INTAKE_BYTES_MAX)))
    }

    /// Reads a body to its end: one message of at most `message_bytes_max`.
    ///
    /// # Errors
    /// [`Reason::RequestTooLarge`] as soon as it is, or says to be, longer; [`Reason::Cancelled`] when its sender is
    /// gone.
    pub(crate) async fn read<B>(&self, mut body: B, message_bytes_max: usize, framing: Framing) -> Result<Read, Reason>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut length = 0_usize;
        let longest = match framing {
            Framing::Bytes => HEAD_BYTES + message_bytes_max,
            Framing::Base64 => (HEAD_BYTES + message_bytes_max).div_ceil(3) * 4,
        };
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            // Trailers say nothing to a server.
            let Ok(data) = frame.map_err(|_| Reason::Cancelled)?.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length > longest {
                return Err(Reason::RequestTooLarge);
            }
            let beyond = length.saturating_sub(limits::INTAKE_FREE_BYTES).min(data.len());
            if let Some(more) = self.room_for(beyond).await? {
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
            // Most requests come in one piece, which is kept as it is.
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                whole.put(std::mem::take(&mut first));
                whole.put(data);
            }
            let read: &[u8] = if whole.is_empty() { &first } else { &whole };
            if framing == Framing::Bytes && announced(read).is_some_and(|bytes| bytes > message_bytes_max) {
                return Err(Reason::RequestTooLarge);
            }
        }
        Ok(Read { bytes: if whole.is_empty() { first } else { whole.freeze() }, room })
    }

    async fn room_for(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Reason> {
        let bytes = u32::try_from(bytes).map_err(|_| Reason::RequestTooLarge)?;
        if bytes == 0 {
            return Ok(None);
        }
        self.0.clone().acquire_many_owned(bytes).await.map(Some).map_err(|_| Reason::ShuttingDown)
    }
}

/// The length that a message's head announces.
fn announced(bytes: &[u8]) -> Option<usize> {
    let (_, length) = bytes.first_chunk::<HEAD_BYTES>()?.split_first()?;
    usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()
}
