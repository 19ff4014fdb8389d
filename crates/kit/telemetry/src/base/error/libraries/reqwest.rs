//! Errors of reqwest and reqwest-middleware.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

impl ErrorType for reqwest::Error {
    /// `timeout`, the status code where `error_for_status` made the error, or the step that failed: `connect`,
    /// `redirect`, `body`, `decode`, `builder`, `request`.
    fn error_type(&self) -> Cow<'static, str> {
        if self.is_timeout() {
            return "timeout".into();
        }
        if let Some(status) = self.status() {
            return status.as_u16().to_string().into();
        }
        let steps = [
            (self.is_connect(), "connect"),
            (self.is_redirect(), "redirect"),
            (self.is_builder(), "builder"),
            (self.is_body(), "body"),
            (self.is_decode(), "decode"),
            (self.is_upgrade(), "upgrade"),
            (self.is_request(), "request"),
        ];
        steps.into_iter().find(|(failed, _)| *failed).map_or("reqwest", |(_, step)| step).into()
    }

    fn class(&self) -> ErrorClass {
        if self.is_timeout() {
            ErrorClass::Timeout
        } else if self.is_builder() {
            ErrorClass::Internal
        } else {
            ErrorClass::Dependency
        }
    }

    /// Without the address, whose query may hold secrets.
    fn text(&self) -> String {
        let text = self.to_string();
        match self.url() {
            Some(url) => text.replace(&format!(" for url ({url})"), ""),
            None => text,
        }
    }
}

/// What reqwest says below it; `middleware` where one of the middlewares failed by itself.
#[cfg(feature = "reqwest-middleware")]
impl ErrorType for reqwest_middleware::Error {
    fn error_type(&self) -> Cow<'static, str> {
        of_reqwest(self).map_or("middleware".into(), ErrorType::error_type)
    }

    fn class(&self) -> ErrorClass {
        of_reqwest(self).map_or(ErrorClass::Internal, ErrorType::class)
    }

    /// Without the address, whose query may hold secrets.
    fn text(&self) -> String {
        let text = self.to_string();
        match of_reqwest(self).and_then(reqwest::Error::url) {
            Some(url) => text.replace(&format!(" for url ({url})"), ""),
            None => text,
        }
    }
}

#[cfg(feature = "reqwest-middleware")]
fn of_reqwest(error: &reqwest_middleware::Error) -> Option<&reqwest::Error> {
    use reqwest_middleware::Error;
    match error {
        Error::Reqwest(error) => Some(error),
        Error::Middleware(error) => error.chain().find_map(|error| match error.downcast_ref::<Error>() {
            Some(error) => of_reqwest(error),
            None => error.downcast_ref::<reqwest::Error>(),
        }),
    }
}
