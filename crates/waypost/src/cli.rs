//! The command line: what can be asked of `waypost`, with help that teaches by example.
//!
//! Flags become settings of the highest layer ([`SettingFlags::flags`]); this module gives no setting a meaning
//! and reads no environment.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use waypost_service::ListenAddress;
use waypost_settings::{Duration, Flag};

use crate::exit::Exit;
use crate::load::Mix;
use crate::operator::args::{
    AdminAddress, DEAD_LETTERS_EXAMPLES, DeadLettersArgs, ORDERS_EXAMPLES, OrdersArgs,
};
use crate::roles::Role;

/// The version and the commit it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT_OF_WAYPOST"), ")");

#[derive(Debug, Parser)]
#[command(
    name = "waypost",
    version = VERSION,
    about = "An order system in which every order can be followed, from the first byte to the last notification",
    long_about = "An order system in which every order can be followed, from the first byte at the gateway to the \
                  last notification.\n\nStart with `waypost up`: it needs no other software, places one order and \
                  shows what happened to it.",
    after_help = "Start with:\n  waypost up",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// Configuration file. Without it ./waypost.toml is read, if there is one
    #[arg(long, short, global = true, value_name = "FILE", env = "WAYPOST_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this process, place one order and show what happened to it
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Run one or several roles in this process, as in production
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Run the viewer alone: takes in spans by OTLP and Zipkin, keeps them, shows them
    #[command(after_help = VIEWER_EXAMPLES)]
    Viewer(ViewerArgs),
    /// Place orders at a gateway and report throughput, latency and failures
    #[command(after_help = LOAD_EXAMPLES)]
    Load(LoadArgs),
    /// Orders that need a person: what is parked and why, and what can be done
    #[command(after_help = ORDERS_EXAMPLES)]
    Orders(OrdersArgs),
    /// Events that could not be handled: look at them, publish them again
    #[command(after_help = DEAD_LETTERS_EXAMPLES)]
    DeadLetters(DeadLettersArgs),
    /// Topics and consumer groups that the configuration uses, for whoever makes or allows them
    #[command(after_help = TOPICS_EXAMPLES)]
    Topics(TopicsArgs),
    /// Ask the running process whether it is well: one line, exit code 0 or 1
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(HealthArgs),
    /// Show, check or document the configuration
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Make or renew an authority and a certificate for each role, for mutual TLS between them
    #[command(after_help = CERTIFICATES_EXAMPLES)]
    Certificates(CertificatesArgs),
    /// Bring the databases to the schema of this version, without starting anything
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(MigrateArgs),
    /// Write the data of the roles into a folder, for another database
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(TransferArgs),
    /// Put exported data into an empty database
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(TransferArgs),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: Shell },
    /// Write the manual pages of all commands into a folder
    #[command(after_help = MAN_PAGES_EXAMPLES)]
    ManPages {
        /// Made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

const UP_EXAMPLES: &str = "\
Examples:
  waypost up                              data in ./waypost-data, gateway on port 8080
  waypost up --ephemeral --port-offset 1000
                                          beside another one, leaving nothing behind
  waypost up --gateway 127.0.0.1:8081     when port 8080 is taken
  waypost up --export http://127.0.0.1:4318
                                          send the telemetry to a collector as well
  waypost up --log info,waypost_order=debug
                                          hear the roles speak
Then, from another terminal:
  curl -X POST http://localhost:8080/api/orders -H 'Content-Type: application/json' \\
    -d '{\"user_id\":\"user123\",\"product_id\":\"prod456\",\"quantity\":2,\"amount\":99.99}'";

const RUN_EXAMPLES: &str = "\
Examples:
  waypost run gateway                     one role; finds the others at the default ports of this machine
  waypost run order notification          two roles that share the broker in the data folder
  waypost run payment --config /etc/waypost.toml
  WAYPOST_GATEWAY__AUTH=demo waypost run gateway
Log lines go to standard output; `listening` names each address. SIGTERM drains.";

const VIEWER_EXAMPLES: &str = "\
Examples:
  waypost viewer                          page at http://127.0.0.1:16686, OTLP at 4317 and 4318, Zipkin at 9411
  waypost viewer --data /var/lib/waypost --set viewer.store.budget=50GiB
  waypost viewer --viewer 0.0.0.0:16686   beyond this machine: the link with the token is printed
Any OpenTelemetry SDK finds it at its default address. SIGTERM ends it; what was acknowledged is on the disk.";

const LOAD_EXAMPLES: &str = "\
Examples:
  waypost load                            1,000 orders, 16 at once
  waypost load --orders 50000 --concurrency 50
  waypost load --duration 30s --rate 500  500 orders are due each second, answered or not
  waypost load --mix success=90,out-of-stock=5,declined=5
  waypost load --json > run.json
Ctrl-C ends the run and reports what was measured so far. Exit code 1 when an answer is not explained by the mix.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  waypost config docs > waypost.toml      a file with every setting and its default, explained
  waypost config check                    all problems at once; exit code 64 if there are any
  waypost config print                    what is in effect and where it comes from; secrets are hidden
A setting comes from, in rising order: its default, the file, the environment
(WAYPOST_SECTION__KEY, and the standard OTEL_* variables), flags.";

const CERTIFICATES_EXAMPLES: &str = "\
Examples:
  waypost certificates tls                ca.pem, and order.pem with order.key and so on, good for a year
  waypost certificates tls --days 30      renewed: the authority stays, and running processes take them up
The names in the certificates are those of tls.names in the configuration.";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  waypost migrate --dry-run               what would be done, and to which files
  waypost migrate --data /var/lib/waypost";

const EXPORT_EXAMPLES: &str = "\
Examples:
  waypost export /backup/moved --data /var/lib/waypost
  waypost export /backup/payments --role payment --config shop.toml
Stop the roles first: what they write meanwhile is not in it. It holds keys and hashes of passwords.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  waypost import /backup/moved --config postgres.toml
  waypost import /backup/moved --role order --role payment
A role is imported whole or not at all, and only into a database that has nothing of it.";

const TOPICS_EXAMPLES: &str = "\
Examples:
  waypost topics --config kafka.toml
  waypost topics --set broker.retry.kind=topics --json
No broker is asked.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  waypost completions bash > /etc/bash_completion.d/waypost
  waypost completions zsh > ~/.zfunc/_waypost
  waypost completions fish > ~/.config/fish/completions/waypost.fish";

const MAN_PAGES_EXAMPLES: &str = "\
Examples:
  waypost man-pages /usr/local/share/man/man1
  waypost man-pages man && man ./man/waypost-up.1";

const HEALTH_EXAMPLES: &str = "\
Examples:
  waypost health                          ready to serve? For load balancers, start order, HEALTHCHECK
  waypost health --live                   alive? For those who restart what is not
  waypost health --admin 127.0.0.1:9465
It asks the running process at the address of listen.admin. What is not well, or does not answer, ends with 1.";

/// What is asked of the running process.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// Ask whether a restart would help (/livez), not whether it can serve (/readyz)
    #[arg(long)]
    pub(crate) live: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "3s")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) admin: AdminAddress,
}

