//! Everything a rule of this crate can say no to.

use waypost_api::{ErrorCode, OrderId, ProductId};

/// A rule says no. The text may be shown to a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The catalogue has no such product.
    #[error("product {0} does not exist")]
    UnknownProduct(ProductId),
    /// Less is left than was asked for.
    #[error("{asked} of {product} were asked for, {available} are left")]
    OutOfStock {
        /// Of what.
        product: ProductId,
        /// How many were asked for.
        asked: u32,
        /// How many there are.
        available: u64,
    },
    /// The order was calculated with another price.
    #[error("the price of {0} is not the one that the order was calculated with")]
    PriceChanged(ProductId),
    /// The same key came with other lines before.
    #[error("the key was used for other lines")]
    KeyReused,
    /// There was never a hold.
    #[error("order {0} holds no stock")]
    NoReservation(OrderId),
    /// The hold's time is over.
    #[error("the hold of order {0} has run out")]
    RanOut(OrderId),
    /// The hold was released.
    #[error("the hold of order {0} was given back")]
    GivenBack(OrderId),
    /// Another runner of the order's saga was here since.
    #[error("order {0} was taken over by another process")]
    StaleRunner(OrderId),
    /// The hold was committed.
    #[error("the stock of order {0} was taken for good")]
    TakenForGood(OrderId),
}

impl Refusal {
    /// Its row in the table of errors.
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::UnknownProduct(_) => ErrorCode::ProductNotFound,
            Refusal::OutOfStock { .. } => ErrorCode::OutOfStock,
            Refusal::PriceChanged(_) => ErrorCode::PriceChanged,
            Refusal::KeyReused => ErrorCode::IdempotencyKeyReused,
            Refusal::NoReservation(_) => ErrorCode::ReservationNotFound,
            Refusal::StaleRunner(_) => ErrorCode::StaleRunner,
            Refusal::RanOut(_) => ErrorCode::ReservationExpired,
            Refusal::GivenBack(_) | Refusal::TakenForGood(_) => ErrorCode::ReservationConflict,
        }
    }
}
