//! The lower bound of bytes that vanish.

use rstest::rstest;

use crate::fleet::Fleet;

#[rstest]
#[case::only_what_was_written("a1:1:9:ref=100 written=5", "a1:1", 5)]
#[case::growth_over_the_survivor("a1:1:9:ref=100 a2:2:8:ref=150", "a1:1", 50)]
#[case::bytes_of_its_own_are_part_of_the_growth("a1:1:9:ref=100 a2:2:8:ref=150:used=20", "a1:1", 50)]
#[case::more_of_its_own_than_growth("a1:1:9:ref=100 a2:2:8:ref=150:used=70", "a1:1", 70)]
#[case::data_written_over_does_not_grow("a1:1:9:ref=100 a2:2:8:ref=90:used=30 written=1", "a1:1", 31)]
#[case::the_peak_counts("a1:1:9:ref=100 a2:2:8:ref=400:used=10 a3:3:7:ref=120:used=5", "a1:1", 305)]
#[case::holes_in_the_copy("a1:1:9:used=7 a2:2:8:ref=500", "a2:2", 7)]
#[case::nothing_survives("a1:1:9:ref=100 a2:2:8:ref=150 written=5", "z:9", 155)]
#[case::no_snapshot("written=64", "z:9", 64)]
#[case::sums_do_not_overflow(
    "a1:1:9:used=18446744073709551615:ref=18446744073709551615 written=18446744073709551615",
    "z:9",
    u64::MAX
)]
fn bytes(#[case] here: &str, #[case] there: &str, #[case] expected: u64) {
    let script =
        format!("system nas1\ntank/a {here}\nsystem nas2\ntank/a {there}\ngroup g one_way nas1,nas2 tank/**");
    assert_eq!(Fleet::parse(&script).loss("nas1", "tank/a").bytes_lost, expected);
}

#[rstest]
#[case::known_origin("tank/gold@g1", 20)]
#[case::unknown_origin("tank/gone@g1", 3)]
fn a_clone_without_survivors_grows_over_its_origin(#[case] origin: &str, #[case] expected: u64) {
    let script = format!(
        "system nas1
           tank/gold g1:1:90:ref=1000
           tank/clone c1:2:80:ref=1020:used=3 origin={origin}
         system nas2
           tank/gold g1:1:90:ref=1000
         group g one_way nas1,nas2 tank/**"
    );
    assert_eq!(Fleet::parse(&script).loss("nas1", "tank/clone").bytes_lost, expected);
}
