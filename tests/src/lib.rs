//! What the tests of the whole vault share. Never part of the product.

pub mod amnesia;
