//! The table: which program reads which files of `deploy/`, and which broken file it must refuse.

use super::reader::{Need, Reader};
use super::tools;

pub(super) const READERS: &[Reader] = &[
    Reader {
        name: "yamllint",
        tool: &tools::YAMLLINT,
        arguments: &["--strict", "--config-file", "deploy/yamllint.yaml", "{}"],
        files: &[
            "deploy/compose/*.yaml",
            "deploy/envoy/*.yaml",
            "deploy/grafana/provisioning/dashboards/*.yaml",
            "deploy/grafana/provisioning/datasources/*.yaml",
            "deploy/prometheus/*.yml",
            "deploy/prometheus/rules/*.yml",
            "deploy/prometheus/tests/*.yml",
            "deploy/yamllint.yaml",
        ],
        broken: ("twice.yaml", "duplication of key"),
        needs: &[],
    },
    Reader {
        name: "hadolint",
        tool: &tools::HADOLINT,
        arguments: &["--failure-threshold", "info", "{}"],
        files: &["deploy/image/Dockerfile"],
        broken: ("Dockerfile", "DL3006"),
        needs: &[],
    },
    Reader {
        name: "compose",
        tool: &tools::COMPOSE,
        arguments: &["{}"],
        files: &["deploy/compose/*.yaml"],
        broken: ("compose.yaml", "restrat"),
        needs: &[],
    },
    Reader {
        name: "systemd",
        tool: &tools::SYSTEMD_ANALYZE,
        arguments: &["verify", "--man=no", "{}"],
        files: &["deploy/systemd/*.service"],
        broken: ("waypost.service", "ProtectSytem"),
        needs: &[Need::AnotherProgram, Need::Silence],
    },
    Reader {
        name: "systemd-security",
        tool: &tools::SYSTEMD_ANALYZE,
        // A tenth of the exposure that systemd prints: 1.5 of 10.
        arguments: &["security", "--offline=true", "--threshold=15", "--no-pager", "{}"],
        files: &["deploy/systemd/*.service"],
        broken: ("open.service", "UNSAFE"),
        needs: &[Need::AnotherProgram],
    },
    Reader {
        name: "prometheus",
        tool: &tools::PROMTOOL,
        arguments: &["check", "config", "{}"],
        files: &["deploy/prometheus/prometheus.yml"],
        broken: ("prometheus.yml", "no_such_rules.yml"),
        needs: &[],
    },
    Reader {
        name: "prometheus-rules",
        tool: &tools::PROMTOOL,
        arguments: &["check", "rules", "--lint-fatal", "{}"],
        files: &["deploy/prometheus/rules/*.yml"],
        broken: ("rules.yml", "parse error"),
        needs: &[],
    },
    Reader {
        name: "prometheus-alerts",
        tool: &tools::PROMTOOL,
        arguments: &["test", "rules", "{}"],
        files: &["deploy/prometheus/tests/*.yml"],
        broken: ("alerts.yml", "FAILED"),
        needs: &[],
    },
    Reader {
        name: "nginx",
        tool: &tools::NGINX,
        arguments: &["-t", "-p", "{folder}", "-c", "{}"],
        files: &["deploy/nginx/nginx.conf"],
        broken: ("nginx.conf", "unknown directive \"proxy_pas\""),
        needs: &[],
    },
    Reader {
        name: "haproxy",
        tool: &tools::HAPROXY,
        // A warning is an error.
        arguments: &["-c", "-dW", "-f", "{}"],
        files: &["deploy/haproxy/haproxy.cfg"],
        broken: ("haproxy.cfg", "unable to find required default_backend"),
        needs: &[],
    },
    Reader {
        name: "envoy",
        tool: &tools::ENVOY,
        arguments: &["--mode", "validate", "--use-dynamic-base-id", "--log-level", "error", "-c", "{}"],
        files: &["deploy/envoy/envoy.yaml"],
        broken: ("envoy.yaml", "conect_timeout"),
        needs: &[],
    },
];
