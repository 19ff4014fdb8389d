//! The rules of payments. Pure: time and ids come in as arguments, nothing is read or written.
//!
//! For the stores, which load an order's newest payment, ask here what a request or an answer of the provider means
//! for it, and carry that out.
//!
//! The provider is believed, the network is not: every answer is a [`Charge`], a snapshot of what the provider has,
//! and [`Payment::after`] moves the payment to where the snapshot is. A snapshot that is older than what is known
//! changes nothing, so answers may be lost, repeated and overtaken.

mod charge;
mod ledger;
mod payment;
mod refund;
mod request;
mod review;

pub use self::{
    charge::{Charge, ChargeStatus, Contradiction},
    ledger::{Account, Entry, Posting, Totals},
    payment::{Payment, PaymentState},
    refund::{NewRefund, Refund, RefundState},
    request::{
        AuthorizeStep, CaptureStep, Intent, Refusal, VoidStep, admit, authorize, capture, refund, void,
    },
    review::{Change, Finding, ReviewTimes},
};
pub use waypost_api::Generation;

pub(crate) use self::request::declined;
