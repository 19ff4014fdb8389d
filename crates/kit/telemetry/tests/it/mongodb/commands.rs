//! Commands.

use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;

use super::*;

#[tokio::test]
async fn a_command_is_one_span_without_its_values_under_its_caller() {
    let own = Own::new().await;
    let orders = own.orders();
    let work = async {
        orders.insert_one(doc! { "_id": "order-1", "customer": "a secret" }).await?;
        orders.find_one(doc! { "customer": "a secret", "total": { "$gt": 5 } }).await
    };
    let found = with_context(own.telemetry.context(), span("unit").run(work)).await.unwrap();
    assert_eq!(found, None);
    own.telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           \"insert orders\" CLIENT order-service
           \"find orders\" CLIENT order-service",
    );
    let find = own.telemetry.only_span("find orders");
    assert_eq!((find.kind(), outcome(&find).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        attributes(&find),
        [
            "db.collection.name=orders".to_owned(),
            format!("db.namespace={}", own.database.name()),
            "db.operation.name=find".to_owned(),
            "db.query.text={find: \"orders\", singleBatch: ?, limit: ?, filter: {customer: ?, total: {$gt: ?}}}"
                .to_owned(),
            "db.response.returned_rows=0".to_owned(),
            "db.system.name=mongodb".to_owned(),
            "server.address=127.0.0.1".to_owned(),
        ]
    );
    let insert = own.telemetry.only_span("insert orders");
    let text = attribute(&insert, "db.query.text").unwrap();
    assert!(text.contains("documents: ?") && !text.contains("customer"), "{text}");
    let labels =
        ["db_operation_name=\"find\"", "db_collection_name=\"orders\"", "db_system_name=\"mongodb\""];
    assert_eq!(metric(&own.telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    assert!(!exported(&own.telemetry).contains("secret"));
    follows_conventions(&own.telemetry);
}

#[tokio::test]
async fn callers_side_by_side_have_their_own_commands() {
    let own = Own::new().await;
    let ask = |number: usize| {
        let orders = own.orders();
        let asking = async move { orders.find_one(doc! { "number": i64::try_from(number).unwrap() }).await };
        with_context(own.telemetry.context(), span(format!("caller-{number}")).run(asking))
    };
    futures_util::future::try_join_all((0..8).map(ask)).await.unwrap();
    let finished = spans(&own.telemetry, 16).await;
    for number in 0..8 {
        let caller = own.telemetry.only_span(&format!("caller-{number}"));
        let below: Vec<&str> = finished
            .iter()
            .filter(|span| span.parent_id() == Some(caller.span_id()))
            .map(FinishedSpan::name)
            .collect();
        assert_eq!(below, ["find orders"], "{number}");
    }
}

#[tokio::test]
async fn several_at_once_and_the_rest_of_a_cursor_are_commands_of_their_own() {
    let own = Own::new().await;
    let orders = own.orders();
    orders.insert_many((0..5).map(|number| doc! { "_id": number })).await.unwrap();
    let insert = own.telemetry.only_span("insert orders");
    assert_eq!(attribute(&insert, "db.operation.batch.size").as_deref(), Some("5"));
    let mut cursor = orders.find(doc! {}).batch_size(3).await.unwrap();
    let mut rows = 0;
    while cursor.advance().await.unwrap() {
        rows += 1;
    }
    assert_eq!(rows, 5);
    let returned = |name: &str| attribute(&own.telemetry.only_span(name), "db.response.returned_rows");
    assert_eq!(
        (returned("find orders").as_deref(), returned("getMore orders").as_deref()),
        (Some("3"), Some("2"))
    );
    let counted =
        orders.aggregate([doc! { "$match": { "_id": { "$gt": 1 } } }, doc! { "$count": "n" }]).await;
    drop(counted.unwrap());
    let text = attribute(&own.telemetry.only_span("aggregate orders"), "db.query.text").unwrap();
    assert!(text.contains("pipeline: [{$match: {_id: {$gt: ?}}}, {$count: ?}]"), "{text}");
    follows_conventions(&own.telemetry);
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_with_its_code() {
    let own = Own::new().await;
    let orders = own.orders();
    orders.insert_one(doc! { "_id": "a secret" }).await.unwrap();
    own.telemetry.forget();
    let double = async { orders.insert_one(doc! { "_id": "a secret" }).await };
    with_context(own.telemetry.context(), span("unit").run(double)).await.unwrap_err();
    let finished = own.telemetry.finished_spans();
    assert_eq!((finished[0].name(), outcome(&finished[0]).as_str()), ("insert orders", "11000"));
    assert_eq!(attribute(&finished[0], "db.response.status_code").as_deref(), Some("11000"));
    assert_eq!(outcome(&finished[1]), "11000", "the error that the program has says the same");
    let failed = ["error_type=\"11000\"", "db_response_status_code=\"11000\""];
    assert_eq!(metric(&own.telemetry, "db_client_operation_duration_seconds_count", &failed), 1);

    own.telemetry.forget();
    let database = own.client.database(own.database.name());
    database
        .run_command(doc! { "aggregate": "orders", "pipeline": [{ "$nothing": 1 }], "cursor": {} })
        .await
        .unwrap_err();
    let refused = spans(&own.telemetry, 1).await.remove(0);
    let code = attribute(&refused, "db.response.status_code").unwrap();
    assert_eq!((refused.name(), outcome(&refused)), ("aggregate orders", code));
    assert!(!exported(&own.telemetry).contains("secret"), "the server's word holds the key");
}

#[tokio::test]
async fn a_command_that_is_given_up_is_found_by_its_connection() {
    let (server, telemetry) = (Server::start(), TestTelemetry::new("shop"));
    let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let mut options = ClientOptions::parse(server.url()).await.unwrap();
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if matches!(event, CommandEvent::Started(_)) {
            sender.send(()).unwrap();
        }
    }));
    let client = Client::with_options(telemetry.mongodb().observe(options)).unwrap();
    let orders: Collection<Document> = client.database("shop").collection("orders");
    orders.find_one(doc! {}).await.unwrap();
    begun.recv().await.unwrap();
    telemetry.forget();
    server.pause();
    let asking = async { orders.find_one(doc! {}).await };
    tokio::select! {
        answer = with_context(telemetry.context(), asking) => panic!("it does not answer: {answer:?}"),
        started = begun.recv() => started.unwrap(),
    }
    let given_up = spans(&telemetry, 1).await.remove(0);
    assert_eq!((given_up.name(), outcome(&given_up).as_str()), ("find orders", "cancelled"));
}

