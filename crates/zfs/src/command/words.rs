//! The inverse of [`quote`](super::quote()): a line of quoted words, back to its words.

use super::quote;

/// A text that our quoting never makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is not one that zfs-sync writes")]
pub struct NotOurLine;

/// The words of a line that consists of quoted words with one space between them.
///
/// Strict: what a shell would read in the same way but [`quote`](super::quote()) does not write (two spaces, a backslash, needless quotes, a
/// variable, a second command) is refused. So for every line there is at most one list of words, and no shell has a say in it.
pub fn words(line: &str) -> Result<Vec<String>, NotOurLine> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let (word, after) = word(rest)?;
        words.push(word);
        match after.strip_prefix(' ') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return Err(NotOurLine),
        }
    }
    // Read leniently, written strictly: only the line that comes out again is ours.
    let again = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    if again == line { Ok(words) } else { Err(NotOurLine) }
}

/// The first word, and what follows it.
fn word(text: &str) -> Result<(String, &str), NotOurLine> {
    let mut word = String::new();
    let mut rest = text;
    loop {
        let plain = rest.find([' ', '\'', '"']).unwrap_or(rest.len());
        word.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let Some(mark) = rest.chars().next().filter(|mark| *mark != ' ') else { return Ok((word, rest)) };
        let (inside, after) = rest[1..].split_once(mark).ok_or(NotOurLine)?;
        word.push_str(inside);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("zfs version", &["zfs", "version"])]
    #[case("zfs holds -H 'tank/a b@x'", &["zfs", "holds", "-H", "tank/a b@x"])]
    #[case("''", &[""])]
    #[case(r#"'it'"'"'s'"#, &["it's"])]
    #[case("'$(reboot)'", &["$(reboot)"])]
    fn a_line_of_ours_is_read_back(#[case] line: &str, #[case] expected: &[&str]) {
        assert_eq!(words(line).unwrap(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("zfs  version")]
    #[case(" zfs version")]
    #[case("zfs version ")]
    #[case("zfs version\n")]
    #[case("zfs 'version'")]
    #[case("zfs \"version\"")]
    #[case("zfs version; reboot")]
    #[case("zfs version && reboot")]
    #[case("zfs version $(reboot)")]
    #[case("zfs version `reboot`")]
    #[case("zfs version > /etc/passwd")]
    #[case("zfs list ~root")]
    #[case("zfs list tank/*")]
    #[case("zfs list a\\ b")]
    #[case("zfs 'list")]
    #[case("zfs list ''''")]
    fn what_our_quoting_never_writes_is_refused(#[case] line: &str) {
        assert_eq!(words(line), Err(NotOurLine));
    }

    proptest! {
        #[test]
        fn quoting_and_reading_are_inverse(list in prop::collection::vec("[^\\x00]{0,24}", 1..6)) {
            let line = list.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), Ok(list));
        }

        #[test]
        fn no_text_makes_it_panic_and_what_it_reads_is_what_it_writes(line in "[^\\x00]{0,60}") {
            if let Ok(list) = words(&line) {
                let again = list.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
                prop_assert_eq!(again, line);
            }
        }
    }
}
