//! A whole shop whose connections to its PostgreSQL server are cut, under load: what nothing has happened to is done on another
//! connection, what may have happened is looked for, and no client with a key has to know of it.

use tokio::task::JoinSet;
use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::proxy::Proxy;
use waypost_testkit::audit::{Books, audit_server};
use waypost_testkit::{Answer, Client, Shop, until};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

/// A shop behind a proxy.
struct Cut {
    server: OwnPostgres,
    proxy: Proxy,
    shop: Shop,
}

impl Cut {
    async fn start() -> Cut {
        let server = OwnPostgres::start(&[]);
        let proxy = Proxy::to(server.port()).await;
        let url = format!("postgres://postgres@{}/postgres", proxy.address());
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
            .on_postgres(&url)
            .set("gateway.rate_limit.enabled", false)
            // A busy machine is no subject of these tests.
            .set("gateway.max_budget", "30s")
            .set("gateway.budget", "30s");
        Cut { server, proxy, shop: shop.start().await.unwrap() }
    }

    /// Sends the order once under each of these keys, so many at once.
    fn send(&self, keys: impl IntoIterator<Item = String>, at_once: usize) -> Sending {
        let mut sending = Sending {
            gateway: self.shop.client("gateway"),
            waiting: keys.into_iter().collect(),
            under_way: JoinSet::new(),
        };
        (0..at_once).for_each(|_| sending.send_next());
        sending
    }

    /// There are so many orders and all is right with them.
    async fn has_right_books(&self, orders: usize) {
        let url = self.server.url();
        until("an end and a message for every order", async || {
            let Ok(books) = Books::read_server(&url).await else { return false };
            let ended = books.orders.values().all(waypost_testkit::audit::Order::is_settled);
            ended && books.unsent == 0 && books.orders.keys().all(|order| books.told.contains_key(order))
        })
        .await;
        assert_eq!(audit_server(&url).await.unwrap(), []);
        assert_eq!(Books::read_server(&url).await.unwrap().orders.len(), orders);
    }
}

/// Requests of several clients.
struct Sending {
    gateway: Client,
    waiting: Vec<String>,
    under_way: JoinSet<(String, Answer)>,
}

impl Sending {
    fn send_next(&mut self) {
        let Some(key) = self.waiting.pop() else { return };
        let gateway = self.gateway.clone();
        self.under_way.spawn(async move {
            let headers = [("idempotency-key", key.as_str()), ("x-waypost-timeout-ms", "30000")];
            let answer = gateway.post("/api/orders", &headers, ORDER).await.unwrap();
            (key, answer)
        });
    }

    /// The next answer with its key; whoever has it sends the next request.
    async fn answer(&mut self) -> Option<(String, Answer)> {
        let answered = self.under_way.join_next().await?.unwrap();
        self.send_next();
        Some(answered)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_with_a_key_fails_when_all_connections_are_cut() {
    const ROUNDS: usize = 8;
    const ORDERS: usize = 64;
    let cut = Cut::start().await;
    for round in 0..ROUNDS {
        let mut sending = cut.send((0..ORDERS).map(|number| format!("round-{round}-{number}")), ORDERS);
        let mut answers = Vec::new();
        for number in 0..ORDERS {
            match number {
                8 | 24 | 48 if round % 2 == 0 => {
                    // The next connections break as well: one unit may meet all three, and then the cut is over.
                    cut.proxy.end_next(3);
                    cut.proxy.cut();
                }
                0 | 24 | 48 if round % 4 == 1 => cut.proxy.break_at_commit(),
                0 | 24 | 48 if round % 4 == 3 => cut.proxy.break_at_statement(),
                _ => {}
            }
            answers.extend(sending.answer().await);
        }
        for (key, answer) in answers {
            assert!(matches!(answer.status.as_u16(), 201 | 202), "{key}: {} {}", answer.status, answer.json);
        }
    }
    cut.has_right_books(ROUNDS * ORDERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_requests_with_a_key_fail_while_connections_are_cut_again_and_again() {
    const ORDERS: usize = 600;
    let cut = Cut::start().await;
    let mut sending = cut.send((0..ORDERS).map(|number| format!("order-{number}")), 64);
    let (mut answered, mut given_up, mut refused) = (0, 0, Vec::new());
    while let Some((key, answer)) = sending.answer().await {
        answered += 1;
        // By its answers and not by the clock, so that it is as bad on each machine: an order is some ten commits of six roles,
        // and meets a cut at several of them.
        if answered % 8 == 0 {
            cut.proxy.cut();
            cut.proxy.break_at_commit();
            cut.proxy.break_at_statement();
        }
        match answer.status.as_u16() {
            201 | 202 => {}
            // A step met a cut at each of its tries: the order has ended, and nothing was charged.
            422 if answer.json["failure_code"] == "unavailable" => given_up += 1,
            503 => {
                assert!(answer.headers.contains_key("retry-after"), "{}", answer.json);
                refused.push(key);
            }
            _ => panic!("{key}: {} {}", answer.status, answer.json),
        }
    }
    let failed = refused.len() + given_up;
    println!(
        "{failed} of {ORDERS} requests failed over {} cuts, {given_up} of them with their orders",
        ORDERS / 8
    );
    assert!(failed * 20 <= ORDERS, "{failed} of {ORDERS} requests failed");
    // They are told to come again, and then have their orders.
    for key in refused {
        let again = [("idempotency-key", key.as_str())];
        until("an order for each key", async || {
            let answer = cut.shop.client("gateway").post("/api/orders", &again, ORDER).await.unwrap();
            matches!(answer.status.as_u16(), 201 | 202)
        })
        .await;
    }
    cut.has_right_books(ORDERS).await;
}
