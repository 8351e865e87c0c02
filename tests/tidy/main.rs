//! Rules of the house that the compiler does not know: texts, names, layers, and documents that must agree with code.
//!
//! Each rule is a function from a tree to the faults it finds, and has two kinds of tests: one reads this tree, the
//! others show on a few lines made for it that the rule can fail. A rule must never skip what it can't read: a missing
//! document is a fault. docs/STYLE.md says why each rule is there.

mod contract;
mod coverage;
mod errors;
mod layering;
mod mutants;
mod names;
mod schema;
mod table;
mod text;
mod tree;
