//! What time it is by the witness's clock, at the least.
//!
//! The witness destroys one copy because another system has one as well, so it must know which moment a report shows. When it arrives says
//! nothing: the look may have taken minutes, and the report may have been on its way for long. What this host's clock says is worth nothing
//! either. So the witness tells its time with its answers, and a moment here is reckoned from the last one that was heard before it: by a
//! clock that nobody sets back, and from when the answer *arrived*, so that the true moment is never earlier than what is said.

use std::{sync::Mutex, time::Duration};

use zfs_sync_core::time::Timestamp;

/// Clocks of two machines that are kept by NTP run apart by a thousandth at most, each slewed by half of that; twice as much is allowed for.
const RUNS_APART: u32 = 500;

/// The witness's clock, as far as it was heard.
#[derive(Debug, Default)]
pub struct WitnessTime(Mutex<Option<Heard>>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    said: Timestamp,
    at: Duration,
}

impl WitnessTime {
    /// The witness said that it was `said`, in an answer that had come `at` this time since this machine was started. `None`: it said nothing.
    pub fn heard(&self, said: Option<Timestamp>, at: Duration) {
        if let Some(said) = said {
            *self.0.lock().expect("no holder of this lock panics") = Some(Heard { said, at });
        }
    }

    /// What the witness's clock has shown at this time since this machine was started, or more. `None`: nothing was heard before.
    pub fn at_least(&self, moment: Duration) -> Option<Timestamp> {
        let Heard { said, at } = (*self.0.lock().expect("no holder of this lock panics"))?;
        let since = moment.checked_sub(at)?;
        said.checked_add(since.saturating_sub(since / RUNS_APART)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn up(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_moment_is_reckoned_from_what_was_heard_before_and_is_never_late() {
        let time = WitnessTime::default();
        assert_eq!(time.at_least(up(10)), None, "nothing was heard");
        time.heard(Some(moment(0)), up(100));
        assert_eq!(time.at_least(up(100)), Some(moment(0)));
        assert_eq!(time.at_least(up(600)), Some(moment(499)), "however fast the clock here runs");
        assert_eq!(time.at_least(up(99)), None, "it was heard after that moment");
    }

    #[test]
    fn the_last_word_counts_and_silence_takes_none_back() {
        let time = WitnessTime::default();
        time.heard(Some(moment(3600)), up(1));
        time.heard(Some(moment(5)), up(2));
        time.heard(None, up(3));
        assert_eq!(time.at_least(up(2)), Some(moment(5)), "the witness's clock was set back");
    }
}
