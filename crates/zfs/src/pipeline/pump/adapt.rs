//! Which level of compression suits the moment.
//!
//! Compression is worth its time where it saves bytes *and* the connection is what the stream waits for. Both are measured, frame by
//! frame: what a frame shrank to, and what was waited for while it passed. No guess about the data (a raw or `-c` stream may shrink all
//! the same: its records' headers do) and none about the connection.

use std::time::Duration;

use zfs_sync_core::flow::Compression;

use crate::pipeline::progress::{Packed, Waits};

/// From cheap to thorough: each costs about twice the time of the one before. 1 is the first, as the cheapest that shrinks.
const LADDER: [i32; 4] = [1, 3, 6, 9];
/// A frame that keeps more than this share of its size is not worth the receiver's time, in percent.
const WORTHWHILE: u64 = 95;
/// So much passes as it is before data that did not shrink is tried again.
const RETRY_SHRINKING: u64 = 64 << 20;
/// And before a processor that was too slow is asked again.
const RETRY_SPEED: u64 = 256 << 20;
/// A side that is waited for during this share of the time is the slow one, in percent.
const SLOW: u128 = 50;
/// One that is waited for less than this is not, in percent.
const QUICK: u128 = 10;

/// Why data passes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    DoesNotShrink,
    TooSlow,
}

impl Why {
    pub(super) const fn packed(self) -> Packed {
        match self {
            Self::DoesNotShrink => Packed::DoesNotShrink,
            Self::TooSlow => Packed::TooSlow,
        }
    }
}

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Stored(Why),
    Level(i32),
}

/// What a frame has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) input: u64,
    pub(super) output: u64,
    /// For compressing.
    pub(super) packing: Duration,
    /// For the receiver, the connection, or a limit.
    pub(super) target: Duration,
    /// For the sender.
    pub(super) source: Duration,
}

impl Spent {
    pub(super) fn between(input: u64, output: u64, before: &Waits, after: &Waits) -> Self {
        Self {
            input,
            output,
            packing: after.packing.saturating_sub(before.packing),
            target: (after.target + after.limit).saturating_sub(before.target + before.limit),
            source: after.source.saturating_sub(before.source),
        }
    }

    fn percent(&self, of: Duration) -> u128 {
        let whole = self.packing + self.target + self.source;
        (of.as_nanos() * 100).checked_div(whole.as_nanos()).unwrap_or(0)
    }
}

/// Decides, frame after frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapt {
    fixed: Option<i32>,
    rung: usize,
    /// What still passes as it is, and why.
    stored: Option<(Why, u64)>,
}

impl Adapt {
    pub(super) fn new(compression: Compression) -> Self {
        let fixed = match compression {
            Compression::Off | Compression::Auto => None,
            Compression::Level(level) => Some(i32::from(level)),
        };
        Self { fixed, rung: 0, stored: None }
    }

    /// The first frame is a sample.
    pub(super) fn first(&self) -> Mode {
        Mode::Level(self.fixed.unwrap_or(LADDER[0]))
    }

    /// What to do with the next frame, after one that has cost this.
    pub(super) fn next(&mut self, spent: &Spent) -> Mode {
        if let Some(level) = self.fixed {
            return Mode::Level(level);
        }
        if let Some((why, left)) = self.stored {
            let left = left.saturating_sub(spent.input);
            self.stored = (left > 0).then_some((why, left));
        } else if spent.output.saturating_mul(100) > spent.input.saturating_mul(WORTHWHILE) {
            self.stored = Some((Why::DoesNotShrink, RETRY_SHRINKING));
            self.rung = 0;
        } else if spent.percent(spent.packing) > SLOW && spent.percent(spent.target) < QUICK {
            if self.rung == 0 {
                self.stored = Some((Why::TooSlow, RETRY_SPEED));
            }
            self.rung = self.rung.saturating_sub(1);
        } else if spent.percent(spent.target) > SLOW {
            self.rung = (self.rung + 1).min(LADDER.len() - 1);
        }
        match self.stored {
            Some((why, _)) => Mode::Stored(why),
            None => Mode::Level(LADDER[self.rung]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 4 << 20;

    fn spent(output_percent: u64, packing: u64, target: u64, source: u64) -> Spent {
        let ms = Duration::from_millis;
        let (packing, target, source) = (ms(packing), ms(target), ms(source));
        Spent { input: FRAME, output: FRAME * output_percent / 100, packing, target, source }
    }

    #[test]
    fn a_slow_connection_gets_more_compression_up_to_the_last_level() {
        let mut adapt = Adapt::new(Compression::Auto);
        assert_eq!(adapt.first(), Mode::Level(1));
        let levels: Vec<_> = (0..5).map(|_| adapt.next(&spent(40, 10, 80, 10))).collect();
        assert_eq!(levels, [3, 6, 9, 9, 9].map(Mode::Level));
    }

    #[test]
    fn a_slow_processor_gets_less_and_then_none_for_a_while() {
        let mut adapt = Adapt::new(Compression::Auto);
        adapt.next(&spent(40, 10, 80, 10));
        assert_eq!(adapt.next(&spent(40, 90, 5, 5)), Mode::Level(1));
        assert_eq!(adapt.next(&spent(40, 90, 5, 5)), Mode::Stored(Why::TooSlow));
        for _ in 0..63 {
            assert_eq!(adapt.next(&spent(100, 1, 0, 99)), Mode::Stored(Why::TooSlow));
        }
        assert_eq!(adapt.next(&spent(100, 1, 0, 99)), Mode::Level(1), "it is tried again");
    }

    #[test]
    fn what_does_not_shrink_passes_as_it_is_and_is_tried_again() {
        let mut adapt = Adapt::new(Compression::Auto);
        assert_eq!(adapt.next(&spent(99, 10, 80, 10)), Mode::Stored(Why::DoesNotShrink));
        for _ in 1..RETRY_SHRINKING / FRAME {
            assert_eq!(adapt.next(&spent(100, 0, 90, 10)), Mode::Stored(Why::DoesNotShrink));
        }
        assert_eq!(adapt.next(&spent(100, 0, 90, 10)), Mode::Level(1));
    }

    #[test]
    fn a_slow_source_changes_nothing() {
        let mut adapt = Adapt::new(Compression::Auto);
        for _ in 0..10 {
            assert_eq!(adapt.next(&spent(40, 20, 5, 75)), Mode::Level(1));
        }
    }

    #[test]
    fn a_level_that_somebody_chose_stays() {
        let mut adapt = Adapt::new(Compression::Level(12));
        assert_eq!(adapt.first(), Mode::Level(12));
        assert_eq!(adapt.next(&spent(100, 99, 0, 1)), Mode::Level(12));
    }
}
