//! Roles that run together: built side by side, started and drained in the order of a request's way.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all, try_join_all};
use tempfile::TempDir;
use tokio::runtime::Handle;
use waypost_durable::dead_letters::{DeadLetters, Joined};
use waypost_durable::{Storage, make_folder};
use waypost_etcd::Registration;
use waypost_identity::Identity;
use waypost_service::operator::guarded;
use waypost_service::{
    App, Check, DataDir, Drained, Limits, ListenAddress, Pacing, Process, Secured, Tasks, Watching, admin,
    observe_filesystem, watch,
};
use waypost_settings::Origin;
use waypost_telemetry::config::{Exporter, OtlpReceiver};
use waypost_telemetry::{ExporterLedger, FinishedSpan, ShutdownReport, Telemetry};

use super::broker::OpenBroker;
use super::build::{Change, Loan, Service, build, exit_of};
use super::discovery::{Finding, Registered};
use super::files::DataFiles;
use super::readiness::Readiness;
use super::telemetry::{Plan, Spans};
use super::{Role, Sockets, identity, node};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::operator::dead_letter_routes;
use crate::settings::{Effective, Settings};

/// Running roles.
#[derive(Debug)]
pub(crate) struct System {
    process: Process,
    readiness: Readiness,
    registered: Registered,
    telemetry: Vec<Telemetry>,
    addresses: Vec<(&'static str, String)>,
    urls: Vec<(Role, String)>,
    export: Option<String>,
    pacing: Pacing,
    flush_timeout: Duration,
    changes: Vec<Change>,
    /// Removed in the end.
    _socket_folder: Option<TempDir>,
}

/// A role that is built and not yet started.
struct Built {
    role: Role,
    telemetry: Telemetry,
    tasks: Tasks,
    service: Service,
    identity: Option<Identity>,
}

impl System {
    /// Builds and starts the roles on their sockets; `viewer` is the one of this process, if there is one. Returns once
    /// every check was asked.
    pub(crate) async fn start(
        effective: &Effective,
        roles: &[Role],
        mut sockets: Sockets,
        spans: Spans,
        viewer: Option<OtlpReceiver>,
    ) -> Result<System, Failure> {
        let mut settings = effective.settings.clone();
        let data = settings.data_dir();
        let keep_data = roles.iter().any(|role| role.keeps_data());
        if keep_data {
            prepare(&data)?;
        }
        // A role by itself calls nobody in its process.
        let has_callers = settings.listen.sockets && roles.len() > 1;
        let socket_folder = if has_callers { sockets.bind_private(&data) } else { None };
        connect(&mut settings, effective, &sockets);
        // A gateway needs none, so it is not asked for the password of a database either.
        let (storage, broker) = if keep_data {
            let files = DataFiles::arrange(&settings, roles).await?;
            let broker = OpenBroker::open(roles, &files.broker, &settings.broker).await?;
            (settings.storage(&files.stores)?, broker)
        } else {
            (Storage::ephemeral(), None)
        };
        // Only orders have leases.
        let has_leases = roles.contains(&Role::Order);
        let node = if has_leases { node::name(&settings.runtime.node, &data)? } else { String::new() };
        let finding = Finding::open(&settings.discovery)?;
        let plan = Plan::new(effective, roles, spans, viewer);

        let lend = |(place, role): (usize, &Role)| -> Result<(Role, Loan), Failure> {
            let telemetry =
                plan.handle(*role, place == 0).or_exit(Exit::BadConfig, "setting telemetry up")?;
            let broker = broker.as_ref().map(|broker| Arc::clone(&broker.port));
            let bound = sockets.address(*role);
            Ok((
                *role,
                Loan {
                    telemetry,
                    tasks: Tasks::new(),
                    bound,
                    storage: storage.clone(),
                    node: node.clone(),
                    broker,
                    discovery: finding.discovery.clone(),
                    identity: identity::of(*role, &settings)?,
                },
            ))
        };
        let loans = roles.iter().enumerate().map(lend).collect::<Result<Vec<_>, Failure>>()?;
        let registrations = roles.iter().map(|role| finding.registration(*role, sockets.address(*role)));
        let registrations: Vec<Option<Registration>> = registrations.collect::<Result<_, Failure>>()?;
        let built = loans.into_iter().map(|(role, loan)| built(role, settings.clone(), loan));
        let mut built = try_join_all(built).await?;
        let changes = built.iter_mut().filter_map(|built| built.service.change.take()).collect();

        let telemetry: Vec<Telemetry> = built.iter().map(|built| built.telemetry.clone()).collect();
        if let Some(first) = telemetry.first().filter(|_| keep_data) {
            observe_filesystem(&data, first);
        }
        let addresses = sockets.addresses();
        let urls = roles.iter().filter_map(|role| Some((*role, sockets.url(*role)?))).collect();
        let (process, readiness) = launch(&settings, built, broker, sockets);
        readiness.started().await;
        let registered = Registered::keep(registrations.into_iter().flatten().collect(), readiness.end());
        Ok(System {
            process,
            readiness,
            registered,
            telemetry,
            addresses,
            urls,
            export: plan.endpoint,
            pacing: settings.drain,
            flush_timeout: settings.telemetry.flush_timeout,
            changes,
            _socket_folder: socket_folder,
        })
    }

