//! The one place that quotes for a shell.

use std::borrow::Cow;

/// One word for a POSIX shell; unchanged where no quotes are needed.
pub fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    // Inside single quotes everything is literal except the quote itself: end the quotes, add it in double quotes, begin anew.
    Cow::Owned(format!("'{}'", word.replace('\'', r#"'"'"'"#)))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a real shell is the judge of quoting")]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote;

    fn words_as_a_shell_reads_them(line: &str) -> Vec<String> {
        let output =
            Command::new("sh").arg("-c").arg(format!("printf '%s\\0' {line}")).output().expect("sh runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("utf-8 went in");
        text.strip_suffix('\0').expect("ends with NUL").split('\0').map(str::to_owned).collect()
    }

    #[test]
    fn quotes_appear_only_where_they_are_needed() {
        assert_eq!(quote("tank/media@auto-2026:01"), "tank/media@auto-2026:01");
        assert_eq!(quote("tank/a b"), "'tank/a b'");
        assert_eq!(quote("tank#x"), "'tank#x'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), r#"'it'"'"'s'"#);
        assert_eq!(quote("$(reboot)"), "'$(reboot)'");
        assert_eq!(quote("~root"), "'~root'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(words in prop::collection::vec("[^\\x00]{0,24}", 1..6)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words_as_a_shell_reads_them(&line), words);
        }
    }
}
