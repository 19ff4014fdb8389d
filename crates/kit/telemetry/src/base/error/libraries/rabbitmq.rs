//! Errors of lapin.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

impl ErrorType for lapin::Error {
    /// The protocol's name for the code that the broker gave, for example `not_found` or `precondition_failed`; the kind of
    /// an input or output error; else what failed: `invalid_channel_state`, `missing_heartbeat`.
    fn error_type(&self) -> Cow<'static, str> {
        use lapin::ErrorKind;
        match self.kind() {
            ErrorKind::ProtocolError(error) => match error.get_id() {
                311 => "content_too_large",
                312 => "no_route",
                313 => "no_consumers",
                320 => "connection_forced",
                402 => "invalid_path",
                403 => "access_refused",
                404 => "not_found",
                405 => "resource_locked",
                406 => "precondition_failed",
                501 => "frame_error",
                502 => "syntax_error",
                503 => "command_invalid",
                504 => "channel_error",
                505 => "unexpected_frame",
                506 => "resource_error",
                530 => "not_allowed",
                540 => "not_implemented",
                541 => "internal_error",
                _ => "protocol",
            }
            .into(),
            ErrorKind::IOError(error) | ErrorKind::RuntimeShutdownError(error) => error.error_type(),
            ErrorKind::ChannelsLimitReached => "channels_limit_reached".into(),
            ErrorKind::InvalidChannel(_) => "invalid_channel".into(),
            ErrorKind::InvalidChannelState(..) => "invalid_channel_state".into(),
            ErrorKind::InvalidConnectionState(_) => "invalid_connection_state".into(),
            ErrorKind::InvalidProtocolVersion(_) => "invalid_protocol_version".into(),
            ErrorKind::MissingHeartbeatError => "missing_heartbeat".into(),
            ErrorKind::AuthProviderError(_) => "auth_provider".into(),
            _ => "lapin".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        match &*self.error_type() {
            "content_too_large" | "syntax_error" | "command_invalid" | "not_allowed" => ErrorClass::Internal,
            "resource_error" | "channels_limit_reached" => ErrorClass::Overload,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the broker says may hold names and parts of values.
    fn text(&self) -> String {
        self.error_type().replace('_', " ")
    }
}
