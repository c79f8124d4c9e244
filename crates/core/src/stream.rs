//! How a stream carries its data, and which properties travel beside it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The user property in which a replica remembers how its streams come ([`StreamForm`] as text).
///
/// It is set on the replica itself by its first receive, so that whoever continues it later knows, also after a rename and without any
/// witness. Only where it is set `local` does it say something: children and clones of others inherit it.
pub const PIN: &str = "zfs-sync:stream";

/// Which of `zfs send`'s options change what the blocks of a stream look like.
///
/// Two of them are for life. A replica that was received raw takes raw streams only, and the other way round ("IV set guid mismatch").
/// One that was received without `-L` must not get large blocks later, and one with them must not lose them: both have destroyed data
/// (openzfs#6224, openzfs#10383, openzfs#17866). So the form is chosen when a replica begins, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum StreamForm {
    /// `-w`: blocks as they are on disk, encrypted ones too.
    Raw,
    /// Anything else.
    Plain {
        /// `-L`: blocks of more than 128 KiB stay whole.
        large_blocks: bool,
        /// `-c`: compressed blocks stay compressed.
        compressed: bool,
        /// `-e`: data that is embedded in block pointers stays there.
        embedded: bool,
    },
}

impl StreamForm {
    /// Everything that a plain stream can keep as it is.
    pub const WHOLE: Self = Self::Plain { large_blocks: true, compressed: true, embedded: true };

    /// The form that is wished for: raw, or plain with all that both ends may understand.
    pub const fn wished(raw: bool) -> Self {
        if raw { Self::Raw } else { Self::WHOLE }
    }

    /// True for `-w`.
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Raw)
    }

    /// True where blocks of more than 128 KiB stay whole; `-w` implies it.
    pub const fn has_large_blocks(self) -> bool {
        matches!(self, Self::Raw | Self::Plain { large_blocks: true, .. })
    }

    /// The options for `zfs send`.
    pub fn options(self) -> Vec<&'static str> {
        match self {
            Self::Raw => vec!["-w"],
            Self::Plain { large_blocks, compressed, embedded } => {
                let options = [("-L", large_blocks), ("-c", compressed), ("-e", embedded)];
                options.into_iter().filter(|(_, set)| *set).map(|(option, _)| option).collect()
            }
        }
    }
}

/// What stands for a plain stream without any option.
const NO_OPTION: &str = "none";

impl fmt::Display for StreamForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options();
        formatter.pad(&if options.is_empty() { NO_OPTION.to_owned() } else { options.join(" ") })
    }
}

/// A text that is no form of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of `-w`, `none`, and `-L`, `-c`, `-e` in this order")]
pub struct StreamFormError(pub String);

impl FromStr for StreamForm {
    type Err = StreamFormError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut form = Self::Plain { large_blocks: false, compressed: false, embedded: false };
        if text == NO_OPTION {
            return Ok(form);
        }
        for option in text.split(' ') {
            match (option, &mut form) {
                ("-w", _) => form = Self::Raw,
                ("-L", Self::Plain { large_blocks, .. }) => *large_blocks = true,
                ("-c", Self::Plain { compressed, .. }) => *compressed = true,
                ("-e", Self::Plain { embedded, .. }) => *embedded = true,
                _ => return Err(StreamFormError(text.to_owned())),
            }
        }
        // One form has one text.
        if form.to_string() == text { Ok(form) } else { Err(StreamFormError(text.to_owned())) }
    }
}

impl From<StreamForm> for String {
    fn from(form: StreamForm) -> Self {
        form.to_string()
    }
}

