//! From the words of `group create` and `group edit` to requests.

use std::collections::BTreeMap;

use zfs_sync_api::v1::group::{CreateGroup as Create, Group, UpdateGroup};
use zfs_sync_core::group::OnDivergence;

use crate::cli::{CreateGroup, Definition, EditGroup, Switch};

/// Mappings for all members, and those that a member's name stands before.
#[derive(Debug, Default, PartialEq, Eq)]
struct Maps {
    all: Vec<String>,
    of_members: BTreeMap<String, Vec<String>>,
}

/// `SYSTEM:FROM=TO` is about one member, `FROM=TO` about all. ZFS allows a colon in names, so only what is before the first one and is a
/// member's name counts as such.
fn maps(texts: &[String], is_member: impl Fn(&str) -> bool) -> Maps {
    let mut maps = Maps::default();
    for text in texts {
        match text.split_once(':').filter(|(system, _)| is_member(system)) {
            Some((system, mapping)) => {
                maps.of_members.entry(system.to_owned()).or_default().push(mapping.to_owned());
            }
            None => maps.all.push(text.clone()),
        }
    }
    maps
}

/// `group create`.
pub(super) fn request(arguments: &CreateGroup) -> Create {
    let CreateGroup { name, systems, datasets, definition, auto, keep_both, paused } = arguments;
    let Maps { all, of_members } =
        maps(&definition.mappings, |text| systems.iter().any(|system| system.eq_ignore_ascii_case(text)));
    let stop = if *keep_both { OnDivergence::KeepBoth } else { OnDivergence::Stop };
    Create {
        name: name.clone(),
        description: definition.description.clone(),
        mode: definition.mode.unwrap_or_default(),
        systems: systems.clone(),
        source_of_truth: definition.source_of_truth.clone(),
        hub: definition.hub.clone(),
        datasets: datasets.clone(),
        exclude: definition.exclude.clone(),
        mappings: all,
        member_mappings: of_members,
        auto: *auto,
        on_divergence: definition.on_divergence.unwrap_or(stop),
        allow_destroy: definition.allow_destroy,
        mirror_deletes: definition.mirror_deletes.and_then(Switch::value),
        follow_renames: definition.follow_renames,
        profile: definition.profile,
        limit: definition.limit.clone().and_then(Switch::value),
        compression: definition.compress.unwrap_or_default(),
        transport: definition.transport.unwrap_or_default(),
        enabled: Some(!paused),
        ..Create::default()
    }
}

/// Nothing where nothing was said.
fn said(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

/// One of two opposite words, or none.
fn either(yes: bool, no: bool) -> Option<bool> {
    (yes || no).then_some(yes)
}

/// `group edit`.
pub(super) fn change(arguments: &EditGroup, group: &Group) -> UpdateGroup {
    let EditGroup { definition, .. } = arguments;
    let Definition { mappings, .. } = definition;
    let member = |text: &str| {
        let named = |id: &str, hostname: &str| id == text || hostname.eq_ignore_ascii_case(text);
        let listed = group.systems.iter().find(|member| named(&member.id.to_string(), &member.hostname));
        let joins = || arguments.systems.iter().find(|system| system.eq_ignore_ascii_case(text)).cloned();
        listed.map(|member| member.hostname.clone()).or_else(joins)
    };
    let Maps { all, of_members } = maps(mappings, |text| member(text).is_some());
    // What was not named stays, of single members too.
    let mut member_mappings = BTreeMap::new();
    if !arguments.clear_maps {
        for listed in &group.systems {
            if let Some(before) = group.member_mappings.get(&listed.id) {
                let before = before.iter().map(ToString::to_string).collect();
                member_mappings.insert(listed.hostname.clone(), before);
            }
        }
    }
    let names_members = !of_members.is_empty() || arguments.clear_maps;
    for (system, texts) in of_members {
        member_mappings.insert(member(&system).unwrap_or(system), texts);
    }
    if !arguments.systems.is_empty() {
        // Whoever leaves takes the names it had along.
        let stays =
            |name: &String| arguments.systems.iter().any(|system| member(system).as_ref() == Some(name));
        member_mappings.retain(|name, _| stays(name));
    }
    let cleared = |texts: &[String], clear: bool| said(texts).or_else(|| clear.then(Vec::new));
    UpdateGroup {
        auto: either(arguments.auto, arguments.manual),
        description: definition.description.clone(),
        datasets: said(&arguments.datasets),
        exclude: cleared(&definition.exclude, arguments.clear_excludes),
        mappings: cleared(&all, arguments.clear_maps),
        member_mappings: (names_members || !arguments.systems.is_empty()).then_some(member_mappings),
        mode: definition.mode,
        on_divergence: definition.on_divergence,
        allow_destroy: either(definition.allow_destroy, arguments.no_allow_destroy),
        mirror_deletes: definition.mirror_deletes.map(Switch::value),
        follow_renames: either(definition.follow_renames, arguments.no_follow_renames),
        profile: definition.profile,
        limit: definition.limit.clone().map(Switch::value),
        compression: definition.compress,
        transport: definition.transport,
        name: arguments.name.clone(),
        systems: said(&arguments.systems),
        source_of_truth: definition.source_of_truth.clone(),
        hub: definition.hub.clone(),
        ..UpdateGroup::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_about_a_member_only_where_its_name_stands_before() {
        let texts = ["nas2:tank=backup/nas2", "tank=backup", "pool:a/b=c", "NAS2:x=y"].map(str::to_owned);
        let Maps { all, of_members } = maps(&texts, |text| text.eq_ignore_ascii_case("nas2"));
        assert_eq!(all, ["tank=backup", "pool:a/b=c"], "ZFS allows a colon in names");
        assert_eq!(of_members["nas2"], ["tank=backup/nas2"]);
        assert_eq!(of_members["NAS2"], ["x=y"]);
    }
}
