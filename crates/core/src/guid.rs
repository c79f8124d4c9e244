//! GUIDs and transaction groups: what ZFS itself uses for identity and order.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Wraps the number as ZFS printed it.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number as ZFS prints it.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The same 64 bits as SQL's signed integer.
            pub const fn to_sql(self) -> i64 {
                self.0.cast_signed()
            }

            /// The number back from [`Self::to_sql`].
            pub const fn from_sql(value: i64) -> Self {
                Self(value.cast_unsigned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|_| de::Error::custom(format!("`{text}` is not an unsigned 64-bit number in a string")))
            }
        }
    )*};
}

numbers! {
    /// The GUID of a snapshot, bookmark or dataset. JSON carries it as a string: it exceeds 2^53.
    Guid;
    /// A transaction group (`createtxg`): the order of creation within one pool, whatever the clocks said.
    Txg;
}
