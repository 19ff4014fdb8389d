//! Configuration: described by its structs, loaded in layers, refused with every reason at once.
//!
//! For the binary, which loads one struct made of the roles' `Config`s, and for the roles, which declare theirs
//! with [`settings!`](crate::settings).
//!
//! Layers: the struct's `Default`, below a TOML file, below the environment (`WAYPOST_ORDER__LISTEN` is
//! `order.listen`), below flags (`order.listen=127.0.0.1:9090`). [`load`] returns all problems of all layers
//! together, each with where it was written, the key and the reason.
//!
//! Left out: reading the environment and the file system (they come in as [`Sources`]), and exit codes.

mod load;
mod problem;
mod reference;
mod secret;
mod settings;
mod sources;
mod tree;
mod units;

pub use self::{
    load::{Loaded, load},
    problem::{Complaint, Origin, Problem, Problems},
    reference::{commented_toml, markdown_table},
    secret::Secret,
    settings::{FieldDoc, Settings, describing},
    sources::{File, Flag, Sources},
    units::{ByteSize, Duration, Ratio},
};
