//! The codec of every method: prost's, but a message that does not decode is the caller's fault, not ours, and is
//! answered as such without echoing any of it.

use bytes::Buf;
use prost::{
    Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// The message of the status that a malformed request gets; vault-server recognises it and adds reason and request id.
pub const MALFORMED: &str = "the request is not a valid message of this method";

/// The message of the status for a request of more fields than any good one has.
const TOO_MANY_FIELDS: &str = "the request holds more items than any request may";
/// Fields that a message may have at its top level: 1000 items and room for whoever sends a few more to be told so by
/// name. An empty item is 2 bytes on the wire and a hundred in memory: 8 MiB of them are not decoded to be counted.
pub const FIELDS_MAX: usize = 4096;

/// Whether a message has more fields at its top level than [`FIELDS_MAX`]. What does not decode is prost's to refuse.
#[must_use]
pub fn holds_too_many_fields(mut message: &[u8]) -> bool {
    let mut fields = 0;
    while !message.is_empty() {
        let Ok((tag, wire_type)) = decode_key(&mut message) else { return false };
        if skip_field(wire_type, tag, &mut message, DecodeContext::default()).is_err() {
            return false;
        }
        fields += 1;
        if fields > FIELDS_MAX {
            return true;
        }
    }
    false
}

/// Prost's codec with [`MALFORMED`] for what does not decode.
#[derive(Debug)]
pub struct StrictCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::new())
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(self.0.decoder())
    }
}

/// The decoding half of [`StrictCodec`].
#[derive(Debug)]
pub struct StrictDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if holds_too_many_fields(buffer.chunk()) {
            return Err(Status::out_of_range(TOO_MANY_FIELDS));
        }
        self.0.decode(buffer).map_err(|_| Status::invalid_argument(MALFORMED))
    }
}
