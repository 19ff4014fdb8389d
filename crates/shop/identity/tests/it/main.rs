//! Two ends that show each other who they are, over sockets of this machine.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod authority;
mod ends;
mod renewal;
