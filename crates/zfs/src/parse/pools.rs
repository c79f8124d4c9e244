//! `zpool list`.

use zfs_sync_core::guid::Guid;

use super::{Fields, ParseError};
use crate::command::argv::POOL_COLUMNS;

/// One imported pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The same wherever it is imported.
    pub guid: Guid,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub allocated: u64,
    /// Bytes.
    pub free: u64,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `SUSPENDED`, …
    pub health: String,
}

/// Reads the imported pools.
pub fn pools(text: &str) -> Result<Vec<Pool>, ParseError> {
    Fields::lines(text, &POOL_COLUMNS)
        .map(|fields| {
            let fields = fields?;
            Ok(Pool {
                name: fields.get("name").to_owned(),
                guid: Guid::new(fields.number("guid")?),
                size: fields.size("size")?,
                allocated: fields.size("allocated")?,
                free: fields.size("free")?,
                health: fields.get("health").to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_pool() {
        let found = pools("tank\t9876543210\t503316480\t1000\t503315480\tONLINE\n").unwrap();
        assert_eq!(found[0].guid, Guid::new(9_876_543_210));
        assert_eq!(found[0].health, "ONLINE");
    }

    #[test]
    fn a_faulted_pool_has_no_sizes() {
        let found = pools("tank\t1\t-\t-\t-\tFAULTED\n").unwrap();
        assert_eq!((found[0].size, found[0].health.as_str()), (0, "FAULTED"));
    }

    #[test]
    fn a_broken_guid_is_an_error() {
        assert!(pools("tank\tx\t1\t1\t1\tONLINE\n").is_err());
    }
}
