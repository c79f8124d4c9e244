use proptest::{collection::vec, prelude::*, sample};
use rstest::rstest;

use super::*;
use crate::name::DatasetName;

fn patterns(texts: &[&str]) -> Vec<DatasetPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn selection(include: &[DatasetPattern], exclude: &[DatasetPattern]) -> Selection {
    let list = |patterns: &[DatasetPattern]| patterns.iter().cloned().collect::<PatternList>();
    Selection { include: list(include).into(), exclude: list(exclude).into(), elsewhere: list(&[]) }
}

/// The first name that both select.
fn common(one: [&[DatasetPattern]; 2], two: [&[DatasetPattern]; 2]) -> Option<DatasetName> {
    let selections = Selections([one, two].map(|[include, exclude]| selection(include, exclude)).into());
    let rests = vec![selections.after("", 0), selections.after("", 1)];
    selections.meet(rests, &mut Work::new(10_000_000, 10_000_000), |text| text.parse().ok()).unwrap()
}

#[rstest]
#[case("tank/db/**", "tank/media/**", None)]
#[case("tank/*/a", "tank/*/b", None)]
#[case("tank/*", "tank/a/*", None)]
#[case("tank/*", "tank", None)]
#[case("tank/a?", "tank/a", None)]
#[case("tank/a*c", "tank/ab*", Some("tank/abc"))]
#[case("tank/**", "tank", Some("tank"))]
#[case("tank/**/db", "tank/vm/**", Some("tank/vm/db"))]
#[case("**/a/**/b", "*/*", Some("a/b"))]
#[case("**", "tank/m*a", Some("tank/ma"))]
#[case("*/b", "a/?", Some("a/b"))]
fn patterns_meet(#[case] one: &str, #[case] two: &str, #[case] expected: Option<&str>) {
    let (one, two) = (patterns(&[one]), patterns(&[two]));
    assert_eq!(common([&one, &[]], [&two, &[]]), expected.map(|name| name.parse().unwrap()));
    assert_eq!(common([&two, &[]], [&one, &[]]), expected.map(|name| name.parse().unwrap()));
}

#[rstest]
#[case(&["tank/media/**"], None)]
#[case(&["tank/media/*"], Some("tank/media"))]
#[case(&["tank/media", "tank/media/*"], Some("tank/media/z/z"))]
#[case(&["tank/*/**"], None)]
#[case(&["tank", "tank/m*/**"], None)]
fn excludes_take_away(#[case] exclude: &[&str], #[case] expected: Option<&str>) {
    let (wide, narrow, exclude) = (patterns(&["tank/**"]), patterns(&["tank/media/**"]), patterns(exclude));
    let expected: Option<DatasetName> = expected.map(|name| name.parse().unwrap());
    assert_eq!(common([&wide, &exclude], [&narrow, &[]]), expected);
    assert_eq!(common([&wide, &[]], [&narrow, &exclude]), expected);
}

#[test]
fn many_literal_patterns_are_no_work() {
    let list = |kind: &str| -> Vec<DatasetPattern> {
        (0..5000).map(|number| format!("tank/{kind}/vm-{number}").parse().unwrap()).collect()
    };
    let (one, mut two) = (list("a"), list("b"));
    assert_eq!(common([&one, &[]], [&two, &[]]), None);
    two.push("tank/a/vm-4711".parse().unwrap());
    assert_eq!(common([&one, &[]], [&two, &[]]), Some("tank/a/vm-4711".parse().unwrap()));
}

#[test]
fn work_is_limited() {
    let wide = patterns(&["tank/**"]);
    let selections = Selections(vec![selection(&wide, &[])]);
    let ask =
        |work: &mut Work| selections.meet(vec![selections.after("", 0)], work, |text| Some(text.to_owned()));
    assert_eq!(ask(&mut Work::new(1000, 3)), Err(Undecided));
    let mut work = Work::new(40, 100);
    assert_eq!(ask(&mut work), Ok(Some("tank".to_owned())));
    assert_eq!(ask(&mut work), Err(Undecided));
}

#[rstest]
#[case("tank/**", "tank", "")]
#[case("tank/**", "tank/a", "/z")]
#[case("tank/a/b", "tank", "/a/b")]
#[case("**/b", "tank/a", "/b")]
fn a_name_may_have_begun(#[case] pattern: &str, #[case] begun: &str, #[case] expected: &str) {
    let selections = Selections(vec![selection(&patterns(&[pattern, "vault/**"]), &patterns(&["tank/a"]))]);
    let mut work = Work::new(1000, 1000);
    let end = selections.meet(vec![selections.after(begun, 0)], &mut work, |text| Some(text.to_owned()));
    assert_eq!(end, Ok(Some(expected.to_owned())));
}

fn any_pattern() -> impl Strategy<Value = DatasetPattern> {
    let part = sample::select(&["a", "b", "*", "?", "a*", "*b", "**", "**"][..]);
    vec(part, 1..4).prop_map(|parts| parts.join("/").parse().unwrap())
}

/// All names up to four levels of these components.
fn universe() -> Vec<DatasetName> {
    let mut all = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..4 {
        let deeper = level
            .iter()
            .flat_map(|above| ["a", "b", "c", "ab", "cc", "aab"].map(|part| format!("{above}/{part}")));
        level = deeper.collect();
        all.extend(level.iter().map(|name| name[1..].parse().unwrap()));
    }
    all
}

proptest! {
    /// As matching each name by itself.
    #[test]
    fn a_name_in_common_is_found_where_there_is_one(
        one in vec(any_pattern(), 1..3), not_one in vec(any_pattern(), 0..3),
        two in vec(any_pattern(), 1..3), not_two in vec(any_pattern(), 0..3),
    ) {
        let any = |list: &[DatasetPattern], name: &DatasetName| list.iter().any(|pattern| pattern.matches(name));
        let both = |name: &DatasetName| {
            any(&one, name) && any(&two, name) && !any(&not_one, name) && !any(&not_two, name)
        };
        if let Some(name) = common([&one, &not_one], [&two, &not_two]) {
            prop_assert!(both(&name), "{name} is not selected by both");
        } else {
            prop_assert_eq!(universe().into_iter().find(both), None);
        }
    }
}
