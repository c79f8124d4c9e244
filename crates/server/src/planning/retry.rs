//! When a failed transfer is tried again.

use std::time::Duration;

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::retry;

/// Waiting for room costs one small question a time, and room comes when somebody makes it: what a person would do then, `transfer
/// retry`, is done anyhow.
fn waits_for_room(code: &str) -> bool {
    code == ErrorCode::NoSpace.code()
}

/// What happens to a transfer that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AfterFailure {
    /// It is tried again after this time.
    Retry(Duration),
    /// A person must act first; under this code.
    Park(String, String),
}

/// `attempts`: starts without progress, this one among them. `random`: in [-1, 1].
pub(crate) fn after_failure(
    code: &str,
    detail: &str,
    retryable: bool,
    attempts: u32,
    random: f64,
) -> AfterFailure {
    if !retryable {
        return AfterFailure::Park(code.to_owned(), detail.to_owned());
    }
    let counted = if waits_for_room(code) { attempts.min(retry::ATTEMPTS) } else { attempts };
    match retry::wait(counted, random) {
        Some(wait) => AfterFailure::Retry(wait),
        None => AfterFailure::Park(
            ErrorCode::TransferRetriesExhausted.code().to_owned(),
            format!(
                "gave up after {attempts} attempts without progress; the last one ended with {code}: {detail}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 0.0, 2.0)]
    #[case(2, 1.0, 12.0)]
    #[case(3, -1.0, 24.0)]
    #[case(8, 0.0, 900.0)]
    fn waits_grow_and_differ(#[case] attempts: u32, #[case] random: f64, #[case] seconds: f64) {
        let expected = AfterFailure::Retry(Duration::from_secs_f64(seconds));
        assert_eq!(after_failure("E_SSH_UNREACHABLE", "x", true, attempts, random), expected);
    }

    #[test]
    fn after_eight_waits_it_is_parked_with_the_last_cause() {
        let AfterFailure::Park(code, detail) = after_failure("E_SSH_UNREACHABLE", "no route", true, 9, 0.0)
        else {
            panic!("tried again for ever")
        };
        assert_eq!(code, "E_TRANSFER_RETRIES_EXHAUSTED");
        assert!(detail.contains("E_SSH_UNREACHABLE: no route"), "{detail}");
    }

    #[test]
    fn a_full_pool_is_asked_again_for_ever() {
        let expected = AfterFailure::Retry(Duration::from_mins(15));
        assert_eq!(after_failure("E_RECV_NO_SPACE", "full", true, 1000, 0.0), expected);
    }

    #[test]
    fn what_can_not_succeed_is_parked_at_once() {
        let parked = AfterFailure::Park("E_RECV_QUOTA".into(), "full".into());
        assert_eq!(after_failure("E_RECV_QUOTA", "full", false, 1, 0.0), parked);
    }
}
