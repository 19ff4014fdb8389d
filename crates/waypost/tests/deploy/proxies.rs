//! Nginx, HAProxy and Envoy in front of the gateway, each with its own file of `deploy/`.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use waypost_api::inventory::v1::{CheckStockRequest, inventory_service_client::InventoryServiceClient};
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::checks;
use waypost_testkit::{Behaviour, Collector, Shop, until};

use crate::ORDER;
use crate::server::{Server, file, free, program, with};

/// An outsider's own trace.
const FOREIGN_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// Where the client's connection comes from: loopback, but no address of a proxy.
const CLIENT: &str = "127.0.0.7";
const ORDERS: usize = 1000;
const AT_ONCE: usize = 32;
const CALLS: usize = 40;

/// A proxy with its ports.
struct Front {
    customers: SocketAddr,
    systems: SocketAddr,
    _server: Server,
}

/// Where the proxy sends what it gets.
struct Behind {
    gateway: SocketAddr,
    admin: SocketAddr,
    inventories: [SocketAddr; 2],
    collector: SocketAddr,
}

impl Behind {
    async fn nginx(&self, program: &Path) -> Front {
        let (customers, systems) = (free(), free());
        let [one, two] = self.inventories;
        let text = with(
            &file("deploy/nginx/nginx.conf"),
            &[
                ("/tmp/waypost-nginx", "{folder}/nginx".to_owned()),
                ("127.0.0.1:8000", customers.to_string()),
                ("127.0.0.1:8001", systems.to_string()),
                ("127.0.0.1:8080", self.gateway.to_string()),
                (
                    "server 127.0.0.1:9092 max_fails=3 fail_timeout=5s;",
                    format!(
                        "server {one} max_fails=3 fail_timeout=5s; server {two} max_fails=3 fail_timeout=5s;"
                    ),
                ),
                // A share of the test's connections each would hide how one worker balances.
                ("worker_processes auto;", "worker_processes 1;".to_owned()),
            ],
        );
        let arguments = ["-p", "{folder}", "-c", "{}", "-g", "daemon off;"];
        let server = Server::start(program, &arguments, ("nginx.conf", &text), customers).await;
        Front { customers, systems, _server: server }
    }

    async fn haproxy(&self, program: &Path) -> Front {
        let (customers, systems) = (free(), free());
        let [one, two] = self.inventories;
        let text = with(
            &file("deploy/haproxy/haproxy.cfg"),
            &[
                ("127.0.0.1:8000", customers.to_string()),
                ("127.0.0.1:8001", systems.to_string()),
                (
                    "127.0.0.1:8080 check port 9464",
                    format!("{} check port {}", self.gateway, self.admin.port()),
                ),
                (
                    "    server inventory1 127.0.0.1:9092 proto h2 check\n",
                    format!(
                        "    server inventory1 {one} proto h2 check\n    server inventory2 {two} proto h2 check\n"
                    ),
                ),
            ],
        );
        let server = Server::start(program, &["-f", "{}"], ("haproxy.cfg", &text), customers).await;
        Front { customers, systems, _server: server }
    }

    async fn envoy(&self, program: &Path) -> Front {
        let (customers, systems) = (free(), free());
        let [one, two] = self.inventories.map(|address| address.port());
        let port = |address: SocketAddr| format!("port_value: {}}}", address.port());
        let endpoint = |port: u16| {
            format!(
                "              - endpoint:\n                  address:\n                    socket_address: \
                 {{address: 127.0.0.1, port_value: {port}}}\n"
            )
        };
        let text = with(
            &file("deploy/envoy/envoy.yaml"),
            &[
                ("port_value: 8000}", port(customers)),
                ("port_value: 8001}", port(systems)),
                ("port_value: 8002}", port(free())),
                ("port_value: 8080}", port(self.gateway)),
                ("port_value: 9464}", port(self.admin)),
                ("port_value: 4318}", port(self.collector)),
                (endpoint(9092).as_str(), endpoint(one) + &endpoint(two)),
            ],
        );
        let arguments = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error", "-c", "{}"];
        let server = Server::start(program, &arguments, ("envoy.yaml", &text), customers).await;
        Front { customers, systems, _server: server }
    }
}

/// Two shops, of which the first has the gateway and both an inventory, and the collector of both.
struct World {
    shops: [Shop; 2],
    collector: Collector,
    behind: Behind,
}

