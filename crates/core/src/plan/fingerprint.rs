//! What a plan rests on, in one short text.
//!
//! It moves with everything that a person who agreed to the plan has agreed to: what is done, what is lost and who else has it, what stands
//! against what. It stays where the same would be done to the same effect, or else a fleet that is alive makes every plan stale before
//! anybody has read it: a bookmark of ours, a snapshot on top of the source's newest while the target has to be moved out of the way, an old
//! snapshot that retention has taken, a report about some other replica.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{
    pair::Pair,
    step::{Action, Fingerprint, Step},
    survey::Survey,
};
use crate::{
    digest::hexadecimal,
    guid::Guid,
    inventory::{Dataset, DatasetProperties, PartialReceive},
    name::Label,
};

/// Texts of known length, so that no two different sequences are fed alike.
struct Feed(Sha256);

impl Feed {
    fn text(&mut self, text: &str) {
        self.0.update(text.len().to_le_bytes());
        self.0.update(text);
    }

    fn dataset(&mut self, dataset: &Dataset) {
        let DatasetProperties {
            guid,
            kind,
            createtxg: _,
            written,
            used: _,
            referenced: _,
            available: _,
            readonly: _,
            mounted: _,
            encrypted,
            origin,
            partial,
        } = &dataset.properties;
        self.text(dataset.name.as_str());
        self.text(&format!("{guid} {kind:?} {} {encrypted} {origin:?}", *written == 0));
        // How far an interrupted receive came changes nothing in what is to be done.
        let partial =
            partial.as_ref().map(|PartialReceive { to_guid, from_guid, to_name, bytes: _, raw }| {
                (to_guid, from_guid, to_name, raw)
            });
        self.text(&format!("{partial:?}"));
    }

    /// How both sides stand to each other: where they part, all that the target has gone on with, and what the source has begun with there.
    fn pair(&mut self, pair: &Pair<'_>) {
        self.text(&format!("{} {} {} {}", pair.home, pair.dataset, pair.source.id, pair.source.fresh));
        self.text(&format!("{} {} {:?}", pair.target.id, pair.target.fresh, pair.mapped));
        let common = pair.comparison.as_ref().and_then(|comparison| comparison.newest_common.as_ref());
        self.text(&format!("{:?}", common.map(|point| point.guid)));
        match pair.source_dataset {
            Some(dataset) => {
                self.dataset(dataset);
                self.text(&format!("{:?}", after(dataset, common.map(|point| point.guid)).next()));
            }
            None => self.text("nothing to follow"),
        }
        match pair.target_dataset {
            Some(dataset) => {
                self.dataset(dataset);
                for snapshot in after(dataset, common.map(|point| point.guid)) {
                    self.text(&format!("{snapshot:?}"));
                }
            }
            None => self.text(if pair.target.inventory.is_some() { "absent" } else { "unknown" }),
        }
    }
}

/// The snapshots that are newer than this one, oldest first; all of them where it is not there.
fn after(dataset: &Dataset, common: Option<Guid>) -> impl Iterator<Item = (Guid, &Label)> {
    let place = common.and_then(|guid| dataset.place_of(guid));
    let newer =
        dataset.snapshots.iter().filter(move |snapshot| place.is_none_or(|at| snapshot.createtxg > at));
    newer.map(|snapshot| (snapshot.guid, &snapshot.label))
}

/// The digest over the group's definition, how the replicas stand that are `concerned`, the steps, and who else has what they destroy. The
/// time at which the plan was made, and with it the name of what is set aside, is left out.
pub(super) fn fingerprint(
    survey: &Survey<'_>,
    steps: &[Step],
    concerned: impl Fn(&Pair<'_>) -> bool,
) -> Fingerprint {
    let mut feed = Feed(Sha256::new());
    feed.text(&format!("{:?}", survey.input.group));
    let by_target: BTreeMap<_, &Step> =
        steps.iter().map(|step| ((step.target_system, &step.target), step)).collect();
    for pair in survey.pairs.iter().filter(|pair| concerned(pair)) {
        feed.pair(pair);
        let step = pair.mapped.as_ref().ok().and_then(|target| by_target.get(&(pair.target.id, target)));
        for casualty in step.into_iter().flat_map(|step| step.action.destroys()) {
            let others = survey.kept_beside(pair, casualty.guid);
            feed.text(&format!("{} {others:?}", casualty.guid));
        }
    }
    for step in steps {
        let mut step = step.clone();
        match &mut step.action {
            Action::SetAside { rename_to, .. } => rename_to.clone_from(&step.target),
            // What a snapshot uses moves with its neighbours, and changes nothing in what is lost.
            Action::RollBack { destroys, .. } | Action::DestroySnapshots { destroys, .. } => {
                for casualty in destroys {
                    (casualty.used, casualty.referenced) = (0, 0);
                }
            }
            Action::Send(_) | Action::FollowRename { .. } => {}
        }
        feed.text(&format!("{step:?}"));
    }
    Fingerprint(hexadecimal(feed.0, 16))
}
