//! Settings: described by their structs, read in layers, refused with every reason at once.
//!
//! For whoever declares settings with [`settings!`], and for the program that reads one struct made of them. A
//! setting is written once, with its doc comment, type and default, and appears in the file, the environment, the
//! reference and the checks.
//!
//! Layers: the struct's `Default`, below a TOML file, below the environment (`SHOP_ORDER__LISTEN` is `order.listen`),
//! below flags (`order.listen=127.0.0.1:9090`). `load` returns all problems of all layers together, each with where
//! it was written, the key and the reason.
//!
//! Declaring needs nothing but serde. The feature `load` adds the reading and the reference, and TOML with them;
//! a library leaves it to the program. Left out: reading the environment and the file system (they come in as
//! `Sources`), and exit codes.

#![warn(missing_docs)]

mod duration;
#[cfg(feature = "load")]
mod load;
mod problem;
#[cfg(feature = "load")]
mod reference;
#[cfg(feature = "load")]
mod refusal;
mod secret;
mod settings;
#[cfg(feature = "load")]
mod sources;
#[cfg(feature = "load")]
mod tree;
mod units;
#[cfg(feature = "load")]
mod value;

pub use crate::{
    duration::{optional_std_duration, std_duration},
    problem::{Complaint, Origin, Problem, Problems},
    secret::Secret,
    units::{ByteSize, Duration, Ratio},
};
#[cfg(feature = "load")]
pub use crate::{
    load::{Loaded, load},
    reference::{commented_toml, markdown_table},
    settings::{FieldDoc, Settings, describing},
    sources::{File, Flag, Sources},
};
