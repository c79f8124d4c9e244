//! A target that becomes a clone: of what its source is a clone of, or of a replica that was set aside.
//!
//! Only what differs from the origin travels, and takes up room. `zfs receive -o origin=` takes a stream of one snapshot, not a
//! package of several (they do not get the option), so this goes up to the first snapshot after the base; the next plan goes on
//! with an ordinary incremental stream.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    inventory::{Dataset, PartialReceive, Snapshot},
    name::SnapshotName,
    plan::{Base, Point, Send, Step, TargetOrigin},
};
use zfs_sync_zfs::inventory::read_one;

use super::{
    Sides,
    failure::Failure,
    route::{Route, dead_partial, is_of_source, refuse_plain, waiting},
    view::{View, name_of, unread},
};

/// The datasets that hold the base on both sides, where it is not in the step's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins {
    /// What the source is a clone of.
    pub(super) source: Option<Dataset>,
    /// What the target becomes a clone of.
    pub(super) target: Option<Dataset>,
}

impl Origins {
    /// Reads what the plan names; nothing for an ordinary step.
    pub(super) async fn read(send: &Send, sides: &Sides<'_>) -> Result<Self, Failure> {
        let mut origins = Self::default();
        if let Some(Base::Origin { dataset, .. }) = &send.base {
            let found = read_one(sides.source, dataset, sides.source_features).await;
            let found = found.map_err(|error| unread(dataset, sides.source, &error))?;
            origins.source = found.map(|(dataset, _)| dataset);
        }
        if let Some(TargetOrigin { dataset, .. }) = &send.target_origin {
            let found = read_one(sides.target, dataset, sides.target_features).await;
            let found = found.map_err(|error| unread(dataset, sides.target, &error))?;
            origins.target = found.map(|(dataset, _)| dataset);
        }
        Ok(origins)
    }
}

/// As [`choose`](super::route::choose), for a target that becomes a clone.
pub(super) fn choose(
    step: &Step,
    send: &Send,
    planned: &TargetOrigin,
    view: &View,
    source: &Dataset,
    origins: &Origins,
) -> Result<Route, Failure> {
    let base = send.base.as_ref().filter(|base| base.point().guid == planned.guid);
    let Some(base) = base else {
        let detail = format!("the stream into {} does not start from what it is a clone of", step.target);
        return Err(Failure::new(ErrorCode::PlanUnsafe, detail));
    };
    let origin = target_origin(planned, origins)?;
    let base = present_base(step, base, source, origins)?;
    let to = goal(step, send, source, &base)?;
    refuse_plain(step, send, source)?;
    let mut discard = None;
    if let Some(target) = &view.target {
        let Some(partial) = target.properties.partial.as_ref().filter(|_| target.snapshots.is_empty()) else {
            return Err(Failure::stale(format!("{} exists", step.target)));
        };
        if continues(step, send, source, partial) && partial.to_guid == to.guid {
            let token = view.token.clone();
            let token = token.ok_or_else(|| waiting(step, partial, "its token can not be read"))?;
            return Ok(Route::Resume { token, base: Some(base), to, bytes: partial.bytes });
        }
        discard = dead_partial(step, send, view, source, Some(partial))?;
    }
    Ok(Route::Fresh { base: Some(base), to, discard, origin: Some(origin) })
}

/// True when an interrupted first receive is the beginning of what this step sends.
pub(super) fn continues(step: &Step, send: &Send, source: &Dataset, partial: &PartialReceive) -> bool {
    let from_origin =
        send.target_origin.as_ref().is_some_and(|origin| partial.from_guid == Some(origin.guid));
    from_origin
        && send.discard_partial != Some(partial.to_guid)
        && source.snapshot(partial.to_guid).is_some()
        && (partial.raw || !(send.raw || source.properties.encrypted))
        && is_of_source(step, partial)
}

fn target_origin(planned: &TargetOrigin, origins: &Origins) -> Result<SnapshotName, Failure> {
    let TargetOrigin { dataset, guid } = planned;
    let Some(found) = &origins.target else {
        return Err(Failure::stale(format!(
            "{dataset}, which was to be cloned from, does not exist any more"
        )));
    };
    let Some(snapshot) = found.snapshot(*guid) else {
        return Err(Failure::stale(format!("{dataset} lacks the snapshot that was to be cloned from")));
    };
    name_of(found, snapshot)
}

/// The base by what it is called now.
fn present_base(step: &Step, base: &Base, source: &Dataset, origins: &Origins) -> Result<Base, Failure> {
    let guid = base.point().guid;
    match base {
        Base::Origin { dataset, .. } => {
            let snapshot = origins.source.as_ref().and_then(|origin| origin.snapshot(guid));
            let snapshot = snapshot.ok_or_else(|| {
                Failure::stale(format!("{dataset} lacks the snapshot that {} is a clone of", step.source))
            })?;
            Ok(Base::Origin { dataset: dataset.clone(), point: snapshot.into() })
        }
        Base::Snapshot(_) | Base::Bookmark(_) => {
            let bookmark = || source.bookmarks.iter().find(|bookmark| bookmark.guid == guid);
            let snapshot = source.snapshot(guid).map(|snapshot| Base::Snapshot(snapshot.into()));
            snapshot.or_else(|| bookmark().map(|bookmark| Base::Bookmark(bookmark.into()))).ok_or_else(|| {
                Failure::stale(format!(
                    "{} has neither @{} nor a bookmark of it",
                    step.source,
                    base.point().label
                ))
            })
        }
    }
}

/// The first snapshot after the base, when it is not newer than what the plan wants.
fn goal(step: &Step, send: &Send, source: &Dataset, base: &Base) -> Result<Point, Failure> {
    let Some(planned) = source.snapshot(send.to.guid) else {
        return Err(Failure::stale(format!("{}@{} was destroyed", step.source, send.to.label)));
    };
    let after = |snapshot: &&Snapshot| snapshot.createtxg > base.point().createtxg;
    let first = match base {
        // Of a clone, all are; one that is not came there by a promotion.
        Base::Origin { .. } => source.snapshots.first().filter(after),
        Base::Snapshot(_) | Base::Bookmark(_) => source.snapshots.iter().find(after),
    };
    match first {
        Some(first) if first.createtxg <= planned.createtxg => Ok(first.into()),
        Some(_) | None => {
            let detail = format!("{}@{} is not newer than what the target has", step.source, planned.label);
            Err(Failure::stale(detail))
        }
    }
}
