//! `zfs get -o property,value,source`.

use super::ParseError;
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

/// Reads properties in the order they were printed. A value may have tabs in it, which `zfs` prints as they are; neither the name before
/// it nor the source behind it can. Of one with line breaks nothing is sure, and it is an error.
pub fn properties(text: &str) -> Result<Vec<Property>, ParseError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            let parts = line.split_once('\t').and_then(|(name, rest)| Some((name, rest.rsplit_once('\t')?)));
            let Some((name, (value, source))) = parts else {
                let (found, wanted) = (line.split('\t').count(), GET_COLUMNS.len());
                let what = format!("has {found} columns instead of {wanted}");
                return Err(ParseError { line: index + 1, what });
            };
            let [name, value, source] = [name, value, source].map(str::to_owned);
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
    fn tabs_in_a_value_stay_in_it() {
        let found = properties("com.example:note\ta\tb\\c\tlocal\n").unwrap();
        assert_eq!((found[0].value.as_str(), found[0].source.as_str()), ("a\tb\\c", "local"));
    }

    #[test]
    fn a_missing_column_is_an_error() {
        let expected = ParseError { line: 2, what: "has 2 columns instead of 3".into() };
        assert_eq!(properties("a\tb\tc\na\tb\n"), Err(expected));
    }
}
