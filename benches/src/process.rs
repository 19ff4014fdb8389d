//! The release binary as a child, with what the kernel says of its memory and CPU.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Kernel ticks a second; Linux has 100 on every machine this project builds for.
const TICKS: f64 = 100.0;

/// CPU seconds in half a second of who has nothing to do but to look whether there is something.
const IDLE: f64 = 0.03;

const LISTENERS: [&str; 11] = [
    "gateway",
    "order",
    "user",
    "inventory",
    "payment",
    "provider",
    "admin",
    "viewer",
    "otlp-grpc",
    "otlp-http",
    "zipkin",
];

/// A running `waypost up`. Dropped, it is stopped.
pub(crate) struct Waypost {
    child: Child,
    /// Where its gateway listens.
    pub(crate) gateway: SocketAddr,
    /// From the start of the process to the line that says that it is up.
    pub(crate) until_up: Duration,
    /// From the start of the process to the printed first order, when it placed one.
    pub(crate) until_order: Option<Duration>,
}

/// The release binary of this workspace.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    let folder =
        std::env::current_exe()?.parent().map(Path::to_path_buf).context("no folder of this program")?;
    let binary = folder.join("waypost");
    if !binary.exists() {
        bail!("{} is not built; run `cargo build --release` first", binary.display());
    }
    Ok(binary)
}

/// CPU and switches of a process so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// CPU seconds by the name of the thread, those of threads with a number at the end together.
    pub(crate) cpu: BTreeMap<String, f64>,
    /// Times that a thread was taken off its processor, by itself or not.
    pub(crate) switches: f64,
    /// Bytes that went to disk.
    pub(crate) written: f64,
}

impl Usage {
    /// What was used since `earlier`.
    pub(crate) fn since(&self, earlier: &Usage) -> Usage {
        let before = |name: &str| earlier.cpu.get(name).copied().unwrap_or_default();
        Usage {
            cpu: self.cpu.iter().map(|(name, cpu)| (name.clone(), cpu - before(name))).collect(),
            switches: self.switches - earlier.switches,
            written: self.written - earlier.written,
        }
    }

    /// CPU seconds of all threads.
    pub(crate) fn total(&self) -> f64 {
        self.cpu.values().sum()
    }
}

impl Waypost {
    pub(crate) fn up(
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Waypost> {
        Self::of(&binary()?, data, arguments, environment)
    }

    /// Starts this binary.
    pub(crate) fn of(
        binary: &Path,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Waypost> {
        let mut command = Command::new(binary);
        command.args(["up", "--plain", "--data"]).arg(data).args(arguments);
        for listener in LISTENERS {
            command.args([&format!("--{listener}"), "127.0.0.1:0"]);
        }
        let begun = Instant::now();
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn()?;
        let mut gateway = None;
        let mut until_up = Duration::ZERO;
        let mut until_order = None;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        for line in lines {
            let line = line?;
            if line.contains(" is up after ") {
                until_up = begun.elapsed();
            } else if line.trim_start().starts_with("gateway ") {
                gateway =
                    line.split_whitespace().nth(1).and_then(|url| url.strip_prefix("http://")?.parse().ok());
            } else if line.starts_with("From the start") {
                until_order = Some(begun.elapsed());
            } else if line.contains("Ctrl-C") {
                break;
            }
        }
        let gateway = gateway.context("waypost ended before it named its gateway")?;
        Ok(Waypost { child, gateway, until_up, until_order })
    }

    /// CPU seconds so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(&self.child)
    }

    /// What its threads that are alive have used.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut usage = Usage::default();
        for thread in std::fs::read_dir(process.join("task"))?.flatten() {
            // It may have ended meanwhile.
            let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let Some(stat) = Stat::parse(&read("stat")) else { continue };
            let name = stat.name.trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches('-');
            *usage.cpu.entry(name.to_owned()).or_default() += stat.own;
            usage.switches += fields(&read("status"), "ctxt_switches:").sum::<f64>();
        }
        let io = std::fs::read_to_string(process.join("io"))?;
        usage.written = fields(&io, "write_bytes:").next().unwrap_or_default();
        Ok(usage)
    }

