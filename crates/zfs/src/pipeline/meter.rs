//! What people are told of a running stream, from what its counter shows now and then.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::progress::{ProgressCounter, Waits};

/// A rate that follows a change by two thirds within this time.
const MEMORY: Duration = Duration::from_secs(10);
/// A bottleneck is what most of this time was waited for.
const WINDOW: Duration = Duration::from_secs(10);
/// From this share on, in percent, it is worth naming.
const MOST: u8 = 50;
/// A stream that has moved nothing for so long is shown as stalled.
pub const STALLED_AFTER: Duration = Duration::from_mins(1);

/// What a stream waits for most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// The sending host gives nothing.
    Source,
    /// The receiving host, or the connection to it, takes nothing.
    Target,
    /// A limit of bandwidth.
    Limit,
    /// Compression on this host.
    Packing,
}

impl Bottleneck {
    /// As in progress reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Limit => "limit",
            Self::Packing => "compression",
        }
    }
}

/// How a stream flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flowing {
    /// Bytes of stream a second, as an average in which the last ten seconds weigh most.
    pub rate: u64,
    /// What it waited for in the last ten seconds, with its share in percent; `None` where nothing stands out.
    pub bottleneck: Option<(Bottleneck, u8)>,
    /// How long no byte has moved.
    pub idle: Duration,
}

impl Flowing {
    /// The time that is left at this rate; `None` where nothing can be said.
    pub fn left(&self, bytes: u64, total: Option<u64>) -> Option<Duration> {
        let missing = total?.checked_sub(bytes)?;
        missing.checked_div(self.rate).map(Duration::from_secs)
    }
}

/// Looks at a counter now and then.
#[derive(Debug, Default)]
pub struct Meter {
    average: f64,
    weight: f64,
    seen: Option<(Instant, u64)>,
    moved_at: Option<Instant>,
    window: VecDeque<(Instant, Waits)>,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks now.
    pub fn look(&mut self, now: Instant, counter: &ProgressCounter) -> Flowing {
        self.sample(now, counter.bytes(), counter.waits())
    }

    fn sample(&mut self, now: Instant, bytes: u64, waits: Waits) -> Flowing {
        let (before_at, before) = *self.seen.get_or_insert((now, bytes));
        let time = now.saturating_duration_since(before_at);
        if !time.is_zero() {
            self.seen = Some((now, bytes));
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            let rate = bytes.saturating_sub(before) as f64 / time.as_secs_f64();
            let share = -(-time.as_secs_f64() / MEMORY.as_secs_f64()).exp_m1();
            self.average += share * (rate - self.average);
            // What came before the first look counts for nothing rather than for zero.
            self.weight += share * (1.0 - self.weight);
        }
        if bytes != before || self.moved_at.is_none() {
            self.moved_at = Some(now);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive, and a cast of a float saturates"
        )]
        let rate = if self.weight > 0.0 { (self.average / self.weight) as u64 } else { 0 };
        let idle = self.moved_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        Flowing { rate, bottleneck: self.bottleneck(now, waits), idle }
    }

    fn bottleneck(&mut self, now: Instant, waits: Waits) -> Option<(Bottleneck, u8)> {
        self.window.push_back((now, waits));
        // The newest look older than the window stays: it is where the window begins.
        while self.window.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.window.pop_front();
        }
        let (since, before) = *self.window.front()?;
        let whole = now.saturating_duration_since(since);
        let share = |of: fn(&Waits) -> Duration| {
            let percent = of(&waits).saturating_sub(of(&before)).as_nanos() * 100;
            u8::try_from(percent.checked_div(whole.as_nanos()).unwrap_or(0).min(100)).unwrap_or(100)
        };
        let shares = [
            (Bottleneck::Source, share(|waits| waits.source)),
            (Bottleneck::Target, share(|waits| waits.target)),
            (Bottleneck::Limit, share(|waits| waits.limit)),
            (Bottleneck::Packing, share(|waits| waits.packing)),
        ];
        shares.into_iter().max_by_key(|(_, share)| *share).filter(|(_, share)| *share >= MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_even_stream_has_its_rate_from_the_first_second_on() {
        let (start, mut meter) = (Instant::now(), Meter::new());
        assert_eq!(meter.sample(start, 0, Waits::default()).rate, 0);
        for second in 1..=30 {
            let rate = meter.sample(start + seconds(second), 1000 * second, Waits::default()).rate;
            assert!((999..=1001).contains(&rate), "{rate} in second {second}");
        }
    }

    #[test]
    fn a_change_is_followed_within_ten_seconds_and_no_jump() {
        let (start, mut meter) = (Instant::now(), Meter::new());
        let mut bytes = 0;
        let mut rate_at = |second: u64, rate: u64| {
            bytes += rate;
            meter.sample(start + seconds(second), bytes, Waits::default()).rate
        };
        for second in 0..60 {
            rate_at(second, 1000);
        }
        let after_one = rate_at(60, 0);
        assert!((850..950).contains(&after_one), "{after_one}");
        let after_ten = (61..70).map(|second| rate_at(second, 0)).last().unwrap();
        assert!((340..400).contains(&after_ten), "{after_ten}");
    }

    #[test]
    fn what_is_waited_for_is_named_only_when_it_stands_out() {
        let (start, mut meter) = (Instant::now(), Meter::new());
        let waits =
            |source, target| Waits { source: seconds(source), target: seconds(target), ..Waits::default() };
        meter.sample(start, 0, waits(0, 0));
        let even = meter.sample(start + seconds(10), 1, waits(4, 4));
        assert_eq!(even.bottleneck, None);
        let target = meter.sample(start + seconds(20), 2, waits(5, 13));
        assert_eq!(target.bottleneck, Some((Bottleneck::Target, 90)));
        let source = meter.sample(start + seconds(30), 3, waits(12, 14));
        assert_eq!(source.bottleneck, Some((Bottleneck::Source, 70)), "the last ten seconds alone");
    }

    #[test]
    fn a_silent_stream_is_idle_since_its_last_byte() {
        let (start, mut meter) = (Instant::now(), Meter::new());
        meter.sample(start, 0, Waits::default());
        meter.sample(start + seconds(5), 100, Waits::default());
        let silent = meter.sample(start + seconds(70), 100, Waits::default());
        assert_eq!(silent.idle, seconds(65));
        assert_eq!(meter.sample(start + seconds(71), 101, Waits::default()).idle, Duration::ZERO);
    }

    #[test]
    fn what_is_left_needs_an_estimate_and_a_rate() {
        let flowing = Flowing { rate: 100, ..Flowing::default() };
        assert_eq!(flowing.left(500, Some(1500)), Some(seconds(10)));
        assert_eq!(flowing.left(500, None), None);
        assert_eq!(flowing.left(500, Some(400)), None, "it was underestimated");
        assert_eq!(Flowing::default().left(0, Some(100)), None);
    }
}
