//! All four kinds of call: a span lasts as long as the call and tells how it ended, on both sides, once.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use axum::Router;
use tokio::task::yield_now;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::grpc::ServerLayer;
use waypost_telemetry::testing::TestTelemetry;

use crate::grpc_client::traced;
use crate::grpc_server::echo::{Kind, routes};
use crate::http_server::net::{Server, attribute, eventually, metric, outcome, serve, span};

struct Both {
    client: TestTelemetry,
    server: TestTelemetry,
    serving: Server,
}

async fn both() -> Both {
    let (client, server) = (TestTelemetry::new("caller"), TestTelemetry::new("echo"));
    let app = |layer: ServerLayer| -> Router { routes().into_axum_router().layer(layer) };
    let serving = serve(app(server.grpc_server())).await;
    Both { client, server, serving }
}

impl Both {
    /// The one span of each side, with names and parent checked.
    async fn spans(&self, kind: Kind) -> (FinishedSpan, FinishedSpan) {
        let (called, served) = (span(&self.client).await, span(&self.server).await);
        for span in [&called, &served] {
            assert_eq!(span.name(), kind.method());
            assert_eq!(attribute(span, "rpc.method").as_deref(), Some(kind.method()));
        }
        assert_eq!(served.parent_id(), Some(called.span_id()));
        (called, served)
    }

    /// How each side's one span ended, and its status.
    async fn endings(&self, kind: Kind) -> [(String, String); 2] {
        let (called, served) = self.spans(kind).await;
        [called, served].map(|span| (outcome(&span), attribute(&span, "rpc.response.status_code").unwrap()))
    }

    fn forget(&self) {
        self.client.forget();
        self.server.forget();
    }
}

fn ending(outcome: &str, code: &str) -> (String, String) {
    (outcome.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_call_of_any_kind_that_succeeds_is_ok_on_both_sides() {
    let both = both().await;
    for kind in Kind::ALL {
        both.forget();
        let request = if kind.streams_replies() { "two then ok" } else { "ok" };
        let replies = traced(&both.client, &both.serving).call(kind, request).await.unwrap();
        assert_eq!(replies.len(), if kind.streams_replies() { 2 } else { 1 });
        assert_eq!(both.endings(kind).await, [ending("ok", "OK"), ending("ok", "OK")], "{kind:?}");
    }
    for side in ["client", "server"] {
        let telemetry = if side == "client" { &both.client } else { &both.server };
        let counted = metric(telemetry, &format!("rpc_{side}_call_duration_seconds_count"), &["\"OK\""]);
        assert_eq!(counted, 4, "{side}");
    }
}

#[tokio::test]
async fn an_error_in_the_trailers_is_seen_in_every_kind() {
    let both = both().await;
    for kind in Kind::ALL {
        for (code, on_server) in [("NOT_FOUND", "ok"), ("DATA_LOSS", "DATA_LOSS")] {
            both.forget();
            let request = if kind.streams_replies() { format!("two then {code}") } else { code.to_owned() };
            traced(&both.client, &both.serving).call(kind, &request).await.unwrap_err();
            assert_eq!(both.endings(kind).await, [ending(code, code), ending(on_server, code)], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn the_span_lasts_as_long_as_the_stream() {
    for kind in [Kind::ServerStream, Kind::Bidi] {
        let both = both().await;
        let mut client = traced(&both.client, &both.serving);
        let request = tonic::Request::new("two then hang".to_owned());
        let mut replies = client.open(kind, request).await.unwrap();
        assert_eq!(replies.message().await.unwrap().as_deref(), Some("one"));
        assert_eq!(replies.message().await.unwrap().as_deref(), Some("two"));
        yield_now().await;
        assert!(both.client.finished_spans().is_empty() && both.server.finished_spans().is_empty());

        // The caller goes away in the middle of the stream.
        drop(replies);
        let cancelled = ending("cancelled", "CANCELLED");
        assert_eq!(both.endings(kind).await, [cancelled.clone(), cancelled], "{kind:?}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_before_the_answer_cancels_on_both_sides() {
    for kind in Kind::ALL {
        let both = both().await;
        let request = if kind.streams_replies() { "two then hang" } else { "hang" };
        let mut client = traced(&both.client, &both.serving);
        let call = waypost_telemetry::spawn(async move { client.call(kind, request).await });
        eventually("the call to arrive", || (both.server.ledger().open() == 1).then_some(())).await;
        call.abort();
        let cancelled = ending("cancelled", "CANCELLED");
        assert_eq!(both.endings(kind).await, [cancelled.clone(), cancelled], "{kind:?}");
        let counted = metric(&both.server, "rpc_server_call_duration_seconds_count", &["\"CANCELLED\""]);
        assert_eq!(counted, 1);
    }
}

#[tokio::test]
async fn a_service_that_panics_ends_its_span_in_every_kind() {
    for kind in Kind::ALL {
        let both = both().await;
        let request = if kind.streams_replies() { "two then panic" } else { "panic" };
        traced(&both.client, &both.serving).call(kind, request).await.unwrap_err();
        let (called, served) = both.spans(kind).await;
        assert_eq!(outcome(&served), "panic", "{kind:?}");
        assert_eq!(attribute(&served, "waypost.outcome").as_deref(), Some("panic"));
        assert!(called.is_error(), "{kind:?}: {called:?}");
        let failed = ["error_type=\"panic\""];
        assert_eq!(metric(&both.server, "rpc_server_call_duration_seconds_count", &failed), 1);
    }
}

#[tokio::test]
async fn nothing_stays_open_after_many_calls_of_every_ending() {
    let both = both().await;
    for round in 0..5 {
        for kind in Kind::ALL {
            for request in ["ok", "NOT_FOUND", "INTERNAL", "panic", "hang"] {
                let mut client = traced(&both.client, &both.serving);
                let call = waypost_telemetry::spawn(async move { client.call(kind, request).await.is_ok() });
                if request == "hang" {
                    let open = || (both.server.ledger().open() == 1).then_some(());
                    eventually("the call to arrive", open).await;
                    call.abort();
                } else {
                    assert_eq!(call.await.unwrap(), request == "ok", "{kind:?} {request} {round}");
                }
                let closed =
                    || (both.server.ledger().open() == 0 && both.client.ledger().open() == 0).then_some(());
                eventually("both spans to end", closed).await;
            }
        }
    }
    assert_eq!(both.client.finished_spans().len(), 100);
    assert_eq!(both.server.finished_spans().len(), 100);
}