    /// Waits until every order has ended, with all that is done for it: until it uses next to no CPU.
    pub(crate) fn wait_until_idle(&self) -> anyhow::Result<()> {
        let mut before = self.cpu_seconds()?;
        for _ in 0..120 {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.cpu_seconds()?;
            if now - before < IDLE {
                return Ok(());
            }
            before = now;
        }
        bail!("a minute after the load it is still busy")
    }

    /// Resident memory in MB: all of it, and the part that is not backed by files.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<(f64, f64)> {
        memory_mb(&self.child)
    }

    /// Open files, sockets and the like.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Runs `waypost load` against it and returns its report.
    pub(crate) fn load(&self, orders: u32, concurrency: u32) -> anyhow::Result<serde_json::Value> {
        self.load_with(orders, concurrency, &[])
    }

    /// As [`Waypost::load`], with `rate` orders due each second whether or not the earlier ones are answered.
    pub(crate) fn load_at(
        &self,
        rate: f64,
        orders: u32,
        concurrency: u32,
    ) -> anyhow::Result<serde_json::Value> {
        self.load_with(orders, concurrency, &["--rate", &format!("{rate:.0}")])
    }

    fn load_with(
        &self,
        orders: u32,
        concurrency: u32,
        arguments: &[&str],
    ) -> anyhow::Result<serde_json::Value> {
        let output = Command::new(binary()?)
            .args(["load", "--json", "--target", &format!("http://{}", self.gateway)])
            .args([
                "--orders",
                &orders.to_string(),
                "--concurrency",
                &concurrency.to_string(),
                "--duration",
                "5m",
            ])
            .args(arguments)
            .stderr(Stdio::null())
            .output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("load: {}", String::from_utf8_lossy(&output.stdout)))
    }
}

impl Drop for Waypost {
    fn drop(&mut self) {
        interrupt(&mut self.child);
    }
}

/// Stops a child as Ctrl-C does and waits until it is gone.
pub(crate) fn interrupt(child: &mut Child) {
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let _ = child.wait();
}

/// CPU seconds of a child so far, user and system.
pub(crate) fn cpu_seconds(child: &Child) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    Ok(Stat::parse(&stat).context("stat has another form")?.own)
}

/// CPU seconds so far of all processes of this name that this program has started, itself or through others, those
/// included that have ended since.
pub(crate) fn cpu_seconds_of(name: &str) -> anyhow::Result<f64> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        all.extend(Stat::parse(&stat).map(|stat| (pid, stat)));
    }
    let is_ours = |stat: &Stat| {
        let mut parent = stat.parent;
        while parent != std::process::id() {
            match all.get(&parent) {
                Some(above) => parent = above.parent,
                None => return false,
            }
        }
        true
    };
    let of_name = all.values().filter(|stat| stat.name == name && is_ours(stat));
    Ok(of_name.map(|stat| stat.own + stat.of_ended_children).sum())
}

/// What is read of `/proc/PID/stat`.
struct Stat {
    name: String,
    parent: u32,
    /// CPU seconds.
    own: f64,
    /// CPU seconds.
    of_ended_children: f64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Stat> {
        let (start, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |index: usize| Some(fields.get(index)?.parse::<f64>().ok()? / TICKS);
        Some(Stat {
            name: start.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            of_ended_children: seconds(13)? + seconds(14)?,
        })
    }
}

/// The numbers of the lines whose name ends so.
fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    let value = move |line: &str| line.split_once(name)?.1.split_whitespace().next()?.parse().ok();
    text.lines().filter_map(value)
}

/// The most resident memory that a child has had, in MB.
pub(crate) fn peak_mb(child: &Child) -> anyhow::Result<f64> {
    Ok(status_mb(child, ["VmHWM:"])?[0])
}

/// Resident memory of a child in MB: all of it, and the part that is not backed by files.
pub(crate) fn memory_mb(child: &Child) -> anyhow::Result<(f64, f64)> {
    let [all, own] = status_mb(child, ["VmRSS:", "RssAnon:"])?;
    Ok((all, own))
}

fn status_mb<const N: usize>(child: &Child, names: [&'static str; N]) -> anyhow::Result<[f64; N]> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6)
    };
    let mut found = [0.0; N];
    for (place, name) in found.iter_mut().zip(names) {
        *place = value(name).context(name)?;
    }
    Ok(found)
}