/// Settings that several commands take as flags.
#[derive(Args, Debug, Default)]
pub(crate) struct SettingFlags {
    /// Folder for the databases [default: waypost-data]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data: Option<PathBuf>,
    /// Keep the data in a temporary folder that is removed at the end
    #[arg(long)]
    ephemeral: bool,
    /// Any setting, as `config docs` names it; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Flag>,
}

fn setting(argument: &str) -> Result<Flag, String> {
    Flag::parse("--set", argument).ok_or_else(|| "write it as section.key=value".to_owned())
}

/// Addresses to listen on. Port 0 takes any free port; services may listen at a Unix-domain socket, `unix:/path`.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Addresses to listen on")]
pub(crate) struct ListenFlags {
    /// Gateway, HTTP [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    gateway: Option<SocketAddr>,
    /// Order service, gRPC [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    order: Option<ListenAddress>,
    /// User service, gRPC [default: 127.0.0.1:9091]
    #[arg(long, value_name = "ADDR")]
    user: Option<ListenAddress>,
    /// Inventory service, gRPC [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDR")]
    inventory: Option<ListenAddress>,
    /// Payment service, gRPC [default: 127.0.0.1:9093]
    #[arg(long, value_name = "ADDR")]
    payment: Option<ListenAddress>,
    /// Simulated payment provider, HTTP [default: 127.0.0.1:9095]
    #[arg(long, value_name = "ADDR")]
    provider: Option<SocketAddr>,
    /// Health and metrics of this process, HTTP [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    viewer: ViewerListenFlags,
    /// Added to every port that no flag names; 0 stays 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port_offset: u16,
}

