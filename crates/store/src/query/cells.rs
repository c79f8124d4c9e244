//! From cells to types and back. A cell that can not be read names its table, column and row.

use std::str::FromStr;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{Decode, Row as _, Type};
use uuid::Uuid;
use zfs_sync_core::time::Timestamp;

use super::super::{DbRow, Driver};
use crate::{Error, Result, SecretHash};

/// One row that is being read.
pub(super) struct Cells<'r> {
    row: &'r DbRow,
    table: &'static str,
    key: &'static str,
}

impl<'r> Cells<'r> {
    /// `key` is the column that names the row in errors.
    pub(super) const fn new(row: &'r DbRow, table: &'static str, key: &'static str) -> Self {
        Self { row, table, key }
    }

    fn wrong(&self, column: &'static str) -> Error {
        let uuid = self.row.try_get::<Uuid, _>(self.key).map(|key| key.to_string());
        let text = uuid.or_else(|_| self.row.try_get::<String, _>(self.key));
        let number = text.or_else(|_| self.row.try_get::<i64, _>(self.key).map(|key| key.to_string()));
        Error::Inconsistency { table: self.table, column, row: number.unwrap_or_else(|_| "?".to_owned()) }
    }

    /// A cell as the driver reads it.
    pub(super) fn get<T: Decode<'r, Driver> + Type<Driver>>(&self, column: &'static str) -> Result<T> {
        self.row.try_get(column).map_err(|error| match error {
            sqlx::Error::ColumnDecode { .. } => self.wrong(column),
            other => other.into(),
        })
    }

    pub(super) fn id<T: From<Uuid>>(&self, column: &'static str) -> Result<T> {
        self.get::<Uuid>(column).map(T::from)
    }

    pub(super) fn id_option<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>> {
        Ok(self.get::<Option<Uuid>>(column)?.map(T::from))
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp> {
        Timestamp::from_millisecond(self.get(column)?).map_err(|_| self.wrong(column))
    }

    pub(super) fn time_option(&self, column: &'static str) -> Result<Option<Timestamp>> {
        let moment = self.get::<Option<i64>>(column)?.map(Timestamp::from_millisecond);
        moment.transpose().map_err(|_| self.wrong(column))
    }

    /// An unsigned 64-bit number.
    pub(super) fn bits(&self, column: &'static str) -> Result<u64> {
        self.get::<i64>(column).map(i64::cast_unsigned)
    }

    pub(super) fn bits_option(&self, column: &'static str) -> Result<Option<u64>> {
        Ok(self.get::<Option<i64>>(column)?.map(i64::cast_unsigned))
    }

    /// A number of a smaller type.
    pub(super) fn small<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        T::try_from(self.get(column)?).map_err(|_| self.wrong(column))
    }

    /// Text with a form.
    pub(super) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T> {
        self.get::<&str>(column)?.parse().map_err(|_| self.wrong(column))
    }

    pub(super) fn parse_option<T: FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        self.get::<Option<&str>>(column)?.map(str::parse).transpose().map_err(|_| self.wrong(column))
    }

    /// Text that `read` knows.
    pub(super) fn named<T>(&self, column: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        read(self.get(column)?).ok_or_else(|| self.wrong(column))
    }

    /// Text that is the JSON name of a variant.
    pub(super) fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        serde_json::from_value(Value::String(self.get(column)?)).map_err(|_| self.wrong(column))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        serde_json::from_str(self.get(column)?).map_err(|_| self.wrong(column))
    }

    pub(super) fn json_option<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        let value = self.get::<Option<&str>>(column)?.map(serde_json::from_str);
        value.transpose().map_err(|_| self.wrong(column))
    }

    pub(super) fn hash(&self, column: &'static str) -> Result<SecretHash> {
        self.get::<&[u8]>(column)?.try_into().map(SecretHash).map_err(|_| self.wrong(column))
    }
}

/// The JSON text of a value.
pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps have text keys and no serializer of ours fails")
}

/// The JSON name of a variant without fields.
pub(super) fn word_text(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("a variant without fields became {other:?}"),
    }
}

/// A number of rows for `LIMIT` and `OFFSET`.
pub(super) fn count_of(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A moment as it is stored.
pub(super) fn moment(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}

/// An unsigned number as it is stored.
pub(super) fn bits(number: Option<u64>) -> Option<i64> {
    number.map(u64::cast_signed)
}
