//! Servers and clients of HTTP, in memory but for reqwest.

use actix_web::{App, test as actix, web};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, Response};
use axum::routing::get;
use http_body_util::BodyExt as _;
use poem::endpoint::make_sync;
use poem::{Endpoint, EndpointExt as _, Route};
use reqwest_middleware::ClientBuilder;
use tower::{Layer as _, ServiceExt as _, service_fn};
use waypost_telemetry::spawn;

use super::{Bench, assert_adds_at_most};

fn routes() -> Router {
    Router::new().route("/orders/{id}", get(async |Path(id): Path<String>| id))
}

fn request() -> Request<Body> {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request =
        Request::get("/orders/17").header("host", "shop.example").header("traceparent", traceparent);
    request.body(Body::empty()).unwrap()
}

#[test]
fn a_request_to_axum() {
    let bench = Bench::new();
    let least = |app: Router| {
        bench.least(async || {
            app.clone().oneshot(request()).await.unwrap().into_body().collect().await.unwrap();
        })
    };
    let (bare, traced) = (least(routes()), least(routes().layer(bench.telemetry.http_server())));
    assert_adds_at_most(AXUM, bare, traced);
}

#[test]
fn a_request_to_actix() {
    let bench = Bench::new();
    let order = async |id: web::Path<String>| id.into_inner();
    let app = App::new().route("/orders/{id}", web::get().to(order));
    let app = bench.runtime.block_on(actix::init_service(app));
    let bare = bench.least(async || {
        actix::call_and_read_body(&app, actix::TestRequest::get().uri("/orders/17").to_request()).await;
    });
    let app =
        App::new().route("/orders/{id}", web::get().to(order)).wrap(bench.telemetry.http_server().actix());
    let app = bench.runtime.block_on(actix::init_service(app));
    let traced = bench.least(async || {
        actix::call_and_read_body(&app, actix::TestRequest::get().uri("/orders/17").to_request()).await;
    });
    assert_adds_at_most(ACTIX, bare, traced);
}

#[test]
fn a_request_to_poem() {
    async fn call(shop: &impl Endpoint<Output = poem::Response>) {
        let request = poem::Request::builder().uri_str("/orders/17").finish();
        shop.get_response(request).await.into_body().into_bytes().await.unwrap();
    }
    let bench = Bench::new();
    let order = || make_sync(|request| request.raw_path_param("id").unwrap_or_default().to_owned());
    let shop = Route::new().at("/orders/:id", poem::get(order())).map_to_response();
    let bare = bench.least(async || call(&shop).await);
    let shop = Route::new().at("/orders/:id", poem::get(order()));
    let shop = shop.with(bench.telemetry.http_server().poem()).map_to_response();
    let traced = bench.least(async || call(&shop).await);
    assert_adds_at_most(POEM, bare, traced);
}

#[test]
fn a_request_of_a_client() {
    let bench = Bench::new();
    let answer =
        || service_fn(|_: Request<Body>| async { Ok::<_, std::io::Error>(Response::new(Body::empty())) });
    let outgoing = || Request::get("http://shop.example/orders/17").body(Body::empty()).unwrap();
    let bare = bench.least(async || {
        answer().oneshot(outgoing()).await.unwrap().into_body().collect().await.unwrap();
    });
    let layer = bench.telemetry.http_client();
    let traced = bench.least(async || {
        let response = layer.layer(answer()).oneshot(outgoing()).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    assert_adds_at_most(CLIENT, bare, traced);
}

#[test]
fn a_request_of_reqwest() {
    let bench = Bench::new();
    let url = bench.runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders/17", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "a test needs none of the limits of a public server")]
        spawn(async move { axum::serve(listener, routes()).await });
        url
    });
    let client = || reqwest::Client::builder().no_proxy().build().unwrap();
    let bare = client();
    let bare = bench.least(async || drop(bare.get(&url).send().await.unwrap().bytes().await.unwrap()));
    let calls = bench.telemetry.http_client().reqwest(client());
    let traced = bench.least(async || {
        let request = calls.client().get(&url);
        drop(calls.send_as("/orders/{id}", request).await.unwrap().bytes().await.unwrap());
    });
    assert_adds_at_most(REQWEST, bare, traced);

    let plain = ClientBuilder::new(client()).build();
    let bare = bench.least(async || drop(plain.get(&url).send().await.unwrap().bytes().await.unwrap()));
    let calls = ClientBuilder::new(client()).with(bench.telemetry.http_client().reqwest_middleware()).build();
    let traced = bench.least(async || drop(calls.get(&url).send().await.unwrap().bytes().await.unwrap()));
    assert_adds_at_most(REQWEST_MIDDLEWARE, bare, traced);
}

const AXUM: u64 = 13;
const ACTIX: u64 = 21;
const POEM: u64 = 5;
const CLIENT: u64 = 9;
const REQWEST: u64 = 26;
const REQWEST_MIDDLEWARE: u64 = 33;