/// Addresses of the viewer.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Addresses to listen on")]
pub(crate) struct ViewerListenFlags {
    /// Viewer: page and query APIs, HTTP [default: 127.0.0.1:16686]
    #[arg(long, value_name = "ADDR")]
    viewer: Option<SocketAddr>,
    /// Viewer: OTLP over gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR")]
    otlp_grpc: Option<SocketAddr>,
    /// Viewer: OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR")]
    otlp_http: Option<SocketAddr>,
    /// Viewer: Zipkin, HTTP [default: 127.0.0.1:9411]
    #[arg(long, value_name = "ADDR")]
    zipkin: Option<SocketAddr>,
}

#[derive(Args, Debug)]
pub(crate) struct ViewerArgs {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    #[command(flatten)]
    pub(crate) listen: ViewerListenFlags,
    /// Health of this process, HTTP [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses to listen on")]
    admin: Option<SocketAddr>,
    /// Added to every port that no flag names; 0 stays 0
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Addresses to listen on")]
    pub(crate) port_offset: u16,
    /// Which log lines are written, in the syntax of RUST_LOG
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// Where logs and telemetry go.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Logs and telemetry")]
pub(crate) struct SignalFlags {
    /// Which log lines are written, in the syntax of RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// OTLP endpoint of a collector, such as `http://collector:4318`; beside the viewer, if that runs here
    #[arg(long, value_name = "URL")]
    pub(crate) export: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Do not place an order at the start
    #[arg(long)]
    pub(crate) no_first_order: bool,
    /// Do not run the viewer
    #[arg(long)]
    pub(crate) no_viewer: bool,
    /// No emoji, no colour, only ASCII; also with NO_COLOR, or when this is not a terminal
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) signals: SignalFlags,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The roles to run in this process
    #[arg(required = true, value_enum, value_name = "ROLE")]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) signals: SignalFlags,
}

