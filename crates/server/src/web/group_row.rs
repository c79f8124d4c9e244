//! Groups in words and tables.

use std::collections::BTreeMap;

use zfs_sync_api::v1::{group::Group, replica::Replica};
use zfs_sync_core::{
    group::{GroupMode, Mapping},
    ids::SystemId,
    name::DatasetName,
    pattern::DatasetPattern,
    time::Timestamp,
};

use super::{
    row::{ReplicaRow, counts_in_words},
    words,
};

/// A group in a list.
#[derive(Debug)]
pub(super) struct GroupRow {
    pub(super) flow: String,
    pub(super) patterns: String,
    pub(super) counts: String,
    pub(super) group: Group,
}

impl GroupRow {
    pub(super) fn new(group: Group) -> Self {
        Self {
            flow: flow(&group),
            patterns: patterns(&group.datasets),
            counts: counts_in_words(&group.replicas),
            group,
        }
    }
}

fn patterns(patterns: &[DatasetPattern]) -> String {
    patterns.iter().map(DatasetPattern::as_str).collect::<Vec<_>>().join(", ")
}

fn members(group: &Group, which: impl Fn(SystemId) -> bool) -> Vec<String> {
    let members = group.systems.iter().filter(|member| which(member.id));
    members.map(|member| member.hostname.clone()).collect()
}

fn hostname(group: &Group, id: SystemId) -> String {
    let member = group.systems.iter().find(|member| member.id == id);
    member.map_or_else(|| id.to_string(), |member| member.hostname.clone())
}

/// Who copies from whom, in a sentence.
pub(super) fn flow(group: &Group) -> String {
    let hub = &group.hub_name;
    let others = members(group, |id| id != group.hub);
    let all = || words::list(&members(group, |_| true));
    match group.mode {
        GroupMode::OneWay if others.is_empty() => format!("{hub} has no other member to copy to"),
        GroupMode::OneWay => format!("{hub} → {}", words::list(&others)),
        GroupMode::ManyToOne if others.is_empty() => format!("no other member copies to {hub}"),
        GroupMode::ManyToOne => format!("{} → {hub}, each under names of its own", words::list(&others)),
        GroupMode::Chain => {
            format!("{}, each forwards what it has received", members(group, |_| true).join(" → "))
        }
        GroupMode::Mesh => format!(
            "among {}: for each dataset all follow the member whose history contains all others'; {hub} is preferred where several could be it",
            all()
        ),
        GroupMode::Local => format!("within {hub}, from one name to another"),
    }
}

fn mapped(mappings: &[Mapping]) -> String {
    let each = mappings.iter().map(|Mapping { from, to }| format!("{from} is {to}"));
    each.collect::<Vec<_>>().join(", ")
}

/// What datasets are called on other members, in sentences.
pub(super) fn names(group: &Group) -> Vec<String> {
    let Group { mode, hub_name: hub, mappings, member_mappings, .. } = group;
    let mut sentences = Vec::new();
    let many_to_one = *mode == GroupMode::ManyToOne;
    let elsewhere = match mode {
        GroupMode::ManyToOne => format!("On {hub}"),
        GroupMode::Local => "The copy".to_owned(),
        GroupMode::OneWay | GroupMode::Chain | GroupMode::Mesh => "On the other members".to_owned(),
    };
    let without_own = members(group, |id| id != group.hub && !member_mappings.contains_key(&id));
    if !mappings.is_empty() {
        sentences.push(format!("{elsewhere}: {}.", mapped(mappings)));
    } else if !without_own.is_empty() {
        let whose = match (many_to_one, member_mappings.is_empty()) {
            (_, true) => elsewhere,
            (false, false) => format!("On {}", words::list(&without_own)),
            (true, false) => format!("On {hub}, what comes from {}", words::list(&without_own)),
        };
        sentences.push(format!("{whose}: the same names."));
    }
    for (member, mappings) in member_mappings {
        let member = hostname(group, *member);
        let whose =
            if many_to_one { format!("On {hub}, what comes from {member}") } else { format!("On {member}") };
        sentences.push(format!("{whose}: {}.", mapped(mappings)));
    }
    sentences
}

/// What the group does by itself, in words.
pub(super) fn policies(group: &Group) -> Vec<(&'static str, String)> {
    let yes = |yes: bool, so: &str, not: &str| if yes { so.to_owned() } else { not.to_owned() };
    let mut rows = vec![("Datasets", patterns(&group.datasets))];
    if !group.exclude.is_empty() {
        rows.push(("Left out", patterns(&group.exclude)));
    }
    rows.push(("Starts by itself", yes(group.auto, "Yes.", "No; a person starts what is planned.")));
    rows.push(("On divergence", words::on_divergence(group.on_divergence, group.allow_destroy)));
    rows.push((
        "May destroy snapshots",
        yes(
            group.allow_destroy,
            "Yes, where divergence or deletions ask for it and no guard forbids it.",
            "No, unless a person applies a plan that lists them.",
        ),
    ));
    let share = group.mirror_deletes.map(|mirror| mirror.max_percent);
    rows.push(("Carries over deletions", words::mirror_deletes(share, group.allow_destroy)));
    rows.push((
        "Follows renames",
        yes(
            group.follow_renames,
            "Yes, a replica is renamed when its source was.",
            "No; a renamed source is a conflict.",
        ),
    ));
    rows.push(("Which snapshots", words::profile(group.profile).to_owned()));
    rows
}

