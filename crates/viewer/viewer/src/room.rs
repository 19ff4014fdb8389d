//! How many bytes of answers wait in memory for their readers.
//!
//! A large trace is made into one answer of many megabytes; a reader who does not read, or reads slowly, holds it until
//! its connection is ended. The bytes of all answers on their way are therefore bounded together. A small answer is not
//! counted: connections are bounded, and so is what each has to send.

use crate::problem::Problem;
use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes up to which an answer is not counted.
const SMALL: u64 = 64 << 10;

/// What one permit stands for.
const UNIT: u64 = 1024;

/// Room for the answers on their way. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    units: u32,
}

impl Room {
    /// For so many bytes.
    pub(crate) fn new(bytes: u64) -> Room {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(most).clamp(1, most);
        Room { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// The answer, which holds its room until its last byte was sent or its connection is gone; or, when it does not fit
    /// beside the others, the request to come again. One that is larger than the whole room needs it for itself.
    ///
    /// An answer whose size is not known beforehand is made while it is read, and not counted.
    pub(crate) fn admit(&self, response: Response) -> Response {
        use axum::body::HttpBody as _;
        let Some(size) = response.body().size_hint().exact().filter(|size| *size > SMALL) else {
            return response;
        };
        let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(self.units).min(self.units);
        let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(units) else {
            return Problem::busy("too many large answers are not read yet; try again after a moment")
                .into_response();
        };
        let mut permit = Some(Arc::new(permit));
        response.map(|body| {
            // The permit goes with the bytes and not with the body, which is done as soon as it has given them away.
            Body::new(body.map_frame(move |frame| {
                frame.map_data(|bytes| match permit.take() {
                    Some(permit) => Bytes::from_owner(Held { bytes, _permit: permit }),
                    None => bytes,
                })
            }))
        })
    }
}

/// The bytes of an answer, and the room that they take.
struct Held {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Response {
        vec![b'x'; bytes].into_response()
    }

    async fn first_bytes(response: Response) -> Bytes {
        response.into_body().frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn room_is_free_again_when_the_bytes_are_gone_and_not_when_the_body_is() {
        let room = Room::new(1 << 20);
        let first = room.admit(answer(700 << 10));
        assert_eq!(first.status(), 200);
        assert_eq!(room.admit(answer(400 << 10)).status(), 503);
        assert_eq!(room.admit(answer(300 << 10)).status(), 200, "it fits beside the first, and is dropped");
        assert_eq!(room.admit(answer(64 << 10)).status(), 200, "a small one is not counted");
        let bytes = first_bytes(first).await;
        let refused = room.admit(answer(400 << 10));
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        let tail = bytes.slice(bytes.len() - 1..);
        drop(bytes);
        assert_eq!(room.admit(answer(400 << 10)).status(), 503, "its last byte is not sent");
        drop(tail);
        assert_eq!(room.admit(answer(400 << 10)).status(), 200);
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_the_room_has_it_for_itself() {
        let room = Room::new(1 << 20);
        let large = room.admit(answer(3 << 20));
        assert_eq!(large.status(), 200);
        assert_eq!(room.admit(answer(65 << 10)).status(), 503);
        assert_eq!(first_bytes(large).await.len(), 3 << 20);
        assert_eq!(room.admit(answer(65 << 10)).status(), 200);
    }
}
