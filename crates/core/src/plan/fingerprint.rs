//! What a plan was made from, in one short text.

use sha2::{Digest as _, Sha256};

use super::{
    step::{Action, Fingerprint, Step},
    survey::Survey,
};
use crate::{
    digest::hexadecimal,
    inventory::{Dataset, DatasetProperties, PartialReceive},
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
        self.text(&dataset.history_digest().0);
    }
}

/// The digest over the group's definition, every dataset involved and the steps. The time at which the plan was made, and with
/// it the name of what is set aside, is left out.
pub(super) fn fingerprint(survey: &Survey<'_>, steps: &[Step]) -> Fingerprint {
    let mut feed = Feed(Sha256::new());
    feed.text(&format!("{:?}", survey.input.group));
    feed.text(&format!("{:?}", survey.selected));
    for pair in &survey.pairs {
        feed.text(&format!("{} {} {} {}", pair.home, pair.dataset, pair.source.id, pair.source.fresh));
        match pair.source_dataset {
            Some(dataset) => feed.dataset(dataset),
            None => feed.text("nothing to follow"),
        }
        feed.text(&format!("{} {} {:?}", pair.target.id, pair.target.fresh, pair.mapped));
        match pair.target_dataset {
            Some(dataset) => feed.dataset(dataset),
            None => feed.text(if pair.target.inventory.is_some() { "absent" } else { "unknown" }),
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
