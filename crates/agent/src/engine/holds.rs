//! Whose holds stand on a snapshot.

use zfs_sync_core::{
    name::SnapshotName,
    plan::{Protection, Receiver},
};
use zfs_sync_zfs::{
    command::{Command, OwnTag},
    error::{Error, Kind},
    features::Ability,
    parse,
};

use super::{Run, Side};

/// The tags on a snapshot; none when it does not exist.
///
/// Where the implementation does not list them, those that may be ours.
pub(super) async fn tags(run: &Run<'_>, side: Side, snapshot: &SnapshotName) -> Result<Vec<String>, Error> {
    if !run.features(side).can(Ability::ListedHolds) {
        let protection = &run.protection;
        return Ok(match side {
            Side::Source => vec![protection.step_hold()],
            Side::Target => vec![protection.base_hold()],
        });
    }
    let command = Command::Holds { snapshot: snapshot.clone() };
    let output = match run.runner(side).run(&command).await {
        Ok(output) => output,
        Err(error) if error.kind == Kind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let holds = parse::holds(&output.stdout)
        .map_err(|what| Error::unparsable(run.runner(side).host(), &command, &what))?;
    Ok(holds.into_iter().map(|hold| hold.tag).collect())
}

/// The tag, when it is a hold that protects the incremental base of this replica, for whatever source dataset.
///
/// A receiver names one target dataset, and what it receives comes from one source at a time. Where the source is another one now (a
/// mesh, a restored source) the older hold protects a base that nobody sends from any more.
pub(super) fn base_hold_of(receiver: &Receiver, tag: &str) -> Option<OwnTag> {
    let rest = tag.strip_prefix(Protection::PREFIX)?.strip_prefix("base:")?;
    let (_lineage, of) = rest.split_once(':')?;
    if of == receiver.as_str() { OwnTag::new(tag).ok() } else { None }
}

/// True for a tag of ours, of whatever kind: it goes away by itself when the transfer that needs it has ended.
pub(super) fn is_ours(tag: &str) -> bool {
    tag.starts_with(Protection::PREFIX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_a_base_hold_of_the_same_receiver_is_told_to_be_that() {
        let receiver = |name: &str| Receiver::new(Uuid::from_u128(2).into(), &name.parse().unwrap());
        let (ours, other) = (receiver("backup/a"), receiver("backup/b"));
        let tag = |kind: &str, of: &Receiver| format!("zfs-sync:{kind}:1f:{}", of.as_str());
        assert!(base_hold_of(&ours, &tag("base", &ours)).is_some());
        for foreign in
            [tag("base", &other), tag("step", &ours), "keep".to_owned(), "zfs-sync:base:".to_owned()]
        {
            assert_eq!(base_hold_of(&ours, &foreign), None, "{foreign}");
        }
    }
}
