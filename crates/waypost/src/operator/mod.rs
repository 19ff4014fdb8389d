//! `waypost orders` and `waypost dead-letters`: what needs a person, and what that person can do.
//!
//! The databases belong to the running roles, so these commands ask the admin listener of the process that runs them
//! ([`admin`]) and print what it says, for people or as JSON. The dead letters are answered by the binary itself
//! ([`dead_letter_routes`]), because the broker belongs to the process and to no role.

mod admin;
pub(crate) mod args;
mod dead_letter_report;
pub(crate) mod dead_letter_routes;
mod letters;
mod orders;
mod text;

pub(crate) use admin::Admin;
pub(crate) use letters::dead_letters;
pub(crate) use orders::orders;
