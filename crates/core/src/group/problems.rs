//! What is wrong with a group's definition by itself.

use std::collections::BTreeSet;

use super::{GroupMode, Mapping, Profile, Strategy, SyncGroup};

/// One thing that is wrong with a group's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProblem {
    /// The field, as a JSON pointer into the request.
    pub pointer: String,
    /// A code of the registry, `E_…`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

/// Characters a group's name may have.
pub const GROUP_NAME_RULE: &str =
    "1 to 64 characters: letters, digits, `-`, `_`, `.`, space, beginning with a letter or digit";

const INVALID: &str = "E_GROUP_INVALID";
const COLLISION: &str = "E_MAPPING_COLLISION";
const NESTED: &str = "E_MAPPING_NESTED";

#[derive(Debug, Default)]
struct Problems(Vec<GroupProblem>);

impl Problems {
    fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(GroupProblem { pointer: pointer.into(), code, detail: detail.into() });
    }
}

impl SyncGroup {
    /// Everything that is wrong with the definition by itself, whatever the systems hold.
    pub fn problems(&self) -> Vec<GroupProblem> {
        let mut problems = Problems::default();
        self.name_problems(&mut problems);
        self.member_problems(&mut problems);
        if self.include.is_empty() {
            let detail = "name at least one dataset pattern, for example tank/media or tank/media/**";
            problems.add("/datasets", "E_FIELD_REQUIRED", detail);
        }
        twice("/mappings", &self.mappings, &mut problems);
        for (member, mappings) in &self.member_mappings {
            let pointer = format!("/member_mappings/{member}");
            if !self.members.contains(member) {
                problems.add(&pointer, INVALID, "this system is no member of the group");
            }
            twice(&pointer, mappings, &mut problems);
        }
        match self.mode {
            GroupMode::Local => self.local_problems(&mut problems),
            GroupMode::ManyToOne => self.prefix_problems(&mut problems),
            GroupMode::OneWay | GroupMode::Chain | GroupMode::Mesh => {}
        }
        self.policy_problems(&mut problems);
        problems.0
    }

    fn name_problems(&self, problems: &mut Problems) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
        let starts_well = self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well
            || self.name.chars().count() > 64
            || !self.name.chars().all(allowed)
            || self.name.ends_with(' ')
        {
            problems.add("/name", "E_VALUE_INVALID", format!("a group's name has {GROUP_NAME_RULE}"));
        }
    }

    fn member_problems(&self, problems: &mut Problems) {
        match (self.mode, self.members.len()) {
            (GroupMode::Local, 1) => {}
            (GroupMode::Local, _) => {
                problems.add("/systems", INVALID, "a local group has one system: data is copied within it");
            }
            (_, 0 | 1) => {
                let detail =
                    "a group has at least two systems; to copy within one system, set `mode` to `local`";
                problems.add("/systems", INVALID, detail);
            }
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for (index, member) in self.members.iter().enumerate() {
            if !seen.insert(member) {
                problems.add(format!("/systems/{index}"), INVALID, "this system is listed twice");
            }
        }
        if !self.members.contains(&self.hub) {
            let detail =
                "the source of truth is not among the group's systems; add it to `systems` or choose another";
            problems.add("/source_of_truth", INVALID, detail);
        } else if self.mode == GroupMode::Chain && self.members.first() != Some(&self.hub) {
            let detail = "a chain begins with its source of truth: list it first, then the others in the order of the chain";
            problems.add("/systems/0", INVALID, detail);
        }
    }

    /// In a local group, a target within its source would be copied into itself, again and again.
    fn local_problems(&self, problems: &mut Problems) {
        if self.mappings.is_empty() {
            let detail = "a local group needs a mapping, for example tank/media=backup/media: without it each dataset would be its own \
                          target";
            problems.add("/mappings", NESTED, detail);
        }
        for (index, Mapping { from, to }) in self.mappings.iter().enumerate() {
            if to.is_within(from) {
                let detail = format!(
                    "`{to}` lies within `{from}`, which it is a copy of; choose a target outside of the source"
                );
                problems.add(format!("/mappings/{index}/to"), NESTED, detail);
            } else if from.is_within(to) {
                let detail =
                    format!("`{from}` lies within `{to}`, its own target; choose a target of its own");
                problems.add(format!("/mappings/{index}/to"), NESTED, detail);
            }
        }
    }

    /// Every source of a many-to-one group has a place of its own on the hub.
    fn prefix_problems(&self, problems: &mut Problems) {
        let mut places: Vec<(String, &Mapping)> = Vec::new();
        for home in self.homes() {
            let Some(mappings) = self.member_mappings.get(&home) else {
                let detail = format!(
                    "give system {home} a mapping of its own, for example tank=backup/{home}: sources that share one would be received \
                     into one another"
                );
                problems.add("/member_mappings", "E_FIELD_REQUIRED", detail);
                continue;
            };
            for (index, mapping) in mappings.iter().enumerate() {
                places.push((format!("/member_mappings/{home}/{index}"), mapping));
            }
        }
        for (index, (pointer, mapping)) in places.iter().enumerate() {
            let meets = |other: &&(String, &Mapping)| {
                let same_home = other.0.rsplit_once('/').map(|(home, _)| home)
                    == pointer.rsplit_once('/').map(|(home, _)| home);
                !same_home && (other.1.to.is_within(&mapping.to) || mapping.to.is_within(&other.1.to))
            };
            if let Some((_, other)) = places[..index].iter().find(meets) {
                let detail = format!(
                    "`{}` and `{}` of another source lie within one another; give each source a target of its own",
                    mapping.to, other.to
                );
                problems.add(format!("{pointer}/to"), COLLISION, detail);
            }
        }
    }

    fn policy_problems(&self, problems: &mut Problems) {
        let destructive = self.on_divergence.strategy().is_some_and(Strategy::is_destructive);
        if destructive && !self.allow_destroy {
            let detail = "this may destroy snapshots on targets by itself; confirm with `allow_destroy`, or choose `stop` or `keep_both`";
            problems.add("/on_divergence", INVALID, detail);
        }
        if let Some(mirror) = self.mirror_deletes {
            if mirror.max_percent >= 100 {
                let detail = format!(
                    "{} percent would let one run of group `{}` delete every snapshot that the source has lost; choose at most 99",
                    mirror.max_percent, self.name
                );
                problems.add("/mirror_deletes/max_percent", "E_POLICY_DELETES_ALL", detail);
            } else if mirror.max_percent == 0 {
                let detail = "choose a share between 1 and 99 percent, or leave `mirror_deletes` out";
                problems.add("/mirror_deletes/max_percent", "E_VALUE_RANGE", detail);
            }
            if !self.allow_destroy {
                let detail = "this destroys snapshots on targets; confirm with `allow_destroy`";
                problems.add("/mirror_deletes", INVALID, detail);
            }
            if self.mode == GroupMode::Mesh {
                let detail =
                    "in a mesh no member's deletion is the others' order; leave `mirror_deletes` out";
                problems.add("/mirror_deletes", INVALID, detail);
            }
        }
        if self.profile == Profile::Classic && self.mode != GroupMode::OneWay {
            problems.add("/profile", INVALID, "the classic profile knows only `one_way` groups");
        }
    }
}

