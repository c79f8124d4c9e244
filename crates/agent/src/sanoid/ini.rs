//! The form of sanoid's files, as the Perl module reads them that sanoid uses (Config::IniFiles with its defaults).
//!
//! Two of its habits surprise people and are kept here, because what counts is what sanoid does: a comment ends no line
//! but has one of its own, and spaces at the end of a value belong to it. So `autoprune = no # not here` is not *no*.

use std::collections::BTreeMap;

/// One `[section]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) values: BTreeMap<String, String>,
}

/// Sections in the order of the file; the parts of one that stands there twice are put together.
pub(super) fn parse(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    let mut current = None;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = section_name(trimmed) {
            let known = sections.iter().position(|section| section.name == name);
            current = Some(known.unwrap_or_else(|| {
                sections.push(Section { name: name.to_owned(), values: BTreeMap::new() });
                sections.len() - 1
            }));
            continue;
        }
        let Some((key, value)) = trimmed.split_once('=') else {
            return Err(format!("line {number} is neither a section nor a setting"));
        };
        let key = key.trim_end();
        if key.is_empty() {
            return Err(format!("line {number} sets nothing"));
        }
        let Some(section) = current.map(|index: usize| &mut sections[index]) else {
            return Err(format!("line {number} is a setting outside of any section"));
        };
        // sanoid would go on with a value that means nothing.
        if section.values.insert(key.to_owned(), value.trim_start().to_owned()).is_some() {
            return Err(format!("line {number} sets `{key}` of [{}] for the second time", section.name));
        }
    }
    Ok(sections)
}

fn section_name(line: &str) -> Option<&str> {
    let name = line.trim_end().strip_prefix('[')?.strip_suffix(']')?.trim();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn sections_settings_and_comments() {
        let text = "\u{feff}# a comment\r\n\r\n[ tank/a b ]\r\n\thourly=3\r\n  ; another\r\n daily = 2 # x\r\n[t]\r\nuse_template = a, b \r\n\
                    weekly =\r\n[tank/a b]\r\nyearly = 1 = 2\r\n";
        let expected = [
            ("tank/a b", values(&[("hourly", "3"), ("daily", "2 # x"), ("yearly", "1 = 2")])),
            ("t", values(&[("use_template", "a, b "), ("weekly", "")])),
        ];
        let expected = expected.map(|(name, values)| Section { name: name.to_owned(), values });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[rstest]
    #[case::no_setting("[a]\nhourly\n", "line 2 is neither")]
    #[case::unfinished_section("[a\n", "line 1 is neither")]
    #[case::nameless_section("[ ]\n", "line 1 is neither")]
    #[case::nothing("[a]\n= 3\n", "line 2 sets nothing")]
    #[case::outside("hourly = 3\n", "line 1 is a setting outside")]
    #[case::twice("[a]\nx = 3\n[b]\nx = 4\n[a]\nx = 5\n", "line 6 sets `x` of [a] for the second time")]
    fn what_is_no_configuration_is_named_by_its_line(#[case] text: &str, #[case] problem: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(problem), "{error}");
    }
}
