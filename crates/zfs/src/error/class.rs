//! What may help against a failure. The one table of it: every kind has its line.

use super::Kind;

/// Who or what can change the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The way between both hosts broke, or a process was ended. The next attempt goes on where this one stopped.
    Connection,
    /// The world was another than expected. Looking again gives another plan.
    LookAgain,
    /// Something may change by itself: room, a lock, a hold, a pool. Worth asking for again, ever more rarely.
    Wait,
    /// A person has to decide or to repair something; trying again would be noise.
    Person,
}

impl Kind {
    /// What may help.
    ///
    /// What is not known may be tried again, with growing waits: trying again destroys nothing.
    pub const fn class(self) -> Class {
        match self {
            Self::SshUnreachable
            | Self::TlsUnreachable
            | Self::StreamCut
            | Self::StreamDamaged
            | Self::Interrupted => Class::Connection,
            Self::PartialState | Self::TokenDead | Self::NothingToAbort | Self::AlreadyExists => {
                Class::LookAgain
            }
            Self::NoSpace
            | Self::Quota
            | Self::Busy
            | Self::Held
            | Self::PoolUnavailable
            | Self::TimedOut
            // Agents renew their certificates, and each attempt has a new ticket.
            | Self::TlsCertificate
            | Self::TlsTicket
            | Self::Start
            | Self::Unclassified => Class::Wait,
            Self::NotFound
            | Self::BaseMismatch
            | Self::TargetModified
            | Self::DestinationExists
            | Self::StreamInvalid
            | Self::StreamFeature
            | Self::Crypto
            | Self::KeyNotLoaded
            | Self::HasClones
            | Self::NewerExist
            | Self::Permission
            | Self::SourceUnreadable
            | Self::ZfsNotFound
            | Self::Unsupported
            | Self::SshAuthentication
            | Self::SshHostKeyUnknown
            | Self::SshHostKeyChanged
            | Self::TlsForbidden
            | Self::Unparsable => Class::Person,
        }
    }

    /// True when the same work, planned anew, may succeed later without anybody doing anything.
    pub const fn is_retryable(self) -> bool {
        !matches!(self.class(), Class::Person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_class_and_every_class_a_kind() {
        for class in [Class::Connection, Class::LookAgain, Class::Wait, Class::Person] {
            assert!(Kind::ALL.into_iter().any(|kind| kind.class() == class), "{class:?}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind.is_retryable(), kind.class() != Class::Person, "{kind:?}");
        }
        // What a person must see at once, and what no person need see at all.
        assert!(!Kind::SshHostKeyChanged.is_retryable() && !Kind::Crypto.is_retryable());
        assert!(Kind::StreamCut.is_retryable() && Kind::Unclassified.is_retryable());
    }
}
