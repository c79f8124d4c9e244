//! Limits of bandwidth that depend on the time of the week.

use std::{fmt, num::NonZeroU64, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::windows::{Days, Minute, Window};

/// A limit slower than this would look like a stalled transfer.
const SLOWEST: u64 = 1024;
/// More rules than this are no text that a person has written.
const MOST_RULES: usize = 32;

/// What holds within a window, or always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// When; `None`: always.
    pub window: Option<Window>,
    /// Bytes a second at most; `None`: as fast as it goes.
    pub rate: Option<NonZeroU64>,
}

/// How many bytes a second may pass, by the time of the week. The first rule that fits holds; where none does, there is no limit.
///
/// As text: `20MiB/s`, or `08:00-18:00 mon-fri 20MiB/s`, several with `;` between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RateLimit(Vec<Rule>);

/// Why a text is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateLimitError {
    /// Nothing in it.
    #[error("write a rate such as 20MiB/s, or 08:00-18:00 mon-fri 20MiB/s")]
    Empty,
    /// A word that is neither times, days nor a rate.
    #[error("`{0}` is no rate (20MiB/s, 100Mbit/s, unlimited), no time (08:00-18:00) and no days (mon-fri)")]
    Word(String),
    /// A rule says the same kind of thing twice, or names no rate.
    #[error("`{0}` must have one rate, and at most one time and one list of days before it")]
    Rule(String),
    /// Too slow.
    #[error("{0}: the slowest limit is 1KiB/s; to let a group rest, disable it")]
    Slow(String),
    /// Too many rules.
    #[error("a limit has at most {MOST_RULES} rules")]
    Many,
}

impl RateLimit {
    /// The same at all times; a rate below the slowest is raised to it.
    pub fn always(bytes_per_second: u64) -> Self {
        Self(vec![Rule { window: None, rate: NonZeroU64::new(bytes_per_second.max(SLOWEST)) }])
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Bytes a second when a clock on the wall shows this; `None`: as fast as it goes.
    pub fn at_clock(&self, clock: DateTime) -> Option<u64> {
        let fits = |rule: &&Rule| rule.window.is_none_or(|window| window.contains(clock));
        self.0.iter().find(fits).and_then(|rule| rule.rate).map(NonZeroU64::get)
    }

    /// Bytes a second at an instant, for windows in this time zone.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Option<u64> {
        self.at_clock(zone.to_datetime(now))
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let rules: Vec<&str> = text.split(';').map(str::trim).filter(|rule| !rule.is_empty()).collect();
        if rules.is_empty() {
            return Err(RateLimitError::Empty);
        }
        if rules.len() > MOST_RULES {
            return Err(RateLimitError::Many);
        }
        rules.into_iter().map(rule).collect::<Result<_, _>>().map(Self)
    }
}

fn rule(text: &str) -> Result<Rule, RateLimitError> {
    let (mut times, mut days, mut rate) = (None, None, None);
    let twice = || RateLimitError::Rule(text.to_owned());
    for word in text.split_whitespace() {
        let word = word.to_ascii_lowercase();
        if rate.is_some() {
            return Err(twice());
        }
        if let Some(found) = interval(&word) {
            if times.replace(found).is_some() {
                return Err(twice());
            }
        } else if let Ok(found) = word.parse::<Days>() {
            if days.replace(found).is_some() {
                return Err(twice());
            }
        } else {
            rate = Some(bytes_per_second(&word)?);
        }
    }
    let rate = rate.ok_or_else(twice)?;
    let window = match (times, days) {
        (None, None) => None,
        (times, days) => {
            let (from, to) = times.unwrap_or_else(whole_day);
            Some(Window { from, to, days: days.unwrap_or(Days::ALL) })
        }
    };
    Ok(Rule { window, rate })
}

fn whole_day() -> (Minute, Minute) {
    let minute = |text: &str| text.parse().expect("a constant");
    (minute("00:00"), minute("24:00"))
}

fn interval(word: &str) -> Option<(Minute, Minute)> {
    let (from, to) = word.split_once('-')?;
    let (from, to): (Minute, Minute) = (from.parse().ok()?, to.parse().ok()?);
    (from != whole_day().1).then_some((from, to))
}

/// `20MiB/s`, `20M`, `2.5MB/s`, `100Mbit/s`, `unlimited`. A bare `K`, `M`, `G` is binary, as `pv` and `mbuffer` take it.
fn bytes_per_second(word: &str) -> Result<Option<NonZeroU64>, RateLimitError> {
    let unknown = || RateLimitError::Word(word.to_owned());
    if ["unlimited", "none", "off"].contains(&word) {
        return Ok(None);
    }
    let amount = word.strip_suffix("/s").unwrap_or(word);
    let end = amount.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(amount.len());
    let (number, unit) = amount.split_at(end);
    let number: f64 = number.parse().map_err(|_| unknown())?;
    let factor = match unit {
        "" | "b" => 1.0,
        "k" | "ki" | "kib" => 1024.0,
        "m" | "mi" | "mib" => 1024.0 * 1024.0,
        "g" | "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kbit" => 1e3 / 8.0,
        "mbit" => 1e6 / 8.0,
        "gbit" => 1e9 / 8.0,
        _ => return Err(unknown()),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast of a float saturates"
    )]
    let bytes = (number * factor) as u64;
    if bytes < SLOWEST {
        return Err(RateLimitError::Slow(word.to_owned()));
    }
    Ok(NonZeroU64::new(bytes))
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Window { from, to, days }) = self.window {
            write!(formatter, "{from}-{to} ")?;
            if days != Days::ALL {
                write!(formatter, "{days} ")?;
            }
        }
        let Some(rate) = self.rate else { return formatter.write_str("unlimited") };
        let units = [(1 << 30, "GiB/s"), (1 << 20, "MiB/s"), (1 << 10, "KiB/s"), (1_000_000, "MB/s")];
        match units.into_iter().find(|(factor, _)| rate.get() % factor == 0) {
            Some((factor, unit)) => write!(formatter, "{}{unit}", rate.get() / factor),
            None => write!(formatter, "{rate}B/s"),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.0.iter().map(Rule::to_string).collect();
        formatter.pad(&rules.join("; "))
    }
}

