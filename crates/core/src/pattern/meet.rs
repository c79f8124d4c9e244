//! Whether selections of datasets have a name in common.
//!
//! The lists of patterns are read as one automaton, a byte of the name at a time, and all of them side by side: names that no
//! pattern tells apart are tried once. A found name is a real one, and where none is found there is none, except that the work is
//! limited.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use super::{
    DatasetPattern,
    prefix::{ByPrefix, near, upward},
};
use crate::name::MAX_NAME_LENGTH;

#[cfg(test)]
mod tests;

/// Where in the patterns of a list a name stands that has been read up to some byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Places {
    /// True when a component begins here.
    begins: bool,
    /// The pattern's index and the byte in it that comes next. Within a component that `**` stands for, its second star.
    open: Vec<(u32, u16)>,
}

fn is_double_star(pattern: &[u8], at: usize) -> bool {
    pattern[at..].starts_with(b"**")
}

/// `**` stands alone between slashes, so that no other star has one before it.
fn is_inside_double_star(pattern: &[u8], at: usize) -> bool {
    at > 0 && pattern.get(at) == Some(&b'*') && pattern[at - 1] == b'*'
}

/// A component of the name begins at this component of the pattern. `**` may also stand for none.
fn enter(pattern: &[u8], mut at: usize, places: &mut Vec<usize>) {
    while at < pattern.len() && is_double_star(pattern, at) {
        places.push(at);
        at += "**/".len();
    }
    if at < pattern.len() {
        stay(pattern, at, places);
    }
}

/// Within a component; `*` may also stand for nothing.
fn stay(pattern: &[u8], mut at: usize, places: &mut Vec<usize>) {
    places.push(at);
    while pattern.get(at) == Some(&b'*') {
        at += 1;
        places.push(at);
    }
}

impl Places {
    fn collect(begins: bool, places: impl Iterator<Item = (u32, usize)>) -> Self {
        let short = |at| u16::try_from(at).expect("patterns are about as long as names, at most");
        let mut open: Vec<_> = places.map(|(index, at)| (index, short(at))).collect();
        open.sort_unstable();
        open.dedup();
        Self { begins, open }
    }

    /// After a prefix of a name. Only patterns that begin like it, or like something above or below it, are looked at.
    fn after(prefix: &str, list: &PatternList) -> Self {
        let mut places = Vec::new();
        let mut entered = Vec::new();
        for index in near(&list.by_prefix, prefix) {
            enter(list.patterns[*index as usize].as_str().as_bytes(), 0, &mut entered);
            places.extend(entered.drain(..).map(|at| (*index, at)));
        }
        let begun = Self::collect(true, places.into_iter());
        prefix.bytes().fold(begun, |places, byte| places.read(&list.patterns, byte))
    }

    fn read(&self, patterns: &[DatasetPattern], byte: u8) -> Self {
        let mut places = Vec::new();
        let mut next = Vec::new();
        for (index, pattern, at) in self.open_in(patterns) {
            let inside = !self.begins && is_inside_double_star(pattern, at);
            match pattern.get(at) {
                _ if byte == b'/' && inside => enter(pattern, at - 1, &mut next),
                Some(b'/') if byte == b'/' => enter(pattern, at + 1, &mut next),
                _ if byte == b'/' => {}
                Some(b'*') if inside => next.push(at),
                Some(b'*') if self.begins && is_double_star(pattern, at) => next.push(at + 1),
                Some(b'*') => stay(pattern, at, &mut next),
                Some(part) if *part == b'?' || *part == byte => stay(pattern, at + 1, &mut next),
                _ => {}
            }
            places.extend(next.drain(..).map(|at| (index, at)));
        }
        Self::collect(byte == b'/', places.into_iter())
    }

    /// True when the name may end here.
    fn accept(&self, patterns: &[DatasetPattern]) -> bool {
        !self.begins
            && self.open_in(patterns).any(|(_, pattern, at)| {
                let rest = if is_inside_double_star(pattern, at) { at + 1 } else { at };
                pattern[rest..].chunks(3).all(|chunk| chunk == b"/**")
            })
    }

    fn open_in<'a>(&self, patterns: &'a [DatasetPattern]) -> impl Iterator<Item = (u32, &'a [u8], usize)> {
        self.open
            .iter()
            .map(|(index, at)| (*index, patterns[*index as usize].as_str().as_bytes(), usize::from(*at)))
    }

    /// The bytes that a pattern asks for by themselves.
    fn note_letters(&self, patterns: &[DatasetPattern], letters: &mut BTreeSet<u8>) {
        let next = self.open_in(patterns).filter_map(|(_, pattern, at)| pattern.get(at));
        letters.extend(next.filter(|byte| !b"*?/".contains(byte)));
    }
}

/// Patterns, and which of them begin how.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatternList {
    patterns: Vec<DatasetPattern>,
    /// By the components before the first one with a wildcard.
    by_prefix: ByPrefix<u32>,
}

impl FromIterator<DatasetPattern> for PatternList {
    fn from_iter<I: IntoIterator<Item = DatasetPattern>>(patterns: I) -> Self {
        let mut list = Self::default();
        for (index, pattern) in (0..).zip(patterns) {
            let prefix = upward(pattern.as_str()).find(|text| !text.contains(['*', '?'])).unwrap_or_default();
            list.by_prefix.entry(prefix.to_owned()).or_default().push(index);
            list.patterns.push(pattern);
        }
        list
    }
}

/// The names that one of `include` matches and none of the others.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) include: Rc<PatternList>,
    pub(crate) exclude: Rc<PatternList>,
    /// More that is excluded.
    pub(crate) elsewhere: PatternList,
}