#[tokio::test]
async fn a_server_that_was_killed_is_an_error_until_it_is_back() {
    let mut server = Server::start();
    let telemetry = TestTelemetry::new("shop");
    let mut options = ClientOptions::parse(server.url()).await.unwrap();
    options.server_selection_timeout = Some(Duration::from_millis(500));
    options.retry_reads = Some(false);
    let client = Client::with_options(telemetry.mongodb().observe(options)).unwrap();
    let orders: Collection<Document> = client.database("shop").collection("orders");
    let find = || async { orders.find_one(doc! {}).await };
    // On a busy machine it takes longer than that to be connected.
    let is_up = async { while find().await.is_err() {} };
    tokio::time::timeout(Duration::from_mins(1), is_up).await.unwrap();
    server.kill();
    let away = with_context(telemetry.context(), span("unit").run(find())).await;
    away.unwrap_err();
    let unit = telemetry.only_span("unit");
    assert!(!["ok", "cancelled", "mongodb"].contains(&outcome(&unit).as_str()), "{unit:?}");
    server.restart();
    let back = async { while find().await.is_err() {} };
    tokio::time::timeout(Duration::from_mins(1), back).await.unwrap();
    assert_eq!(outcome(&telemetry.finished_spans().pop().unwrap()), "ok");
}

#[tokio::test]
async fn settings_leave_out_text_and_spans_without_a_parent() {
    let own = Own::with(|mongodb| mongodb.query_text(QueryText::Off).require_parent(true)).await;
    own.orders().find_one(doc! { "customer": 1 }).await.unwrap();
    assert_eq!(own.telemetry.finished_spans().len(), 0);
    assert_eq!(series(&own.telemetry, "db_client_operation_duration_seconds_count").len(), 1);
    let asking = async { own.orders().find_one(doc! { "customer": 1 }).await };
    with_context(own.telemetry.context(), span("unit").run(asking)).await.unwrap();
    own.telemetry
        .tree()
        .assert_matches("unit INTERNAL order-service\n  \"find orders\" CLIENT order-service");
    assert_eq!(attribute(&own.telemetry.only_span("find orders"), "db.query.text"), None);
}

#[tokio::test]
async fn handlers_of_the_program_are_told_as_before() {
    let (database, telemetry) = (Database::own(), TestTelemetry::new("shop"));
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut options = ClientOptions::parse(database.url()).await.unwrap();
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(event) = event {
            sender.send(event.command_name).unwrap();
        }
    }));
    let client = Client::with_options(telemetry.mongodb().observe(options)).unwrap();
    client.database(database.name()).collection::<Document>("orders").find_one(doc! {}).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("find"));
    assert_eq!(telemetry.only_span("find orders").kind(), SpanKind::Client);
}
