//! The roles of a process, and the order in which they end.

use crate::support::{connect_and_send, in_time, read_to_end};
use axum::{Router, routing::get};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpStream, sync::Semaphore};
use waypost_service::{App, Limits, Pacing, Process, Tasks, Worker, bind, health::Health};
use waypost_settings::Duration;
use waypost_telemetry::Telemetry;

type Story = Arc<Mutex<Vec<String>>>;

fn pacing() -> Pacing {
    Pacing { notice: Duration::default(), grace: Duration::from_secs(5) }
}

/// A worker that stops when it is told to, and one that closes at the end.
fn workers(role: &'static str, story: &Story) -> Vec<Worker> {
    let (stops, closes) = (Arc::clone(story), Arc::clone(story));
    vec![
        Worker::new("relay", move |drain| async move {
            drain.started().await;
            stops.lock().unwrap().push(format!("{role} relay stopped"));
        }),
        Worker::new("store", move |drain| async move {
            drain.closing().await;
            closes.lock().unwrap().push(format!("{role} store closed"));
        }),
    ]
}

#[tokio::test]
async fn roles_end_from_the_front_to_the_back_and_stores_close_last() {
    let story = Story::default();
    let mut process = Process::new(Health::default());
    for role in ["gateway", "order"] {
        let app = App { workers: workers(role, &story), ..App::default() };
        process.start(role, &Telemetry::disabled(), Tasks::new(), app, None);
    }
    process.started();
    let reports = in_time(process.drain(&pacing())).await;
    assert!(reports.iter().all(waypost_service::Drained::is_clean), "{reports:?}");
    let story = story.lock().unwrap();
    let expected = ["gateway relay stopped", "order relay stopped"];
    assert_eq!(story[..2], expected);
    assert_eq!(story.len(), 4);
}

#[tokio::test]
async fn a_request_in_flight_and_the_task_it_left_behind_are_finished_before_workers_stop() {
    let (story, tasks) = (Story::default(), Tasks::new());
    let (arrived, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let handler = {
        let (story, tasks) = (Arc::clone(&story), tasks.clone());
        let (arrived, leave) = (Arc::clone(&arrived), Arc::clone(&leave));
        async move || {
            arrived.add_permits(1);
            let (left_behind, leave) = (Arc::clone(&story), Arc::clone(&leave));
            drop(tasks.spawn(async move {
                leave.acquire().await.unwrap().forget();
                left_behind.lock().unwrap().push("task finished".to_owned());
            }));
            "accepted"
        }
    };
    let app = App {
        router: Router::new().route("/", get(handler)),
        workers: workers("order", &story),
        ..App::default()
    };
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.address();
    let mut process = Process::new(Health::default());
    process.start("order", &Telemetry::disabled(), tasks, app, Some((listener.into(), Limits::default())));
    process.started();
    let mut stream = connect_and_send(address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    in_time(arrived.acquire()).await.unwrap().forget();
    let draining = waypost_telemetry::spawn(async move { process.drain(&pacing()).await });
    assert!(read_to_end(&mut stream).await.ends_with("accepted"));
    in_time(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    leave.add_permits(1);
    let reports = in_time(draining).await.unwrap();
    assert_eq!(reports[0].served.unwrap().connections, 1);
    assert_eq!(*story.lock().unwrap(), ["task finished", "order relay stopped", "order store closed"]);
}

#[tokio::test]
async fn tasks_are_told_to_stop_before_a_request_is_waited_for() {
    // The gateway's request waits for a task of the order role, as a client waits for its order.
    let (tasks, arrived) = (Tasks::new(), Arc::new(Semaphore::new(0)));
    let handler = {
        let (tasks, arrived) = (tasks.clone(), Arc::clone(&arrived));
        async move || {
            let stopping = tasks.stopping();
            let task = tasks.spawn(async move { stopping.cancelled().await });
            arrived.add_permits(1);
            task.await.unwrap();
            "pending"
        }
    };
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.address();
    let app = App { router: Router::new().route("/", get(handler)), ..App::default() };
    let mut process = Process::new(Health::default());
    let disabled = Telemetry::disabled();
    process.start("gateway", &disabled, Tasks::new(), app, Some((listener.into(), Limits::default())));
    process.start("order", &disabled, tasks, App::default(), None);
    let mut stream = connect_and_send(address, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    in_time(arrived.acquire()).await.unwrap().forget();
    let pacing = Pacing { grace: Duration::from_secs(3600), ..pacing() };
    let draining = waypost_telemetry::spawn(async move { process.drain(&pacing).await });
    assert!(read_to_end(&mut stream).await.ends_with("pending"));
    let reports = in_time(draining).await.unwrap();
    assert!(reports.iter().all(waypost_service::Drained::is_clean), "{reports:?}");
}

#[tokio::test]
async fn a_role_that_hangs_leaves_the_others_their_share() {
    let hanging = Tasks::new();
    drop(hanging.spawn(std::future::pending::<()>()));
    let consumer = Worker::new("consumer", |drain| async move {
        drain.started().await;
        // Finishes its record.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    });
    let mut process = Process::new(Health::default());
    process.start("gateway", &Telemetry::disabled(), hanging, App::default(), None);
    let app = App { workers: vec![consumer], ..App::default() };
    process.start("order", &Telemetry::disabled(), Tasks::new(), app, None);
    let pacing = Pacing { grace: Duration::from_secs(3), ..pacing() };
    let reports = in_time(process.drain(&pacing)).await;
    assert_eq!(reports[0].unfinished_tasks, 1);
    assert!(reports[1].is_clean(), "{reports:?}");
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_reported_by_name() {
    let app = App {
        workers: vec![
            Worker::new("sweeper", |_| std::future::pending()),
            Worker::new("relay", |drain| async move {
                drain.started().await;
            }),
        ],
        ..App::default()
    };
    let mut process = Process::new(Health::default());
    process.start("inventory", &Telemetry::disabled(), Tasks::new(), app, None);
    let pacing = Pacing { grace: Duration::from_millis(50), ..pacing() };
    let reports = in_time(process.drain(&pacing)).await;
    assert_eq!(reports[0].unfinished_workers, ["sweeper"]);
    assert!(!reports[0].is_clean());
}

#[tokio::test]
async fn a_worker_that_dies_early_makes_the_process_unfit() {
    let health = Health::default();
    let mut process = Process::new(health.clone());
    let app = App {
        workers: vec![Worker::new("relay", |_| async { panic!("relay lost its database") })],
        ..App::default()
    };
    process.start("order", &Telemetry::disabled(), Tasks::new(), app, None);
    process.started();
    in_time(async {
        while health.is_live() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!health.is_ready());
    assert!(health.report().contains("failed order/relay: ended early"));
}
