use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    guid::{Guid, Txg},
    inventory::DatasetKind,
};

fn text(bytes: &[u8]) -> ByteText {
    ByteText::new(bytes)
}

fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

fn inspected(guid: u64) -> Inspected {
    let properties = [("type", "filesystem"), ("readonly", "off"), ("acltype", "off")];
    Inspected {
        protocol: PROTOCOL,
        guid: Guid::new(guid),
        createtxg: Txg::new(10),
        creation: 1000,
        kind: DatasetKind::Filesystem,
        earlier: vec![Guid::new(3), Guid::new(2), Guid::new(1)],
        pool: None,
        properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

fn inspect(side: Inspected) -> Vec<Answer> {
    vec![Answer::Inspected(Box::new(side))]
}

fn directory(name: &str, content: u8) -> Entry {
    let mut entry = Entry::new(text(name.as_bytes()), EntryKind::Directory);
    entry.content = Some(digest(content));
    entry
}

fn file(name: &str, size: u64, content: u8) -> Entry {
    let mut entry = Entry::new(text(name.as_bytes()), EntryKind::File);
    (entry.size, entry.content) = (size, Some(digest(content)));
    entry
}

fn summary(root: Entry) -> Vec<Answer> {
    vec![Answer::Summary(Box::new(Summary { root, entries: 5, bytes: 100 }))]
}

fn entries(entries: &[Entry]) -> Vec<Answer> {
    vec![Answer::Entries { entries: entries.to_vec() }]
}

/// A deep comparison whose sides have the same GUID, and different roots.
fn descended() -> Comparison {
    let mut comparison = Comparison::new(true);
    comparison.answer(inspect(inspected(7)), inspect(inspected(7)));
    assert_eq!(comparison.questions(), [Question::Digest { access_lists: true }]);
    comparison.answer(summary(directory("", 1)), summary(directory("", 2)));
    let root = Question::Directory { path: ByteText::default(), prefix: vec![], split: false };
    assert_eq!(comparison.questions(), [root]);
    comparison
}

#[test]
fn equal_guids_and_properties_match_without_reading() {
    let mut comparison = Comparison::new(false);
    let mut right = inspected(7);
    right.properties.insert("readonly".to_owned(), "on".to_owned());
    comparison.answer(inspect(inspected(7)), inspect(right));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.deep, verdict.guid), (Outcome::Matched, false, Some(Guid::new(7))));
    assert_eq!(verdict.properties.len(), 1);
    assert!(verdict.properties[0].expected, "replicas are read-only");
}

#[test]
fn another_guid_is_another_snapshot_and_nothing_is_read() {
    let mut comparison = Comparison::new(true);
    comparison.answer(inspect(inspected(7)), inspect(inspected(8)));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.deep, verdict.guid), (Outcome::Differs, false, None));
    assert_eq!(verdict.properties[0].name, "guid");
}

#[test]
fn older_snapshots_in_another_order_are_a_difference() {
    let mut comparison = Comparison::new(false);
    let mut right = inspected(7);
    right.earlier = vec![Guid::new(9), Guid::new(2), Guid::new(3)];
    comparison.answer(inspect(inspected(7)), inspect(right));
    let verdict = comparison.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Differs);
    assert_eq!(verdict.properties[0].name, "createtxg");
}

#[test]
fn an_encrypted_copy_without_its_key_is_unproven() {
    let mut comparison = Comparison::new(true);
    let mut right = inspected(7);
    right.properties.insert("keystatus".to_owned(), "unavailable".to_owned());
    comparison.answer(inspect(inspected(7)), inspect(right));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_deref()), (Outcome::Unproven, Some("E_KEY_NOT_LOADED")));
}

#[test]
fn access_lists_are_compared_only_where_both_sides_store_them() {
    let mut comparison = Comparison::new(true);
    let mut left = inspected(7);
    left.properties.insert("acltype".to_owned(), "posix".to_owned());
    comparison.answer(inspect(left), inspect(inspected(7)));
    assert_eq!(comparison.questions(), [Question::Digest { access_lists: false }]);
}

#[test]
fn equal_digests_end_it() {
    let mut comparison = Comparison::new(true);
    comparison.answer(inspect(inspected(7)), inspect(inspected(7)));
    comparison.answer(summary(directory("", 1)), summary(directory("", 1)));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.deep, verdict.bytes), (Outcome::Matched, true, 100));
}

