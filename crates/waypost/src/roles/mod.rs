//! The roles: their names, their sockets, and how a set of them becomes one running process.
//!
//! The order of [`Role::ALL`] is the order of a request's way through the system. Roles are started and drained in
//! that order, so that a request in flight always finds the roles that it still needs.

mod broker;
mod build;
mod cache;
mod discovery;
mod files;
mod identity;
#[cfg(feature = "kafka")]
mod kafka;
mod node;
mod readiness;
mod sockets;
mod system;
mod telemetry;
mod topics;

use clap::ValueEnum;

pub(crate) use build::exit_of;
pub(crate) use files::{BROKER, DataFiles};
pub(crate) use node::is_name as is_node_name;
pub(crate) use sockets::{Sockets, named};
pub(crate) use system::{System, prepare, url_of};
pub(crate) use telemetry::Spans;
pub(crate) use topics::{Topic, topics};

/// A part of the system that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Role {
    /// Public HTTP edge
    Gateway,
    /// Orders: accepts them and carries each to an end
    Order,
    /// Users: who they are and whether their password is right
    User,
    /// Inventory: what there is, what is held, and the catalogue price
    Inventory,
    /// Payments, by way of the provider
    Payment,
    /// Simulated outside payment provider
    Provider,
    /// Tells users how an order went
    Notification,
}

impl Role {
    /// Every role, in the order of a request's way through them.
    pub(crate) const ALL: [Role; 7] = [
        Role::Gateway,
        Role::Order,
        Role::User,
        Role::Inventory,
        Role::Payment,
        Role::Provider,
        Role::Notification,
    ];

    /// Its name in commands, settings and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Order => "order",
            Role::User => "user",
            Role::Inventory => "inventory",
            Role::Payment => "payment",
            Role::Provider => "provider",
            Role::Notification => "notification",
        }
    }

    /// `service.name` of its telemetry.
    pub(crate) fn service_name(self) -> &'static str {
        match self {
            Role::Gateway => "api-gateway",
            Role::Order => "order-service",
            Role::User => "user-service",
            Role::Inventory => "inventory-service",
            Role::Payment => "payment-service",
            Role::Provider => "payment-provider",
            Role::Notification => "notification-service",
        }
    }

    /// Full names of the gRPC services on its listener.
    fn grpc_services(self) -> Option<&'static [&'static str]> {
        match self {
            Role::Order => Some(&["waypost.order.v1.OrderService"]),
            Role::User => Some(&["waypost.user.v1.UserService"]),
            Role::Inventory => Some(&["waypost.inventory.v1.InventoryService"]),
            Role::Payment => Some(&["waypost.payment.v1.PaymentService"]),
            Role::Gateway | Role::Provider | Role::Notification => None,
        }
    }

    /// True for the roles that have a database.
    fn keeps_data(self) -> bool {
        self != Role::Gateway
    }

    /// True for the roles that share the broker.
    fn needs_broker(self) -> bool {
        matches!(self, Role::Order | Role::Notification)
    }
}