/// The members that receive something, in the order of members.
pub(super) fn columns(group: &Group) -> Vec<String> {
    match group.mode {
        GroupMode::OneWay | GroupMode::Chain => members(group, |id| id != group.hub),
        GroupMode::ManyToOne | GroupMode::Local => members(group, |id| id == group.hub),
        GroupMode::Mesh => members(group, |_| true),
    }
}

/// What a member has of a dataset.
#[derive(Debug)]
pub(super) enum Cell {
    /// A replica.
    Replica(Box<ReplicaRow>),
    /// It is the one that others follow.
    Followed,
    /// Nothing of this group.
    Nothing,
}

/// A logical dataset across systems.
#[derive(Debug)]
pub(super) struct MatrixRow {
    pub(super) dataset: String,
    /// Whose dataset, where each source has its own.
    pub(super) home: Option<String>,
    pub(super) cells: Vec<Cell>,
}

impl MatrixRow {
    /// Rows by home and dataset, columns as given.
    pub(super) fn matrix(
        group: &Group,
        replicas: Vec<Replica>,
        columns: &[String],
        now: Timestamp,
    ) -> Vec<Self> {
        let mut rows: BTreeMap<(SystemId, DatasetName), Vec<Cell>> = BTreeMap::new();
        for replica in replicas {
            let key = (replica.report.home, replica.report.dataset.clone());
            let cells = rows.entry(key).or_insert_with(|| columns.iter().map(|_| Cell::Nothing).collect());
            let column = |name: &str| columns.iter().position(|column| column == name);
            // In a chain, and within one system, the source of one replica is itself the target of another.
            if group.mode == GroupMode::Mesh
                && let Some(column) = column(&replica.source_system)
                && matches!(cells[column], Cell::Nothing)
            {
                cells[column] = Cell::Followed;
            }
            if let Some(column) = column(&replica.target_system) {
                cells[column] = Cell::Replica(Box::new(ReplicaRow::new(replica, now)));
            }
        }
        let row = |((home, dataset), cells): ((SystemId, DatasetName), Vec<Cell>)| {
            let home = (group.mode == GroupMode::ManyToOne).then(|| hostname(group, home));
            Self { dataset: dataset.to_string(), home, cells }
        };
        rows.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAS1: &str = "00000000-0000-0000-0000-000000000001";
    const NAS2: &str = "00000000-0000-0000-0000-000000000002";
    const NAS3: &str = "00000000-0000-0000-0000-000000000003";

    fn group(mode: &str, changes: &Value) -> Group {
        let mut group = json!({
            "id": "00000000-0000-0000-0000-000000000009", "name": "media", "description": null, "enabled": true, "mode": mode,
            "source_of_truth": null, "source_of_truth_name": null, "hub": NAS1, "hub_name": "nas1",
            "systems": [{"id": NAS1, "hostname": "nas1"}, {"id": NAS2, "hostname": "nas2"}, {"id": NAS3, "hostname": "nas3"}],
            "datasets": ["tank/media/**"], "exclude": [], "mappings": [], "auto": true, "on_divergence": "stop",
            "sync_interval_seconds": 3600, "directional": false, "hub_system_id": null, "system_ids": [NAS1, NAS2, NAS3],
            "extra_metadata": null, "replicas": {}, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        for (name, value) in changes.as_object().unwrap() {
            group[name] = value.clone();
        }
        serde_json::from_value(group).unwrap()
    }

    #[test]
    fn each_mode_says_who_copies_from_whom() {
        let says = |mode| flow(&group(mode, &json!({})));
        assert_eq!(says("one_way"), "nas1 → nas2 and nas3");
        assert_eq!(says("many_to_one"), "nas2 and nas3 → nas1, each under names of its own");
        assert_eq!(says("chain"), "nas1 → nas2 → nas3, each forwards what it has received");
        assert!(says("mesh").starts_with("among nas1, nas2 and nas3: "), "{}", says("mesh"));
        assert_eq!(says("local"), "within nas1, from one name to another");
    }

    #[test]
    fn columns_are_the_members_that_receive() {
        let of = |mode| columns(&group(mode, &json!({})));
        assert_eq!(of("one_way"), ["nas2", "nas3"]);
        assert_eq!(of("many_to_one"), ["nas1"]);
        assert_eq!(of("chain"), ["nas2", "nas3"]);
        assert_eq!(of("mesh"), ["nas1", "nas2", "nas3"]);
        assert_eq!(of("local"), ["nas1"]);
    }

    #[test]
    fn names_are_told_for_all_and_for_single_members() {
        let mapping = json!([{"from": "tank", "to": "backup"}]);
        assert_eq!(names(&group("one_way", &json!({}))), ["On the other members: the same names."]);
        let all = json!({ "mappings": mapping });
        assert_eq!(names(&group("one_way", &all)), ["On the other members: tank is backup."]);
        let own = json!({ "member_mappings": { NAS3: mapping } });
        assert_eq!(names(&group("one_way", &own)), ["On nas2: the same names.", "On nas3: tank is backup."]);
        assert_eq!(
            names(&group("many_to_one", &own)),
            [
                "On nas1, what comes from nas2: the same names.",
                "On nas1, what comes from nas3: tank is backup."
            ]
        );
    }
}
