//! A real Prometheus, as the files of `deploy/prometheus` make it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tempfile::{TempDir, tempdir};
use waypost_test_servers::free_port;
use waypost_testkit::{Client, Process, Shop, program, until};

use super::{deploy, yaml};
use crate::observability::{encoded, list};

/// A Prometheus with the configuration and the rules of `deploy/prometheus`, at a quicker pace.
pub(super) struct Prometheus {
    pub(super) client: Client,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    pub(super) async fn start(program: &str, shops: &[&Shop], viewer: &Shop) -> Prometheus {
        let folder = tempdir().unwrap();
        let mut configuration = yaml("prometheus/prometheus.yml");
        configuration["global"] = json!({"scrape_interval": "1s", "evaluation_interval": "1s"});
        configuration["rule_files"] = list(&configuration["rule_files"])
            .iter()
            .map(|file| json!(deploy("prometheus").join(file.as_str().unwrap())))
            .collect();
        for job in configuration["scrape_configs"].as_array_mut().unwrap() {
            let targets: Vec<String> = match job["job_name"].as_str().unwrap() {
                "waypost" => shops.iter().map(|shop| shop.address("admin").to_string()).collect(),
                "waypost-viewer" => vec![viewer.address("viewer").to_string()],
                other => panic!("what does the job {other} scrape?"),
            };
            job["static_configs"] = json!([{ "targets": targets }]);
        }
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = program::command(program, folder.path());
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .arg("--enable-feature=exemplar-storage");
        let process = Process::start(&mut command).unwrap();
        let client = Client::new(port);
        until("Prometheus", async || client.get("/-/ready").await.is_ok_and(|answer| answer.status == 200))
            .await;
        Prometheus { client, _process: process, _folder: folder }
    }

    /// The series that an expression gives now.
    pub(super) async fn series(&self, expression: &str) -> Vec<BTreeMap<String, String>> {
        let answer = self.client.get(&format!("/api/v1/query?query={}", encoded(expression))).await.unwrap();
        assert_eq!(answer.json["status"], "success", "{expression}: {}", answer.json);
        let series = list(&answer.json["data"]["result"]).iter();
        series.map(|one| serde_json::from_value(one["metric"].clone()).unwrap()).collect()
    }
}
