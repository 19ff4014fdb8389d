//! `waypost`: an order system in which every order can be followed.
//!
//! `main` reads the command line and the environment, builds a runtime, hands over to the command, and turns the
//! outcome into an exit code. Each command is a module; [`roles`] puts the parts of the system together.

mod certificates;
mod cli;
mod client;
mod config;
mod console;
mod exit;
mod health;
mod load;
mod logs;
mod man_pages;
mod migrate;
mod operator;
mod output;
mod reload;
mod roles;
mod run;
mod settings;
mod shutdown;
mod stores;
mod story;
mod topics;
mod transfer;
mod up;
mod viewer;

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::FromArgMatches as _;
use tokio::runtime::Builder;

use cli::{Cli, Command};
use console::complain;
use exit::{Exit, Failure, OrExit as _};
use operator::{Admin, dead_letters, orders};
use settings::Environment;

/// Many threads make and drop small things for every order; the system's allocator takes a tenth of its CPU.
#[global_allocator]
static ALLOCATOR: waypost_allocator::Allocator = waypost_allocator::Allocator;

fn main() -> ExitCode {
    let begin = Instant::now();
    let matches = cli::command().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and the version arrive here too, as "errors" that go to standard output.
            drop(usage.print());
            let exit = if usage.use_stderr() { Exit::BadConfig } else { Exit::Done };
            return exit.into();
        }
    };
    match execute(cli, begin) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            complain(format!("waypost: {failure}"));
            failure.exit.into()
        }
    }
}

fn execute(cli: Cli, begin: Instant) -> Result<Exit, Failure> {
    let environment = Environment::of_process();
    let file = cli.config.as_deref();
    match cli.command {
        Command::Up(args) => {
            let effective = up::settings(&args, file, &environment)?;
            let filter = logs::to_stderr(&effective)?;
            on_runtime(
                effective.settings.worker_threads(),
                up::up(args, effective, filter, &environment, begin),
            )
        }
        Command::Run(args) => {
            let effective = run::settings(&args, file, &environment)?;
            let filter = logs::to_stdout(&effective)?;
            on_runtime(effective.settings.worker_threads(), run::run(args, effective, filter))
        }
        Command::Viewer(args) => {
            let effective = viewer::settings(&args, file, &environment)?;
            logs::to_stdout(&effective)?;
            on_runtime(effective.settings.worker_threads(), viewer::viewer(effective))
        }
        Command::Load(args) => on_runtime(1, load::load(args)),
        Command::Migrate(args) => {
            let effective = migrate::settings(&args, file, &environment)?;
            on_runtime(1, migrate::migrate(args, effective))
        }
        Command::Export(args) => {
            let effective = transfer::settings(&args, file, &environment)?;
            on_runtime(1, transfer::export(args, effective))
        }
        Command::Import(args) => {
            let effective = transfer::settings(&args, file, &environment)?;
            on_runtime(1, transfer::import(args, effective))
        }
        Command::Orders(args) => {
            let admin = Admin::find(&args.admin.address, file, &environment)?;
            on_runtime(1, orders(args, admin, &environment))
        }
        Command::DeadLetters(args) => {
            let admin = Admin::find(&args.admin.address, file, &environment)?;
            on_runtime(1, dead_letters(args, admin, &environment))
        }
        Command::Health(args) => {
            let admin = Admin::find(&args.admin, file, &environment)?;
            on_runtime(1, health::health(args, admin))
        }
        Command::Topics(args) => topics::topics(&args, file, &environment),
        Command::ManPages { folder } => man_pages::write(cli::command(), &folder),
        Command::Config(args) => config::config(&args, file, &environment),
        Command::Certificates(args) => certificates::certificates(&args, file, &environment),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut cli::command(), "waypost", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

/// Runs a command. One thread is the calling one: no work is handed from thread to thread.
fn on_runtime(threads: usize, command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    // What a thread keeps of memory after a load is over goes back before the thread sleeps, or when it ends. Threads for blocking work only
    // end: each takes its turn, so that with tokio's ten seconds a call now and then keeps all of them.
    builder.on_thread_park(waypost_allocator::on_park).thread_keep_alive(Duration::from_secs(2));
    let runtime = builder.enable_all().build().or_exit(Exit::Internal, "starting the runtime")?;
    let outcome = runtime.block_on(command);
    // Whoever is left has had its time; a thread that hangs must not hold the process.
    runtime.shutdown_background();
    outcome
}