/// What may still follow in a name of a selection, of which a part has been read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rest {
    /// The selection's index, for the lookup that all functions here are given.
    selection: usize,
    include: Places,
    exclude: Places,
    elsewhere: Places,
}

impl Rest {
    fn read(&self, selection: &Selection, byte: u8) -> Self {
        Self {
            selection: self.selection,
            include: self.include.read(&selection.include.patterns, byte),
            exclude: self.exclude.read(&selection.exclude.patterns, byte),
            elsewhere: self.elsewhere.read(&selection.elsewhere.patterns, byte),
        }
    }

    fn accept(&self, selection: &Selection) -> bool {
        self.include.accept(&selection.include.patterns)
            && !self.exclude.accept(&selection.exclude.patterns)
            && !self.elsewhere.accept(&selection.elsewhere.patterns)
    }

    /// The same for all that are read side by side.
    fn begins_component(&self) -> bool {
        self.include.begins
    }

    /// True when nothing that follows can be a name of the selection.
    fn is_closed(&self) -> bool {
        self.include.open.is_empty()
    }

    fn size(&self) -> usize {
        1 + self.include.open.len() + self.exclude.open.len() + self.elsewhere.open.len()
    }
}

/// How much is looked at, at most, in places of patterns.
#[derive(Debug)]
pub(crate) struct Work {
    left: usize,
    each: usize,
}

/// The work was at its end before there was an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecided;

impl Work {
    /// `each` is the limit of a single question.
    pub(crate) const fn new(total: usize, each: usize) -> Self {
        Self { left: total, each }
    }

    fn take(&mut self, amount: usize) -> Result<(), Undecided> {
        self.left = self.left.checked_sub(amount).ok_or(Undecided)?;
        Ok(())
    }
}

/// All selections that are spoken of; a [`Rest`] knows its own by index.
#[derive(Debug, Default)]
pub(crate) struct Selections(pub(crate) Vec<Selection>);

impl Selections {
    /// What may follow after a prefix of a name, which may be empty.
    pub(crate) fn after(&self, prefix: &str, index: usize) -> Rest {
        let selection = &self.0[index];
        Rest {
            selection: index,
            include: Places::after(prefix, &selection.include),
            exclude: Places::after(prefix, &selection.exclude),
            elsewhere: Places::after(prefix, &selection.elsewhere),
        }
    }

    /// Reads on.
    pub(crate) fn read(&self, rest: &Rest, text: &str) -> Rest {
        let selection = &self.0[rest.selection];
        text.bytes().fold(rest.clone(), |rest, byte| rest.read(selection, byte))
    }

    /// Offers the texts with which all the names end well, short ones first, until one is taken. They begin with `/`, or are empty,
    /// where something has been read before.
    pub(crate) fn meet<T>(
        &self,
        rests: Vec<Rest>,
        work: &mut Work,
        mut take: impl FnMut(&str) -> Option<T>,
    ) -> Result<Option<T>, Undecided> {
        let mut share = Work::new(work.each.min(work.left), 0);
        let whole = share.left;
        let answer = self.search(rests, &mut share, &mut take);
        work.left -= whole - share.left;
        answer
    }

    /// Breadth first.
    fn search<T>(
        &self,
        rests: Vec<Rest>,
        work: &mut Work,
        take: &mut impl FnMut(&str) -> Option<T>,
    ) -> Result<Option<T>, Undecided> {
        if rests.iter().any(Rest::is_closed) {
            return Ok(None);
        }
        // The beginning is not among them: what stands like it later on can go on in more ways.
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([(rests, String::new())]);
        while let Some((rests, text)) = queue.pop_front() {
            if rests.iter().all(|rest| rest.accept(&self.0[rest.selection]))
                && let Some(taken) = take(&text)
            {
                return Ok(Some(taken));
            }
            if text.len() >= MAX_NAME_LENGTH {
                continue;
            }
            // After a prefix, the name ends or goes deeper; another name that begins with the same letters is not meant.
            let ends_component = text.is_empty() && !rests.iter().any(Rest::begins_component);
            let bytes = if ends_component { vec![b'/'] } else { self.next_bytes(&rests) };
            for byte in bytes {
                work.take(rests.iter().map(Rest::size).sum())?;
                let next: Vec<_> =
                    rests.iter().map(|rest| rest.read(&self.0[rest.selection], byte)).collect();
                if !next.iter().any(Rest::is_closed) && seen.insert(next.clone()) {
                    queue.push_back((next, format!("{text}{}", char::from(byte))));
                }
            }
        }
        Ok(None)
    }

    /// What can come next: each byte that a pattern names, one that stands for all others, and the end of the component.
    fn next_bytes(&self, rests: &[Rest]) -> Vec<u8> {
        let mut letters = BTreeSet::new();
        for rest in rests {
            let selection = &self.0[rest.selection];
            rest.include.note_letters(&selection.include.patterns, &mut letters);
            rest.exclude.note_letters(&selection.exclude.patterns, &mut letters);
            rest.elsewhere.note_letters(&selection.elsewhere.patterns, &mut letters);
        }
        let any = (b'a'..=b'z').rev().chain(b'A'..=b'Z').chain(b'0'..=b'9').chain(*b"-_.: ");
        let other = any.into_iter().find(|byte| !letters.contains(byte));
        let slash = (!rests.iter().any(Rest::begins_component)).then_some(b'/');
        letters.into_iter().chain(other).chain(slash).collect()
    }
}
