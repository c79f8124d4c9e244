//! `zfs allow DATASET`: who may do what, there and inherited from above.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::name::DatasetName;

use super::{ParseError, name};

/// To whom something is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user by name (or number, where the name is not known).
    User(String),
    /// A group.
    Group(String),
    /// Everybody.
    Everyone,
}

/// Where a permission holds, seen from the dataset it is set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Local,
    Descendent,
    Both,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    reach: Reach,
    who: Who,
    permissions: BTreeSet<String>,
}

/// What is set on one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Section {
    sets: BTreeMap<String, BTreeSet<String>>,
    grants: Vec<Grant>,
}

/// Everything that is allowed on one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    sections: Vec<(DatasetName, Section)>,
}

impl Allowed {
    /// What one of `identities` may do on `dataset` itself.
    pub fn on(&self, dataset: &DatasetName, identities: &[Who]) -> BTreeSet<String> {
        self.collect(
            identities,
            |at| dataset.is_within(at),
            |at, reach| match reach {
                Reach::Local => at == dataset,
                Reach::Descendent => at != dataset,
                Reach::Both => true,
            },
        )
    }

    /// What one of `identities` may do on everything below `dataset`.
    pub fn below(&self, dataset: &DatasetName, identities: &[Who]) -> BTreeSet<String> {
        self.collect(identities, |at| dataset.is_within(at), |_, reach| reach != Reach::Local)
    }

    fn collect(
        &self,
        identities: &[Who],
        is_above: impl Fn(&DatasetName) -> bool,
        reaches: impl Fn(&DatasetName, Reach) -> bool,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, section) in self.sections.iter().filter(|(at, _)| is_above(at)) {
            for grant in section.grants.iter().filter(|grant| reaches(at, grant.reach)) {
                if identities.contains(&grant.who) {
                    self.expand(&grant.permissions, &mut found);
                }
            }
        }
        found
    }

    /// Sets may name sets; one that names itself is looked at once.
    fn expand(&self, permissions: &BTreeSet<String>, into: &mut BTreeSet<String>) {
        for permission in permissions {
            if into.insert(permission.clone()) && permission.starts_with('@') {
                for (_, section) in &self.sections {
                    if let Some(members) = section.sets.get(permission) {
                        self.expand(members, into);
                    }
                }
            }
        }
    }
}

/// Reads what `zfs allow DATASET` prints; nothing at all where nothing was ever allowed.
///
/// Permissions for those who create datasets below are left out: what they reach depends on who created what.
pub fn allowed(text: &str) -> Result<Allowed, ParseError> {
    #[derive(Clone, Copy)]
    enum Block {
        Sets,
        CreateTime,
        Grants(Reach),
    }
    let mut allowed = Allowed::default();
    let mut block = None;
    for (index, line) in text.lines().enumerate() {
        let error = |what: String| ParseError { line: index + 1, what };
        if let Some(rest) = line.strip_prefix("---- Permissions on ") {
            let dataset = rest.trim_end_matches('-').trim_end();
            // A dataset that we never work with is left out like everywhere.
            let dataset =
                name::<DatasetName>(dataset).ok_or_else(|| error(format!("`{dataset}` is no dataset")))?;
            allowed.sections.push((dataset, Section::default()));
            block = None;
            continue;
        }
        let Some(entry) = line.strip_prefix('\t') else {
            block = match line.trim_end() {
                "" => continue,
                "Permission sets:" => Some(Block::Sets),
                "Create time permissions:" => Some(Block::CreateTime),
                "Local permissions:" => Some(Block::Grants(Reach::Local)),
                "Descendent permissions:" => Some(Block::Grants(Reach::Descendent)),
                "Local+Descendent permissions:" => Some(Block::Grants(Reach::Both)),
                other => return Err(error(format!("`{other}` is no heading that is known"))),
            };
            continue;
        };
        let (Some(block), Some((_, section))) = (block, allowed.sections.last_mut()) else {
            return Err(error("an entry stands before any heading".to_owned()));
        };
        match block {
            Block::CreateTime => {}
            Block::Sets => {
                let (set, permissions) =
                    entry.split_once(' ').ok_or_else(|| error(format!("`{entry}` is no permission set")))?;
                section.sets.insert(set.to_owned(), list(permissions));
            }
            Block::Grants(reach) => {
                let (who, permissions) =
                    grant(entry).ok_or_else(|| error(format!("`{entry}` is no permission")))?;
                section.grants.push(Grant { reach, who, permissions });
            }
        }
    }
    Ok(allowed)
}

fn grant(entry: &str) -> Option<(Who, BTreeSet<String>)> {
    // Permissions have no spaces; names of users may.
    let (who, permissions) = entry.trim_end().rsplit_once(' ')?;
    let who = match who.split_once(' ') {
        Some(("user", name)) => Who::User(name.trim().to_owned()),
        Some(("group", name)) => Who::Group(name.trim().to_owned()),
        None if who == "everyone" => Who::Everyone,
        _ => return None,
    };
    Some((who, list(permissions)))
}

fn list(permissions: &str) -> BTreeSet<String> {
    permissions.trim().split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
---- Permissions on tank/media ---------------------------------------
Create time permissions:
\tdestroy,mount
Local permissions:
\tuser repl snapshot
Local+Descendent permissions:
\tuser repl bookmark,hold,send
---- Permissions on tank ---------------------------------------------
Permission sets:
\t@other bookmark
\t@repl @other,hold,send
Descendent permissions:
\tuser repl rollback
Local+Descendent permissions:
\tuser other @repl
\tgroup users send
\teveryone release
";

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn user(name: &str) -> Vec<Who> {
        vec![Who::User(name.to_owned()), Who::Everyone]
    }

    #[test]
    fn what_reaches_a_dataset_comes_from_it_and_from_above() {
        let allowed = allowed(TEXT).unwrap();
        let media = "tank/media".parse().unwrap();
        let expected = set(&["bookmark", "hold", "release", "rollback", "send", "snapshot"]);
        assert_eq!(allowed.on(&media, &user("repl")), expected);
        let below = set(&["bookmark", "hold", "release", "rollback", "send"]);
        assert_eq!(allowed.below(&media, &user("repl")), below);
        let root = "tank".parse().unwrap();
        assert_eq!(allowed.on(&root, &user("repl")), set(&["release"]));
        assert_eq!(allowed.on(&media, &[Who::Group("users".into())]), set(&["send"]));
        assert_eq!(allowed.on(&media, &user("nobody")), set(&["release"]));
    }

    #[test]
    fn sets_are_expanded() {
        let allowed = allowed(TEXT).unwrap();
        let found = allowed.on(&"tank".parse().unwrap(), &user("other"));
        assert_eq!(found, set(&["@other", "@repl", "bookmark", "hold", "release", "send"]));
    }

    #[test]
    fn nothing_is_nothing_and_another_form_is_an_error() {
        assert_eq!(allowed(""), Ok(Allowed::default()));
        for text in
            ["what?\n", "\tuser repl send\n", "---- Permissions on tank ---\nLocal permissions:\n\tsend\n"]
        {
            assert!(allowed(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(text in "([ -~]|\t|\n){0,200}") {
            let _ = allowed(&text);
        }
    }
}
