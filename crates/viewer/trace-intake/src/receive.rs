//! What every door does with a request, between the protocol's words at both ends.

use crate::{
    Intake, Refused,
    account::Reservation,
    body,
    compression::Encoding,
    decode::{Decoded, Envelope, Signal, decode},
    finished,
};
use axum::body::Body;
use bytes::Bytes;
use http::{Version, header, request::Parts};
use std::{collections::BTreeMap, fmt::Write as _};
use tokio::sync::OwnedSemaphorePermit;
use waypost_trace_model::{Refusal, RefusalReason};
use waypost_trace_store::Receipt;

/// Bodies up to this size are decoded where they were read; larger ones, and compressed ones, of which nobody knows how
/// large they are, would hold up other requests.
const INLINE: usize = 64 << 10;

/// What became of a request that was answered with success.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Records kept.
    pub(crate) kept: u64,
    /// Records, or data points, not kept.
    pub(crate) rejected: u64,
    /// Why not; empty when all were kept.
    pub(crate) message: String,
}

/// A request that has arrived whole.
struct Arrived {
    body: Bytes,
    reservation: Reservation,
    /// Counts the request among those at once, to its end.
    _permit: OwnedSemaphorePermit,
}

impl Intake {
    /// Takes a request from its body on. Resolves when it is durable, or refused and counted.
    ///
    /// Dropping the future while the body is read means that it never came. Later it changes nothing.
    pub(crate) async fn receive(
        &self,
        envelope: Envelope,
        parts: &Parts,
        mut body: Body,
    ) -> Result<Taken, Refused> {
        match self.arrive(&mut body).await {
            Ok(arrived) => {
                let intake = self.clone();
                finished(waypost_telemetry::spawn(async move { intake.process(envelope, arrived).await }))
                    .await
            }
            Err(refused) => Err(self.refuse(envelope.signal, parts, body, refused).await),
        }
    }

    /// Counts a request that is refused before it has arrived, and reads the rest of it away.
    pub(crate) async fn refuse(
        &self,
        signal: Signal,
        parts: &Parts,
        body: Body,
        refused: Refused,
    ) -> Refused {
        self.count(signal, &refused);
        // HTTP/2 resets the stream alone, a client that asks first has not begun to send, and one that was too slow is not
        // waited for again.
        let asks_first = parts.headers.contains_key(header::EXPECT);
        if parts.version < Version::HTTP_2 && !asks_first && !matches!(refused, Refused::Slow) {
            body::discard(body, self.shared.body_size).await;
        }
        refused
    }

    async fn arrive(&self, body: &mut Body) -> Result<Arrived, Refused> {
        let shared = &*self.shared;
        let permit = shared.calls.clone().try_acquire_owned().map_err(|_| Refused::Overloaded)?;
        let mut reservation = shared.memory.part();
        // A frame of gRPC has five bytes around the message, which are not held against it.
        let limit = shared.body_size.saturating_add(5);
        let body = body::read(body, limit, shared.body_timeout, &mut reservation).await;
        let body = body.map_err(|refused| match refused {
            Refused::TooLarge { .. } => Refused::TooLarge { limit: shared.body_size },
            other => other,
        })?;
        Ok(Arrived { body, reservation, _permit: permit })
    }

    async fn process(self, envelope: Envelope, arrived: Arrived) -> Result<Taken, Refused> {
        let Arrived { body, reservation, _permit } = arrived;
        let decoded = self.decode(envelope, body, reservation).await;
        let (decoded, reservation) = decoded.inspect_err(|refused| self.count(envelope.signal, refused))?;
        match decoded {
            Decoded::Points(points) => Ok(Taken::points(points)),
            Decoded::Records(batch) => {
                let refused = batch.refused.clone();
                let receipt = self.admit(batch, reservation, 0).await.inspect_err(|refused| {
                    if let Refused::Store(error) = refused {
                        tracing::debug!(%error, "a request is not kept");
                    }
                })?;
                Ok(Taken::records(envelope.signal, &receipt, &refused))
            }
        }
    }

    async fn decode(
        &self,
        envelope: Envelope,
        body: Bytes,
        mut reservation: Reservation,
    ) -> Result<(Decoded, Reservation), Refused> {
        let intake = self.clone();
        let is_small = envelope.encoding == Encoding::Identity && body.len() <= INLINE;
        let work = move || {
            let shared = &*intake.shared;
            let decoded = decode(envelope, body, shared.body_size, &shared.limits, &mut reservation)?;
            Ok((decoded, reservation))
        };
        if is_small {
            return work();
        }
        // The semaphore is never closed, so this cannot fail.
        let _turn = self.shared.decoders.acquire().await;
        finished(tokio::task::spawn_blocking(work)).await
    }

    /// Counts a request of which it is not known how many records it held: as one.
    fn count(&self, signal: Signal, refused: &Refused) {
        let Some(reason) = refused.reason() else { return };
        match signal {
            Signal::Traces | Signal::Zipkin => self.shared.refusals.unknown(reason, 1, 0),
            Signal::Logs => self.shared.refusals.unknown(reason, 0, 1),
            Signal::Metrics => {}
        }
    }
}

impl Taken {
    fn points(points: u64) -> Taken {
        let message = "this viewer keeps traces and logs and no metrics; send these elsewhere".to_owned();
        let message = if points == 0 { String::new() } else { message };
        Taken { kept: 0, rejected: points, message }
    }

    fn records(signal: Signal, receipt: &Receipt, refused: &[Refusal]) -> Taken {
        let is_logs = signal == Signal::Logs;
        let mut reasons: BTreeMap<RefusalReason, u64> = BTreeMap::new();
        for refusal in refused {
            *reasons.entry(refusal.reason).or_default() += if is_logs { refusal.logs } else { refusal.spans };
        }
        if receipt.trace_limit > 0 {
            *reasons.entry(RefusalReason::TraceLimit).or_default() += receipt.trace_limit;
        }
        let rejected: u64 = reasons.values().sum();
        let mut message = String::new();
        if rejected > 0 {
            let what = if is_logs { "log records" } else { "spans" };
            // Writing to a String cannot fail.
            write!(message, "not kept: {rejected} {what}").ok();
            for (place, (reason, count)) in reasons.iter().enumerate() {
                write!(message, "{} {} {count}", if place == 0 { ":" } else { "," }, reason.name()).ok();
            }
        }
        let kept = if is_logs { receipt.logs } else { receipt.spans };
        Taken { kept, rejected, message }
    }
}
