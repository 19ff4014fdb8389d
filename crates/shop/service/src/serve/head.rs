//! The time that the head of an HTTP/1 request has, from its first byte on.

use super::{
    in_flight::InFlight,
    wire::{Opening, Watch},
};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

pin_project! {
    /// Runs from when bytes come while no request does, until one begins: then the bytes were its head.
    #[derive(Debug)]
    pub(super) struct HeadTimer {
        time: Duration,
        // Requests of the connection that had begun when it was last polled.
        begun: usize,
        is_running: bool,
        #[pin]
        alarm: Sleep,
    }
}

impl HeadTimer {
    /// On a connection that was just made: its first head is under way.
    pub(super) fn new(time: Duration) -> HeadTimer {
        HeadTimer { time, begun: 0, is_running: true, alarm: sleep_until(Instant::now() + time) }
    }

    /// Ready when a head takes too long. To be polled after each poll of the connection.
    pub(super) fn poll_late(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        watch: &Watch,
        requests: &InFlight,
    ) -> Poll<()> {
        let mut this = self.project();
        let has_read = watch.take_has_read();
        // HTTP/2 has no head between requests; what is not decided yet has a time of its own.
        if watch.opening() != Opening::Http1 {
            return Poll::Pending;
        }
        let begun = requests.total();
        if begun != *this.begun {
            // What has come was the head of that request. A part of the next one may have come with it; its time begins
            // with its next byte, and without one the connection is as good as idle.
            *this.begun = begun;
            *this.is_running = false;
        } else if has_read && !*this.is_running && requests.count() == 0 {
            *this.is_running = true;
            this.alarm.as_mut().reset(Instant::now() + *this.time);
        }
        if *this.is_running { this.alarm.poll(cx) } else { Poll::Pending }
    }
}
