//! Jaeger: a program of this machine's path, else built by Go. It keeps what it gets in memory.
//!
//! Built so it has no page of its own, only its interfaces: the page is in no registry of Go.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::process::{Failed, Process, Signal, User};
use super::super::{Program, Started, port};
use crate::deploy::tools;
use crate::needs::on_path;

/// Where it is asked.
pub(super) const VARIABLE: &str = "TEST_JAEGER_URL";
/// Where it takes OTLP over HTTP and over gRPC.
const HTTP: &str = "TEST_JAEGER_OTLP_URL";
const GRPC: &str = "TEST_JAEGER_OTLP_GRPC_URL";

/// Jaeger 2, which is configured as a Collector is.
struct Jaeger(PathBuf);

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let program = match on_path(&["jaeger"]) {
        Some(program) => program,
        None => tools::find(&tools::JAEGER, &target.join("deploy-tools"))?,
    };
    Ok(Box::new(Jaeger(program)))
}

fn configuration([query, internal, http, grpc]: [u16; 4]) -> String {
    format!(
        "extensions:\n  \
           jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 10000}}}}}}}}\n  \
           jaeger_query:\n    \
             storage: {{traces: memory}}\n    \
             http: {{endpoint: \"127.0.0.1:{query}\"}}\n    \
             grpc: {{endpoint: \"127.0.0.1:{internal}\"}}\n\
         receivers:\n  \
           otlp:\n    \
             protocols:\n      \
               http: {{endpoint: \"127.0.0.1:{http}\"}}\n      \
               grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}\n\
         exporters:\n  \
           jaeger_storage_exporter: {{trace_storage: memory}}\n\
         service:\n  \
           extensions: [jaeger_storage, jaeger_query]\n  \
           telemetry: {{metrics: {{level: none}}}}\n  \
           pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}\n"
    )
}

impl Program for Jaeger {
    fn description(&self) -> String {
        self.0.display().to_string()
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let ports = port::free()?;
        let [query, _, http, grpc] = ports;
        let file = folder.join("jaeger.yaml");
        fs::write(&file, configuration(ports))?;
        let arguments = ["--config".to_owned(), file.to_string_lossy().into_owned()];
        let mut process = Process::start(User::Own, &self.0, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| port::answers_ok(query, "/api/services"))?;
        let more = vec![
            (HTTP, format!("http://127.0.0.1:{http}").into()),
            (GRPC, format!("http://127.0.0.1:{grpc}").into()),
        ];
        Ok(Started { process, address: format!("http://127.0.0.1:{query}"), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_alone() {
        let text = configuration([1, 2, 3, 4]);
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["extensions"]["jaeger_query"]["grpc"]["endpoint"], "127.0.0.1:2");
        assert_eq!(value["receivers"]["otlp"]["protocols"]["http"]["endpoint"], "127.0.0.1:3");
        assert_eq!(text.matches("127.0.0.1:").count(), 4, "{text}");
        assert_eq!(text.matches("endpoint").count(), 4, "{text}");
    }
}
