//! The OpenTelemetry Collector of `deploy/collector/builder.yaml`: takes OTLP, hands everything on to Zipkin, writes it to a file, and
//! counts it for Prometheus.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::process::{Failed, Process, Signal, User};
use super::super::{Program, Started, port};
use crate::deploy::tools;

/// Where it takes OTLP over HTTP.
pub(super) const VARIABLE: &str = "TEST_COLLECTOR_URL";
/// Where it takes OTLP over gRPC.
const GRPC: &str = "TEST_COLLECTOR_GRPC_URL";
/// What it got, a batch of OTLP as JSON per line.
const FILE: &str = "TEST_COLLECTOR_FILE";
/// Where it shows what it counts, host and port.
pub(super) const METRICS: &str = "TEST_COLLECTOR_METRICS";

/// The built program, and where the Zipkin is that it sends to.
pub(super) struct Collector {
    program: PathBuf,
    zipkin: Option<String>,
}

impl Collector {
    pub(super) fn find(target: &Path, zipkin: Option<String>) -> anyhow::Result<Box<dyn Program>> {
        let program = tools::find(&tools::COLLECTOR, &target.join("deploy-tools"))?;
        Ok(Box::new(Self { program, zipkin }))
    }

    fn configuration(
        &self,
        http: u16,
        grpc: u16,
        metrics: u16,
        file: &Path,
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::from("receivers:\n  otlp:\n    protocols:\n");
        writeln!(text, "      http: {{endpoint: \"127.0.0.1:{http}\"}}")?;
        writeln!(text, "      grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}")?;
        let file = json!(file.to_string_lossy());
        writeln!(text, "exporters:\n  file: {{path: {file}, flush_interval: 100ms}}")?;
        writeln!(text, "  prometheus: {{endpoint: \"127.0.0.1:{metrics}\"}}")?;
        let mut exporters = vec!["file", "spanmetrics"];
        if let Some(zipkin) = &self.zipkin {
            writeln!(text, "  zipkin: {{endpoint: \"{zipkin}/api/v2/spans\"}}")?;
            exporters.push("zipkin");
        }
        text.push_str(
            "connectors:\n  spanmetrics: {namespace: traces_span_metrics, metrics_flush_interval: 1s}\n",
        );
        text.push_str("service:\n  telemetry: {metrics: {level: none}}\n  pipelines:\n");
        writeln!(text, "    traces: {{receivers: [otlp], exporters: [{}]}}", exporters.join(", "))?;
        text.push_str("    logs: {receivers: [otlp], exporters: [file]}\n");
        text.push_str("    metrics: {receivers: [otlp, spanmetrics], exporters: [prometheus]}\n");
        Ok(text)
    }
}

impl Program for Collector {
    fn description(&self) -> String {
        let to = self.zipkin.as_ref().map_or("to a file", |_| "to Zipkin and a file");
        format!("{}, {to}", self.program.display())
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [http, grpc, metrics] = port::free()?;
        let (configuration, file) = (folder.join("collector.yaml"), folder.join("telemetry.jsonl"));
        fs::write(&configuration, self.configuration(http, grpc, metrics, &file)?)?;
        let arguments = ["--config".to_owned(), configuration.to_string_lossy().into_owned()];
        let mut process =
            Process::start(User::Own, &self.program, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| port::answers_ok(metrics, "/metrics"))?;
        let more = vec![
            (GRPC, format!("http://127.0.0.1:{grpc}").into()),
            (FILE, file.into_os_string()),
            (METRICS, format!("127.0.0.1:{metrics}").into()),
        ];
        Ok(Started { process, address: format!("http://127.0.0.1:{http}"), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_zipkin_for_goes_to_the_file_alone() {
        let with = |zipkin: Option<&str>| {
            let collector = Collector { program: PathBuf::new(), zipkin: zipkin.map(str::to_owned) };
            collector.configuration(1, 2, 3, Path::new("/a b/c.jsonl")).unwrap()
        };
        let both = with(Some("http://127.0.0.1:9"));
        assert!(
            both.contains("traces: {receivers: [otlp], exporters: [file, spanmetrics, zipkin]}"),
            "{both}"
        );
        assert!(both.contains("zipkin: {endpoint: \"http://127.0.0.1:9/api/v2/spans\"}"), "{both}");
        let alone = with(None);
        assert!(alone.contains("traces: {receivers: [otlp], exporters: [file, spanmetrics]}"), "{alone}");
        assert!(alone.contains("path: \"/a b/c.jsonl\"") && !alone.contains("zipkin"), "{alone}");
    }
}
