//! All sockets of a process, bound before anything else is done.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;
use waypost_service::{DataDir, ListenAddress, Listener, Socket, UnixListener, bind, bind_unix};

use super::Role;
use crate::exit::{Exit, Failure};
use crate::settings::Listen;

/// The mode of a folder that is for its user alone.
const PRIVATE: u32 = 0o700;

/// Bound sockets that nobody accepts from yet.
#[derive(Debug)]
pub(crate) struct Sockets {
    roles: Vec<(Role, Socket)>,
    /// Those for the roles of this process.
    private: Vec<(Role, UnixListener)>,
    pub(crate) admin: Listener,
}

impl Sockets {
    /// Binds a socket for each role that has one, and the admin socket. Every address that cannot be had is named,
    /// with who holds it and how to move it. Must be called inside a tokio runtime.
    pub(crate) fn bind(listen: &Listen, roles: &[Role]) -> Result<Sockets, Failure> {
        let mut bound = Vec::new();
        let mut problems = Vec::new();
        for role in roles {
            let Some(address) = address_of(listen, *role) else { continue };
            match bound_at(address, role.name()) {
                Ok(socket) => bound.push((*role, socket)),
                Err(problem) => problems.push(problem),
            }
        }
        let admin = named(listen.admin, "admin").map_err(|problem| problems.push(problem));
        match admin {
            Ok(admin) if problems.is_empty() => Ok(Sockets { roles: bound, private: Vec::new(), admin }),
            _ => Err(Failure::message(Exit::Unavailable, problems.join("\n  "))),
        }
    }

    /// Binds sockets by which the roles of this process call its services, in a folder that is for this user alone. Gives the
    /// folder where that is to be removed in the end. They save a part of a call and nothing depends on them: where they cannot be
    /// had, as on a file system without sockets, the roles call each other over TCP.
    pub(super) fn bind_private(&mut self, data: &DataDir) -> Option<TempDir> {
        let removed = self.private_in(data);
        removed.unwrap_or_else(|error| {
            tracing::info!(
                reason = format!("{error:#}"),
                "the roles of this process call each other over TCP"
            );
            self.private.clear();
            None
        })
    }

    fn private_in(&mut self, data: &DataDir) -> anyhow::Result<Option<TempDir>> {
        let (folder, removed) = if let Some(data) = data.folder() {
            (data.join("sockets"), None)
        } else {
            let made = tempfile::tempdir().context("cannot make a folder for sockets")?;
            (made.path().to_path_buf(), Some(made))
        };
        make_private(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        // One that listens at a socket anyway needs no second.
        let over_tcp = self.roles.iter().filter(|(_, socket)| socket.tcp_address().is_some());
        let services: Vec<Role> =
            over_tcp.map(|(role, _)| *role).filter(|role| role.grpc_services().is_some()).collect();
        for role in services {
            let listener = bind_unix(folder.join(format!("{}.sock", role.name()))).context(role.name())?;
            self.private.push((role, listener));
        }
        Ok(removed)
    }

    /// Where the roles of this process call one of it.
    pub(super) fn target(&self, role: Role) -> Option<String> {
        let private = self.private.iter().find(|(known, _)| *known == role);
        private.map(|(_, listener)| listener.target()).or_else(|| self.url(role))
    }

    /// Where a role of this process listens, unless that is a Unix-domain socket.
    pub(crate) fn address(&self, role: Role) -> Option<SocketAddr> {
        self.of(role)?.tcp_address()
    }

    /// Where a role of this process answers, as its callers write it.
    pub(crate) fn url(&self, role: Role) -> Option<String> {
        self.of(role).map(Socket::target)
    }

    /// Each role with its address.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, String)> {
        let roles = self.roles.iter().map(|(role, socket)| (role.name(), socket.to_string()));
        roles.chain([("admin", self.admin.address().to_string())]).collect()
    }

    fn of(&self, role: Role) -> Option<&Socket> {
        self.roles.iter().find(|(known, _)| *known == role).map(|(_, socket)| socket)
    }

    /// Takes a role's sockets out, to be served.
    pub(super) fn take(&mut self, role: Role) -> Vec<Socket> {
        let public = self.roles.extract_if(.., |(known, _)| *known == role).map(|(_, socket)| socket);
        let private = self.private.extract_if(.., |(known, _)| *known == role);
        public.chain(private.map(|(_, listener)| listener.into())).collect()
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE).create(folder)?;
    // It may have been there before.
    fs::set_permissions(folder, Permissions::from_mode(PRIVATE))
}

fn address_of(listen: &Listen, role: Role) -> Option<ListenAddress> {
    match role {
        Role::Gateway => Some(listen.gateway.into()),
        Role::Order => Some(listen.order.clone()),
        Role::User => Some(listen.user.clone()),
        Role::Inventory => Some(listen.inventory.clone()),
        Role::Payment => Some(listen.payment.clone()),
        Role::Provider => Some(listen.provider.into()),
        Role::Notification => None,
    }
}

fn bound_at(address: ListenAddress, name: &str) -> Result<Socket, String> {
    match address {
        ListenAddress::Tcp(address) => named(address, name).map(Socket::from),
        ListenAddress::Unix(path) => {
            let bound = bind_unix(path).map_err(anyhow::Error::new);
            bound.map(Socket::from).map_err(|error| format!("{name}: {error:#} (listen.{name})"))
        }
    }
}

/// Binds an address of `[listen]`, with the ways to move it in the error.
pub(crate) fn named(address: SocketAddr, name: &str) -> Result<Listener, String> {
    bind(address).map_err(|error| {
        let (flag, variable) = (name.replace('_', "-"), name.to_uppercase());
        let ways = format!(
            "--{flag} ADDR, --port-offset N, WAYPOST_LISTEN__{variable} or listen.{name} in the configuration"
        );
        format!("{name}: {}", error.with_setting(ways))
    })
}
