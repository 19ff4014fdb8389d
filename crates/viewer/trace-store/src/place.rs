//! Places in the order of a query's answer, and the cursors that name them.
//!
//! Every order is turned into one: a place is a rank, smaller first, and a trace id. Everything at or before
//! a cursor's place was answered on the pages before.

use crate::{Cursor, Match, Order, ReadError};
use waypost_trace_model::{SpanId, StatusCode, TraceId};

/// A place in the order. The trace of a place that belongs to no trace is all zero, which comes before every
/// trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) rank: u64,
    pub(crate) trace: [u8; 16],
}

impl Place {
    pub(crate) fn of(rank: u64, trace: TraceId) -> Place {
        Place { rank, trace: *trace.as_bytes() }
    }

    /// Before every trace of this rank.
    pub(crate) fn before(rank: u64) -> Place {
        Place { rank, trace: [0; 16] }
    }

    pub(crate) fn to_cursor(self, order: Order) -> Cursor {
        let Place { rank, trace } = self;
        Cursor(format!("{}{rank:016x}{:032x}", letter(order), u128::from_be_bytes(trace)))
    }

    pub(crate) fn from_cursor(cursor: &Cursor, order: Order) -> Result<Place, ReadError> {
        let digits =
            cursor.0.strip_prefix(letter(order)).filter(|digits| digits.len() == 48 && digits.is_ascii());
        let (rank, trace) = digits.ok_or(ReadError::InvalidCursor)?.split_at(16);
        let rank = u64::from_str_radix(rank, 16).map_err(|_| ReadError::InvalidCursor)?;
        let trace = u128::from_str_radix(trace, 16).map_err(|_| ReadError::InvalidCursor)?;
        Ok(Place { rank, trace: trace.to_be_bytes() })
    }
}

fn letter(order: Order) -> char {
    match order {
        Order::Newest => 'n',
        Order::Oldest => 'o',
        Order::Longest => 'l',
        Order::Shortest => 's',
    }
}

impl Order {
    /// What a span is ranked by; smaller comes first.
    pub(crate) fn rank(self, start: u64, duration: u64) -> u64 {
        match self {
            Order::Newest => !start,
            Order::Oldest => start,
            Order::Longest => !duration,
            Order::Shortest => duration,
        }
    }

    /// The time of a rank, for orders by time.
    pub(crate) fn time(self, rank: u64) -> Option<u64> {
        match self {
            Order::Newest => Some(!rank),
            Order::Oldest => Some(rank),
            Order::Longest | Order::Shortest => None,
        }
    }
}

/// A span that meets the first filter. Of those of one trace the smallest stands for it, so that every store
/// names the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) rank: u64,
    pub(crate) span_id: SpanId,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) status: StatusCode,
}

impl Hit {
    pub(crate) fn to_match(self, trace_id: TraceId) -> Match {
        let Hit { span_id, start, duration, status, .. } = self;
        Match { trace_id, span_id, start, duration, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_place_for_its_own_order_only() {
        let place = Place::of(u64::MAX - 5, "00f067aa0ba902b7".parse().unwrap());
        let cursor = place.to_cursor(Order::Longest);
        assert_eq!(Place::from_cursor(&cursor, Order::Longest).unwrap(), place);
        assert!(matches!(Place::from_cursor(&cursor, Order::Newest), Err(ReadError::InvalidCursor)));
        for text in ["", "l", "l0", "n+000000000000000+0000000000000000000000000000000", "née"] {
            let cursor = Cursor(text.into());
            assert!(
                matches!(Place::from_cursor(&cursor, Order::Longest), Err(ReadError::InvalidCursor)),
                "{text}"
            );
        }
    }
}