#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// The gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) target: String,
    /// How many orders [default: 1000, or no limit with --duration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) orders: Option<u64>,
    /// The longest time, such as 30s [default: 1m]
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<Duration>,
    /// The most orders at once; one connection each
    #[arg(long, short = 'n', value_name = "N", default_value = "16")]
    pub(crate) concurrency: NonZeroU16,
    /// Orders due each second, whether or not earlier ones are answered [default: as fast as answers come]
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Stories and their shares: success, out-of-stock, declined, slow, timeout
    #[arg(long, value_name = "STORY=SHARE,..", default_value = "success=100")]
    pub(crate) mix: Mix,
    /// Log the users of the mix in first, for a gateway that requires it (demo users: waypost-demo)
    #[arg(long, value_name = "PASSWORD", env = "WAYPOST_LOAD_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Send orders without an Idempotency-Key, which only a gateway that does not require one takes
    #[arg(long)]
    pub(crate) no_keys: bool,
    /// Print the report as JSON
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) json: bool,
    /// Allow a target that is not on this machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.01..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "write a number of orders a second, from 0.01 to 1000000".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// The configuration in effect, with the source of each value that is not a default; secrets are hidden
    Print {
        #[command(flatten)]
        settings: SettingFlags,
        /// As `up` would have it; otherwise as `run`
        #[arg(long)]
        up: bool,
    },
    /// Name every problem, with file, key and reason
    Check {
        #[command(flatten)]
        settings: SettingFlags,
        /// As `up` would have it; otherwise as `run`
        #[arg(long)]
        up: bool,
    },
    /// A file with every setting and its default, each below its description
    Docs {
        /// As a Markdown table with the environment variables
        #[arg(long)]
        markdown: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CertificatesArgs {
    /// Made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// How long the certificates of the roles are good
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
}

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Whose topics.
#[derive(Args, Debug)]
pub(crate) struct TopicsArgs {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is moved, and where to or from.
#[derive(Args, Debug)]
pub(crate) struct TransferArgs {
    /// The folder of the export
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only this role; may be repeated [default: all that keep data]
    #[arg(long = "role", value_name = "ROLE", value_parser = PossibleValuesParser::new(crate::stores::names()))]
    pub(crate) roles: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

impl SettingFlags {
    /// The flags as settings, `--set` last.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let data = self.data.as_ref().map(|folder| flag("--data", "data.folder", folder.display()));
        let ephemeral = self.ephemeral.then(|| flag("--ephemeral", "data.ephemeral", true));
        data.into_iter().chain(ephemeral).chain(self.set.iter().cloned()).collect()
    }
}

impl ListenFlags {
    /// The flags as settings.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let outer = [("gateway", self.gateway), ("provider", self.provider), ("admin", self.admin)];
        let services = [
            ("order", self.order.clone()),
            ("user", self.user.clone()),
            ("inventory", self.inventory.clone()),
            ("payment", self.payment.clone()),
        ];
        listening(outer).chain(listening(services)).chain(self.viewer.flags()).collect()
    }
}

impl ViewerListenFlags {
    /// The flags as settings.
    fn flags(&self) -> Vec<Flag> {
        let addresses = [
            ("viewer", self.viewer),
            ("otlp_grpc", self.otlp_grpc),
            ("otlp_http", self.otlp_http),
            ("zipkin", self.zipkin),
        ];
        listening(addresses).collect()
    }
}

impl ViewerArgs {
    /// The flags as settings.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let log = self.log.as_ref().map(|filter| flag("--log", "telemetry.logs.filter", filter));
        let admin = listening([("admin", self.admin)]);
        let settings = self.settings.flags().into_iter();
        settings.chain(self.listen.flags()).chain(admin).chain(log).collect()
    }
}

/// The addresses that were given, as settings.
fn listening<A: std::fmt::Display, const N: usize>(
    addresses: [(&'static str, Option<A>); N],
) -> impl Iterator<Item = Flag> {
    let given = |(name, address): (&str, Option<A>)| {
        Some(flag(&format!("--{}", name.replace('_', "-")), &format!("listen.{name}"), address?))
    };
    addresses.into_iter().filter_map(given)
}

impl SignalFlags {
    /// The flags as settings.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let log = self.log.as_ref().map(|filter| flag("--log", "telemetry.logs.filter", filter));
        let export =
            self.export.as_ref().map(|endpoint| flag("--export", "telemetry.otlp.endpoint", endpoint));
        log.into_iter().chain(export).collect()
    }
}

fn flag(name: &str, key: &str, value: impl std::fmt::Display) -> Flag {
    Flag { name: name.to_owned(), key: key.to_owned(), value: value.to_string() }
}

/// The command line as clap sees it, with the exit codes below the help.
pub(crate) fn command() -> clap::Command {
    let help = format!("Start with:\n  waypost up\n\nExit codes:\n{}", Exit::table());
    Cli::command().after_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        command().debug_assert();
    }

    #[test]
    fn flags_become_settings_of_the_highest_layer() {
        let cli =
            Cli::parse_from(["waypost", "up", "--gateway", "127.0.0.1:0", "--ephemeral", "--set", "a.b=c=d"]);
        let Command::Up(up) = cli.command else { panic!("not `up`") };
        let shown = |flags: Vec<Flag>| -> Vec<String> {
            flags.iter().map(|flag| format!("{} {}={}", flag.name, flag.key, flag.value)).collect()
        };
        assert_eq!(shown(up.listen.flags()), ["--gateway listen.gateway=127.0.0.1:0"]);
        assert_eq!(shown(up.settings.flags()), ["--ephemeral data.ephemeral=true", "--set a.b a.b=c=d"]);
    }
}
