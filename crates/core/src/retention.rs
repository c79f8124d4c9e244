//! What a host's own snapshot tool keeps, and whether it is about to destroy what the next incremental stream starts from.
//!
//! zfs-sync neither makes nor prunes snapshots. The tool that does knows nothing of replicas: it prunes by number and age, and
//! when it takes the newest common snapshot, the replica can only be seeded anew. So that is said while it can be prevented.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    guid::Guid,
    inventory::{Dataset, Snapshot},
    name::Label,
    time::Timestamp,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A tool that makes and prunes snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// sanoid, by its `sanoid.conf`.
    Sanoid,
}

impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Sanoid => "sanoid",
        })
    }
}

/// What a host's snapshot tool keeps of one dataset: its settings, after templates and recursion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Whose settings these are.
    pub tool: Tool,
    /// False: it destroys nothing of this dataset.
    pub autoprune: bool,
    /// How many snapshots it keeps that are taken several times an hour.
    pub frequently: u32,
    /// How many hourly snapshots it keeps.
    pub hourly: u32,
    /// How many daily ones.
    pub daily: u32,
    /// How many weekly ones.
    pub weekly: u32,
    /// How many monthly ones.
    pub monthly: u32,
    /// How many yearly ones.
    pub yearly: u32,
    /// Minutes between two of `frequently`.
    #[serde(default = "Retention::default_frequent_period")]
    pub frequent_period: u32,
    /// It prunes only while the pool is used by more than so many percent; 0: always.
    #[serde(default)]
    pub prune_defer: u32,
}

impl Retention {
    /// sanoid's own default, in minutes.
    const fn default_frequent_period() -> u32 {
        15
    }
}

/// A snapshot will be destroyed soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// Not before this moment; `None`: at the tool's next run.
    pub destroyed_after: Option<Timestamp>,
    /// The tool's rule, as it applies here.
    pub reason: String,
}

