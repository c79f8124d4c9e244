//! `zfs send -nvP`.

/// The size of a stream in bytes: the line `size\tN`.
///
/// A dry run prints it to standard output, older systems to standard error. `None` where there is none: an estimate is
/// for progress and never a reason to fail.
pub fn estimate(stdout: &str, stderr: &str) -> Option<u64> {
    stdout.lines().chain(stderr.lines()).find_map(|line| line.strip_prefix("size\t")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("full\ttank/a@one\t12345\nsize\t12345\n", "", Some(12345))]
    #[case("", "incremental\tone\ttank/a@two\t624\nsize\t624\n", Some(624))]
    #[case("full\tsize\t9\n", "", None)]
    #[case("size\tmany\n", "", None)]
    #[case("", "", None)]
    fn the_size_is_found_on_either_output(
        #[case] stdout: &str,
        #[case] stderr: &str,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(estimate(stdout, stderr), expected);
    }
}