    /// Has the settings of another configuration from now on, those that can change while the roles run
    /// ([`crate::reload`]).
    pub(crate) fn change(&self, settings: &Settings) {
        let traces = &settings.telemetry.traces;
        for telemetry in &self.telemetry {
            telemetry.change_sampling(traces.sampler, traces.ratio);
        }
        self.changes.iter().for_each(|change| change.to(settings));
    }

    /// Each role with its address.
    pub(crate) fn addresses(&self) -> &[(&'static str, String)] {
        &self.addresses
    }

    /// Where a role of this process answers.
    pub(crate) fn url(&self, role: Role) -> Option<&str> {
        self.urls.iter().find(|(known, _)| *known == role).map(|(_, url)| url.as_str())
    }

    /// Where spans are sent, if anywhere.
    pub(crate) fn export(&self) -> Option<&str> {
        self.export.as_deref()
    }

    /// Spans that the roles remember.
    pub(crate) fn finished_spans(&self) -> Vec<FinishedSpan> {
        self.telemetry.iter().flat_map(Telemetry::finished_spans).collect()
    }

    /// Nobody looks at what the roles remember any more: what comes from now on is not kept.
    pub(crate) fn stop_remembering(&self) {
        self.telemetry.iter().for_each(Telemetry::stop_remembering);
    }

    /// Spans that have begun and not ended.
    pub(crate) fn open_spans(&self) -> u64 {
        self.telemetry.iter().map(|telemetry| telemetry.ledger().open()).sum()
    }

    /// Ends everything in order, telemetry last, and says what could not be finished.
    pub(crate) async fn stop(self) -> Exit {
        self.readiness.drain();
        let (drained, ()) = join(self.process.drain(&self.pacing), self.registered.gone()).await;
        let reports =
            join_all(self.telemetry.iter().map(|telemetry| telemetry.shutdown(self.flush_timeout))).await;
        account_for(&reports);
        let unclean: Vec<&Drained> = drained.iter().filter(|drained| !drained.is_clean()).collect();
        for drained in &unclean {
            tracing::error!(role = drained.role, ?drained, "not everything was finished in time");
        }
        if unclean.is_empty() { Exit::Done } else { Exit::Temporary }
    }
}

/// Starts what was built. The order is that of the drain: the roles in a request's direction, then the broker that
/// they use, and the admin listener last, so that it answers for as long as anything else runs.
fn launch(
    settings: &Settings,
    built: Vec<Built>,
    broker: Option<OpenBroker>,
    mut sockets: Sockets,
) -> (Process, Readiness) {
    let mut readiness = Readiness::new(settings.health.clone());
    let mut process = Process::new(readiness.process.clone());
    let handles: Vec<Telemetry> = built.iter().map(|built| built.telemetry.clone()).collect();
    let mut operators = axum::Router::new();
    let mut letters: Vec<Arc<dyn DeadLetters>> = Vec::new();
    letters.extend(broker.as_ref().map(|broker| Arc::clone(&broker.dead_letters)));
    for Built { role, telemetry, tasks, service: Service { mut app, dead_letters, change: _ }, identity } in
        built
    {
        letters.extend(dead_letters);
        operators = operators.merge(std::mem::take(&mut app.admin));
        if let Some(routes) = readiness.routes(role, &app.checks) {
            app.router = app.router.merge(routes);
        }
        let limits = limits(settings, role);
        let mut listeners = sockets.take(role);
        if let Some(identity) = identity {
            let every = settings.tls.refresh_interval.get();
            let Watching { worker, check } =
                watch(&identity, every, settings.tls.warn_before.get(), &telemetry);
            app.workers.push(worker);
            app.checks.push(check);
            if role.grpc_services().is_some() {
                let secured = Secured::new(&identity, &telemetry);
                listeners = listeners.into_iter().map(|listener| listener.secured(secured.clone())).collect();
            }
        }
        let sockets = listeners.into_iter().map(|listener| (listener, limits.clone()));
        process.start(role.name(), &telemetry, tasks, app, sockets);
    }
    let first = handles.first().cloned().unwrap_or_else(Telemetry::disabled);
    if let Some(broker) = broker {
        let dead_letters: Arc<dyn DeadLetters> = Arc::new(Joined(letters));
        let port = Arc::clone(&broker.port);
        // Without it orders are taken and wait in the outbox, so it is no reason to give the process no work.
        let answers = Check::advisory("connection", move || {
            let port = Arc::clone(&port);
            async move { port.ready().await.map_err(|error| error.to_string()) }
        });
        let checks = vec![answers, dead_letter_routes::check(Arc::clone(&dead_letters), &first)];
        operators = operators.merge(dead_letter_routes::routes(dead_letters));
        let app = App { workers: broker.workers(&first), checks, ..App::default() };
        process.start("broker", &first, Tasks::new(), app, None);
    }
    let router = admin::router(handles, &readiness.process).merge(guarded(operators));
    let socket = (sockets.admin.into(), settings.limits.internal.clone());
    process.start("admin", &first, Tasks::new(), App { router, ..App::default() }, Some(socket));
    (process, readiness)
}

/// Builds a role on a thread that may block: opening a database waits for the disk, and the roles wait side by side.
async fn built(role: Role, settings: Settings, loan: Loan) -> Result<Built, Failure> {
    let (telemetry, tasks, identity) = (loan.telemetry.clone(), loan.tasks.clone(), loan.identity.clone());
    let runtime = Handle::current();
    let service = tokio::task::spawn_blocking(move || runtime.block_on(build(role, &settings, loan)));
    let service = service.await.or_exit(Exit::Internal, format!("starting {}", role.name()))??;
    Ok(Built { role, telemetry, tasks, service, identity })
}

/// Makes the data folder, so that it survives a loss of power, and proves that it can be written to.
pub(crate) fn prepare(data: &DataDir) -> Result<(), Failure> {
    let made = data.folder().map_or(Ok(()), make_folder);
    let prepared = data.prepare().map_err(anyhow::Error::new).and(made.map_err(anyhow::Error::new));
    prepared.map_err(|error| {
        let exit = if exit_of(&error) == Exit::Io { Exit::Io } else { Exit::CannotCreate };
        Failure::new(exit, error)
    })
}

/// Fills in where the roles find each other, unless the configuration says so: a role of this process is called
/// where it really listens, any other at the address that `[listen]` gives it.
fn connect(settings: &mut Settings, effective: &Effective, sockets: &Sockets) {
    let listen = settings.listen.clone();
    let url = |role: Role, address: &ListenAddress| sockets.target(role).unwrap_or_else(|| address.target());
    let (order, user) = (url(Role::Order, &listen.order), url(Role::User, &listen.user));
    let inventory = url(Role::Inventory, &listen.inventory);
    let payment = url(Role::Payment, &listen.payment);
    let provider = url(Role::Provider, &listen.provider.into());
    let targets = [
        ("gateway.order_service", &mut settings.gateway.order_service, &order),
        ("gateway.user_service", &mut settings.gateway.user_service, &user),
        ("gateway.inventory_service", &mut settings.gateway.inventory_service, &inventory),
        ("order.inventory_target", &mut settings.order.inventory_target, &inventory),
        ("order.payment_target", &mut settings.order.payment_target, &payment),
        ("payment.provider.url", &mut settings.payment.provider.url, &provider),
    ];
    for (key, target, found) in targets {
        if effective.origin(key) == Origin::Default {
            found.clone_into(target);
        }
    }
}

/// How a client on this machine calls what listens there.
pub(crate) fn url_of(mut address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

fn limits(settings: &Settings, role: Role) -> Limits {
    match role {
        Role::Gateway => {
            let mut limits = settings.limits.public.clone();
            limits.proxies.extend(&settings.gateway.trusted_proxies);
            limits
        }
        _ => settings.limits.internal.clone(),
    }
}

/// Says what became of the telemetry. Logged, as the readers of a collector cannot see what never came.
fn account_for(reports: &[ShutdownReport]) {
    // Memory is no receiver: what it forgets was never to be sent.
    let receivers = || {
        let exporters = reports.iter().flat_map(|report| &report.traces.exporters);
        exporters.filter(|exporter| exporter.exporter != Exporter::Memory.name())
    };
    let sent: u64 = receivers().map(|receiver| receiver.exported).sum();
    let dropped: u64 = receivers().map(ExporterLedger::dropped_total).sum();
    tracing::info!(spans_sent = sent, spans_dropped = dropped, "telemetry is flushed");
}
