//! What is known of releases of OpenZFS that matters to replication. From the release notes and issues of openzfs/zfs.

use zfs_sync_core::plan::Warning;

use crate::parse::Release;

/// Something to know about a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advisory {
    /// `W_VERSION_…`.
    pub code: Warning,
    /// True when zfs-sync keeps out of its way by itself; otherwise only another release helps.
    pub is_avoided: bool,
    /// In one sentence, with the releases that have it mended.
    pub detail: &'static str,
}

/// In which releases something was mended: the first point release of each branch. Branches that are not named and are newer than all
/// that are have it from their beginning; older ones never got it.
struct Mended(&'static [Release]);

impl Mended {
    fn is_in(&self, release: Release) -> bool {
        let branch = |(major, minor, _): Release| (major, minor);
        match self.0.iter().find(|mended| branch(**mended) == branch(release)) {
            Some(mended) => release >= *mended,
            None => self.0.iter().all(|mended| branch(release) > branch(*mended)),
        }
    }
}

/// What applies to a release.
pub fn advisories(release: Release) -> Vec<Advisory> {
    let known = [
        (
            // Dirty dnodes, openzfs#15526.
            Mended(&[(2, 1, 14), (2, 2, 2)]),
            Advisory {
                code: Warning::VersionHoles,
                is_avoided: false,
                detail: "programs may read holes where data is, and copy them; mended in 2.1.14 and 2.2.2",
            },
        ),
        (
            // openzfs#12014.
            Mended(&[(2, 2, 8), (2, 3, 3), (2, 4, 0)]),
            Advisory {
                code: Warning::VersionPlainSend,
                is_avoided: true,
                detail: "a plain stream of an encrypted dataset can damage its source; mended in 2.2.8, 2.3.3 and 2.4.0. Encrypted datasets are sent raw",
            },
        ),
        (
            // openzfs#18101, openzfs#18105.
            Mended(&[(2, 4, 1)]),
            Advisory {
                code: Warning::VersionLargeBlocks,
                is_avoided: true,
                detail: "a replica with large blocks does not always know that it has them, so that replicating back can lose data; mended in 2.4.1. A replica keeps the options that it began with",
            },
        ),
        (
            // openzfs#17240.
            Mended(&[(2, 3, 9), (2, 4, 4)]),
            Advisory {
                code: Warning::VersionExclude,
                is_avoided: true,
                detail: "`zfs receive -x` does not leave out everything; mended in 2.3.9 and 2.4.4. Properties of a new replica are looked at, and corrected",
            },
        ),
    ];
    known.into_iter().filter(|(mended, _)| !mended.is_in(release)).map(|(_, advisory)| advisory).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOLES: &str = "W_VERSION_HOLES";
    const PLAIN: &str = "W_VERSION_PLAIN_SEND";
    const LARGE: &str = "W_VERSION_LARGE_BLOCKS";
    const EXCLUDE: &str = "W_VERSION_EXCLUDE";

    #[rstest]
    #[case((2, 1, 11), &[HOLES, PLAIN, LARGE, EXCLUDE])]
    #[case((2, 1, 14), &[PLAIN, LARGE, EXCLUDE])]
    #[case((2, 2, 1), &[HOLES, PLAIN, LARGE, EXCLUDE])]
    #[case((2, 2, 8), &[LARGE, EXCLUDE])]
    #[case((2, 3, 2), &[PLAIN, LARGE, EXCLUDE])]
    #[case((2, 3, 9), &[LARGE])]
    #[case((2, 4, 0), &[LARGE, EXCLUDE])]
    #[case((2, 4, 4), &[])]
    #[case((2, 5, 0), &[])]
    #[case((3, 0, 0), &[])]
    #[case((0, 8, 6), &[HOLES, PLAIN, LARGE, EXCLUDE])]
    fn a_release_has_what_was_not_mended_in_it(#[case] release: Release, #[case] codes: &[&str]) {
        let found: Vec<_> = advisories(release).into_iter().map(|advisory| advisory.code.code()).collect();
        assert_eq!(found, codes);
    }
}
