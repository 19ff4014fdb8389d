//! The full compose file, run: each container's command as a process, on real servers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;
use waypost_test_servers::kafka::Topics;
use waypost_test_servers::postgres::Database;
use waypost_test_servers::redis::Keys;
use waypost_testkit::{Behaviour, Collector, until};

use super::Container;
use super::compose::{Service, assert_accepted, services};
use crate::http::post;
use crate::program::{Program, ended, waypost};

const FILE: &str = "compose.full.yaml";
const ROLES: [&str; 7] = ["provider", "user", "inventory", "payment", "notification", "order", "gateway"];
/// The request of the reference documents: no token, no key.
const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

#[test]
fn the_full_compose_file_has_no_setting_that_there_is_not() {
    let services = assert_accepted(FILE);
    for name in ROLES.iter().chain(&["certificates", "migrate", "viewer"]) {
        assert!(services.contains_key(*name), "{name} is missing");
    }
}

/// What stands for the machine of the containers: real servers, and the places of those that were started.
struct Machine<'a> {
    folder: &'a Path,
    database: Database,
    keys: Keys,
    topics: Topics,
    collector: Collector,
    /// What a service is called by others, and where it is.
    places: Vec<(String, SocketAddr)>,
}

impl Machine<'_> {
    /// The command of a container with what is elsewhere here: addresses, files, names of one's own.
    fn command(&self, container: &Container) -> Command {
        let mut command = waypost(self.folder);
        command.args(self.here(&container.arguments));
        for (key, value) in &container.environment {
            let value = match key.as_str() {
                "WAYPOST_DATABASE__HOST"
                | "WAYPOST_DATABASE__PASSWORD_FILE"
                | "WAYPOST_CACHE__REDIS__PASSWORD_FILE"
                | "OTEL_EXPORTER_OTLP_PROTOCOL" => continue,
                "WAYPOST_BROKER__KAFKA__BROKERS" => self.topics.bootstrap().to_owned(),
                "WAYPOST_CACHE__REDIS__URLS" => self.keys.url().to_owned(),
                "OTEL_EXPORTER_OTLP_ENDPOINT" => self.collector.endpoint(),
                key if key.starts_with("WAYPOST_LISTEN__") => "127.0.0.1:0".to_owned(),
                _ => self.here(std::slice::from_ref(value)).concat(),
            };
            command.env(key, value);
        }
        command
            .env("WAYPOST_DATABASE__URL", self.database.url())
            .env("WAYPOST_DRAIN__NOTICE", "0s")
            .env("WAYPOST_HEALTH__INTERVAL", "50ms")
            .env("WAYPOST_CACHE__REDIS__PREFIX", self.keys.prefix())
            .env("WAYPOST_BROKER__KAFKA__PREFIX", self.topics.name(""))
            .env("WAYPOST_DATA__FOLDER", self.folder.join(&container.name));
        command
    }

    fn here(&self, texts: &[String]) -> Vec<String> {
        let here = |text: &String| {
            let text = text.replace("/etc/waypost/tls", &self.folder.join("tls").display().to_string());
            self.places.iter().fold(text, |text, (called, place)| text.replace(called, &place.to_string()))
        };
        texts.iter().map(here).collect()
    }

    /// Starts a role, waits until its health check says that it is well, and notes where it is.
    async fn start(&mut self, service: &Service) -> Program {
        let container = &service.container;
        let role = container.name.as_str();
        let mut program = Program::start(&mut self.command(container));
        let listen = container.environment.get(&format!("WAYPOST_LISTEN__{}", role.to_uppercase()));
        if let Some(listen) = listen {
            let port = listen.rsplit_once(':').unwrap().1;
            self.places.push((format!("{role}:{port}"), program.address_of(role)));
        }
        let admin = program.address_of("admin").to_string();
        program.line_with("\"ready\"");
        let is_well = async || {
            let mut health = waypost(self.folder);
            health.args(&service.health).env("WAYPOST_LISTEN__ADMIN", &admin);
            ended(&mut health).code == 0
        };
        until(&format!("a healthy {role}"), is_well).await;
        program
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_containers_of_the_full_compose_file_make_a_shop() {
    let folder = tempdir().unwrap();
    let mut machine = Machine {
        folder: folder.path(),
        database: Database::create(),
        keys: Keys::own(),
        topics: Topics::own(),
        collector: Collector::start(Behaviour::Takes).unwrap(),
        places: Vec::new(),
    };
    let mut waiting = services(FILE);
    for one_shot in ["certificates", "migrate"] {
        let service = waiting.remove(one_shot).unwrap();
        let ended = ended(&mut machine.command(&service.container));
        assert_eq!(ended.code, 0, "{one_shot}: {ended:?}");
    }
    waiting.retain(|name, _| ROLES.contains(&name.as_str()));
    let mut running = Vec::new();
    // Each when all those are there that it says it comes after.
    while let Some(next) = waiting
        .iter()
        .find(|(_, service)| service.after.iter().all(|before| !waiting.contains_key(before)))
        .map(|(name, _)| name.clone())
    {
        let service = waiting.remove(&next).unwrap();
        let program = machine.start(&service).await;
        running.push((next, program));
    }
    assert!(waiting.is_empty(), "they wait for each other: {waiting:?}");

    let gateway = machine.places.iter().find(|(called, _)| called == "gateway:8080").unwrap().1;
    let answer = post(&format!("http://{gateway}/api/orders"), ORDER);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json["status"], "completed", "{answer:?}");
    let order = answer.json["order_id"].as_str().unwrap();
    let notification = running.iter_mut().find(|(role, _)| role == "notification");
    notification.unwrap().1.line_with(order);
    for (_, program) in running.into_iter().rev() {
        program.signal("TERM");
        let ended = program.end();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    // One trace, from the gateway's first byte to the notification over Kafka.
    let collector = &machine.collector;
    let told = collector.spans().into_iter().find(|span| span.name() == "process order-events").unwrap();
    let trace = collector.trace(&told.trace_id().to_string());
    assert!(trace.iter().any(|span| span.name() == "POST /api/orders"), "{trace:?}");
}
