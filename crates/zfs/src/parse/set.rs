//! `zfs get -s local,received -o name,property,value all`: what somebody has set.

use super::ParseError;

/// One property that was set on one dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetProperty {
    /// The dataset.
    pub dataset: String,
    /// The property.
    pub name: String,
    /// Its value, up to its first tab or line break.
    pub value: String,
}

/// Reads them. A value may have line breaks in it: what continues one is no property of its own, and is left out.
pub fn set_properties(text: &str) -> Result<Vec<SetProperty>, ParseError> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        if let (Some(dataset), Some(name), Some(value)) = (fields.next(), fields.next(), fields.next()) {
            let [dataset, name, value] = [dataset, name, value].map(str::to_owned);
            found.push(SetProperty { dataset, name, value });
        } else if found.is_empty() && !line.is_empty() {
            return Err(ParseError { line: 1, what: "has no property".to_owned() });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_line_breaks_is_one_property() {
        let text =
            "tank/a\torg.znapzend:src_plan\t1d=>1h\ntank/a\tx:note\tone\ntwo\nthree\ntank/b\treadonly\ton\n";
        let names: Vec<_> =
            set_properties(text).unwrap().into_iter().map(|set| (set.dataset, set.name, set.value)).collect();
        let expected = [
            ("tank/a", "org.znapzend:src_plan", "1d=>1h"),
            ("tank/a", "x:note", "one"),
            ("tank/b", "readonly", "on"),
        ]
        .map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(names, expected);
        assert!(set_properties("usage: zfs get\n").is_err());
        assert_eq!(set_properties(""), Ok(Vec::new()));
    }
}
