//! A deadline goes from hop to hop, gets shorter, and ends the work.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::{sync::Notify, time::Instant};
use tonic::{Code, Status};
use tower::{Layer, ServiceExt, service_fn};
use waypost_api::user::v1::{GetUserRequest, User};
use waypost_resilience::{
    deadline::{self, ServerLayer},
    grpc::ChannelOptions,
};

use crate::loopback::{Server, answer, call, call_with};

#[tokio::test]
async fn the_callee_sees_a_little_less_time_than_the_caller_has() {
    let server = Server::start().await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    server.answers(move |_| {
        let sender = sender.clone();
        Box::pin(async move {
            let _ = sender.send(deadline::remaining());
            Ok(User::default())
        })
    });
    let channel = server.channel(ChannelOptions::default());
    let ours = Instant::now() + Duration::from_secs(5);
    deadline::within(ours, call(&channel)).await.unwrap().unwrap();
    let theirs = seen.recv().await.unwrap().unwrap();
    assert!(theirs + ChannelOptions::default().margin <= Duration::from_secs(5), "{theirs:?}");
    assert!(theirs > Duration::from_secs(1), "{theirs:?}");
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_longest() {
    let server = Server::start().await;
    server.answers(|metadata| {
        let has_one = metadata.contains_key("grpc-timeout") && deadline::remaining().is_some();
        answer(if has_one { Ok(User::default()) } else { Err(Status::internal("no deadline")) })
    });
    call(&server.channel(ChannelOptions::default())).await.unwrap();
}

#[tokio::test]
async fn a_request_that_asks_for_less_time_gets_less() {
    let server = Server::start().await;
    server.answers(|_| {
        let is_short = deadline::remaining().is_some_and(|left| left <= Duration::from_secs(2));
        answer(if is_short { Ok(User::default()) } else { Err(Status::internal("too long")) })
    });
    let mut request = tonic::Request::new(GetUserRequest::default());
    request.set_timeout(Duration::from_secs(2));
    call_with(&server.channel(ChannelOptions::default()), request).await.unwrap();
}

#[tokio::test]
async fn a_callee_that_never_answers_is_deadline_exceeded_in_time() {
    let server = Server::start().await;
    server.never_answers();
    let channel = server.channel(ChannelOptions::default());
    let deadline = Instant::now() + Duration::from_millis(200);
    // The call ends by itself before our own deadline would end it.
    let result = deadline::within(deadline, call(&channel)).await;
    assert_eq!(result.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_callee_stops_working_when_the_time_is_over() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    let server = Server::start().await;
    let stopped = Arc::new(Notify::new());
    let noticed = Arc::clone(&stopped);
    server.answers(move |_| {
        let work = Dropped(Arc::clone(&noticed));
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(work);
            Ok(User::default())
        })
    });
    let channel = server.channel(ChannelOptions { max: Duration::from_millis(100), ..Default::default() });
    assert_eq!(call(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
    tokio::time::timeout(Duration::from_secs(10), stopped.notified()).await.unwrap();
}

#[tokio::test]
async fn a_call_whose_time_is_over_is_not_made() {
    let server = Server::start().await;
    let channel = server.channel(ChannelOptions::default());
    let over = Some(Instant::now());
    let status = deadline::scope(over, call(&channel)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn waiting_for_a_connection_counts() {
    // Nobody accepts on a listener whose backlog is never served, so the HTTP/2 preface is never answered.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let telemetry = waypost_telemetry::Telemetry::disabled();
    let options = ChannelOptions { max: Duration::from_millis(100), ..Default::default() };
    let channel = waypost_resilience::grpc::Channel::connect_lazy(&telemetry, &target, options).unwrap();
    assert_eq!(call(&channel).await.unwrap_err().code(), Code::DeadlineExceeded);
    drop(listener);
}

/// A handler behind the server layer that runs as long as it is told, on paused time.
async fn serve(timeout: &'static str, work: Duration) -> Response<deadline::ServerBody<Full<Bytes>>> {
    let handler = service_fn(move |_: Request<Empty<Bytes>>| async move {
        tokio::time::sleep(work).await;
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
    });
    let request = Request::builder().header("grpc-timeout", timeout).body(Empty::new()).unwrap();
    ServerLayer::new().max(Duration::from_secs(30)).layer(handler).oneshot(request).await.unwrap()
}

fn grpc_status<B>(response: &Response<B>) -> Option<Code> {
    response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_what_has_no_time_left_before_doing_it() {
    let handler = service_fn(async |_: Request<Empty<Bytes>>| -> Result<Response<Full<Bytes>>, Status> {
        panic!("the handler ran")
    });
    let request = Request::builder().header("grpc-timeout", "0n").body(Empty::new()).unwrap();
    let response = ServerLayer::new().layer(handler).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(grpc_status(&response), Some(Code::DeadlineExceeded));
    assert_eq!(response.headers()["waypost-error"], "deadline_exceeded");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_server_answers_deadline_exceeded_at_the_deadline() {
    let start = Instant::now();
    let response = serve("250m", Duration::from_secs(9)).await;
    assert_eq!(grpc_status(&response), Some(Code::DeadlineExceeded));
    assert_eq!(start.elapsed(), Duration::from_millis(250));

    let response = serve("250m", Duration::from_millis(249)).await;
    assert_eq!(grpc_status(&response), None);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_limit_holds_for_calls_that_ask_for_more_or_nonsense() {
    for timeout in ["9H", "nonsense"] {
        let start = Instant::now();
        let response = serve(timeout, Duration::from_hours(1)).await;
        assert_eq!(grpc_status(&response), Some(Code::DeadlineExceeded));
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_outlasts_the_deadline_ends_with_its_status_in_the_trailers() {
    let handler = service_fn(async |_: Request<Empty<Bytes>>| {
        let frames = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            // The deadline holds while the body is produced, too.
            assert!(deadline::current().is_some());
            Some((Ok::<_, Status>(http_body::Frame::data(Bytes::from_static(b"."))), ()))
        });
        Ok::<_, std::convert::Infallible>(Response::new(StreamBody::new(frames)))
    });
    let request = Request::builder().header("grpc-timeout", "1S").body(Empty::new()).unwrap();
    let response = ServerLayer::new().layer(handler).oneshot(request).await.unwrap();
    let collected = Box::pin(response.into_body()).collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "4");
    assert_eq!(collected.to_bytes(), "..");
}
