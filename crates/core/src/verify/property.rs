//! Properties that differ: which may, and which must not.

use serde::{Deserialize, Serialize};

use super::question::Inspected;

/// A property that has another value on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyDifference {
    /// Its name.
    pub name: String,
    /// On the side that was named first; `-`: none.
    pub left: String,
    /// On the other side.
    pub right: String,
    /// True when a replica may differ so without being another.
    pub expected: bool,
    /// Why it may, or what it means.
    pub why: String,
}

/// Fixed when a dataset is created, and part of what it means: a replica has the same.
const MUST_BE_EQUAL: [&str; 5] = ["type", "volsize", "casesensitivity", "normalization", "utf8only"];

/// What a replica may have otherwise.
const MAY_DIFFER: [(&str, &str); 8] = [
    ("readonly", "replicas are read-only"),
    ("canmount", "replicas are not mounted"),
    ("recordsize", "says only how new files are written; existing blocks travel as they are"),
    ("volblocksize", "blocks of a volume travel as they are"),
    ("compression", "says only how new blocks are written"),
    ("xattr", "says only where attributes are stored"),
    (
        "acltype",
        "access lists travel along, and are in force only where it says posix; they were not compared",
    ),
    ("encryption", "each side may encrypt in its own way; a raw replica has what its source has"),
];

/// What differs, in the order of the tables.
pub(super) fn compare(left: &Inspected, right: &Inspected) -> Vec<PropertyDifference> {
    let value =
        |side: &Inspected, name: &str| side.properties.get(name).cloned().unwrap_or_else(|| "-".to_owned());
    let mut found = Vec::new();
    let mut note = |name: &str, left: String, right: String, expected: bool, why: &str| {
        if left != right {
            found.push(PropertyDifference {
                name: name.to_owned(),
                left,
                right,
                expected,
                why: why.to_owned(),
            });
        }
    };
    note(
        "guid",
        left.guid.to_string(),
        right.guid.to_string(),
        false,
        "these are two different snapshots, whatever they are called",
    );
    if left.guid == right.guid {
        let moment = |side: &Inspected| side.creation.to_string();
        note(
            "creation",
            moment(left),
            moment(right),
            false,
            "a received snapshot keeps the time of its making",
        );
    }
    if let Some((older, newer)) = out_of_order(left, right) {
        let (one, other) = (format!("{older} before {newer}"), format!("{newer} before {older}"));
        note("createtxg", one, other, false, "older snapshots stand in another order");
    }
    for name in MUST_BE_EQUAL {
        note(name, value(left, name), value(right, name), false, "a replica has what its source has");
    }
    for (name, why) in MAY_DIFFER {
        note(name, value(left, name), value(right, name), true, why);
    }
    found
}

/// Two older snapshots that both have, and that follow each other otherwise on the other side.
fn out_of_order(left: &Inspected, right: &Inspected) -> Option<(String, String)> {
    let places: std::collections::HashMap<_, _> = right.earlier.iter().zip(0_usize..).collect();
    let common: Vec<_> =
        left.earlier.iter().filter_map(|guid| places.get(guid).map(|at| (*guid, *at))).collect();
    let wrong = common.windows(2).find(|pair| pair[0].1 > pair[1].1)?;
    Some((wrong[1].0.to_string(), wrong[0].0.to_string()))
}
