//! What is too much at once is refused, and a place is kept to the end of the response.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{sync::Semaphore, time::Instant};
use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt};
use waypost_api::{Error, ErrorCode, http_bodies::Problem};
use waypost_resilience::{
    deadline,
    shed::{Layer, LookUpOnly, Protocol, Settings},
};
use waypost_telemetry::Telemetry;

use crate::loopback::until;

/// A router with one slow path whose requests end when the test lets them.
#[derive(Clone)]
struct Shop {
    router: Router,
    /// The targets of the requests that reached the handler, in order.
    begun: Arc<Mutex<Vec<String>>>,
    end: Arc<Semaphore>,
}

fn shop(protocol: Protocol, settings: Settings) -> Shop {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let end = Arc::new(Semaphore::new(0));
    let slow = {
        let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
        move |uri: Uri| async move {
            begun.lock().unwrap().push(uri.to_string());
            end.acquire().await.unwrap().forget();
            "done"
        }
    };
    let stream = || async {
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b".")))
        });
        Body::new(StreamBody::new(frames))
    };
    let layer = Layer::new(&Telemetry::disabled(), protocol, settings)
        .exempt(|path| path == "/health")
        .favour(|method, path| *method == Method::GET && path.starts_with("/read"));
    let router = Router::new()
        .route("/read", get(|| async { "a book" }))
        .route("/read/slowly", get(slow.clone()))
        .route("/slow", get(slow))
        .route("/stream", get(stream))
        .route("/health", get(|| async { "well" }))
        .layer(layer);
    Shop { router, begun, end }
}

impl Shop {
    async fn get(&self, path: &str) -> Response<Body> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn start(&self, path: &'static str) -> tokio::task::JoinHandle<Response<Body>> {
        let shop = self.clone();
        waypost_telemetry::spawn(async move { shop.get(path).await })
    }

    async fn begun(&self, count: usize) {
        until("requests begin", || self.begun.lock().unwrap().len() == count).await;
    }
}

fn settings(max_in_flight: usize, max_waiting: usize) -> Settings {
    Settings { max_in_flight, max_waiting, max_wait: Duration::from_millis(100), ..Settings::default() }
}

