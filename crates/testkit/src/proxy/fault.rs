//! What a lossy proxy does to a call, decided by a seed and by nothing else.

use std::time::Duration;

use http::StatusCode;

/// The first 16 bits of the trace ids that carry a [`Marker`]; other traces meet no faults.
const MAGIC: u128 = 0xfa57;
/// How many calls of one kind a request may lose; further ones are let through, so that every order can end.
const MAX_FAULTS: u32 = 14;
/// Shares of calls with a fault; each order has one of them.
const RATES: [f64; 4] = [0.0, 0.1, 0.25, 0.5];
/// Answers that anything between two services may give without having asked the second one.
const REFUSALS: [StatusCode; 4] =
    [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE];

/// Which request of which course a call belongs to. It travels as the trace id, through every service, so that a
/// call's fault does not depend on what else runs at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker {
    /// The seed of the course, less than 2^48.
    pub seed: u64,
    /// The order of the course, from 1.
    pub order: u32,
    /// Which sending of the order's request, from 1.
    pub send: u32,
}

impl Marker {
    /// The header that carries it.
    pub fn traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace_id(), u64::from(self.send) + 1)
    }

    /// The marker in a `traceparent`, if it is one of ours.
    pub(super) fn of_traceparent(traceparent: &str) -> Option<Marker> {
        let id = u128::from_str_radix(traceparent.split('-').nth(1)?, 16).ok()?;
        let low = |bits: u128| u32::try_from(bits & u128::from(u32::MAX)).ok();
        let seed = u64::try_from((id >> 64) & 0xffff_ffff_ffff).ok()?;
        (id >> 112 == MAGIC).then_some(Marker { seed, order: low(id >> 32)?, send: low(id)? })
    }

    fn trace_id(self) -> u128 {
        MAGIC << 112 | u128::from(self.seed) << 64 | u128::from(self.order) << 32 | u128::from(self.send)
    }
}

/// An answer of the proxy's own: it knows nothing of our errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    /// What it looks like.
    pub form: Form,
}

/// How something on the way refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A status and nothing else.
    Bare,
    /// With a page for people.
    Page,
    /// In gRPC's words where the call is one, as proxies do that know gRPC.
    Grpc,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is forwarded, its stream is reset in place of an answer.
    LoseAnswer,
    /// It is forwarded, the answer is held back.
    LateAnswer(Duration),
    /// It is held back and then forwarded, whether or not its caller still waits.
    LateRequest(Duration),
    /// It is forwarded twice at once.
    Repeat,
    /// It is forwarded, and once more when its answer is long known.
    RepeatLate(Duration),
    /// It is answered by the proxy and never forwarded.
    Refuse(Refusal),
    /// It is forwarded, and then answered by the proxy.
    Mask(Refusal),
    /// Its stream is reset; it is never forwarded.
    Reset,
    /// It is forwarded, and its connection is told to go away (GOAWAY).
    GoAway,
    /// It is forwarded, and its connection is closed with everything on it.
    Cut,
    /// It is forwarded, and its connection is closed with everything on it before there is an answer, as when the target
    /// dies while it works. By script only.
    Abandon,
    /// It is held back until the [`Weather`](super::Weather) lets go of it, and then forwarded, whether or not its
    /// caller still waits. By script only.
    Hold,
}

/// The fault of the `nth` call of this kind, from 0, for a request.
pub(super) fn fault(marker: Marker, link: &str, call: &str, nth: u32) -> Fault {
    (0..=nth.min(MAX_FAULTS)).fold(Fault::None, |before, nth| next(marker, link, call, nth, before))
}

/// The fault of a call, after that of the call of its kind before it.
fn next(marker: Marker, link: &str, call: &str, nth: u32, before: Fault) -> Fault {
    if nth >= MAX_FAULTS {
        return Fault::None;
    }
    // All requests of an order share its luck; some orders have none at all.
    let Marker { seed, order, send } = marker;
    let mut luck = generator(&[&seed.to_le_bytes(), &order.to_le_bytes()]);
    let rate = RATES.get(luck.usize(..RATES.len())).copied().unwrap_or_default();
    let mut random = generator(&[
        &seed.to_le_bytes(),
        &order.to_le_bytes(),
        &send.to_le_bytes(),
        link.as_bytes(),
        call.as_bytes(),
        &nth.to_le_bytes(),
    ]);
    let refusal = Refusal::random(&mut random);
    // What is worst is a call that had its effect unseen and whose repetition is refused.
    if before.hides_an_effect() && random.f64() < rate {
        return Fault::Refuse(refusal);
    }
    // A request of a client is little beside the steps of its order.
    let rate = if link.starts_with("gateway-") { rate / 2.0 } else { rate };
    if random.f64() >= rate {
        return Fault::None;
    }
    let pause = Duration::from_millis(random.u64(700..2000));
    match random.u32(..20) {
        0..5 => Fault::LoseAnswer,
        5..7 => Fault::LateAnswer(pause),
        7..10 => Fault::LateRequest(pause),
        10 => Fault::LateRequest(3 * pause),
        11 => Fault::Repeat,
        12..14 => Fault::RepeatLate(pause),
        14..16 => Fault::Refuse(refusal),
        16 => Fault::Mask(refusal),
        17 => Fault::Reset,
        18 => Fault::GoAway,
        _ => Fault::Cut,
    }
}

impl Fault {
    /// It happens, and its caller does not see it.
    fn hides_an_effect(self) -> bool {
        match self {
            Fault::LoseAnswer
            | Fault::LateAnswer(_)
            | Fault::LateRequest(_)
            | Fault::Mask(_)
            | Fault::Cut
            | Fault::Abandon
            | Fault::Hold => true,
            Fault::None
            | Fault::Repeat
            | Fault::RepeatLate(_)
            | Fault::Refuse(_)
            | Fault::Reset
            | Fault::GoAway => false,
        }
    }
}

impl Refusal {
    fn random(random: &mut fastrand::Rng) -> Refusal {
        let status = REFUSALS.get(random.usize(..REFUSALS.len())).copied().unwrap_or_default();
        let form = [Form::Bare, Form::Page, Form::Grpc].get(random.usize(..3)).copied().unwrap_or(Form::Bare);
        Refusal { status, form }
    }
}

/// FNV-1a over the parts: the same in every build, which a failing seed has to be.
fn generator(parts: &[&[u8]]) -> fastrand::Rng {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fastrand::Rng::with_seed(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_marker_survives_its_header() {
        let marker = Marker { seed: 0xabcd_ef01_2345, order: 3, send: 17 };
        assert_eq!(Marker::of_traceparent(&marker.traceparent()), Some(marker));
        assert_eq!(Marker::of_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), None);
    }

    #[test]
    fn a_seed_decides_the_faults_and_every_kind_occurs() {
        let faults = |seed| {
            let of_order = move |order| {
                let marker = Marker { seed, order, send: 1 };
                (0..6).map(move |nth| fault(marker, "order-payment", "Capture", nth))
            };
            (1..4).flat_map(of_order).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        let kinds = (0..200).flat_map(faults).map(|fault| std::mem::discriminant(&fault));
        assert_eq!(kinds.collect::<HashSet<_>>().len(), 11);
    }
}
