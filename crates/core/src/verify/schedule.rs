//! Which replica is compared next by itself.

use std::time::Duration;

use crate::time::Timestamp;

/// A replica that could be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<T> {
    /// Which.
    pub replica: T,
    /// Bytes that each side would read.
    pub bytes: u64,
    /// When it was last begun to be compared, whatever came of it: what can not be proven is not tried again and again.
    pub last: Option<Timestamp>,
}

impl<T> Candidate<T> {
    /// True when its proof is older than it may become.
    pub fn is_due(&self, every: Duration, now: Timestamp) -> bool {
        match self.last {
            None => true,
            // A clock that was set back must not keep it from being compared for ever.
            Some(last) => last > now || now.duration_since(last).unsigned_abs() >= every,
        }
    }
}

/// The candidate that has waited longest, when it is due and the budget allows it.
///
/// `spent` is what was begun within the last day. What alone is larger than the budget is begun when nothing else was: otherwise it
/// would never be proven. A smaller one does not go before one that waited longer, or large ones would wait for ever.
pub fn choose<T>(
    candidates: impl IntoIterator<Item = Candidate<T>>,
    every: Duration,
    budget: u64,
    spent: u64,
    now: Timestamp,
) -> Option<Candidate<T>> {
    let is_due = |candidate: &Candidate<T>| candidate.is_due(every, now);
    let longest = candidates.into_iter().filter(is_due).min_by_key(|candidate| candidate.last)?;
    let fits = spent == 0 || spent.saturating_add(longest.bytes) <= budget;
    fits.then_some(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn candidate(name: &str, bytes: u64, last: Option<i64>) -> Candidate<&str> {
        Candidate { replica: name, bytes, last: last.map(at) }
    }

    fn chosen(candidates: Vec<Candidate<&str>>, spent: u64) -> Option<&str> {
        let every = Duration::from_hours(10);
        choose(candidates, every, 100, spent, at(1000)).map(|candidate| candidate.replica)
    }

    #[test]
    fn what_was_never_proven_goes_first_and_then_what_waits_longest() {
        let all = || {
            vec![candidate("old", 1, Some(5)), candidate("never", 1, None), candidate("new", 1, Some(995))]
        };
        assert_eq!(chosen(all(), 0), Some("never"));
        let rest = vec![
            candidate("new", 1, Some(995)),
            candidate("old", 1, Some(5)),
            candidate("older", 1, Some(4)),
        ];
        assert_eq!(chosen(rest, 0), Some("older"));
        assert_eq!(chosen(vec![candidate("new", 1, Some(995))], 0), None, "not due");
        assert_eq!(chosen(vec![candidate("future", 1, Some(2000))], 0), Some("future"));
    }

    #[test]
    fn the_budget_holds_back_and_no_smaller_one_overtakes() {
        let all = || vec![candidate("large", 80, None), candidate("small", 1, Some(1))];
        assert_eq!(chosen(all(), 20), Some("large"));
        assert_eq!(chosen(all(), 21), None);
        assert_eq!(chosen(vec![candidate("huge", 1000, None)], 0), Some("huge"));
        assert_eq!(chosen(vec![candidate("huge", 1000, None)], 1), None);
    }
}