impl TryFrom<String> for StreamForm {
    type Error = StreamFormError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Native properties that may be copied to a replica: they say how data is laid out or read, and nothing about where it is mounted, who may
/// use it, how much of it there may be, or what other programs do with it.
const COPYABLE: [&str; 17] = [
    "aclinherit",
    "aclmode",
    "acltype",
    "atime",
    "checksum",
    "compression",
    "copies",
    "dnodesize",
    "logbias",
    "primarycache",
    "recordsize",
    "redundant_metadata",
    "relatime",
    "secondarycache",
    "snapdir",
    "special_small_blocks",
    "xattr",
];

/// User properties that tell other programs to act on a dataset. On a replica they would.
const FOREIGN: [&str; 7] = [
    "autobackup:",
    "com.sun:auto-snapshot",
    "org.openzfs.systemd:",
    "org.znapzend:",
    "syncoid:",
    "zfs-sync:",
    "zrepl:",
];

/// The name of a property that is copied from a source to its replica when that begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CopiedProperty(String);

/// Why a property is not copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopiedPropertyError {
    /// Neither a native property that is known here nor a user property.
    #[error(
        "`{0}` is no property that can be copied; these can: aclinherit, aclmode, acltype, atime, checksum, compression, copies, dnodesize, logbias, primarycache, recordsize, redundant_metadata, relatime, secondarycache, snapdir, special_small_blocks, xattr, and user properties (`module:name`)"
    )]
    NotCopyable(String),
    /// It makes other programs act on the replica.
    #[error("`{0}` tells another program what to do with a dataset; on a replica it would do it there, too")]
    Foreign(String),
}

impl CopiedProperty {
    /// Files and volumes keep their blocks' size in the stream; what is written later, after the roles were changed, does not. With another
    /// size on the two sides, going back and forth can destroy data (openzfs#18663).
    pub fn record_size() -> Self {
        Self("recordsize".to_owned())
    }

    /// As `zfs` spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CopiedProperty {
    type Err = CopiedPropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if COPYABLE.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        // As zfsprops(7) has it: lower case letters, digits, and `:`, `+`, `.`, `_`, `-`, with a colon, at most 255.
        let is_allowed =
            |character: char| matches!(character, 'a'..='z' | '0'..='9' | ':' | '+' | '.' | '_' | '-');
        let is_user = text.contains(':')
            && !text.starts_with(['-', ':'])
            && text.len() < 256
            && text.chars().all(is_allowed);
        if !is_user {
            return Err(CopiedPropertyError::NotCopyable(text.to_owned()));
        }
        if FOREIGN.iter().any(|prefix| text.starts_with(prefix)) {
            return Err(CopiedPropertyError::Foreign(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CopiedProperty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl From<CopiedProperty> for String {
    fn from(property: CopiedProperty) -> Self {
        property.0
    }
}

impl TryFrom<String> for CopiedProperty {
    type Error = CopiedPropertyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_form_is_read_back_from_its_text() {
        let mut forms = vec![StreamForm::Raw];
        for bits in 0..8 {
            forms.push(StreamForm::Plain {
                large_blocks: bits & 1 != 0,
                compressed: bits & 2 != 0,
                embedded: bits & 4 != 0,
            });
        }
        for form in forms {
            assert_eq!(form.to_string().parse(), Ok(form), "{form}");
        }
        assert_eq!(StreamForm::wished(true).to_string(), "-w");
        assert_eq!(StreamForm::wished(false).to_string(), "-L -c -e");
    }

    #[rstest]
    #[case("")]
    #[case("-")]
    #[case("-c -L")]
    #[case("-w -L")]
    #[case("-L -L")]
    #[case(" -L")]
    #[case("-L; reboot")]
    #[case("None")]
    fn what_is_no_form_is_none(#[case] text: &str) {
        assert_eq!(text.parse::<StreamForm>(), Err(StreamFormError(text.to_owned())));
    }

    #[rstest]
    #[case("recordsize", true)]
    #[case("compression", true)]
    #[case("com.example:owner", true)]
    #[case("mountpoint", false)]
    #[case("sharenfs", false)]
    #[case("exec", false)]
    #[case("setuid", false)]
    #[case("devices", false)]
    #[case("zoned", false)]
    #[case("keylocation", false)]
    #[case("encryption", false)]
    #[case("quota", false)]
    #[case("refreservation", false)]
    #[case("canmount", false)]
    #[case("readonly", false)]
    #[case("org.openzfs.systemd:wanted-by", false)]
    #[case("com.sun:auto-snapshot:daily", false)]
    #[case("syncoid:sync", false)]
    #[case("zfs-sync:stream", false)]
    #[case("-o", false)]
    #[case("a:b=c", false)]
    #[case("A:b", false)]
    #[case("", false)]
    fn dangerous_properties_are_never_copied(#[case] name: &str, #[case] copied: bool) {
        assert_eq!(name.parse::<CopiedProperty>().is_ok(), copied, "{name}");
    }
}
