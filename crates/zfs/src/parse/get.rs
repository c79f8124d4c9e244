//! `zfs get -o property,value,source`.

use super::{Fields, ParseError};
use crate::command::argv::GET_COLUMNS;

/// One property of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// As printed; `-` where there is none.
    pub value: String,
    /// `local`, `default`, `inherited from …`, `received`, `-`.
    pub source: String,
}

/// Reads properties in the order they were printed.
pub fn properties(text: &str) -> Result<Vec<Property>, ParseError> {
    Fields::lines(text, &GET_COLUMNS)
        .map(|fields| {
            let fields = fields?;
            let [name, value, source] =
                ["property", "value", "source"].map(|name| fields.get(name).to_owned());
            Ok(Property { name, value, source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_value_and_source_are_kept_as_printed() {
        let text = "readonly\ton\tlocal\ncanmount\tnoauto\tlocal\nmountpoint\t/x y\tinherited from tank\n";
        let found = properties(text).unwrap();
        assert_eq!(found.len(), 3);
        let expected = Property {
            name: "mountpoint".into(),
            value: "/x y".into(),
            source: "inherited from tank".into(),
        };
        assert_eq!(found[2], expected);
    }

    #[test]
    fn a_missing_column_is_an_error() {
        let expected = ParseError { line: 2, what: "has 2 columns instead of 3".into() };
        assert_eq!(properties("a\tb\tc\na\tb\n"), Err(expected));
    }
}
