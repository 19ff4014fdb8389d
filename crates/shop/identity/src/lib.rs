//! Who a role is to the other roles: its certificate, and the names that certificates have for roles.
//!
//! For the listeners of services ([`Incoming`]) and for the channels that call them ([`Outgoing`]). Both ends show a
//! certificate (mutual TLS 1.3, ALPN `h2`); a certificate belongs to a role when one of its names is among those that
//! [`Names`] has for the role. A name is a DNS name or a URI (`spiffe://shop.example/order`) of the extension
//! `subjectAltName`, compared as a whole: hosts and addresses mean nothing, so any replica of a role is that role wherever
//! it runs, and a wildcard is no role.
//!
//! Invariants:
//! - What is in use is whole: a key and its certificate, of the role, in time, and signed by one of the authorities. Files
//!   that change are taken when all of that holds ([`Identity::refresh`]); until then what was in use stays.
//! - Each connection shows its certificates anew: there are no sessions to resume.
//! - Nothing is installed for the process; the provider of cryptography is a value.
//! - Keys are in no message, and no text of a peer is longer than a line.
//!
//! Left out: who may call what (the tables of the services), and revocation: certificates that live for days are renewed
//! instead.

mod certificate;
mod files;
mod identity;
mod incoming;
mod material;
mod names;
mod outgoing;
mod plain;
mod transport;
mod words;

pub use crate::{
    files::{Error, Files},
    identity::{Identity, Refreshed, Standing},
    incoming::{Incoming, IncomingStream, Refused},
    names::{Names, Peer},
    outgoing::{Outgoing, OutgoingStream},
    transport::Transport,
};