impl TryFrom<String> for RateLimit {
    type Error = RateLimitError;

    fn try_from(text: String) -> Result<Self, RateLimitError> {
        text.parse()
    }
}

impl From<RateLimit> for String {
    fn from(limit: RateLimit) -> Self {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn limit(text: &str) -> RateLimit {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("20MiB/s", "20MiB/s")]
    #[case("20M", "20MiB/s")]
    #[case("1.5GiB/s", "1536MiB/s")]
    #[case("100Mbit/s", "12500000B/s")]
    #[case("20MB/s", "20MB/s")]
    #[case("1500", "1500B/s")]
    #[case("unlimited", "unlimited")]
    #[case("08:00-18:00 mon-fri 20MiB/s", "08:00-18:00 mon-fri 20MiB/s")]
    #[case("mon-fri 08:00-18:00 20MiB/s;  50MiB/s ;", "08:00-18:00 mon-fri 20MiB/s; 50MiB/s")]
    #[case("22:00-06:00 unlimited; 1MiB/s", "22:00-06:00 unlimited; 1MiB/s")]
    #[case("sat,sun 5MiB/s", "00:00-24:00 sat,sun 5MiB/s")]
    fn texts_are_understood_and_shown(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(limit(text).to_string(), shown);
        assert_eq!(limit(shown), limit(text));
    }

    #[rstest]
    #[case("")]
    #[case(";")]
    #[case("fast")]
    #[case("mon-fri")]
    #[case("08:00-18:00")]
    #[case("20MiB/s 30MiB/s")]
    #[case("20MiB/s mon-fri")]
    #[case("mon tue 20MiB/s")]
    #[case("0")]
    #[case("100B/s")]
    #[case("-5M")]
    #[case("NaN")]
    #[case("8:00-18:00 20M")]
    #[case("24:00-06:00 20M")]
    fn what_is_no_limit(#[case] text: &str) {
        assert!(text.parse::<RateLimit>().is_err(), "{text}");
    }

    #[test]
    fn the_first_rule_that_fits_holds_and_without_one_there_is_no_limit() {
        let office = limit("08:00-18:00 mon-fri 20MiB/s; sat,sun 50MiB/s");
        let at = |day, hour| office.at_clock(date(2026, 11, day).at(hour, 0, 0, 0));
        assert_eq!(at(23, 12), Some(20 * MIB));
        assert_eq!(at(23, 19), None);
        assert_eq!(at(28, 12), Some(50 * MIB));
        assert_eq!(limit("08:00-09:00 unlimited; 1M").at_clock(date(2026, 11, 23).at(8, 30, 0, 0)), None);
    }

    #[test]
    fn windows_follow_the_clock_on_the_wall_when_it_is_changed() {
        // Central Europe: forward on 2026-03-29 at 02:00 (01:00 UTC), back on 2026-10-25 at 03:00 (01:00 UTC).
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let night = limit("01:00-03:00 1MiB/s");
        let at = |text: &str| night.at(text.parse().unwrap(), &zone).is_some();
        assert!(at("2026-03-29T00:59:00Z"), "01:59, before the change");
        assert!(!at("2026-03-29T01:00:00Z"), "two o'clock is three o'clock");
        assert!(at("2026-10-25T00:30:00Z"), "02:30 for the first time");
        assert!(at("2026-10-25T01:30:00Z"), "02:30 for the second time");
        assert!(!at("2026-10-25T02:00:00Z"), "03:00");
        let noon = limit("12:00-13:00 1MiB/s");
        assert!(noon.at("2026-07-01T10:30:00Z".parse().unwrap(), &zone).is_some(), "summer");
        assert!(noon.at("2026-01-01T11:30:00Z".parse().unwrap(), &zone).is_some(), "winter");
        assert!(noon.at("2026-01-01T10:30:00Z".parse().unwrap(), &zone).is_none());
    }

    #[test]
    fn it_is_a_text_on_the_wire() {
        let json = serde_json::to_string(&limit("mon 10M")).unwrap();
        assert_eq!(json, "\"00:00-24:00 mon 10MiB/s\"");
        assert_eq!(serde_json::from_str::<RateLimit>(&json).unwrap(), limit("mon 10M"));
        assert!(serde_json::from_str::<RateLimit>("\"quick\"").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            if let Ok(limit) = text.parse::<RateLimit>() {
                prop_assert_eq!(limit.to_string().parse::<RateLimit>().unwrap(), limit);
            }
        }

        #[test]
        fn every_rate_is_shown_so_that_it_is_understood(rate in 1024u64..1 << 50) {
            let limit = RateLimit::always(rate);
            prop_assert_eq!(limit.to_string().parse::<RateLimit>().unwrap(), limit);
        }
    }
}