#[test]
fn it_descends_to_the_first_byte_that_differs() {
    let mut comparison = descended();
    let left = [directory("equal", 5), directory("sub", 3)];
    let right = [directory("equal", 5), directory("sub", 4)];
    comparison.answer(entries(&left), entries(&right));
    let sub = Question::Directory { path: text(b"sub"), prefix: vec![], split: false };
    assert_eq!(comparison.questions(), [sub], "not into what is equal");
    comparison.answer(entries(&[file("data", 2 << 20, 1)]), entries(&[file("data", 2 << 20, 2)]));
    // The byte 1048577 is wrong.
    let wrong = 1_048_577;
    let mut rounds = 0;
    while let [Question::Content { path, offset, length, block }] = comparison.questions() {
        assert_eq!(*path, text(b"sub/data"));
        let (offset, length, block) = (*offset, *length, *block);
        let blocks = length.div_ceil(block);
        assert!(blocks <= 256);
        let contains = |index: u64| (offset + index * block..offset + (index + 1) * block).contains(&wrong);
        let left = (0..blocks).map(|_| digest(0)).collect();
        let right = (0..blocks).map(|index| digest(u8::from(contains(index)))).collect();
        comparison.answer(vec![Answer::Blocks { digests: left }], vec![Answer::Blocks { digests: right }]);
        rounds += 1;
    }
    assert_eq!(rounds, 3);
    let verdict = comparison.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Differs);
    assert_eq!(verdict.differences.len(), 1);
    assert_eq!(verdict.differences[0].words("a", "b"), "sub/data: content differs from byte 1048577");
}

#[test]
fn digests_that_differ_for_no_visible_reason_are_no_match() {
    let mut comparison = descended();
    comparison.answer(entries(&[file("f", 2, 1)]), entries(&[file("f", 2, 1)]));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_deref()), (Outcome::Failed, Some("E_VERIFY_ANSWER")));
}

#[test]
fn a_longer_file_differs_where_the_shorter_ends() {
    let mut comparison = descended();
    comparison.answer(entries(&[file("f", 2, 1)]), entries(&[file("f", 3, 2)]));
    let blocks = || vec![Answer::Blocks { digests: vec![digest(0), digest(0)] }];
    comparison.answer(blocks(), blocks());
    let words = comparison.verdict().unwrap().differences[0].words("a", "b");
    assert_eq!(words, "f: its size is 2 on a and 3 on b; content differs from byte 2");
}

#[test]
fn bytes_that_differ_only_once_are_told_as_such() {
    let mut comparison = descended();
    comparison.answer(entries(&[file("f", 2, 1)]), entries(&[file("f", 2, 2)]));
    let blocks = || vec![Answer::Blocks { digests: vec![digest(0), digest(0)] }];
    comparison.answer(blocks(), blocks());
    let verdict = comparison.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Differs);
    let What::Differs { aspects } = &verdict.differences[0].what else { panic!("it is on both sides") };
    assert_eq!(*aspects, [Aspect::Unstable]);
}

#[test]
fn names_on_one_side_alone_and_every_aspect_are_told() {
    let mut comparison = descended();
    let mut left = file("x", 1, 1);
    (left.mode, left.uid, left.modified, left.linked) = (0o644, 5, 7, Some(text(b"first")));
    left.attributes = BTreeMap::from([(text(b"user.a"), digest(1)), (text(b"user.b"), digest(1))]);
    let mut right = file("x", 1, 1);
    (right.mode, right.uid, right.modified_nanos) = (0o600, 6, 1);
    right.attributes = BTreeMap::from([(text(b"user.b"), digest(1))]);
    let (only_left, only_right) = (file("a", 1, 1), file("z\n", 1, 1));
    comparison.answer(entries(&[only_left, left]), entries(&[right, only_right]));
    let verdict = comparison.verdict().unwrap();
    let words: Vec<_> =
        verdict.differences.iter().map(|difference| difference.words("nas1", "nas2")).collect();
    assert_eq!(
        words,
        [
            "a: only on nas1",
            "x: its mode is 0644 on nas1 and 0600 on nas2; its owner is 5:0 on nas1 and 6:0 on nas2; \
             its modification time is 7.000000000 on nas1 and 0.000000001 on nas2; \
             it is the same file as first on nas1 and a file of its own on nas2; the attribute user.a differs",
            "z\\x0a: only on nas2",
        ]
    );
}

