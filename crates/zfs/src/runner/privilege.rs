//! How a user who may not do something with ZFS is allowed to after all.

use std::{fmt, str::FromStr};

/// What `zfs` and `zpool` are run through. Never asks for a password: what would need one fails at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// As the user itself: root, or a user with permissions by `zfs allow`.
    #[default]
    Own,
    /// `sudo -n zfs …`.
    Sudo,
    /// `doas -n zfs …`.
    Doas,
}

/// A word that names none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to run zfs; write none, sudo or doas")]
pub struct PrivilegeError(String);

impl Privilege {
    /// What stands before the program.
    pub const fn prefix(self) -> &'static [&'static str] {
        match self {
            Self::Own => &[],
            Self::Sudo => &["sudo", "-n"],
            Self::Doas => &["doas", "-n"],
        }
    }

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "none",
            Self::Sudo => "sudo",
            Self::Doas => "doas",
        }
    }

    /// A line with this before it.
    pub(crate) fn line(self, line: &str) -> String {
        self.prefix().iter().copied().chain([line]).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Privilege {
    type Err = PrivilegeError;

    fn from_str(text: &str) -> Result<Self, PrivilegeError> {
        [Self::Own, Self::Sudo, Self::Doas]
            .into_iter()
            .find(|privilege| privilege.as_str() == text)
            .ok_or_else(|| PrivilegeError(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for privilege in [Privilege::Own, Privilege::Sudo, Privilege::Doas] {
            assert_eq!(privilege.to_string().parse(), Ok(privilege));
        }
        assert!("su".parse::<Privilege>().is_err());
    }

    #[test]
    fn nothing_ever_asks_for_a_password() {
        assert_eq!(Privilege::Own.line("zfs version"), "zfs version");
        assert_eq!(Privilege::Sudo.line("zfs version"), "sudo -n zfs version");
        assert_eq!(Privilege::Doas.line("zfs version"), "doas -n zfs version");
    }
}
