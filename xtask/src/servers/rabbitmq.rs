//! RabbitMQ: from Debian's packages, which are unpacked into a folder and not installed, so that no service comes with them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::{is_root, made_once};
use crate::needs::{Variable, on_path, output};

/// The broker, and what of Erlang it loads.
const PACKAGES: [&str; 16] = [
    "rabbitmq-server",
    "erlang-base",
    "erlang-asn1",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tools",
    "erlang-xmerl",
];

/// Starts a node of its own: its name, cookie, ports, data and log are its folder's. Erlang's daemon that finds nodes by name
/// is not started, as it would outlive the node.
///
/// `start FOLDER PORT DISTRIBUTION-PORT`, where `FOLDER/rabbitmq.conf` is the configuration.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) folder=$1 port=$2 distribution=$3
erlang=$here/root/usr/lib/erlang
export ROOTDIR="$erlang" BINDIR="$(echo "$erlang"/erts-*)/bin" EMU=beam PROGNAME=erl HOME="$folder/home"
broker=$(echo "$here"/root/usr/lib/rabbitmq/lib/rabbitmq_server-*)
mkdir -p "$folder/home" "$folder/mnesia" "$folder/logs"
echo '[].' > "$folder/enabled_plugins"
export ERL_LIBS="$broker/plugins" RABBITMQ_HOME="$broker" RABBITMQ_PLUGINS_DIR="$broker/plugins" SYS_PREFIX="$folder"
export ERL_CRASH_DUMP="$folder/erl_crash.dump" RABBITMQ_NODENAME="waypost-$port@localhost" RABBITMQ_DIST_PORT="$distribution"
export RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/dev/null
export RABBITMQ_MNESIA_BASE="$folder/mnesia" RABBITMQ_LOG_BASE="$folder/logs" RABBITMQ_PID_FILE="$folder/pid"
export RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins"
exec "$BINDIR/erlexec" -pa "$broker/plugins" -noinput -s rabbit boot -boot "$erlang/bin/start_sasl" +W w +S 2:2 \
    -syslog logger '[]' -syslog syslog_error_logger false \
    -kernel prevent_overlapping_partitions false -kernel inet_dist_use_interface '{127,0,0,1}' \
    -kernel inet_dist_listen_min "$distribution" -kernel inet_dist_listen_max "$distribution" \
    -start_epmd false -erl_epmd_port "$distribution" -sname "$RABBITMQ_NODENAME" -setcookie "waypost-$port"
"#;

/// The unpacked server.
struct RabbitMq {
    start: PathBuf,
    version: String,
}

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let folder = target.join("test-servers/rabbitmq");
    let stamp = format!("{}\n{SCRIPT}", PACKAGES.join(" "));
    made_once(&folder, &stamp, unpack)?;
    let brokers = fs::read_dir(folder.join("root/usr/lib/rabbitmq/lib"))
        .context("reading the package rabbitmq-server")?;
    let broker = brokers.flatten().next().context("the package rabbitmq-server holds no broker")?;
    let name = broker.file_name().to_string_lossy().into_owned();
    let version = name.rsplit('-').next().unwrap_or("?").to_owned();
    Ok(Box::new(RabbitMq { start: folder.join("start"), version }))
}

/// Fetches the packages and takes their files out. Nobody needs to be root for that, but to renew the list of packages.
fn unpack(folder: &Path) -> anyhow::Result<String> {
    ensure!(
        on_path(&["apt-get"]).is_some() && on_path(&["dpkg-deb"]).is_some(),
        "RabbitMQ is taken from Debian's packages, and this system has none; set TEST_RABBITMQ_URL to one that runs"
    );
    let download = || output(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(folder));
    if let Err(reason) = download() {
        ensure!(is_root()?, "{reason:#}");
        output(Command::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300", "update"]))?;
        download()?;
    }
    let root = folder.join("root");
    fs::create_dir(&root)?;
    for package in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        if package.extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root))?;
            fs::remove_file(&package)?;
        }
    }
    let start = folder.join("start");
    fs::write(&start, SCRIPT)?;
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755))?;
    Ok(String::new())
}

impl Program for RabbitMq {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.start.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_RABBITMQ_SERVER", self.start.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port, distribution] = port::free()?;
        let settings =
            format!("listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.console.level = warning\n");
        fs::write(folder.join("rabbitmq.conf"), settings + "log.file = false\n")?;
        let arguments = [folder.to_string_lossy().into_owned(), port.to_string(), distribution.to_string()];
        let log = folder.join("log");
        let mut process = Process::start(User::Own, &self.start, arguments, Signal::Kill, &log)?;
        process.ready(|_| answers(port))?;
        Ok(Started::at(process, format!("amqp://guest:guest@127.0.0.1:{port}")))
    }
}

/// Whether the broker greets who greets it: it listens only when it has started.
fn answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0];
        stream.read_exact(&mut frame)?;
        // A method, which is Connection.Start.
        Ok::<_, std::io::Error>(frame == [1])
    };
    ask().unwrap_or(false)
}
