//! Reads the query string strictly: a parameter that does not exist or comes twice is refused, all of them at once.
//!
//! A misspelt `limit` that is silently ignored looks like a bug of ours to the one who misspelt it.

use crate::problem::Refusal;
use axum::{extract::FromRequestParts, http::request::Parts};
use std::{collections::BTreeMap, fmt::Display, str::FromStr};
use waypost_api::{Error, FieldCode, FieldError, pointer};

/// The parameters of a request, to be taken one by one.
#[derive(Debug)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl Parameters {
    fn of(query: &str) -> Parameters {
        let mut parameters = Parameters { values: BTreeMap::new(), errors: Vec::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.values.insert(name.to_string(), value.into_owned()).is_some() {
                parameters.fail(&name, FieldCode::DuplicateField, "is given more than once");
            }
        }
        parameters
    }

    /// Reads a parameter; absent and empty are the same.
    pub(crate) fn optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.values.remove(name).filter(|text| !text.is_empty())?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(reason) => {
                self.fail(name, FieldCode::BadFormat, reason.to_string());
                None
            }
        }
    }

    /// Reads a parameter that must be there.
    pub(crate) fn required<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let errors_before = self.errors.len();
        let value = self.optional(name);
        if value.is_none() && self.errors.len() == errors_before {
            self.fail(name, FieldCode::Required, "is required in the query");
        }
        value
    }

    /// Reads a number within bounds.
    pub(crate) fn count(&mut self, name: &str, smallest: u32, largest: u32) -> Option<u32> {
        let Ok(value) = self.optional::<String>(name)?.parse::<i64>() else {
            self.fail(name, FieldCode::BadFormat, "must be a whole number");
            return None;
        };
        if value < i64::from(smallest) {
            self.fail(name, FieldCode::TooSmall, format!("must be at least {smallest}"));
        } else if value > i64::from(largest) {
            self.fail(name, FieldCode::TooLarge, format!("must be at most {largest}"));
        }
        u32::try_from(value).ok()
    }

    /// Refuses the request when a parameter was bad, or one is left that nobody took.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let left: Vec<String> = std::mem::take(&mut self.values).into_keys().collect();
        for name in left {
            self.fail(&name, FieldCode::UnknownField, "is not a parameter of this route");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Error::invalid_fields(self.errors)) }
    }

    fn fail(&mut self, name: &str, code: FieldCode, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer::member("", name), code, detail));
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Parameters, Refusal> {
        Ok(Parameters::of(parts.uri.query().unwrap_or_default()))
    }
}

/// A request without parameters, as most routes have none.
#[derive(Debug)]
pub(crate) struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<NoParameters, Refusal> {
        Parameters::of(parts.uri.query().unwrap_or_default()).finish()?;
        Ok(NoParameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_parameter_is_named() {
        let mut parameters = Parameters::of("limit=0&lmit=5&user_id=a&user_id=b");
        parameters.required::<String>("page_token");
        parameters.required::<String>("user_id");
        parameters.count("limit", 1, 100);
        let error = parameters.finish().unwrap_err();
        let found: Vec<_> = error.fields.iter().map(|field| (field.pointer.as_str(), field.code)).collect();
        let expected = [
            ("/user_id", FieldCode::DuplicateField),
            ("/page_token", FieldCode::Required),
            ("/limit", FieldCode::TooSmall),
            ("/lmit", FieldCode::UnknownField),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_escaped_value_is_read_as_it_was_meant() {
        let mut parameters = Parameters::of("page_token=a%2Bb%3D");
        assert_eq!(parameters.required::<String>("page_token").as_deref(), Some("a+b="));
        assert!(parameters.finish().is_ok());
    }
}
