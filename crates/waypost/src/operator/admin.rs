//! The admin listener of the running process, as a client sees it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use waypost_service::operator::Asked;

use super::args::{AdminAddress, AskedFlags};
use super::text::wrapped;
use crate::client::{Answer, Client, ClientError, Target};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles::url_of;
use crate::settings::{Environment, Profile, load};

/// The payment service and its provider may have to be asked.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Variables that name the user of the system, on Unix and on Windows.
const USER_VARIABLES: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

/// Which roles have the data that is asked for, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// Such as `order role`.
    pub(super) roles: &'static str,
    /// A command that would run it.
    pub(super) start: &'static str,
}

/// The running process.
#[derive(Debug)]
pub(crate) struct Admin {
    target: Target,
    url: String,
}

/// Why nothing was done, as the process says it.
#[derive(Debug, Deserialize)]
struct Refused {
    code: String,
    detail: String,
}

impl Admin {
    /// Where the flags or the configuration say that it is.
    pub(crate) fn find(
        flags: &AdminAddress,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Admin, Failure> {
        let address = if let Some(address) = flags.admin {
            address
        } else {
            let mut effective = load(Profile::Run, file, environment, Vec::new())?;
            effective.shift_ports(flags.port_offset)?;
            effective.settings.listen.admin
        };
        let url = url_of(address);
        let target = url.parse().or_exit(Exit::BadConfig, format!("the admin address {address}"))?;
        Ok(Admin { target, url })
    }

    /// Such as `http://127.0.0.1:9464`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whatever it answers, within `timeout`.
    pub(crate) async fn probe(&self, path: &str, timeout: Duration) -> Result<Answer, ClientError> {
        Client::new(&self.target, timeout).request(Method::GET, path, Bytes::new(), None).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, needs: Needs) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new(), needs).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        needs: Needs,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).or_exit(Exit::Internal, "writing the request")?;
        self.ask(Method::POST, path, body.into(), needs).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        needs: Needs,
    ) -> Result<T, Failure> {
        let answer = Client::new(&self.target, TIMEOUT).request(method, path, body, None).await;
        let answer = answer.map_err(|error| self.unanswered(error, needs))?;
        if answer.status.is_success() {
            let read = serde_json::from_slice(&answer.body);
            return read.or_exit(Exit::Internal, format!("{} answered what cannot be read", self.url));
        }
        Err(match serde_json::from_slice::<Refused>(&answer.body) {
            Ok(Refused { code, detail }) => {
                Failure::message(exit_of(answer.status), after_name(&format!("{detail} ({code})")))
            }
            Err(_) if answer.status == StatusCode::NOT_FOUND => Failure::message(
                Exit::Unavailable,
                after_name(&format!(
                    "the process at {} does not run the {}; name the admin address of one that does with --admin",
                    self.url, needs.roles
                )),
            ),
            Err(_) => {
                Failure::message(exit_of(answer.status), format!("{} answered {}", self.url, answer.status))
            }
        })
    }

    fn unanswered(&self, error: ClientError, needs: Needs) -> Failure {
        let nothing_runs = matches!(error, ClientError::Connect(_));
        let failure = Failure::new(Exit::Unavailable, error);
        if !nothing_runs {
            return failure;
        }
        Failure::message(
            Exit::Unavailable,
            format!(
                "nothing answers at {}\n  ({failure})\n  The process with the {} holds the data. Start it:\n    \
                 {}\n  or name its admin address with --admin ADDR (setting listen.admin).",
                self.url, needs.roles, needs.start
            ),
        )
    }
}

/// Text that is printed behind `waypost: `, wrapped.
fn after_name(text: &str) -> String {
    wrapped("         ", text).trim_start().to_owned()
}

/// The exit code of an answer that is no success.
fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Exit::BadConfig,
        StatusCode::FORBIDDEN | StatusCode::CONFLICT => Exit::Refused,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Exit::Unavailable,
        StatusCode::INSUFFICIENT_STORAGE => Exit::Io,
        _ => Exit::Internal,
    }
}

impl AskedFlags {
    /// Who asks, by default the user of this system, and why.
    pub(super) fn asked(self, environment: &Environment) -> Result<Asked, Failure> {
        let user = || USER_VARIABLES.iter().find_map(|name| environment.get(name)).map(str::to_owned);
        let by = self.by.or_else(user).ok_or_else(|| {
            Failure::message(Exit::BadConfig, "this system does not say who asks; say it with --by NAME")
        })?;
        let asked = Asked { by, reason: self.reason };
        asked.check().map_err(|refusal| Failure::message(Exit::BadConfig, refusal))?;
        Ok(asked)
    }
}
