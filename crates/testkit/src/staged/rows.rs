//! The cases as rows of docs/FAILURES.md, to be written when [`run()`](super::run()) has found everything as the table says.

use super::{Case, Decision, cases::Verdicts};
use crate::failures::{Row, Suite};

/// What was seen of these cases between such versions of OpenZFS: each verdict and each end was compared with the machines' before.
pub fn rows(cases: &[Case], versions: &str) -> Vec<Row> {
    let row = |case: &Case| Row {
        number: case.covers.first().copied().unwrap_or("–").to_owned(),
        title: case.title.to_owned(),
        expected: expected(case),
        seen: format!("{} → {}", words(case.verdicts), words(case.ends)),
        versions: versions.to_owned(),
        suite: Suite::Planning,
    };
    cases.iter().map(row).collect()
}

fn expected(case: &Case) -> String {
    let mut words = vec!["judged so".to_owned()];
    words.extend(case.decisions.iter().map(|(_, decision)| match decision {
        Decision::Apply(strategy) => format!("then `{}`", strategy.as_str()),
        Decision::Refused(strategy, code) => format!("`{}` is refused with {code}", strategy.as_str()),
        Decision::Reverse => "then the copy becomes the source".to_owned(),
    }));
    let lost = match case.destroyed {
        [] => "no snapshot is lost".to_owned(),
        [one] => format!("{one} is given up, nothing else is lost"),
        several => format!("{} listed snapshots are given up, nothing else is lost", several.len()),
    };
    format!("{}; {lost}", words.join(", "))
}

/// State and reason of each replica; of several the one that is told first is not more important than others.
fn words(verdicts: Verdicts) -> String {
    let texts: Vec<&str> = verdicts.iter().map(|(_, text)| *text).collect();
    if texts.is_empty() { "no replica".to_owned() } else { texts.join(" / ") }
}
