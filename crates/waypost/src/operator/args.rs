//! What can be asked on the command line.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use waypost_api::{Amount, OrderId};

pub(crate) const ORDERS_EXAMPLES: &str = "\
Examples:
  waypost orders stuck                    orders that cannot be undone, since when and why
  waypost orders show ID                  history, journal, payment, what operators did
  waypost orders retry ID --reason 'the provider is back'
  waypost orders refund ID --reason 'never delivered'
  waypost orders refund ID --amount 10.00 --reason 'arrived late'
  waypost orders abandon ID --reason 'written off, ticket 42'
  waypost orders stuck --json --admin 127.0.0.1:9465
They ask the running process with the order role, at the address of listen.admin.
What may be done when is in docs/operations.md.";

pub(crate) const DEAD_LETTERS_EXAMPLES: &str = "\
Examples:
  waypost dead-letters list
  waypost dead-letters show order-events/2/17
  waypost dead-letters replay order-events/2/17 --reason 'fixed in 1.4'
  waypost dead-letters replay --all --reason 'the database is back'
They ask a running process with the order or the notification role, at the address of listen.admin.";

/// Where the running process is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct AdminAddress {
    /// Admin listener of the running process [default: the setting listen.admin]
    #[arg(long, value_name = "ADDR", global = true)]
    pub(crate) admin: Option<SocketAddr>,
    /// Added to the port of listen.admin when --admin is not given, as for `up` and `run`
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub(crate) port_offset: u16,
}

/// Where the running process is asked, and how its answer is shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct AdminFlags {
    #[command(flatten)]
    pub(crate) address: AdminAddress,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Who asks for an action, and why. Both are recorded.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskedFlags {
    /// Who asks [default: the name of the user of this system]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct OrdersArgs {
    #[command(flatten)]
    pub(crate) admin: AdminFlags,
    #[command(subcommand)]
    pub(crate) action: OrdersAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrdersAction {
    /// Orders that are parked: since when, at which step, why
    Stuck,
    /// One order: history, journal, payment, what operators did
    Show {
        /// The id of the order
        #[arg(value_name = "ID")]
        id: OrderId,
    },
    /// Try a parked order again now
    Retry {
        /// The id of the order
        #[arg(value_name = "ID")]
        id: OrderId,
        #[command(flatten)]
        asked: AskedFlags,
    },
    /// End a parked order without what it still wanted to undo, and note what is left open
    Abandon {
        /// The id of the order
        #[arg(value_name = "ID")]
        id: OrderId,
        #[command(flatten)]
        asked: AskedFlags,
    },
    /// Give money of an order back
    Refund {
        /// The id of the order
        #[arg(value_name = "ID")]
        id: OrderId,
        /// How much, such as 10.00 [default: all that is left]
        #[arg(long, value_name = "AMOUNT")]
        amount: Option<Amount>,
        #[command(flatten)]
        asked: AskedFlags,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DeadLettersArgs {
    #[command(flatten)]
    pub(crate) admin: AdminFlags,
    #[command(subcommand)]
    pub(crate) action: DeadLettersAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersAction {
    /// Events that could not be handled: which, since when, why
    List,
    /// One of them with its payload
    Show {
        /// As `list` names it
        #[arg(value_name = "LETTER")]
        letter: String,
    },
    /// Publish some again, or all that wait
    Replay {
        /// As `list` names them
        #[arg(value_name = "LETTER", required_unless_present = "all")]
        letters: Vec<String>,
        /// All that wait now
        #[arg(long, conflicts_with = "letters")]
        all: bool,
        #[command(flatten)]
        asked: AskedFlags,
    },
}
