//! Messages to domain types and back: strings become ids here and nowhere else.

pub mod from_proto;
pub(crate) mod to_proto;
