//! `[user@host:]dataset`.

use sha2::{Digest as _, Sha256};
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    ids::SystemId,
    name::{DatasetName, HostName},
};

use crate::failure::Failure;

/// A dataset on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Endpoint {
    /// `None`: this one.
    pub(in crate::commands) host: Option<HostName>,
    pub(in crate::commands) user: Option<String>,
    pub(in crate::commands) dataset: DatasetName,
}

impl Endpoint {
    /// As `scp` reads it: a colon before the first slash ends a host.
    pub(in crate::commands) fn parse(text: &str, side: &str) -> Result<Self, Failure> {
        let wrong = |code: ErrorCode, what: String| {
            Failure::new(code, format!("{side} `{text}`: {what}"))
                .hint("write a dataset (tank/media), or one on another host (root@nas2:tank/media)")
                .unchanged()
        };
        let (host, dataset) = match split_host(text) {
            Some((host, dataset)) => (Some(host), dataset),
            None => (None, text),
        };
        let dataset: DatasetName =
            dataset.parse().map_err(|error| wrong(ErrorCode::NameInvalid, format!("{error}")))?;
        let Some(host) = host else { return Ok(Self { host: None, user: None, dataset }) };
        let (user, host) = match host.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, host),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.parse().map_err(|error| wrong(ErrorCode::HostInvalid, format!("{error}")))?;
        Ok(Self { host: Some(host), user, dataset })
    }

    /// The host, for sentences.
    pub(in crate::commands) fn host_text(&self) -> String {
        match &self.host {
            Some(host) => host.to_string(),
            None => "this host".to_owned(),
        }
    }

    /// An id that follows from the host's name and from what it is here, since one host may be both.
    pub(in crate::commands) fn system_id(&self, role: &str) -> SystemId {
        system_id(self.host.as_ref(), role)
    }
}

/// As [`Endpoint::system_id`]; `None` is this host.
pub(super) fn system_id(host: Option<&HostName>, role: &str) -> SystemId {
    let name = match host {
        Some(host) => host.to_string(),
        None => zfs_sync_agent::identity::local_hostname()
            .map_or_else(|| "localhost".to_owned(), |host| host.to_string()),
    };
    let digest = Sha256::digest(format!("zfs-sync replicate {role} {name}"));
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    SystemId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// A colon before the first slash ends a host.
pub(in crate::commands) fn split_host(text: &str) -> Option<(&str, &str)> {
    let after_host = text.find(']').unwrap_or(0);
    let colon = after_host + text[after_host..].find(':')?;
    let (host, rest) = (&text[..colon], &text[colon + 1..]);
    (!host.contains('/')).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Endpoint {
        Endpoint::parse(text, "SOURCE").unwrap()
    }

    #[test]
    fn a_colon_before_the_first_slash_ends_a_host() {
        let remote = parse("root@nas2:tank/media");
        assert_eq!((remote.host_text().as_str(), remote.user.as_deref()), ("nas2", Some("root")));
        assert_eq!(remote.dataset.as_str(), "tank/media");
        assert_eq!(parse("tank/a:b").host, None);
        assert_eq!(parse("tank/a:b").dataset.as_str(), "tank/a:b");
        assert_eq!(parse("root@[fe80::1]:tank").host_text(), "fe80::1");
    }

    #[test]
    fn what_a_shell_or_ssh_could_take_for_something_else_is_refused() {
        for (text, code) in [
            ("tank/$(reboot)", "E_NAME_INVALID"),
            ("-oProxyCommand=x:tank", "E_HOST_INVALID"),
            ("nas2:", "E_NAME_INVALID"),
            ("", "E_NAME_INVALID"),
            ("root@:tank", "E_HOST_INVALID"),
        ] {
            assert_eq!(Endpoint::parse(text, "SOURCE").unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn ids_are_the_same_next_time_and_differ_between_roles() {
        let here = parse("tank");
        assert_eq!(here.system_id("source"), here.system_id("source"));
        assert_ne!(here.system_id("source"), here.system_id("target"));
    }
}
