use rstest::rstest;

use super::{super::ini, *};

const DEFAULTS: &str = include_str!("../testdata/sanoid.defaults.conf");
const DATASETS: [&str; 14] = [
    "tank",
    "tank/backup",
    "tank/backup/nas2",
    "tank/media",
    "tank/media/music",
    "tank/mediathek",
    "tank/nested",
    "tank/nested/child",
    "tank/scratch",
    "tank/scratch/deep",
    "tank/vm",
    "tank/vm/disk 1",
    "usb",
    "usb/photos",
];

fn config(text: &str) -> Result<Config, String> {
    Config::new(&ini::parse(DEFAULTS).unwrap(), ini::parse(text).unwrap())
}

/// `tank/a prunes 0 36 30 0 3 0`: frequently, hourly, daily, weekly, monthly, yearly.
fn policies(text: &str) -> Vec<String> {
    let datasets = DATASETS.iter().map(|name| name.parse().unwrap()).collect();
    let line = |(name, retention): (DatasetName, Retention)| {
        let Retention { frequently, hourly, daily, weekly, monthly, yearly, .. } = retention;
        let verb = if retention.autoprune { "prunes" } else { "keeps" };
        format!("{name} {verb} {frequently} {hourly} {daily} {weekly} {monthly} {yearly}")
    };
    config(text).unwrap().policies(&datasets).into_iter().map(line).collect()
}

#[test]
fn templates_overrides_and_recursion_come_together() {
    let text = include_str!("../testdata/sanoid.conf");
    let expected = [
        "tank/backup prunes 0 30 90 0 12 0",
        "tank/backup/nas2 prunes 0 30 90 0 12 0",
        "tank/media prunes 0 36 30 0 24 0",
        "tank/media/music prunes 0 36 30 0 3 0",
        "tank/mediathek prunes 0 36 30 0 3 0",
        "tank/nested prunes 0 24 7 0 0 0",
        "tank/scratch keeps 0 36 30 0 3 0",
        "tank/scratch/deep keeps 0 36 30 0 3 0",
        "tank/vm prunes 0 12 7 0 0 0",
        "tank/vm/disk 1 prunes 0 12 7 0 0 0",
        "usb/photos prunes 4 48 90 0 6 0",
    ];
    assert_eq!(policies(text), expected);

    let datasets = DATASETS.iter().map(|name| name.parse().unwrap()).collect();
    let policies = config(text).unwrap().policies(&datasets);
    let of = |name: &str| &policies[&name.parse::<DatasetName>().unwrap()];
    assert_eq!((of("usb/photos").frequent_period, of("usb/photos").prune_defer), (5, 0));
    assert_eq!((of("tank/media").frequent_period, of("tank/media").prune_defer), (15, 60));
}

#[test]
fn a_recursive_section_overwrites_what_stands_above_it() {
    let above = "[usb/photos]\nhourly = 1\nprocess_children_only = yes\n[usb]\nrecursive = yes\nhourly = 2\n";
    assert_eq!(
        policies(above),
        ["usb prunes 0 2 90 0 6 0"],
        "only `process_children_only` is not overwritten"
    );
    let below = "[usb]\nrecursive = yes\nhourly = 2\ndaily = 3\n[usb/photos]\nhourly = 1\n";
    assert_eq!(policies(below), ["usb prunes 0 2 3 0 6 0", "usb/photos prunes 0 1 3 0 6 0"]);
}

#[test]
fn the_own_default_template_holds_for_all_that_nothing_was_handed_down_to() {
    let text = "[template_default]\nhourly = 5\n[usb]\nrecursive = yes\nhourly = 6\n[usb/photos]\nuse_template = d\n[template_d]\ndaily = 1\n";
    assert_eq!(policies(text), ["usb prunes 0 6 90 0 6 0", "usb/photos prunes 0 6 1 0 6 0"]);
}

#[test]
fn skipped_children_are_nobodys_until_named_again() {
    let text =
        "[tank]\nrecursive = yes\n[tank/nested]\nskip_children = yes\n[tank/nested/child]\nhourly = 9\n";
    assert!(policies(text).contains(&"tank/nested/child prunes 0 9 90 0 6 0".to_owned()));
    let text = "[tank]\nrecursive = yes\nhourly = 1\n[tank/nested]\nskip_children = yes\n";
    let found = policies(text);
    assert!(found.contains(&"tank/nested prunes 0 1 90 0 6 0".to_owned()), "{found:?}");
    assert!(!found.iter().any(|line| line.starts_with("tank/nested/child")), "{found:?}");
}

#[test]
fn a_path_stands_for_the_name_and_the_smaller_numbers_count() {
    let text =
        "[usb]\nrecursive = yes\nhourly = 5\ndaily = 5\n[photos]\npath = usb/photos\nhourly = 9\ndaily = 1\n";
    assert_eq!(policies(text), ["usb prunes 0 5 5 0 6 0", "usb/photos prunes 0 5 1 0 6 0"]);
    let text = "[usb/photos]\nautoprune = no\nhourly = 1\n[photos]\npath = usb/photos\nhourly = 9\n";
    assert_eq!(policies(text), ["usb/photos prunes 0 9 90 0 6 0"]);
}

#[rstest]
#[case::yes("autoprune = YES", "usb prunes 0 48 90 0 6 0")]
#[case::one("autoprune = 1", "usb prunes 0 48 90 0 6 0")]
#[case::off("autoprune = Off", "usb keeps 0 48 90 0 6 0")]
#[case::zero("autoprune = 0", "usb keeps 0 48 90 0 6 0")]
#[case::empty("autoprune =", "usb keeps 0 48 90 0 6 0")]
#[case::a_comment_belongs_to_the_value("autoprune = no # for now", "usb prunes 0 48 90 0 6 0")]
#[case::digits_come_first("hourly = 7 # a day's work", "usb prunes 0 7 90 0 6 0")]
#[case::no_number("hourly = many", "usb prunes 0 0 90 0 6 0")]
#[case::no_value("hourly =", "usb prunes 0 0 90 0 6 0")]
#[case::too_many("hourly = 99999999999", "usb prunes 0 4294967295 90 0 6 0")]
#[case::an_unknown_template("use_template = nobody", "usb prunes 0 48 90 0 6 0")]
#[case::recursive_by_another_word("recursive = maybe", "usb prunes 0 48 90 0 6 0")]
fn values_are_read_as_sanoid_reads_them(#[case] line: &str, #[case] expected: &str) {
    assert_eq!(policies(&format!("[usb]\n{line}\n")), [expected]);
}

#[test]
fn what_sanoid_refuses_is_refused() {
    let error = config("[usb]\nhourly = 1\n[template_x]\nhorly = 3\n").unwrap_err();
    assert_eq!(error, "sanoid does not know the setting `horly` of [template_x]");
    let error = Config::new(&[], Vec::new()).unwrap_err();
    assert_eq!(error, "sanoid's defaults have no section [template_default]");
}
