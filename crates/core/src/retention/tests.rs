use rstest::rstest;

use super::*;
use crate::{
    guid::Txg,
    inventory::{Bookmark, DatasetKind, DatasetProperties},
};

/// 2026-11-20 12:00 UTC.
fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn retention() -> Retention {
    Retention {
        tool: Tool::Sanoid,
        autoprune: true,
        frequently: 4,
        hourly: 3,
        daily: 2,
        weekly: 1,
        monthly: 1,
        yearly: 0,
        frequent_period: 15,
        prune_defer: 0,
    }
}

/// A snapshot of this type, so many minutes old at noon; its GUID is the age.
fn snapshot(kind: &str, minutes: i64) -> Snapshot {
    let creation = noon().as_second() - minutes * MINUTE;
    let time = Timestamp::from_second(creation).unwrap().strftime("%Y-%m-%d_%H:%M:%S");
    Snapshot {
        guid: guid(minutes),
        createtxg: Txg::new(u64::try_from(creation).unwrap()),
        label: format!("autosnap_{time}_{kind}").parse().unwrap(),
        creation,
        used: 0,
        referenced: 0,
        holds: 0,
    }
}

fn guid(minutes: i64) -> Guid {
    Guid::new(u64::try_from(minutes).unwrap())
}

fn dataset(snapshots: Vec<Snapshot>) -> Dataset {
    let properties = DatasetProperties {
        guid: Guid::new(u64::MAX),
        kind: DatasetKind::Filesystem,
        createtxg: Txg::new(1),
        written: 0,
        used: 0,
        referenced: 0,
        available: 0,
        readonly: false,
        mounted: true,
        encrypted: false,
        origin: None,
        partial: None,
    };
    let mut dataset =
        Dataset { name: "tank/media".parse().unwrap(), properties, snapshots, bookmarks: vec![] };
    dataset.sort();
    dataset
}

fn of_type(kind: &str, minutes: &[i64]) -> Dataset {
    dataset(minutes.iter().map(|minutes| snapshot(kind, *minutes)).collect())
}

const H: i64 = 60;
const D: i64 = 24 * H;

/// The base is the oldest. `Some(0)`: destroyed at the next run; `Some(minutes)`: so many minutes after noon.
#[rstest]
#[case::old_and_enough_newer("hourly", &[3 * H + 1, 121, 61, 1], Some(0))]
#[case::just_old_enough("hourly", &[3 * H, 120, 60, 0], Some(0))]
#[case::not_old_enough_yet("hourly", &[3 * H - 20, 100, 60, 20], Some(20))]
#[case::a_period_ahead("hourly", &[2 * H, 50, 40, 20], Some(60))]
#[case::more_than_a_period_ahead("hourly", &[2 * H - 1, 50, 40, 20], None)]
#[case::old_but_too_few_are_newer("hourly", &[90 * H, 10], None)]
#[case::one_is_missing_and_comes_within_the_hour("hourly", &[5 * H, 100, 40], Some(20))]
#[case::one_is_missing_and_is_overdue("hourly", &[5 * H, 200, 100], Some(0))]
#[case::two_are_missing("hourly", &[5 * H, 55], None)]
#[case::two_are_missing_the_first_overdue("hourly", &[5 * H, 65], Some(60))]
#[case::the_newest_of_its_type("hourly", &[90 * H], None)]
#[case::daily_a_day_ahead("daily", &[D, D - 10, D - 20], Some(D))]
#[case::daily_more_than_a_day_ahead("daily", &[D - 1, D - 10, D - 20], None)]
#[case::daily_old("daily", &[2 * D + 1, D, 0], Some(0))]
#[case::weekly_a_day_ahead("weekly", &[6 * D, 5], Some(D))]
#[case::weekly_two_days_ahead("weekly", &[5 * D, 5], None)]
#[case::weekly_alone_until_the_next("weekly", &[6 * D + 12 * H], Some(12 * H))]
#[case::monthly_has_31_days("monthly", &[31 * D - 5, 5], Some(5))]
#[case::monthly_later("monthly", &[29 * D, 5], None)]
#[case::none_are_kept("yearly", &[7], Some(0))]
#[case::frequent_ones("frequently", &[50, 40, 30, 20, 5], Some(10))]
#[case::frequent_ones_later("frequently", &[40, 30, 20, 5, 1], None)]
fn when_the_base_goes(#[case] kind: &str, #[case] minutes: &[i64], #[case] expected: Option<i64>) {
    let risk = at_risk(&of_type(kind, minutes), &retention(), guid(minutes[0]), noon());
    let expected = expected.map(|minutes| {
        (minutes > 0).then(|| Timestamp::from_second(noon().as_second() + minutes * MINUTE).unwrap())
    });
    assert_eq!(risk.map(|risk| risk.destroyed_after), expected);
}

/// The oldest of five hourly snapshots, of which three are kept.
fn doomed() -> (Dataset, Guid) {
    (of_type("hourly", &[5 * H, 4 * H, 3 * H, 2 * H, H]), guid(5 * H))
}

#[test]
fn only_the_snapshot_that_goes_is_at_risk() {
    let (dataset, base) = doomed();
    assert!(at_risk(&dataset, &retention(), base, noon()).is_some());
    assert!(at_risk(&dataset, &retention(), guid(4 * H), noon()).is_some());
    assert_eq!(at_risk(&dataset, &retention(), guid(H), noon()), None, "none is newer");
    assert_eq!(at_risk(&dataset, &retention(), Guid::new(12345), noon()), None, "it is not there");
}