fn twice(list: &str, mappings: &[Mapping], problems: &mut Problems) {
    for (index, mapping) in mappings.iter().enumerate() {
        let earlier = &mappings[..index];
        if earlier.iter().any(|other| other.from == mapping.from) {
            let detail = format!("`{}` is mapped twice; keep one of the mappings", mapping.from);
            problems.add(format!("{list}/{index}/from"), INVALID, detail);
        } else if let Some(other) = earlier.iter().find(|other| other.to == mapping.to) {
            let detail = format!(
                "`{}` and `{}` would both be received into `{}`; give each a target of its own",
                other.from, mapping.from, mapping.to
            );
            problems.add(format!("{list}/{index}/to"), COLLISION, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{
        super::{
            MirrorDeletes, OnDivergence,
            tests::{group, system},
        },
        *,
    };

    fn found(group: &SyncGroup) -> Vec<(String, &'static str)> {
        group.problems().into_iter().map(|problem| (problem.pointer, problem.code)).collect()
    }

    #[test]
    fn each_problem_names_its_field() {
        assert_eq!(group().problems(), vec![]);
        let wrong = SyncGroup {
            name: "<b>".into(),
            hub: system(3),
            members: vec![system(1), system(1)],
            include: vec![],
            mappings: vec![
                "tank/a=b/x".parse().unwrap(),
                "tank/b=b/x".parse().unwrap(),
                "tank/a=b/y".parse().unwrap(),
            ],
            ..group()
        };
        let pointers: Vec<_> = wrong.problems().into_iter().map(|problem| problem.pointer).collect();
        let expected =
            ["/name", "/systems/1", "/source_of_truth", "/datasets", "/mappings/1/to", "/mappings/2/from"];
        assert_eq!(pointers, expected);
    }

    #[rstest]
    #[case("tank=tank/copy", &[("/mappings/0/to", NESTED)])]
    #[case("tank/a=tank", &[("/mappings/0/to", NESTED)])]
    #[case("tank=backup", &[])]
    #[case("tank/a=tank/b", &[])]
    fn a_local_group_copies_out_of_its_source(
        #[case] mapping: &str,
        #[case] expected: &[(&'static str, &'static str)],
    ) {
        let group = SyncGroup {
            mode: GroupMode::Local,
            members: vec![system(1)],
            mappings: vec![mapping.parse().unwrap()],
            ..group()
        };
        let expected: Vec<_> =
            expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), *code)).collect();
        assert_eq!(found(&group), expected);
    }

    #[test]
    fn many_sources_need_places_apart() {
        let with = |two: &str, three: &str| SyncGroup {
            mode: GroupMode::ManyToOne,
            members: vec![system(1), system(2), system(3)],
            member_mappings: [
                (system(2), vec![two.parse().unwrap()]),
                (system(3), vec![three.parse().unwrap()]),
            ]
            .into(),
            ..group()
        };
        assert_eq!(found(&with("tank=backup/two", "tank=backup/three")), vec![]);
        let nested = format!("/member_mappings/{}/0/to", system(3));
        assert_eq!(found(&with("tank=backup", "tank=backup/three")), vec![(nested, COLLISION)]);
        let missing = SyncGroup { member_mappings: [].into(), ..with("tank=a/x", "tank=a/y") };
        assert_eq!(found(&missing).len(), 2);
    }

    #[test]
    fn what_destroys_is_confirmed_and_has_a_brake() {
        let destructive = SyncGroup { on_divergence: OnDivergence::UseNewest, ..group() };
        assert_eq!(found(&destructive), vec![("/on_divergence".to_owned(), INVALID)]);
        assert_eq!(found(&SyncGroup { allow_destroy: true, ..destructive }), vec![]);
        let mirror = |max_percent| SyncGroup {
            mirror_deletes: Some(MirrorDeletes { max_percent }),
            allow_destroy: true,
            ..group()
        };
        assert_eq!(found(&mirror(20)), vec![]);
        let all = vec![("/mirror_deletes/max_percent".to_owned(), "E_POLICY_DELETES_ALL")];
        assert_eq!(found(&mirror(100)), all);
        assert_eq!(found(&mirror(0)).len(), 1);
    }
}
