//! What an implementation without `zfs version` says that it knows.

use std::collections::BTreeSet;

use crate::features::Ability;

/// The abilities that a usage text shows; `None` where it is no usage of a ZFS that replication is possible with: one that holds
/// snapshots, and that prints exact numbers at least by `zfs get`.
pub fn abilities(text: &str) -> Option<BTreeSet<Ability>> {
    let usage = Usage(text);
    let can_work = usage.has_letter("get", 'p') && usage.of("hold").is_some() && usage.of("send").is_some();
    if !can_work {
        return None;
    }
    let exact = usage.has_letter("list", 'p');
    let send = |letter| usage.has_letter("send", letter);
    let receive = usage.of("receive").unwrap_or_default();
    let found = [
        (Ability::ExactLists, exact),
        // Neither is in any usage; both are older than exact lists on every system that has these.
        (Ability::Written, exact),
        (Ability::ListedHolds, exact),
        (Ability::Bookmarks, usage.of("bookmark").is_some()),
        (Ability::Resume, usage.has_letter("receive", 's') && send('t')),
        (Ability::LargeBlocks, send('L')),
        (Ability::Compressed, send('c')),
        (Ability::Embedded, send('e')),
        (Ability::Raw, send('w')),
        (Ability::ReceiveProperties, receive.contains("[-o") && receive.contains("[-x")),
        (Ability::Estimate, send('n') && send('P')),
    ];
    Some(found.into_iter().filter(|(_, there)| *there).map(|(ability, _)| ability).collect())
}

struct Usage<'a>(&'a str);

impl Usage<'_> {
    /// All synopses of a command, with the lines that continue them.
    fn of(&self, command: &str) -> Option<String> {
        let mut found = String::new();
        let mut within = false;
        for line in self.0.lines() {
            let Some(rest) = line.strip_prefix('\t') else {
                within = false;
                continue;
            };
            // A line that goes on with the one before is indented once more.
            if !rest.starts_with(' ') {
                within = rest.split(' ').next() == Some(command);
            }
            if within {
                found.push_str(rest);
                found.push(' ');
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// True when one of the option groups of a command, such as `[-DnPpRv]`, has this letter.
    fn has_letter(&self, command: &str, letter: char) -> bool {
        let Some(synopsis) = self.of(command) else { return false };
        let mut groups = synopsis.split('[').filter_map(|group| group.strip_prefix('-'));
        groups
            .any(|group| group.split([']', ' ', '<']).next().is_some_and(|letters| letters.contains(letter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zfs_fuse_can_nothing_but_the_first_things() {
        let text = include_str!("../../tests/golden/zfs-fuse/version.stderr");
        assert_eq!(abilities(text), Some(BTreeSet::new()));
    }

    #[test]
    fn openzfs_0_7_can_nearly_everything() {
        let text = "unrecognized command 'version'\nusage: zfs command args ...\nwhere 'command' is one of the following:\n\n\
            \tlist [-Hp] [-r|-d max] [-o property[,...]] [-s property]...\n\
            \tget [-rHp] [-d max] [-o \"all\" | field[,...]]\n\
            \t    [-t type[,...]] [-s source[,...]]\n\
            \thold [-r] <tag> <snapshot> ...\n\
            \tbookmark <snapshot> <bookmark>\n\
            \tsend [-DnPpRvLec] [-[i|I] snapshot] <snapshot>\n\
            \tsend [-nvPLec] [-i snapshot|bookmark] <filesystem|volume|snapshot>\n\
            \tsend [-nvPe] -t <receive_resume_token>\n\
            \treceive [-vnsFu] [-o <property>=<value>] ... [-x <property>] ...\n\
            \t    <filesystem|volume|snapshot>\n";
        let found = abilities(text).unwrap();
        let missing: Vec<_> = Ability::ALL.into_iter().filter(|ability| !found.contains(ability)).collect();
        // `-t` has a synopsis of its own and is no letter of a group. Resuming is not relied on before 2.1 in any case.
        assert_eq!(missing, [Ability::Resume, Ability::Raw]);
    }

    #[test]
    fn other_texts_are_no_usage() {
        for text in [
            "",
            "unrecognized command 'version'\n",
            "usage: zfs command\n\tget [-rH] x\n\tsend x\n\thold x\n",
        ] {
            assert_eq!(abilities(text), None, "{text}");
        }
    }
}
