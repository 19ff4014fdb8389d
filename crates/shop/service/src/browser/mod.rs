//! What a browser can be made to do to a listener on loopback.
//!
//! Such a listener belongs to whoever may use this machine, and asks nobody for a token. What is left to fear is a page
//! of another origin in the user's browser: it can reach loopback under a name of its own (DNS rebinding, [`Names`]), and
//! it can send forms and fetch without a look at the answer ([`is_foreign`]). For the gateway in demo and for the viewer;
//! each gives refusals its own form.

mod names;
mod site;

pub use names::{Names, UnknownHost};
pub use site::is_foreign;
