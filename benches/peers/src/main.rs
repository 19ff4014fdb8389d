//! Measures the kit beside its peers: what a span, an unsampled span, a small traced request and a
//! call through each integration cost, and what a receiver in trouble makes them lose. Of the kit alone: what its samplers cost.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- spans
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- unsampled
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- request
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- calls
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- stall
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- instructions
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- sampling
//! ```
//!
//! This process only directs. Producers, receiver, services and load are processes of their own, the same program
//! with one of the hidden commands: producers and services on CPU 0, the rest on CPU 1. README.md says how to read
//! what is printed.
#![allow(clippy::print_stdout, reason = "printing is what a measurement is for")]

mod account;
mod allocations;
mod calls;
mod clock;
mod instructions;
mod libraries;
mod order;
mod process;
mod producer;
mod receiver;
mod request;
mod sampling;
mod spans;
mod stall;
#[path = "../../src/statistics.rs"]
mod statistics;
mod table;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "waypost-peers", about = "Measures the telemetry kit beside its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU and allocations of a span, export included.
    Spans(spans::Options),
    /// CPU of a span that the sampler leaves out.
    Unsampled(spans::Options),
    /// CPU of a small request over HTTP, gRPC and SQLite, traced and not.
    Request(request::Options),
    /// What is lost when the receiver is in trouble.
    Stall(stall::Options),
    /// Instructions of a span and of the small request, counted by valgrind.
    Instructions(instructions::Options),
    /// Instructions and allocations of a call through each integration, beside the bare library and others.
    Calls(calls::Options),
    /// What it costs to leave a trace out, by sampler, and the memory of the tail buffer.
    Sampling(sampling::Options),
    #[command(hide = true)]
    Call(calls::CallOptions),
    #[command(hide = true)]
    Decisions(sampling::decisions::DecisionOptions),
    #[command(hide = true)]
    Flood(sampling::flood::FloodOptions),
    #[command(hide = true)]
    Receiver,
    #[command(hide = true)]
    Bursts(producer::BurstOptions),
    #[command(hide = true)]
    Steady(producer::SteadyOptions),
    #[command(hide = true)]
    Service { variant: String },
    #[command(hide = true)]
    Load {
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        milliseconds: u64,
    },
}

#[expect(clippy::print_stderr, reason = "a command line tool reports to its user")]
fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Spans(options) => spans::measure(&spans::SAMPLED, &options),
        Command::Unsampled(options) => spans::measure(&spans::UNSAMPLED, &options),
        Command::Request(options) => request::measure(&options),
        Command::Stall(options) => stall::measure(&options),
        Command::Instructions(options) => instructions::measure(&options),
        Command::Calls(options) => calls::measure(&options),
        Command::Sampling(options) => sampling::measure(&options),
        Command::Call(options) => calls::run(&options),
        Command::Decisions(options) => sampling::decisions::run(&options),
        Command::Flood(options) => sampling::flood::run(&options),
        Command::Receiver => receiver::run(),
        Command::Bursts(options) => producer::bursts(&options),
        Command::Steady(options) => producer::steady(&options),
        Command::Service { variant } => request::service::run(&variant),
        Command::Load { address, connections, milliseconds } => {
            request::load::run(address, connections, milliseconds)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
