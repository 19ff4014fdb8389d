//! Errors of rusqlite.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType, known};

impl ErrorType for rusqlite::Error {
    /// SQLite's result code, for example `constraint_violation`, or what was wrong with the call.
    fn error_type(&self) -> Cow<'static, str> {
        use rusqlite::Error;
        match self {
            Error::SqliteFailure(error, _) => known::snake_case(&format!("{:?}", error.code)).into(),
            Error::QueryReturnedNoRows => "query_returned_no_rows".into(),
            Error::QueryReturnedMoreThanOneRow => "query_returned_more_than_one_row".into(),
            Error::FromSqlConversionFailure(..) => "from_sql_conversion_failure".into(),
            Error::ToSqlConversionFailure(_) => "to_sql_conversion_failure".into(),
            Error::IntegralValueOutOfRange(..) => "integral_value_out_of_range".into(),
            Error::InvalidColumnIndex(_) => "invalid_column_index".into(),
            Error::InvalidColumnName(_) => "invalid_column_name".into(),
            Error::InvalidColumnType(..) => "invalid_column_type".into(),
            Error::InvalidParameterName(_) => "invalid_parameter_name".into(),
            Error::InvalidParameterCount(..) => "invalid_parameter_count".into(),
            Error::InvalidPath(_) => "invalid_path".into(),
            Error::ExecuteReturnedResults => "execute_returned_results".into(),
            Error::StatementChangedRows(_) => "statement_changed_rows".into(),
            Error::MultipleStatement => "multiple_statement".into(),
            Error::InvalidQuery => "invalid_query".into(),
            _ => "rusqlite".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                ErrorClass::Overload
            }
            _ => ErrorClass::Internal,
        }
    }
}
