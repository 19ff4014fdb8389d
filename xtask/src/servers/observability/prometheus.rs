//! Prometheus: from Debian's packages. It scrapes the Collector, and what a developer or a test names in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::process::{Failed, Process, Signal, User};
use super::super::{Program, Started, port};
use crate::deploy::tools;

pub(super) const VARIABLE: &str = "TEST_PROMETHEUS_URL";
/// A folder: a file `<name>.json` in it with `[{"targets": ["127.0.0.1:9464"]}]` has that scraped every second.
const TARGETS: &str = "TEST_PROMETHEUS_TARGETS";

/// The installed program, and what it scrapes from the start.
pub(super) struct Prometheus {
    program: PathBuf,
    collector: Option<String>,
}

impl Prometheus {
    pub(super) fn find(target: &Path, collector: Option<String>) -> anyhow::Result<Box<dyn Program>> {
        let program = tools::find(&tools::PROMETHEUS, &target.join("deploy-tools"))?;
        Ok(Box::new(Self { program, collector }))
    }

    fn configuration(&self, targets: &Path) -> String {
        let files = json!(targets.join("*.json").to_string_lossy());
        let named = format!(
            "  - {{job_name: named, file_sd_configs: [{{refresh_interval: 1s, files: [{files}]}}]}}\n"
        );
        let collector = self.collector.as_ref().map(|collector| {
            let targets = format!("static_configs: [{{targets: [\"{collector}\"]}}]");
            format!("  - {{job_name: collector, honor_labels: true, {targets}}}\n")
        });
        ["global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n", &named]
            .into_iter()
            .chain(collector.as_deref())
            .collect()
    }
}

impl Program for Prometheus {
    fn description(&self) -> String {
        self.program.display().to_string()
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let (configuration, targets) = (folder.join("prometheus.yml"), folder.join("targets"));
        fs::create_dir(&targets)?;
        fs::write(&configuration, self.configuration(&targets))?;
        let arguments = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage".to_owned(),
        ];
        let mut process =
            Process::start(User::Own, &self.program, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| port::answers_ok(port, "/-/ready"))?;
        let more = vec![(TARGETS, targets.into_os_string())];
        Ok(Started { process, address: format!("http://127.0.0.1:{port}"), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_scrapes_what_is_named_in_its_folder_and_the_collector_if_there_is_one() {
        let with = |collector: Option<&str>| {
            let prometheus = Prometheus { program: PathBuf::new(), collector: collector.map(str::to_owned) };
            prometheus.configuration(Path::new("/t"))
        };
        assert!(with(None).contains("files: [\"/t/*.json\"]"));
        assert!(!with(None).contains("collector"));
        assert!(with(Some("127.0.0.1:9")).contains("static_configs: [{targets: [\"127.0.0.1:9\"]}]"));
    }
}
