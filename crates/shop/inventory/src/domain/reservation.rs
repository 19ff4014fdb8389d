//! The life of a reservation: held, then committed, released or expired.

use super::{Lines, Refusal};
use std::time::Duration;
use waypost_api::{Generation, OrderId, Timestamp};
use waypost_durable::Epoch;

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReservationState {
    /// Its stock is set aside, until it runs out.
    Held,
    /// Its stock was taken for good. Final.
    Committed,
    /// Its stock was given back. Final.
    Released,
    /// It ran out and its stock was given back. Final.
    Expired,
}

impl ReservationState {
    const ALL: [ReservationState; 4] = [Self::Held, Self::Committed, Self::Released, Self::Expired];

    /// The name in messages and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<ReservationState> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// One generation of an order's hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose it is.
    pub order: OrderId,
    /// Which attempt made it.
    pub generation: Generation,
    /// Where it stands.
    pub state: ReservationState,
    /// When it runs out, if it is still held then.
    pub expires_at: Timestamp,
    /// The highest epoch of a runner of the order's saga that asked for anything of it.
    pub epoch: Epoch,
}

impl Reservation {
    /// Held, but out of time: nothing may be done with it any more, although its stock is still set aside.
    pub fn has_run_out(&self, now: Timestamp) -> bool {
        self.state == ReservationState::Held && self.expires_at <= now
    }

    /// The id that messages carry: order and generation.
    pub fn id(&self) -> String {
        format!("{}.{}", self.order, self.generation)
    }
}

/// A wish to hold stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReservation {
    /// For which order.
    pub order: OrderId,
    /// Of which attempt.
    pub generation: Generation,
    /// What.
    pub lines: Lines,
    /// For how long.
    pub lasts: Duration,
    /// Which runner of the order's saga asks.
    pub epoch: Epoch,
}

/// Refuses a runner of the order's saga that was replaced, whatever it asks for. To be judged before anything else.
pub fn admit(order: &OrderId, newest: Option<&Reservation>, epoch: Epoch) -> Result<(), Refusal> {
    match newest {
        Some(newest) if epoch.is_overtaken_by(newest.epoch) => Err(Refusal::StaleRunner(order.clone())),
        _ => Ok(()),
    }
}

/// What a `Reserve` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveStep {
    /// Hold the lines.
    Hold,
    /// End the order's older hold in this state, then hold the lines.
    HoldInstead(ReservationState),
    /// There is a hold already. If it is of this generation its lines must be the same.
    Repeat,
}

/// Judges a `Reserve` by the order's newest reservation.
pub fn reserve(
    newest: Option<&Reservation>,
    generation: Generation,
    now: Timestamp,
) -> Result<ReserveStep, Refusal> {
    use ReservationState::{Committed, Expired, Held, Released};
    let Some(newest) = newest else { return Ok(ReserveStep::Hold) };
    match newest.state {
        // The order has its stock for good; no attempt may take it again.
        Committed => Ok(ReserveStep::Repeat),
        _ if generation < newest.generation => Err(Refusal::GivenBack(newest.order.clone())),
        Held if generation > newest.generation => {
            let ends_as = if newest.has_run_out(now) { Expired } else { Released };
            Ok(ReserveStep::HoldInstead(ends_as))
        }
        Released | Expired if generation > newest.generation => Ok(ReserveStep::Hold),
        Held if newest.has_run_out(now) => Err(Refusal::RanOut(newest.order.clone())),
        Held => Ok(ReserveStep::Repeat),
        Expired => Err(Refusal::RanOut(newest.order.clone())),
        Released => Err(Refusal::GivenBack(newest.order.clone())),
    }
}

/// What a `Commit` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStep {
    /// Take the stock for good.
    Commit,
    /// It was taken before.
    Repeat,
}

/// Judges a `Commit` by the order's newest reservation.
pub fn commit(order: &OrderId, newest: Option<&Reservation>, now: Timestamp) -> Result<CommitStep, Refusal> {
    let Some(newest) = newest else { return Err(Refusal::NoReservation(order.clone())) };
    match newest.state {
        ReservationState::Committed => Ok(CommitStep::Repeat),
        ReservationState::Released => Err(Refusal::GivenBack(order.clone())),
        ReservationState::Expired => Err(Refusal::RanOut(order.clone())),
        // I12: the sweeper may not have come by yet; the clock decides.
        ReservationState::Held if newest.has_run_out(now) => Err(Refusal::RanOut(order.clone())),
        ReservationState::Held => Ok(CommitStep::Commit),
    }
}

/// What a `Release` comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseStep {
    /// Give the newest hold's stock back.
    GiveBack,
    /// Give the stock of the older hold back, and leave a tombstone for this generation.
    GiveBackAndBury,
    /// There is nothing to give back; leave a tombstone, so that a late `Reserve` of this generation holds nothing.
    Bury,
    /// It was given back before, or is the past.
    Repeat,
}

/// Judges a `Release` by the order's newest reservation.
pub fn release(newest: Option<&Reservation>, generation: Generation) -> Result<ReleaseStep, Refusal> {
    let Some(newest) = newest else { return Ok(ReleaseStep::Bury) };
    let is_newer = generation > newest.generation;
    match newest.state {
        ReservationState::Committed => Err(Refusal::TakenForGood(newest.order.clone())),
        _ if generation < newest.generation => Ok(ReleaseStep::Repeat),
        ReservationState::Held if is_newer => Ok(ReleaseStep::GiveBackAndBury),
        ReservationState::Held => Ok(ReleaseStep::GiveBack),
        ReservationState::Released | ReservationState::Expired if is_newer => Ok(ReleaseStep::Bury),
        ReservationState::Released | ReservationState::Expired => Ok(ReleaseStep::Repeat),
    }
}

