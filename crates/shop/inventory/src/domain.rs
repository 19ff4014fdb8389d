//! The rules of stock and holds. Pure: time comes in as an argument, nothing is read or written.
//!
//! For the stores, which load an order's newest reservation, ask here what a request means for it, and carry that
//! out. Invariant I12: a reservation moves from `held` to exactly one of `committed`, `released`, `expired`.
//!
//! A reservation is named by its order and its *generation*: the count of the saga's attempts, the last part of
//! each step's key (`order:step:generation`). A lower generation than the newest is the past: it may end what it
//! began, never begin anew.
//!
//! Who may speak for an order is told by the *epoch* of its saga's runner ([`admit`]): what a runner asked that was replaced
//! meanwhile has no effect, whenever it arrives.

mod lines;
mod refusal;
mod reservation;
mod stock;

pub use self::{
    lines::{HeldLine, Line, Lines},
    refusal::Refusal,
    reservation::{
        CommitStep, NewReservation, ReleaseStep, Reservation, ReservationState, ReserveStep, admit, commit,
        hold_time, release, reserve,
    },
    stock::{NewProduct, Product, StockCount, check_price, refuse},
};
pub use waypost_api::Generation;