#[test]
fn what_can_not_be_read_differs_even_when_neither_side_can() {
    let mut comparison = descended();
    let mut bad = Entry::new(text(b"f"), EntryKind::File);
    bad.unreadable = Some("Input/output error".to_owned());
    comparison.answer(entries(&[bad.clone()]), entries(&[bad]));
    let words = comparison.verdict().unwrap().differences[0].words("a", "b");
    assert_eq!(
        words,
        "f: can not be read on a: Input/output error; can not be read on b: Input/output error"
    );
}

#[test]
fn a_large_directory_is_compared_by_parts_also_when_only_one_side_is_large() {
    let mut comparison = descended();
    let parts = |changed: u8| {
        let digests = (0..=255).map(|index: u8| digest(u8::from(index == 9) * changed)).collect();
        vec![Answer::Parts { digests }]
    };
    comparison.answer(parts(0), entries(&[]));
    let again = Question::Directory { path: ByteText::default(), prefix: vec![], split: true };
    assert_eq!(comparison.questions(), [again]);
    comparison.answer(parts(0), parts(1));
    let part = Question::Directory { path: ByteText::default(), prefix: vec![9], split: false };
    assert_eq!(comparison.questions(), [part]);
    comparison.answer(entries(&[file("f", 1, 1)]), entries(&[]));
    assert_eq!(comparison.verdict().unwrap().differences.len(), 1);
}

#[test]
fn beyond_the_limit_differences_are_counted_and_directories_not_looked_into() {
    let mut comparison = descended();
    let mut many: Vec<Entry> = (0..250).map(|number| file(&format!("f{number:03}"), 1, 1)).collect();
    many.push(directory("z", 1));
    comparison.answer(entries(&many), entries(&[directory("z", 2)]));
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.differences.len(), verdict.more, verdict.not_looked_into), (200, 50, 1));
}

#[test]
fn it_goes_down_before_it_goes_on_so_that_little_waits() {
    let mut comparison = descended();
    let all =
        |content: u8| (0..100).map(|number| directory(&format!("d{number:03}"), content)).collect::<Vec<_>>();
    comparison.answer(entries(&all(1)), entries(&all(2)));
    assert_eq!(comparison.questions().len(), 16);
    // Directories all the way down, each of whose hundred parts differs.
    for _ in 0..50 {
        let of = |content: u8| -> Vec<Answer> {
            comparison.questions().iter().flat_map(|_| entries(&all(content))).collect()
        };
        let (left, right) = (of(1), of(2));
        comparison.answer(left, right);
    }
    let waiting = serde_json::to_value(&comparison).unwrap()["waiting"].as_array().unwrap().len();
    // Breadth first there would be as many as a level has: a hundred to the power of its depth.
    assert!(waiting <= 51 * 16 * 100, "{waiting}");
    let Question::Directory { path, .. } = &comparison.questions()[0] else { panic!("directories") };
    assert_eq!(path.components().count(), 51, "the first branch was followed");
}

#[rstest]
#[case(vec![], inspect(inspected(7)), "E_VERIFY_ANSWER")]
#[case(entries(&[]), inspect(inspected(7)), "E_VERIFY_ANSWER")]
#[case(vec![Answer::Refused { code: "E_POOL_UNAVAILABLE".into(), detail: "x".into() }], inspect(inspected(7)), "E_POOL_UNAVAILABLE")]
fn what_does_not_fit_or_is_refused_fails_it(
    #[case] left: Vec<Answer>,
    #[case] right: Vec<Answer>,
    #[case] code: &str,
) {
    let mut comparison = Comparison::new(true);
    comparison.answer(left, right);
    let verdict = comparison.verdict().unwrap();
    assert_eq!((verdict.outcome, verdict.code.as_deref()), (Outcome::Failed, Some(code)));
}

#[test]
fn other_ways_of_making_digests_are_never_compared() {
    let mut comparison = Comparison::new(true);
    let mut right = inspected(7);
    right.protocol += 1;
    comparison.answer(inspect(inspected(7)), inspect(right));
    assert_eq!(comparison.verdict().unwrap().code.as_deref(), Some("E_VERIFY_VERSION"));
}

proptest! {
    #[test]
    fn every_name_is_shown_plainly_and_told_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let name = ByteText::new(bytes);
        let shown = name.to_string();
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert_eq!(shown.parse::<ByteText>().unwrap(), name.clone());
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(serde_json::from_str::<ByteText>(&json).unwrap(), name);
    }

    #[test]
    fn digests_are_told_back(bytes in any::<[u8; 32]>()) {
        let digest = Digest::new(bytes);
        prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }
}
