//! Values on their way to the server and back.

use std::time::{Duration, SystemTime};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef,
};
use sqlx::{Arguments as _, Decode, Encode, Postgres, Row as _, Type};

use crate::Error;
use crate::clock::{from_millis, millis};

/// The parameters of a statement, `$1` first. Made by [`params!`](crate::postgres::params).
#[derive(Debug, Default)]
pub struct Params {
    arguments: PgArguments,
    failure: Option<BoxDynError>,
}

impl Params {
    /// None.
    pub fn new() -> Params {
        Params::default()
    }

    /// These and one more.
    #[must_use]
    pub fn with<'q, T>(mut self, value: T) -> Params
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        if let Err(error) = self.arguments.add(value) {
            self.failure.get_or_insert(error);
        }
        self
    }

    pub(super) fn into_arguments(self) -> Result<PgArguments, Error> {
        match self.failure {
            Some(failure) => Err(Error::from(sqlx::Error::Encode(failure))),
            None => Ok(self.arguments),
        }
    }
}

/// The parameters of a statement, in their order: `params![id.as_str(), At(now)]`.
#[macro_export]
macro_rules! postgres_params {
    ($($value:expr),* $(,)?) => { $crate::postgres::Params::new()$(.with($value))* };
}

/// A row of an answer. Its columns are numbered from 0.
#[derive(Debug)]
pub struct Row(pub(super) PgRow);

impl Row {
    /// A column. [`Error::Statement`] when there is none, or it holds another type.
    pub fn get<'r, T>(&'r self, column: usize) -> Result<T, Error>
    where
        T: Decode<'r, Postgres> + Type<Postgres>,
    {
        Ok(self.0.try_get(column)?)
    }

    /// A `bigint` as a number of another kind. [`Error::Malformed`] when it does not fit.
    pub fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Error> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| Error::Malformed { what: "number" })
    }

    /// A `timestamptz`.
    pub fn time(&self, column: usize) -> Result<SystemTime, Error> {
        Ok(self.get::<At>(column)?.0)
    }

    /// A `timestamptz` that may be null.
    pub fn optional_time(&self, column: usize) -> Result<Option<SystemTime>, Error> {
        Ok(self.get::<Option<At>>(column)?.map(|at| at.0))
    }
}

/// A time as a `timestamptz`, in whole milliseconds as everywhere in this crate. What the type cannot hold becomes the last
/// or the first time that it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At(pub SystemTime);

/// 2000-01-01, from which the server counts, in milliseconds since 1970.
const SERVER_EPOCH: i64 = 946_684_800_000;
/// The year 9999, short of what the type can hold.
const LATEST: i64 = 253_402_300_799_000;
/// The year 1.
const EARLIEST: i64 = -62_135_596_800_000;

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        // Known by its number, so that no connection has to look it up.
        PgTypeInfo::with_oid(Oid(1184))
    }

    fn compatible(of: &PgTypeInfo) -> bool {
        *of == Self::type_info()
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = (millis(self.0).clamp(EARLIEST, LATEST) - SERVER_EPOCH) * 1000;
        Encode::<Postgres>::encode(micros, buffer)
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<At, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("a time is only read in binary form".into());
        }
        let micros: i64 = Decode::<Postgres>::decode(value)?;
        Ok(At(from_millis(micros.div_euclid(1000).saturating_add(SERVER_EPOCH))))
    }
}

/// A length of time as an `interval` is made of it: `$1 * interval '1 millisecond'`.
pub fn millis_of(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
