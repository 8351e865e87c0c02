//! Who may do what, and what nobody gets to see.

mod grants;
mod isolation;
mod levels;
mod opacity;
mod race;
mod residency;
mod secrecy;
