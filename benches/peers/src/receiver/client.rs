//! The director's side: a receiver that was started, and its commands.

use std::net::SocketAddr;

use super::{Behaviour, Counts};
use crate::process::Process;

/// A running receiver.
pub(crate) struct Receiver {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Receiver {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut process = Process::start(&["receiver"], &Vec::new())?;
        let address = process.read()?;
        Ok(Self { process, address })
    }

    pub(crate) fn counts(&mut self) -> anyhow::Result<Counts> {
        self.process.ask("counts")
    }

    pub(crate) fn reset(&mut self) -> anyhow::Result<()> {
        self.process.ask::<bool>("reset").map(drop)
    }

    pub(crate) fn behave(&mut self, behaviour: Behaviour) -> anyhow::Result<()> {
        let behaviour = serde_json::to_string(&behaviour)?;
        self.process.ask::<bool>(&behaviour).map(drop)
    }
}