#[test]
fn what_is_held_or_bookmarked_or_not_pruned_is_safe() {
    let (dataset, base) = doomed();
    let mut held = dataset.clone();
    held.snapshots[0].holds = 1;
    assert_eq!(at_risk(&held, &retention(), base, noon()), None);

    let mut marked = dataset.clone();
    let Snapshot { guid, createtxg, creation, .. } = dataset.snapshots[0];
    marked.bookmarks.push(Bookmark { guid, createtxg, label: "other".parse().unwrap(), creation });
    assert_eq!(at_risk(&marked, &retention(), base, noon()), None);
    marked.bookmarks[0].guid = Guid::new(12345);
    assert!(at_risk(&marked, &retention(), base, noon()).is_some(), "a bookmark of something else");

    assert_eq!(at_risk(&dataset, &Retention { autoprune: false, ..retention() }, base, noon()), None);
}

#[rstest]
#[case::by_hand("before-the-upgrade")]
#[case::another_tool("syncoid_nas2_2026-11-01:00:00:00-GMT00:00")]
#[case::a_type_that_sanoid_has_not("autosnap_2026-11-01_00:00:00_quarterly")]
#[case::another_prefix("my_autosnap_2026-11-01_00:00:00_hourly")]
fn what_sanoid_did_not_make_is_safe(#[case] label: &str) {
    let (mut dataset, base) = doomed();
    dataset.snapshots[0].label = label.parse().unwrap();
    assert_eq!(at_risk(&dataset, &retention(), base, noon()), None);
}

#[test]
fn types_are_counted_by_themselves_and_held_ones_count() {
    let mut dataset = of_type("hourly", &[5 * H, 30]);
    dataset.snapshots.extend([3, 2, 1].map(|days| snapshot("daily", days * D - 7)));
    dataset.sort();
    assert_eq!(at_risk(&dataset, &retention(), guid(5 * H), noon()), None, "one hourly is newer");
    dataset.snapshots.extend([snapshot("hourly", 2), snapshot("hourly", 1)]);
    dataset.sort();
    dataset.snapshots.last_mut().unwrap().holds = 1;
    let risk = at_risk(&dataset, &retention(), guid(5 * H), noon()).unwrap();
    assert_eq!(risk.reason, "sanoid keeps 3 hourly snapshots, 3 are newer");
}

#[test]
fn numbers_without_end_are_never() {
    let (dataset, base) = doomed();
    let forever = Retention { hourly: u32::MAX, ..retention() };
    assert_eq!(at_risk(&dataset, &forever, base, noon()), None);
    let mut odd = dataset;
    odd.snapshots[0].creation = i64::MIN;
    assert_eq!(at_risk(&odd, &retention(), base, noon()).unwrap().destroyed_after, None);
}

#[test]
fn the_sentences_name_the_snapshot_the_rule_and_the_commands() {
    let (mut dataset, base) = doomed();
    let (risk, fact, saves) = base_at_risk(&dataset, Some(&retention()), base, noon()).unwrap();
    assert_eq!(risk.destroyed_after, None);
    assert_eq!(
        fact,
        "tank/media@autosnap_2026-11-20_07:00:00_hourly, the newest common snapshot, is destroyed on its own host \
         at the next run of sanoid: sanoid keeps 3 hourly snapshots, 4 are newer; no hold or bookmark keeps it"
    );
    assert_eq!(
        saves,
        "`zfs bookmark tank/media@autosnap_2026-11-20_07:00:00_hourly tank/media#autosnap_2026-11-20_07:00:00_hourly` \
         keeps what the next stream needs and takes no space; \
         `zfs hold keep tank/media@autosnap_2026-11-20_07:00:00_hourly` keeps the snapshot."
    );
    assert_eq!(base_at_risk(&dataset, None, base, noon()), None, "nothing is known of retention there");

    let Snapshot { createtxg, creation, ref label, .. } = dataset.snapshots[0];
    let taken = Bookmark { guid: Guid::new(12345), createtxg, label: label.clone(), creation };
    dataset.bookmarks.push(taken);
    dataset.name = "tank/my media".parse().unwrap();
    let (_, _, saves) = base_at_risk(&dataset, Some(&retention()), base, noon()).unwrap();
    assert_eq!(
        saves,
        "`zfs hold keep 'tank/my media@autosnap_2026-11-20_07:00:00_hourly'` keeps the snapshot."
    );
}

#[test]
fn the_sentence_says_when_and_what_it_waits_for() {
    let dataset = of_type("weekly", &[6 * D + 12 * H]);
    let retention = Retention { prune_defer: 80, ..retention() };
    let (_, fact, _) = base_at_risk(&dataset, Some(&retention), dataset.snapshots[0].guid, noon()).unwrap();
    assert!(fact.contains("is destroyed on its own host after 2026-11-21T00:00:00Z: "), "{fact}");
    assert!(
        fact.contains(
            "sanoid keeps 1 weekly snapshot, none is newer; it waits while the pool is used by 80 % or less"
        ),
        "{fact}"
    );
}

#[test]
fn json_of_an_older_agent_is_read() {
    let json = r#"{"tool":"sanoid","autoprune":true,"frequently":0,"hourly":1,"daily":2,"weekly":3,"monthly":4,"yearly":5}"#;
    let read: Retention = serde_json::from_str(json).unwrap();
    assert_eq!((read.frequent_period, read.prune_defer, read.yearly), (15, 0, 5));
    assert_eq!(serde_json::from_str::<Retention>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
}
