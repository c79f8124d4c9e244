//! Numbers and times in words for people.

use std::time::Duration;

use jiff::Timestamp;
use zfs_sync_core::size::ByteCount;

/// `12 m ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    if seconds < -1 {
        format!("in {}", span(seconds.unsigned_abs()))
    } else {
        format!("{} ago", span(seconds.max(0).unsigned_abs()))
    }
}

/// `12 m ago`, or a dash for what is not known.
pub(crate) fn maybe_ago(now: Timestamp, then: Option<Timestamp>) -> String {
    then.map_or_else(|| "–".to_owned(), |then| ago(now, then))
}

/// `12 m`: the largest unit that fits.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1.2 s`, `3 m 20 s`: how long something took.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else if seconds < 3600 {
        format!("{} m {} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {} m", seconds / 3600, seconds / 60 % 60)
    }
}

/// `20.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteCount(bytes).to_string()
}

/// `112 MiB/s`, nothing for a rate that is not known.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    if bytes_per_second == 0 { String::new() } else { format!("{}/s", ByteCount(bytes_per_second)) }
}

/// `1 snapshot`, `2 snapshots`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A word of the API as people write it: `keep-both` for `keep_both`.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default().replace('_', "-")
}

/// Text from elsewhere, without anything that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let before = |seconds: i64| ago(now, Timestamp::from_second(1_000_000 - seconds).unwrap());
        assert_eq!(before(0), "0 s ago");
        assert_eq!(before(59), "59 s ago");
        assert_eq!(before(12 * 60 + 5), "12 m ago");
        assert_eq!(before(47 * 3600), "47 h ago");
        assert_eq!(before(72 * 3600), "3 d ago");
        assert_eq!(before(-90), "in 1 m");
        assert_eq!(maybe_ago(now, None), "–");
    }

    #[test]
    fn long_times_keep_two_units() {
        assert_eq!(took(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(took(Duration::from_secs(200)), "3 m 20 s");
        assert_eq!(took(Duration::from_mins(62)), "1 h 2 m");
    }
}
