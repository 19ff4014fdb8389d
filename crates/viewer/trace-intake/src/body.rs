//! Reading a request's body within its bounds of size, time and memory.

use crate::{Refused, account::Reservation};
use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::time::Duration;

/// A body without a length begins with this much room.
const FIRST: usize = 16 << 10;
/// The most room that a body gets for the length that it announces; more it gets for what has come. Otherwise a few
/// requests that announce a large body and never send it would hold the memory of all others.
const ANNOUNCED: usize = 64 << 10;
/// How long a refused HTTP/1 request may go on sending before its connection is closed on it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The whole body, at most `limit` bytes. Everything that it takes is added to the reservation before it is taken.
pub(crate) async fn read(
    body: &mut Body,
    limit: usize,
    within: Duration,
    reservation: &mut Reservation,
) -> Result<Bytes, Refused> {
    tokio::time::timeout(within, collect(body, limit, reservation)).await.unwrap_or(Err(Refused::Slow))
}

async fn collect(body: &mut Body, limit: usize, reservation: &mut Reservation) -> Result<Bytes, Refused> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Refused::TooLarge { limit });
    }
    let announced = usize::try_from(announced).unwrap_or(limit);
    let mut whole: Vec<u8> = Vec::new();
    take_room(&mut whole, announced.min(ANNOUNCED), reservation)?;
    // A body that keeps its word ends with just the room that it needs.
    let max = if announced > 0 { announced } else { limit };
    while let Some(frame) = body.frame().await {
        // Bytes that did not come cannot be counted; an encoding of the transfer that is wrong ends here as well.
        let frame = frame.map_err(|_| Refused::Interrupted)?;
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > limit {
            return Err(Refused::TooLarge { limit });
        }
        if length > whole.capacity() {
            let larger = (2 * whole.capacity()).max(FIRST).min(max).max(length);
            take_room(&mut whole, larger, reservation)?;
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

fn take_room(whole: &mut Vec<u8>, capacity: usize, reservation: &mut Reservation) -> Result<(), Refused> {
    if !reservation.grow(capacity - whole.capacity()) {
        return Err(Refused::Overloaded);
    }
    whole.reserve_exact(capacity - whole.len());
    Ok(())
}

/// Reads what is left of a refused HTTP/1 request and throws it away: closing on a client that still sends would reset the
/// connection, and the client would lose the answer.
pub(crate) async fn discard(mut body: Body, limit: usize) {
    let all = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > limit {
                return;
            }
        }
    };
    tokio::time::timeout(LINGER_TIMEOUT, all).await.ok();
}
