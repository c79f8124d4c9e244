//! When a failed transfer is tried again.

use std::time::Duration;

/// After so many attempts without progress nobody tries again by itself.
pub const ATTEMPTS: u32 = 8;

/// The waits after attempts without progress. Short at first, for a restarted service; then rare enough that a thousand failing
/// replicas are no load.
const WAITS_SECONDS: [u64; ATTEMPTS as usize] = [2, 10, 30, 60, 120, 300, 600, 900];
/// Waits differ by up to this share, so that what failed together does not come back together.
const JITTER: f64 = 0.2;

/// How long to wait after so many starts without progress, the one that has just failed among them; `None` when it is given up. `random`
/// is in [-1, 1].
pub fn wait(attempts: u32, random: f64) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
    let seconds = WAITS_SECONDS.get(index)?;
    Some(Duration::from_secs(*seconds).mul_f64(1.0 + JITTER * random.clamp(-1.0, 1.0)))
}
