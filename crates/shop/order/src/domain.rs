//! The rules of orders. Pure: time and ids come in as arguments, nothing is read or written.
//!
//! For the logic, which checks a request here before anything is stored, and for the journal of the saga, which asks
//! here what its facts make of an order. Invariants (`docs/guarantees.md`):
//! - I13: an order moves only along [`may_become`], its version rises by one with each move, and a final state
//!   absorbs everything;
//! - what is charged is the unit price of the catalogue times the quantity, to the last ten-thousandth.

mod facts;
mod order;
mod page;
mod price;

#[cfg(test)]
pub(crate) use self::order::tests;
pub use self::{
    facts::{CONFIRM, Fact, Output, Refusal},
    order::{IllegalMove, Move, Order, Origin, Viewer, may_become},
    page::{Cursor, MAX_PAGE_SIZE, TokenKey, page_size},
    price::check_amount,
};
