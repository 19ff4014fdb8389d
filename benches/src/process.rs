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

/// CPU seconds in [`WHILE`] of who has nothing to do but to look whether there is something.
const IDLE: f64 = 0.03;

/// How long a process is looked at to know whether it is idle.
const WHILE: Duration = Duration::from_millis(500);

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
    /// The process itself, which is not the child where a tool is its parent.
    id: u32,
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
        Self::by(Command::new(binary), data, arguments, environment)
    }

    /// Starts it by a command that names the binary last, behind a tool that it is to run under.
    pub(crate) fn by(
        mut command: Command,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Waypost> {
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
        let id = child_of(child.id())?.unwrap_or(child.id());
        Ok(Waypost { child, id, gateway, until_up, until_order })
    }

    /// CPU seconds so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.id)
    }

    /// What its threads that are alive have used.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.id));
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
        wait_until_idle(IDLE, || self.cpu_seconds())
    }

    /// CPU seconds that it uses in a while when it has nothing to do, which under a tool is more than [`IDLE`].
    pub(crate) fn cpu_at_rest(&self) -> anyhow::Result<f64> {
        let mut least = f64::INFINITY;
        for _ in 0..4 {
            let before = self.cpu_seconds()?;
            std::thread::sleep(WHILE);
            least = least.min(self.cpu_seconds()? - before);
        }
        Ok(least)
    }

    /// As [`Waypost::wait_until_idle`], for who uses so much at rest.
    pub(crate) fn wait_until_at_rest(&self, cpu_at_rest: f64) -> anyhow::Result<()> {
        wait_until_idle(IDLE + cpu_at_rest, || self.cpu_seconds())
    }

    /// Resident memory in MB: all of it, and the part that is not backed by files.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<(f64, f64)> {
        memory_mb(self.id)
    }

    /// Open files, sockets and the like.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.id))?.count())
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
        Load { program: &binary()? }.place_with(self.gateway, orders, concurrency, arguments)
    }
}

/// `waypost load` of this binary.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) program: &'a Path,
}

impl Load<'_> {
    /// Places orders and returns its report.
    pub(crate) fn place(
        self,
        gateway: SocketAddr,
        orders: u32,
        concurrency: u32,
    ) -> anyhow::Result<serde_json::Value> {
        self.place_with(gateway, orders, concurrency, &[])
    }

    fn place_with(
        self,
        gateway: SocketAddr,
        orders: u32,
        concurrency: u32,
        arguments: &[&str],
    ) -> anyhow::Result<serde_json::Value> {
        let (orders, concurrency) = (orders.to_string(), concurrency.to_string());
        let output = Command::new(self.program)
            .args(["load", "--json", "--target", &format!("http://{gateway}")])
            .args(["--orders", &orders, "--concurrency", &concurrency, "--duration", "5m"])
            .args(arguments)
            .stderr(Stdio::null())
            .output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("load: {}", String::from_utf8_lossy(&output.stdout)))
    }
}

impl Drop for Waypost {
    fn drop(&mut self) {
        send_interrupt(self.id);
        let _ = self.child.wait();
    }
}

/// Stops a child as Ctrl-C does and waits until it is gone.
pub(crate) fn interrupt(child: &mut Child) {
    send_interrupt(child.id());
    let _ = child.wait();
}

fn send_interrupt(id: u32) {
    let _ = Command::new("kill").args(["-INT", &id.to_string()]).status();
}

/// Waits until whatever `cpu_seconds` tells of uses less than this in [`WHILE`].
pub(crate) fn wait_until_idle(
    idle: f64,
    cpu_seconds: impl Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    let mut before = cpu_seconds()?;
    for _ in 0..120 {
        std::thread::sleep(WHILE);
        let now = cpu_seconds()?;
        if now - before < idle {
            return Ok(());
        }
        before = now;
    }
    bail!("a minute after the load it is still busy")
}

/// CPU seconds of a process so far, user and system.
pub(crate) fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    Ok(Stat::parse(&stat).context("stat has another form")?.own)
}

/// The process that this one has started, if there is one.
fn child_of(id: u32) -> anyhow::Result<Option<u32>> {
    Ok(processes()?.iter().find(|(_, stat)| stat.parent == id).map(|(child, _)| *child))
}

/// CPU seconds so far of all processes of this name that this program has started, itself or through others, those
/// included that have ended since.
pub(crate) fn cpu_seconds_of(name: &str) -> anyhow::Result<f64> {
    let all = processes()?;
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

/// Every process, by its id.
fn processes() -> anyhow::Result<HashMap<u32, Stat>> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        all.extend(Stat::parse(&stat).map(|stat| (id, stat)));
    }
    Ok(all)
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

/// The most resident memory that a process has had, in MB.
pub(crate) fn peak_mb(id: u32) -> anyhow::Result<f64> {
    Ok(status_mb(id, ["VmHWM:"])?[0])
}

/// Resident memory of a process in MB: all of it, and the part that is not backed by files.
pub(crate) fn memory_mb(id: u32) -> anyhow::Result<(f64, f64)> {
    let [all, own] = status_mb(id, ["VmRSS:", "RssAnon:"])?;
    Ok((all, own))
}

fn status_mb<const N: usize>(id: u32, names: [&'static str; N]) -> anyhow::Result<[f64; N]> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
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