async fn world(continue_traces: bool) -> World {
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let shop = async || {
        Shop::of(env!("CARGO_BIN_EXE_waypost"))
            .export_to(&collector)
            .set("gateway.trusted_proxies", r#"["127.0.0.1"]"#)
            .set("gateway.continue_traces", continue_traces)
            .set("gateway.rate_limit.enabled", false)
            .start()
            .await
            .unwrap()
    };
    let shops = [shop().await, shop().await];
    let behind = Behind {
        gateway: shops[0].address("gateway"),
        admin: shops[0].address("admin"),
        inventories: [shops[0].address("inventory"), shops[1].address("inventory")],
        collector: collector.endpoint().trim_start_matches("http://").trim_end_matches('/').parse().unwrap(),
    };
    World { shops, collector, behind }
}

/// Places the order from an address of its own, with a forged `X-Forwarded-For` and a trace of its own, and gives status and body.
async fn order_from(client: &str, at: SocketAddr) -> (u16, serde_json::Value) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(client.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    let request = format!(
        "POST /api/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Forwarded-For: 198.51.100.1\r\ntraceparent: 00-{FOREIGN_TRACE}-b7ad6b7169203331-01\r\n\
         Content-Length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    // Whatever the framing, the body is one object.
    let body = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
    (status, serde_json::from_str(body).unwrap())
}

fn attribute(span: &FinishedSpan, key: &str) -> Option<String> {
    span.attribute(key).map(ToString::to_string)
}

/// Waits for the whole trace, and gives it.
async fn whole(collector: &Collector, trace: &str) -> Vec<FinishedSpan> {
    let mut spans = Vec::new();
    until("a whole trace", async || {
        spans = collector.trace(trace);
        spans.iter().any(|span| span.name() == "process order-events") && checks::problems(&spans).is_empty()
    })
    .await;
    spans
}

/// One order through a proxy that makes no spans: one trace, whose root is the gateway's, with a link to the caller's.
async fn one_order_is_one_trace(world: &World, front: &Front) {
    let (status, body) = order_from(CLIENT, front.customers).await;
    assert_eq!(status, 201, "{body}");
    let trace = body["trace_id"].as_str().unwrap();
    assert_ne!(trace, FOREIGN_TRACE, "an outsider does not decide where a trace lands");
    let spans = whole(&world.collector, trace).await;
    let roots: Vec<&FinishedSpan> = spans.iter().filter(|span| span.parent_id().is_none()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!((roots[0].name(), roots[0].service_name()), ("POST /api/orders", "api-gateway"));
    let links: Vec<String> =
        roots[0].links().iter().map(|link| link.span_context().trace_id().to_string()).collect();
    assert_eq!(links, [FOREIGN_TRACE], "the context came through the proxy as it was");
    assert_eq!(
        attribute(roots[0], "client.address").as_deref(),
        Some(CLIENT),
        "not what the client says it is"
    );
}

/// Orders over connections that are kept: every one is answered by the gateway.
async fn no_order_is_lost_under_load(front: &Front) {
    let gateway = waypost_testkit::Client::new(front.customers);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let gateway = gateway.clone();
        clients.spawn(async move {
            let mut orders = Vec::new();
            for _ in 0..ORDERS / AT_ONCE {
                let answer = gateway.post("/api/orders", &[], ORDER).await.unwrap();
                assert!(matches!(answer.status.as_u16(), 201 | 202), "{} {}", answer.status, answer.json);
                orders.push(answer.json["order_id"].as_str().unwrap().to_owned());
            }
            orders
        });
    }
    let mut orders: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), ORDERS / AT_ONCE * AT_ONCE, "each is an order of its own");
}

/// Calls over one HTTP/2 connection reach both replicas.
async fn calls_of_one_connection_are_balanced(world: &World, front: &Front) {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", front.systems)).unwrap();
    let mut client = InventoryServiceClient::new(channel.connect().await.unwrap());
    let before = [checks_of(&world.shops[0]).await, checks_of(&world.shops[1]).await];
    for _ in 0..CALLS {
        let request = CheckStockRequest { product_id: "prod456".to_owned() };
        client.check_stock(request).await.unwrap();
    }
    let each = |index: usize| {
        let (shop, before) = (&world.shops[index], before[index]);
        async move { checks_of(shop).await - before }
    };
    let (one, two) = (each(0).await, each(1).await);
    assert_eq!(one + two, CALLS, "every call was answered once");
    assert!(one.abs_diff(two) <= CALLS / 4, "{one} and {two}");
}