/// How long a hold lasts: as long as asked, at most `max`; `usual` when nothing was asked.
pub fn hold_time(asked: Option<Duration>, usual: Duration, max: Duration) -> Duration {
    asked.unwrap_or(usual).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    fn newest(generation: u32, state: ReservationState, expires_at: i64) -> Reservation {
        let order = OrderId::parse("order-1").unwrap();
        let (generation, epoch) = (Generation::new(generation), Epoch::new(2));
        Reservation { order, generation, state, expires_at: at(expires_at), epoch }
    }

    fn reserved(generation: u32, newest: &Reservation) -> Result<ReserveStep, Refusal> {
        reserve(Some(newest), Generation::new(generation), at(NOW))
    }

    #[test]
    fn only_the_newest_runner_of_an_order_is_heard() {
        for state in ReservationState::ALL {
            let newest = newest(1, state, NOW);
            let judged = |epoch| admit(&newest.order, Some(&newest), epoch);
            for epoch in [Epoch::NONE, Epoch::FIRST] {
                assert_eq!(judged(epoch), Err(Refusal::StaleRunner(newest.order.clone())), "{state:?}");
            }
            assert_eq!((judged(Epoch::new(2)), judged(Epoch::new(3))), (Ok(()), Ok(())));
        }
        assert_eq!(admit(&OrderId::parse("order-1").unwrap(), None, Epoch::NONE), Ok(()));
    }

    #[test]
    fn a_repeated_reserve_finds_its_hold_until_the_hold_runs_out() {
        assert_eq!(reserve(None, Generation::new(1), at(NOW)), Ok(ReserveStep::Hold));
        assert_eq!(reserved(1, &newest(1, ReservationState::Held, NOW + 1)), Ok(ReserveStep::Repeat));
        assert_eq!(reserved(1, &newest(1, ReservationState::Committed, NOW - 1)), Ok(ReserveStep::Repeat));
        let run_out = newest(1, ReservationState::Held, NOW);
        assert_eq!(reserved(1, &run_out), Err(Refusal::RanOut(run_out.order.clone())));
    }

    #[test]
    fn a_reserve_after_its_release_holds_nothing() {
        let released = newest(1, ReservationState::Released, NOW + 1);
        assert_eq!(reserved(1, &released), Err(Refusal::GivenBack(released.order.clone())));
        assert_eq!(reserved(0, &released), Err(Refusal::GivenBack(released.order.clone())));
        assert_eq!(reserved(2, &released), Ok(ReserveStep::Hold));
    }

    #[test]
    fn a_newer_attempt_takes_the_place_of_an_older_hold() {
        let instead = |state| Ok(ReserveStep::HoldInstead(state));
        let held = newest(1, ReservationState::Held, NOW + 1);
        assert_eq!(reserved(2, &held), instead(ReservationState::Released));
        let run_out = newest(1, ReservationState::Held, NOW);
        assert_eq!(reserved(2, &run_out), instead(ReservationState::Expired));
    }

    #[test]
    fn an_expired_hold_is_never_committed() {
        let order = OrderId::parse("order-1").unwrap();
        let judged = |state, expires_at| commit(&order, Some(&newest(1, state, expires_at)), at(NOW));
        assert_eq!(judged(ReservationState::Held, NOW + 1), Ok(CommitStep::Commit));
        assert_eq!(judged(ReservationState::Committed, NOW - 1), Ok(CommitStep::Repeat));
        for (state, expires_at) in [(ReservationState::Held, NOW), (ReservationState::Expired, NOW + 1)] {
            assert_eq!(judged(state, expires_at), Err(Refusal::RanOut(order.clone())));
        }
        assert_eq!(commit(&order, None, at(NOW)), Err(Refusal::NoReservation(order.clone())));
    }

    #[test]
    fn a_release_buries_what_has_not_arrived_yet() {
        assert_eq!(release(None, Generation::new(1)), Ok(ReleaseStep::Bury));
        let held = newest(1, ReservationState::Held, NOW);
        assert_eq!(release(Some(&held), Generation::new(1)), Ok(ReleaseStep::GiveBack));
        assert_eq!(release(Some(&held), Generation::new(2)), Ok(ReleaseStep::GiveBackAndBury));
        assert_eq!(release(Some(&held), Generation::new(0)), Ok(ReleaseStep::Repeat));
        let released = newest(1, ReservationState::Released, NOW);
        assert_eq!(release(Some(&released), Generation::new(1)), Ok(ReleaseStep::Repeat));
        assert_eq!(release(Some(&released), Generation::new(2)), Ok(ReleaseStep::Bury));
        let committed = newest(1, ReservationState::Committed, NOW);
        assert_eq!(
            release(Some(&committed), Generation::new(1)),
            Err(Refusal::TakenForGood(committed.order.clone()))
        );
    }

    #[test]
    fn a_hold_lasts_as_long_as_asked_within_the_limit() {
        let (usual, max) = (Duration::from_secs(10), Duration::from_mins(1));
        assert_eq!(hold_time(None, usual, max), usual);
        assert_eq!(hold_time(Some(Duration::from_secs(20)), usual, max), Duration::from_secs(20));
        assert_eq!(hold_time(Some(Duration::MAX), usual, max), max);
    }
}
