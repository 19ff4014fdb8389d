//! A decision that is one step on the server.

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind};
use waypost_telemetry::redis::Traced;

use crate::connect::Connection;

/// A script over one key.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }

    /// Runs it, by its digest where the server knows that.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut Traced<Connection>,
        key: &str,
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<T> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key);
            arguments(&mut command);
            command
        };
        match command("EVALSHA", &self.digest).query_async(connection).await {
            // Not known to this server yet; running its text makes it known.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", self.text).query_async(connection).await
            }
            outcome => outcome,
        }
    }
}