#[tokio::test]
async fn what_is_too_much_gets_503_with_a_time_and_a_reason() {
    let shop = shop(Protocol::Http, settings(2, 0));
    let first = shop.start("/slow");
    let second = shop.start("/slow");
    shop.begun(2).await;

    // The limit is one for all routes, though axum makes a service of each.
    assert_eq!(shop.get("/stream").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refused = shop.get("/slow").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: Problem = serde_json::from_slice(&problem).unwrap();
    assert_eq!(problem.code, ErrorCode::Overloaded);

    shop.end.add_permits(2);
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    assert_eq!(second.await.unwrap().status(), StatusCode::OK);
    assert_eq!(shop.begun.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_grpc_caller_is_told_resource_exhausted_and_when_to_come_back() {
    let shop = shop(Protocol::Grpc, settings(1, 0));
    let _first = shop.start("/slow");
    shop.begun(1).await;
    let refused = shop.get("/slow").await;
    assert_eq!(refused.status(), StatusCode::OK);
    let status = Status::from_header_map(refused.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let error = Error::from_status(&status);
    assert_eq!((error.code, error.retry_after), (ErrorCode::Overloaded, Some(Duration::from_secs(1))));
    shop.end.add_permits(1);
}

#[tokio::test]
async fn a_probe_is_let_in_when_nothing_else_is() {
    let shop = shop(Protocol::Http, settings(1, 0));
    let _first = shop.start("/slow");
    shop.begun(1).await;
    assert_eq!(shop.get("/health").await.status(), StatusCode::OK);
    shop.end.add_permits(1);
}

#[tokio::test]
async fn a_place_is_taken_until_the_body_has_ended_or_its_reader_has_left() {
    let shop = shop(Protocol::Http, settings(1, 0));
    let mut stream = shop.get("/stream").await.into_body();
    stream.frame().await.unwrap().unwrap();
    assert_eq!(shop.get("/stream").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(stream);
    assert_eq!(shop.get("/stream").await.status(), StatusCode::OK);

    shop.end.add_permits(1);
    let mut body = shop.get("/slow").await.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().await.is_none());
    assert_eq!(shop.get("/stream").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_few_wait_and_are_let_in_in_the_order_they_came() {
    let shop = shop(Protocol::Http, settings(1, 2));
    let mut let_in = vec![shop.start("/slow?1")];
    shop.begun(1).await;
    for waiting in ["/slow?2", "/slow?3"] {
        let_in.push(shop.start(waiting));
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.get("/slow?4").await.status(), StatusCode::SERVICE_UNAVAILABLE);

    shop.end.add_permits(3);
    for request in let_in {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(*shop.begun.lock().unwrap(), ["/slow?1", "/slow?2", "/slow?3"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_settings_say_or_past_the_deadline() {
    let shop = shop(Protocol::Http, settings(1, 1));
    let _first = shop.start("/slow");
    shop.begun(1).await;

    let start = Instant::now();
    assert_eq!(shop.get("/slow").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.elapsed(), Duration::from_millis(100));

    let start = Instant::now();
    let deadline = start + Duration::from_millis(30);
    let refused = deadline::scope(Some(deadline), shop.get("/slow")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.elapsed(), Duration::from_millis(30));
    shop.end.add_permits(1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_while_waiting_frees_its_place_in_the_queue() {
    let shop = shop(Protocol::Http, settings(1, 1));
    let first = shop.start("/slow");
    shop.begun(1).await;
    let waiting = shop.start("/slow");
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());

    let next = shop.start("/slow");
    tokio::task::yield_now().await;
    shop.end.add_permits(2);
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    assert_eq!(next.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn favoured_requests_have_places_that_others_cannot_take() {
    let shop = shop(Protocol::Http, Settings { reserved: 1, ..settings(3, 0) });
    let held = [shop.start("/slow"), shop.start("/slow")];
    shop.begun(2).await;
    assert_eq!(shop.get("/slow").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shop.get("/read").await.status(), StatusCode::OK);

    let reading = shop.start("/read/slowly");
    shop.begun(3).await;
    assert_eq!(shop.get("/read").await.status(), StatusCode::SERVICE_UNAVAILABLE, "the reserve has an end");
    shop.end.add_permits(3);
    for request in held.into_iter().chain([reading]) {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn favoured_requests_take_ordinary_places_first() {
    let shop = shop(Protocol::Http, Settings { reserved: 1, ..settings(3, 0) });
    let mut reading = Vec::new();
    for count in 1..=3 {
        reading.push(shop.start("/read/slowly"));
        shop.begun(count).await;
    }
    assert_eq!(shop.get("/slow").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shop.get("/read").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    shop.end.add_permits(3);
    for request in reading {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn what_would_find_no_place_is_turned_away_before_slow_work() {
    let layer =
        Layer::new(&Telemetry::disabled(), Protocol::Http, settings(1, 0)).exempt(|path| path == "/health");
    let (began, end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = {
        let (began, end) = (Arc::clone(&began), Arc::clone(&end));
        || async move {
            began.add_permits(1);
            end.acquire().await.unwrap().forget();
            "done"
        }
    };
    // In between is what is slow before a place is taken.
    let prepared = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&prepared);
    let prepare = move |request: Request<Body>| {
        *counted.lock().unwrap() += 1;
        request
    };
    let router = Router::new()
        .route("/slow", get(slow))
        .route("/health", get(|| async { "well" }))
        .layer(ServiceBuilder::new().layer(layer.early()).map_request(prepare).layer(layer));
    let get = |path: &str| router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());

    let held = waypost_telemetry::spawn(get("/slow"));
    began.acquire().await.unwrap().forget();
    let refused = get("/slow").await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(*prepared.lock().unwrap(), 1);
    assert_eq!(get("/health").await.unwrap().status(), StatusCode::OK);
    end.add_permits(2);
    assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(get("/slow").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn what_may_be_known_is_let_in_to_be_looked_up_only() {
    let settings = Settings { max_in_flight: 1, lookups: 1, max_waiting: 0, ..Settings::default() };
    let layer =
        Layer::new(&Telemetry::disabled(), Protocol::Http, settings).look_up(|method, path, headers| {
            *method == Method::GET && path == "/" && headers.contains_key("key")
        });
    let (begun, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let serve = {
        let (begun, end) = (Arc::clone(&begun), Arc::clone(&end));
        move |request: Request<Body>| async move {
            begun.lock().unwrap().push(request.extensions().get::<LookUpOnly>().copied());
            end.acquire().await.unwrap().forget();
        }
    };
    let early = layer.early();
    let router = Router::new().route("/", get(serve)).layer(ServiceBuilder::new().layer(early).layer(layer));
    let send = |key: Option<&str>| {
        let builder = Request::builder().uri("/");
        let builder = key.into_iter().fold(builder, |builder, key| builder.header("key", key));
        router.clone().oneshot(builder.body(Body::empty()).unwrap())
    };
    let mut served = Vec::new();
    for count in 1..=2 {
        served.push(waypost_telemetry::spawn(send(Some("k"))));
        until("it is let in", || begun.lock().unwrap().len() == count).await;
    }
    assert_eq!(*begun.lock().unwrap(), [None, Some(LookUpOnly)]);
    for key in [Some("k"), None] {
        assert_eq!(send(key).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE, "{key:?}");
    }
    end.add_permits(2);
    for served in served {
        assert_eq!(served.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}