/// sanoid's types of snapshots. Each is counted and pruned by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cadence {
    Frequently,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Cadence {
    /// Of `autosnap_2026-11-20_12:00:00_hourly`. sanoid takes a snapshot for its own when the name begins with `autosnap`, and
    /// what follows the last `_` for its type; the date in the name counts for nothing.
    fn of(label: &Label) -> Option<Self> {
        let (stem, kind) = label.as_str().rsplit_once('_')?;
        if !stem.starts_with("autosnap") {
            return None;
        }
        match kind {
            "frequently" => Some(Self::Frequently),
            "hourly" => Some(Self::Hourly),
            "daily" => Some(Self::Daily),
            "weekly" => Some(Self::Weekly),
            "monthly" => Some(Self::Monthly),
            "yearly" => Some(Self::Yearly),
            _ => None,
        }
    }

    const fn adjective(self) -> &'static str {
        match self {
            Self::Frequently => "frequent",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    /// Seconds, as sanoid counts them: a month has 31 days, a year 365.25.
    fn period(self, retention: &Retention) -> i64 {
        match self {
            Self::Frequently => i64::from(retention.frequent_period) * MINUTE,
            Self::Hourly => HOUR,
            Self::Daily => DAY,
            Self::Weekly => 7 * DAY,
            Self::Monthly => 31 * DAY,
            Self::Yearly => 365 * DAY + DAY / 4,
        }
    }

    const fn kept(self, retention: &Retention) -> u32 {
        match self {
            Self::Frequently => retention.frequently,
            Self::Hourly => retention.hourly,
            Self::Daily => retention.daily,
            Self::Weekly => retention.weekly,
            Self::Monthly => retention.monthly,
            Self::Yearly => retention.yearly,
        }
    }
}

/// Whether the snapshot `base` of `dataset` is about to be destroyed by the dataset's own host, and can not serve as a base
/// afterwards. *About to*: within one period of its type, or within a day where that is shorter.
///
/// sanoid's rule (`prune_snapshots` of sanoid 2.1): for each type, oldest first, a snapshot is destroyed when it is older than
/// N periods *and* more than N of that type are left. So one goes when it is old enough and at least N are newer; with N = 0
/// at once. Age is the `creation` property. Held snapshots count, although destroying them fails.
///
/// What is held stays. Where a bookmark has the base's GUID the snapshot goes but the base does not. A snapshot with clones
/// stays too, which is not known here.
pub fn at_risk(dataset: &Dataset, retention: &Retention, base: Guid, now: Timestamp) -> Option<Risk> {
    let snapshot = dataset.snapshot(base)?;
    let cadence = Cadence::of(&snapshot.label)?;
    if !retention.autoprune || snapshot.holds > 0 {
        return None;
    }
    let (now, period, kept) =
        (now.as_second(), cadence.period(retention), i64::from(cadence.kept(retention)));
    let horizon = now.saturating_add(period.min(DAY));
    let old_enough = snapshot.creation.saturating_add(kept * period);
    // Most bases are young: the history is not even looked at.
    if old_enough > horizon || dataset.bookmarks.iter().any(|bookmark| bookmark.guid == base) {
        return None;
    }
    let age_order = |snapshot: &Snapshot| (snapshot.creation, snapshot.createtxg);
    let newer = dataset
        .snapshots
        .iter()
        .filter(|other| age_order(other) > age_order(snapshot) && Cadence::of(&other.label) == Some(cadence));
    let (count, newest) =
        newer.fold((0, snapshot.creation), |(count, newest), other| (count + 1, other.creation.max(newest)));
    // The earliest moment: one snapshot a period, and one run of sanoid makes up for one at most.
    let missing = kept - count;
    let enough_newer = if missing <= 0 {
        i64::MIN
    } else {
        newest.saturating_add(period).max(now).saturating_add((missing - 1) * period)
    };
    let moment = old_enough.max(enough_newer);
    if moment > horizon {
        return None;
    }
    let destroyed_after = if moment <= now { None } else { Timestamp::from_second(moment).ok() };
    Some(Risk { destroyed_after, reason: reason(retention, cadence, count) })
}

fn reason(retention: &Retention, cadence: Cadence, newer: i64) -> String {
    let (tool, kind) = (retention.tool, cadence.adjective());
    let kept = match cadence.kept(retention) {
        0 => format!("{tool} keeps no {kind} snapshots"),
        1 => format!("{tool} keeps 1 {kind} snapshot"),
        count => format!("{tool} keeps {count} {kind} snapshots"),
    };
    let newer = match newer {
        0 => "none is newer".to_owned(),
        1 => "1 is newer".to_owned(),
        count => format!("{count} are newer"),
    };
    let deferred = match retention.prune_defer {
        0 => String::new(),
        percent => format!("; it waits while the pool is used by {percent} % or less"),
    };
    format!("{kept}, {newer}{deferred}")
}

/// The warning [`crate::plan::Warning::BaseAtRisk`] in words: the risk, a fact, and the commands that save the base.
///
/// `source` is the dataset that the next incremental stream is sent from, `base` the newest common snapshot, `retention` what
/// the source's host said about this dataset.
pub fn base_at_risk(
    source: &Dataset,
    retention: Option<&Retention>,
    base: Guid,
    now: Timestamp,
) -> Option<(Risk, String, String)> {
    let retention = retention?;
    let risk = at_risk(source, retention, base, now)?;
    let label = &source.snapshot(base)?.label;
    let snapshot = format!("{}@{label}", source.name);
    let when = match risk.destroyed_after {
        None => format!("at the next run of {}", retention.tool),
        Some(moment) => format!("after {moment}"),
    };
    let fact = format!(
        "{snapshot}, the newest common snapshot, is destroyed on its own host {when}: {}; no hold or bookmark keeps it",
        risk.reason
    );
    let hold = format!("`zfs hold keep {}` keeps the snapshot", quoted(&snapshot));
    // `zfs bookmark` fails where the name is taken, as by a bookmark of an older snapshot with this name.
    let taken = source.bookmarks.iter().any(|bookmark| bookmark.label == *label);
    let saves = if taken {
        format!("{hold}.")
    } else {
        let bookmark = format!("{}#{label}", source.name);
        let command = format!("zfs bookmark {} {}", quoted(&snapshot), quoted(&bookmark));
        format!("`{command}` keeps what the next stream needs and takes no space; {hold}.")
    };
    Some((risk, fact, saves))
}

/// For a command line: names have no character that a shell reads within quotes.
fn quoted(text: &str) -> String {
    if text.contains(' ') { format!("'{text}'") } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
