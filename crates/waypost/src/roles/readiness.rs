//! Readiness of the process and of each of its gRPC roles.
//!
//! A caller asks a role (`grpc.health.v1` on the role's listener) whether it may be given work. If it were answered
//! for the whole process, roles that ask each other inside one process would wait for each other for ever; so each
//! role answers for itself, and only `/readyz` answers for all.

use waypost_service::health::{Health, HealthSettings};
use waypost_service::{Check, Drain, DrainTrigger};

use super::Role;

/// The health of the process and of its roles.
#[derive(Debug)]
pub(super) struct Readiness {
    settings: HealthSettings,
    pub(super) process: Health,
    roles: Vec<Health>,
    drain: Drain,
    stop: DrainTrigger,
}

impl Readiness {
    /// Nothing is ready yet.
    pub(super) fn new(settings: HealthSettings) -> Readiness {
        let (stop, drain) = Drain::new();
        let process = Health::new(settings.clone());
        Readiness { settings, process, roles: Vec::new(), drain, stop }
    }

    /// The routes by which a role's listener tells whether the role is ready; none for roles without gRPC.
    pub(super) fn routes(&mut self, role: Role, checks: &[Check]) -> Option<axum::Router> {
        let services = role.grpc_services()?;
        let health = Health::new(self.settings.clone());
        health.add(role.name(), checks.to_vec());
        let routes = health.grpc(role.name(), services);
        self.roles.push(health);
        Some(routes)
    }

    /// Everything is served: asks each check once, those of the roles that are called first, so that a start does
    /// not have to wait for the schedule.
    pub(super) async fn started(&self) {
        for health in self.roles.iter().rev().chain([&self.process]) {
            health.started();
            health.check_once().await;
        }
        for health in &self.roles {
            waypost_telemetry::spawn(health.clone().watch(self.drain.clone()));
        }
    }

    /// Starts when no role is ready any more.
    pub(super) fn end(&self) -> &Drain {
        &self.drain
    }

    /// No role is ready any more.
    pub(super) fn drain(&self) {
        self.stop.start();
        self.roles.iter().for_each(Health::drain);
    }
}
