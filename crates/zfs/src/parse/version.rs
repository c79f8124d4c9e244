//! `zfs version`.

use super::ParseError;

/// The versions of the tools and of the kernel module; they can differ after an update without a reboot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Of the tools: `2.3.9-1`.
    pub userland: String,
    /// Of the kernel module.
    pub kernel: String,
}

impl Versions {
    /// What both have: the older one's major and minor number, `None` where one of them is no number.
    pub fn common(&self) -> Option<(u32, u32)> {
        Some(major_minor(&self.userland)?.min(major_minor(&self.kernel)?))
    }
}

/// Major, minor and point release.
pub type Release = (u32, u32, u32);

/// `2.3.9-1` is (2, 3, 9); what follows the second number may be anything.
pub fn release(version: &str) -> Option<Release> {
    let (major, minor) = major_minor(version)?;
    let rest = version.split('.').nth(2).unwrap_or_default();
    let point: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor, point.parse().unwrap_or(0)))
}

/// `2.3.9-1` is (2, 3).
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads both lines.
pub fn versions(text: &str) -> Result<Versions, ParseError> {
    let missing = |what: &str| ParseError { line: 0, what: format!("there is no line `{what}VERSION`") };
    let kernel = text.lines().find_map(|line| line.strip_prefix("zfs-kmod-"));
    let userland =
        text.lines().filter(|line| !line.starts_with("zfs-kmod-")).find_map(|line| line.strip_prefix("zfs-"));
    Ok(Versions {
        userland: userland.ok_or_else(|| missing("zfs-"))?.trim().to_owned(),
        kernel: kernel.ok_or_else(|| missing("zfs-kmod-"))?.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("zfs-2.3.9-1\nzfs-kmod-2.3.9-1\n", Some((2, 3)))]
    #[case("zfs-2.3.9-1\nzfs-kmod-2.1.11-1+deb12u1\n", Some((2, 1)))]
    #[case("zfs-2.2.7-FreeBSD_ge269af1b3\nzfs-kmod-2.2.7-FreeBSD_ge269af1b3\n", Some((2, 2)))]
    #[case("zfs-2.4.0-rc1\nzfs-kmod-2.10.0\n", Some((2, 4)))]
    #[case("zfs-head\nzfs-kmod-head\n", None)]
    fn the_older_of_both_counts(#[case] text: &str, #[case] expected: Option<(u32, u32)>) {
        assert_eq!(versions(text).unwrap().common(), expected);
    }

    #[rstest]
    #[case("2.3.9-0+deb13u1", Some((2, 3, 9)))]
    #[case("2.1.11-1+deb12u1", Some((2, 1, 11)))]
    #[case("2.4.0-rc1", Some((2, 4, 0)))]
    #[case("2.2.7-FreeBSD_ge269af1b3", Some((2, 2, 7)))]
    #[case("2.4", Some((2, 4, 0)))]
    #[case("before 0.8", None)]
    fn a_release_has_three_numbers(#[case] version: &str, #[case] expected: Option<Release>) {
        assert_eq!(release(version), expected);
    }

    #[test]
    fn a_missing_module_is_an_error() {
        assert!(versions("zfs-2.3.9-1\n").is_err());
        assert!(versions("zfs-kmod-2.3.9-1\n").is_err());
        assert!(versions("").is_err());
    }
}
