//! Times of the week: days, and from when to when on each.
//!
//! All of this is about what a clock on the wall shows. Who knows the time zone turns an instant into that first; an hour that a change of
//! the clocks repeats is in a window twice, one that it skips is not there.

use std::{fmt, str::FromStr};

use jiff::civil::{DateTime, Weekday};

/// A minute of the day, 0 to 1440; the last is the end of the day and begins no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(u16);

impl Minute {
    /// The end of a day.
    const END: u16 = 24 * 60;

    fn of(time: DateTime) -> Self {
        let (hour, minute) = (time.hour().unsigned_abs(), time.minute().unsigned_abs());
        Self(u16::from(hour) * 60 + u16::from(minute))
    }
}

impl FromStr for Minute {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hour, minute) = text.split_once(':').ok_or(())?;
        let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !two_digits(hour) || !two_digits(minute) {
            return Err(());
        }
        let (hour, minute): (u16, u16) = (hour.parse().map_err(drop)?, minute.parse().map_err(drop)?);
        let total = hour * 60 + minute;
        if minute < 60 && total <= Self::END { Ok(Self(total)) } else { Err(()) }
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:02}:{:02}", self.0 / 60, self.0 % 60))
    }
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    const fn contains(self, day: usize) -> bool {
        self.0 & (1 << day) != 0
    }
}

impl FromStr for Days {
    type Err = ();

    /// `mon-fri`, `sat,sun`, `fri-mon` (over the end of the week), `mon`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let day = |text: &str| NAMES.iter().position(|name| *name == text).ok_or(());
        let mut days = 0;
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None => (day(part)?, day(part)?),
            };
            let mut next = first;
            loop {
                days |= 1 << next;
                if next == last {
                    break;
                }
                next = (next + 1) % 7;
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut day = 0;
        while day < 7 {
            let first = day;
            while day < 7 && self.contains(day) {
                day += 1;
            }
            match day - first {
                0 => day += 1,
                1 => parts.push(NAMES[first].to_owned()),
                2 => parts.extend([NAMES[first].to_owned(), NAMES[first + 1].to_owned()]),
                _ => parts.push(format!("{}-{}", NAMES[first], NAMES[day - 1])),
            }
        }
        formatter.pad(&parts.join(","))
    }
}

/// From one minute to another on some days. One that ends at or before its beginning goes on past midnight, into the day after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// When it begins.
    pub from: Minute,
    /// When it is over.
    pub to: Minute,
    /// The days on which it begins.
    pub days: Days,
}

impl Window {
    /// True when a clock that shows `time` is within.
    pub fn contains(&self, time: DateTime) -> bool {
        let minute = Minute::of(time);
        let today = usize::from(day_number(time.weekday()));
        let yesterday = (today + 6) % 7;
        if self.from < self.to {
            self.days.contains(today) && self.from <= minute && minute < self.to
        } else {
            (self.days.contains(today) && self.from <= minute)
                || (self.days.contains(yesterday) && minute < self.to)
        }
    }
}

fn day_number(day: Weekday) -> u8 {
    day.to_monday_zero_offset().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rstest::rstest;

    use super::*;

    fn window(times: &str, days: &str) -> Window {
        let (from, to) = times.split_once('-').unwrap();
        Window { from: from.parse().unwrap(), to: to.parse().unwrap(), days: days.parse().unwrap() }
    }

    /// 2026-11-23 is a Monday.
    fn at(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 11, day).at(hour, minute, 59, 0)
    }

    #[rstest]
    #[case("08:00-18:00", "mon-fri", at(23, 7, 59), false)]
    #[case("08:00-18:00", "mon-fri", at(23, 8, 0), true)]
    #[case("08:00-18:00", "mon-fri", at(27, 17, 59), true)]
    #[case("08:00-18:00", "mon-fri", at(27, 18, 0), false)]
    #[case("08:00-18:00", "mon-fri", at(28, 12, 0), false)]
    #[case::the_evening("22:00-06:00", "fri", at(27, 22, 0), true)]
    #[case::the_morning_after("22:00-06:00", "fri", at(28, 5, 59), true)]
    #[case::not_the_morning_before("22:00-06:00", "fri", at(27, 5, 0), false)]
    #[case::over_the_end_of_the_week("22:00-06:00", "sun", at(23, 1, 0), true)]
    #[case::a_whole_day("00:00-24:00", "sat", at(28, 23, 59), true)]
    #[case::and_no_more("00:00-24:00", "sat", at(29, 0, 0), false)]
    #[case::around_the_clock("12:00-12:00", "mon", at(24, 11, 59), true)]
    #[case::around_and_over("12:00-12:00", "mon", at(24, 12, 0), false)]
    fn what_is_within(
        #[case] times: &str,
        #[case] days: &str,
        #[case] time: DateTime,
        #[case] expected: bool,
    ) {
        assert_eq!(window(times, days).contains(time), expected);
    }

    #[rstest]
    #[case("mon-fri", "mon-fri")]
    #[case("sat,sun", "sat,sun")]
    #[case("fri-mon", "mon,fri-sun")]
    #[case("mon-sun", "mon-sun")]
    #[case("wed", "wed")]
    #[case("mon,tue,wed,fri", "mon-wed,fri")]
    fn days_are_shown_as_people_write_them(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<Days>().unwrap().to_string(), shown);
    }

    #[rstest]
    #[case("8:00")]
    #[case("24:01")]
    #[case("12:60")]
    #[case("12")]
    #[case("+1:00")]
    fn what_is_no_minute(#[case] text: &str) {
        assert!(text.parse::<Minute>().is_err());
    }
}