/// How many times this shop's inventory was asked for stock, from its own metrics.
async fn checks_of(shop: &Shop) -> usize {
    let page = shop.client("admin").get("/metrics").await.unwrap();
    let page = String::from_utf8_lossy(&page.bytes).into_owned();
    let line = page.lines().find(|line| {
        line.starts_with("rpc_server_call_duration_seconds_count")
            && line.contains("InventoryService/CheckStock")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// A body that is too large, and a gateway that is gone, are told in the form that clients of the gateway read.
async fn refusals_are_problem_documents(front: &Front, is_judged_by_proxy: bool) {
    let gateway = waypost_testkit::Client::new(front.customers);
    let large = "x".repeat(70_000);
    let answer = gateway.post("/api/orders", &[], &large).await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 413, "{}", answer.json);
        assert_eq!(answer.json["code"], "payload_too_large");
    } else {
        // The gateway may end the connection over which a body still comes.
        assert!(!is_judged_by_proxy, "{answer:?}");
    }
}

async fn a_gateway_that_is_gone_is_unavailable(world: World, front: &Front) {
    let [first, _second] = world.shops;
    first.kill().await.unwrap();
    let answer = waypost_testkit::Client::new(front.customers).post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.json["code"]),
        (503, &"unavailable".into()),
        "{}",
        answer.json
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_keeps_traces_addresses_and_orders_whole() {
    let Some(program) = program("Nginx in front", "nginx") else { return };
    let world = world(false).await;
    let front = world.behind.nginx(&program).await;
    one_order_is_one_trace(&world, &front).await;
    no_order_is_lost_under_load(&front).await;
    calls_of_one_connection_are_balanced(&world, &front).await;
    refusals_are_problem_documents(&front, true).await;
    a_gateway_that_is_gone_is_unavailable(world, &front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_keeps_traces_addresses_and_orders_whole() {
    let Some(program) = program("HAProxy in front", "haproxy") else { return };
    let world = world(false).await;
    let front = world.behind.haproxy(&program).await;
    one_order_is_one_trace(&world, &front).await;
    no_order_is_lost_under_load(&front).await;
    calls_of_one_connection_are_balanced(&world, &front).await;
    refusals_are_problem_documents(&front, true).await;
    a_gateway_that_is_gone_is_unavailable(world, &front).await;
}

/// Envoy makes spans too: the trace begins there, and the gateway's span hangs below Envoy's span of the try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_begins_the_trace_that_the_gateway_goes_on_with() {
    let Some(program) = program("Envoy in front", "envoy") else { return };
    let world = world(true).await;
    let front = world.behind.envoy(&program).await;

    let (status, body) = order_from(CLIENT, front.customers).await;
    assert_eq!(status, 201, "{body}");
    let trace = body["trace_id"].as_str().unwrap();
    assert_ne!(trace, FOREIGN_TRACE, "an outsider's context ends at Envoy");
    let mut spans = Vec::new();
    // Envoy sends its spans in its own time.
    until("Envoy's spans", async || {
        spans = whole(&world.collector, trace).await;
        spans.iter().filter(|span| span.service_name() == "edge-proxy").count() == 2
    })
    .await;
    let find = |service: &str, kind: SpanKind| {
        let found = spans.iter().find(|span| {
            span.service_name() == service
                && span.kind() == kind
                && (service == "edge-proxy" || span.name() == "POST /api/orders")
        });
        found.unwrap_or_else(|| panic!("no {kind:?} span of {service} in {spans:?}"))
    };
    let (server, client) = (find("edge-proxy", SpanKind::Server), find("edge-proxy", SpanKind::Client));
    let gateway = find("api-gateway", SpanKind::Server);
    assert_eq!(server.parent_id(), None);
    assert_eq!(client.parent_id(), Some(server.span_id()));
    assert_eq!(gateway.parent_id(), Some(client.span_id()));
    assert_eq!(attribute(gateway, "client.address").as_deref(), Some(CLIENT));

    no_order_is_lost_under_load(&front).await;
    calls_of_one_connection_are_balanced(&world, &front).await;
    refusals_are_problem_documents(&front, false).await;
    a_gateway_that_is_gone_is_unavailable(world, &front).await;
}
