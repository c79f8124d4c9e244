//! The cases, in files by what they are about.

use anyhow::Result;

use crate::stage::{Pair, Stage};

mod clock;
mod crypto;
mod history;
mod interrupted;
mod many;
mod midway;
mod names;
mod space;
mod streams;

/// What was seen, one after the other: words that are the same every time.
pub(crate) type Seen = Result<Vec<String>>;

/// One case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// In the field guide.
    pub(crate) number: &'static str,
    /// Names its datasets.
    pub(crate) name: &'static str,
    /// What happens, in words.
    pub(crate) title: &'static str,
    /// What an operator would want to see.
    pub(crate) expected: &'static str,
    /// On which machines it is played.
    pub(crate) pairs: &'static [Pair],
    /// It changes something of a whole machine: nothing else runs beside it.
    pub(crate) alone: bool,
    /// Stages it, acts, and checks what must be true. An error is a case that went wrong.
    pub(crate) play: fn(&Stage<'_>) -> Seen,
}

impl Case {
    /// Everything that most cases have in common.
    pub(crate) const PLAIN: Self = Self {
        number: "",
        name: "",
        title: "",
        expected: "",
        pairs: Pair::ONE,
        alone: false,
        play: |_| Ok(Vec::new()),
    };
}

/// All cases.
pub(crate) fn all() -> Vec<&'static Case> {
    // The longest first: what is played side by side ends sooner.
    let tables = [
        many::CASES,
        streams::CASES,
        space::CASES,
        history::CASES,
        midway::CASES,
        interrupted::CASES,
        crypto::CASES,
        names::CASES,
        clock::CASES,
    ];
    tables.into_iter().flatten().collect()
}

/// Puts what was said into the words of the table.
macro_rules! seen {
    ($($said:expr),+ $(,)?) => { Ok(vec![$($said.to_string()),+]) };
}
pub(crate) use seen;
