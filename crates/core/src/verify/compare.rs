//! Asks on until it knows.

use std::{cmp::Ordering, collections::VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, EntryKind},
    property::{self, PropertyDifference},
    question::{Answer, Inspected, PROTOCOL, Question, Summary},
    text::{ByteText, Digest},
    verdict::{Aspect, Difference, Outcome, Verdict, What},
};
use crate::{guid::Guid, health::PoolHealth};

/// Differences that are named; more help nobody, and whoever has so many has one cause.
const MOST_DIFFERENCES: usize = 200;
/// Differences in content of which the first byte is looked for: each costs reading up to the whole file again.
const MOST_LOCATED: u32 = 20;
/// Questions asked at once, so that neither side must hold more than a few megabytes of answers.
const MOST_ASKED: usize = 16;
/// Parts of a large directory, or blocks of content, in one answer.
const FAN_OUT: u64 = 256;

/// Nothing is wrong with the copy: it can not be read there, by this user, through this connection or without this key.
const UNPROVEN: [&str; 3] = ["E_KEY_NOT_LOADED", "E_VERIFY_UNSUPPORTED", "E_ZFS_PERMISSION"];

/// A comparison under way. Plain data: it may be stored after each round and continued by another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    deep: bool,
    /// Grows with each round of questions.
    round: u32,
    asked: Vec<Question>,
    waiting: VecDeque<Question>,
    guid: Option<Guid>,
    properties: Vec<PropertyDifference>,
    differences: Vec<Difference>,
    more: u64,
    not_looked_into: u64,
    located: u32,
    /// Digests of directories differed, so that something below them must.
    descended: bool,
    pools: [Option<PoolHealth>; 2],
    entries: u64,
    bytes: u64,
    verdict: Option<Verdict>,
}

impl Comparison {
    /// Begins; `deep` compares contents, otherwise GUID and properties are enough.
    pub fn new(deep: bool) -> Self {
        Self {
            deep,
            round: 1,
            asked: vec![Question::Inspect],
            waiting: VecDeque::new(),
            guid: None,
            properties: Vec::new(),
            differences: Vec::new(),
            more: 0,
            not_looked_into: 0,
            located: 0,
            descended: false,
            pools: [None, None],
            entries: 0,
            bytes: 0,
            verdict: None,
        }
    }

    /// The number of the present questions.
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// What both sides are asked now; nothing when there is a verdict.
    pub fn questions(&self) -> &[Question] {
        &self.asked
    }

    /// The result, once it is known.
    pub const fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Takes both sides' answers to all present questions, in their order.
    pub fn answer(&mut self, left: Vec<Answer>, right: Vec<Answer>) {
        if self.verdict.is_some() {
            return;
        }
        let asked = std::mem::take(&mut self.asked);
        if left.len() != asked.len() || right.len() != asked.len() {
            self.fail("E_VERIFY_ANSWER", "one side answered another number of questions".to_owned());
            return;
        }
        // What follows from these answers is asked before what waited already: so the comparison goes down into one part of the tree after
        // the other, and what waits stays in proportion to its depth, however much differs.
        let waited = std::mem::take(&mut self.waiting);
        for ((question, left), right) in asked.into_iter().zip(left).zip(right) {
            self.take(&question, left, right);
            if self.verdict.is_some() {
                return;
            }
        }
        self.waiting.extend(waited);
        self.round += 1;
        if self.differences.len() >= MOST_DIFFERENCES {
            let left_out = std::mem::take(&mut self.waiting);
            self.not_looked_into += left_out.len() as u64;
        }
        while self.asked.len() < MOST_ASKED
            && let Some(question) = self.waiting.pop_front()
        {
            self.asked.push(question);
        }
        if self.asked.is_empty() && self.descended && self.differences.is_empty() {
            // Whatever it was, it is no proof.
            let detail = "digests of directories differ, and nothing in these directories does".to_owned();
            self.fail("E_VERIFY_ANSWER", detail);
        } else if self.asked.is_empty() {
            let equal =
                self.differences.is_empty() && self.properties.iter().all(|property| property.expected);
            self.finish(if equal { Outcome::Matched } else { Outcome::Differs }, None, None);
        }
    }

    fn take(&mut self, question: &Question, left: Answer, right: Answer) {
        for (answer, side) in [(&left, "first"), (&right, "second")] {
            if let Answer::Refused { code, detail } = answer {
                let unproven = UNPROVEN.contains(&code.as_str());
                // Differences that were found already stay differences.
                let outcome =
                    if unproven && self.differences.is_empty() { Outcome::Unproven } else { Outcome::Failed };
                self.finish(outcome, Some(code.clone()), Some(format!("the {side} side: {detail}")));
                return;
            }
        }
        match (question, left, right) {
            (Question::Inspect, Answer::Inspected(left), Answer::Inspected(right)) => {
                self.inspected(&left, &right);
            }
            (Question::Digest { .. }, Answer::Summary(left), Answer::Summary(right)) => {
                self.summed(&left, &right);
            }
            (
                Question::Directory { path, .. },
                Answer::Entries { entries: left },
                Answer::Entries { entries: right },
            ) => {
                self.listed(path, &left, &right);
            }
            (
                Question::Directory { path, prefix, .. },
                Answer::Parts { digests: left },
                Answer::Parts { digests: right },
            ) => self.parted(path, prefix, &left, &right),
            // One side has many entries and the other few: compared by parts, both answer alike.
            (
                Question::Directory { path, prefix, split: false },
                Answer::Parts { .. } | Answer::Entries { .. },
                Answer::Parts { .. } | Answer::Entries { .. },
            ) => self.waiting.push_back(Question::Directory {
                path: path.clone(),
                prefix: prefix.clone(),
                split: true,
            }),
            (
                Question::Content { path, offset, length, block },
                Answer::Blocks { digests: left },
                Answer::Blocks { digests: right },
            ) => self.located(path, (*offset, *length, *block), &left, &right),
            _ => self.fail("E_VERIFY_ANSWER", "an answer does not fit its question".to_owned()),
        }
    }

    fn inspected(&mut self, left: &Inspected, right: &Inspected) {
        self.properties = property::compare(left, right);
        self.pools = [left.pool.clone(), right.pool.clone()];
        if left.guid != right.guid || left.kind != right.kind {
            self.finish(Outcome::Differs, None, None);
            return;
        }
        self.guid = Some(left.guid);
        if !self.deep {
            return;
        }
        if left.protocol != PROTOCOL || right.protocol != PROTOCOL {
            let detail = format!(
                "the sides make digests in different ways ({} and {}); run the same version of zfs-sync on both",
                left.protocol, right.protocol
            );
            self.fail("E_VERIFY_VERSION", detail);
            return;
        }
        let of = |side: &Inspected, name: &str| side.properties.get(name).cloned();
        for (side, name) in [(left, "first"), (right, "second")] {
            if of(side, "keystatus").as_deref() == Some("unavailable") {
                let detail = format!(
                    "the {name} side is encrypted and its key is not loaded, so that nobody can read its files"
                );
                self.finish(Outcome::Unproven, Some("E_KEY_NOT_LOADED".to_owned()), Some(detail));
                return;
            }
        }
        let access_lists = of(left, "acltype") == of(right, "acltype");
        self.waiting.push_back(Question::Digest { access_lists });
    }

    fn summed(&mut self, left: &Summary, right: &Summary) {
        self.entries = left.entries.max(right.entries);
        self.bytes = left.bytes.max(right.bytes);
        self.compare_entries(&ByteText::default(), &left.root, &right.root);
    }

    fn listed(&mut self, path: &ByteText, left: &[Entry], right: &[Entry]) {
        let ordered = |entries: &[Entry]| entries.windows(2).all(|pair| pair[0].name < pair[1].name);
        if !ordered(left) || !ordered(right) {
            self.fail("E_VERIFY_ANSWER", "names are not in the order of their bytes".to_owned());
            return;
        }
        let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.name.cmp(&right.name),
            };
            // Of equal names both are taken.
            let left_entry = if order == Ordering::Greater { None } else { left.next() };
            let right_entry = if order == Ordering::Less { None } else { right.next() };
            match (left_entry, right_entry) {
                (Some(left), Some(right)) => self.compare_entries(&path.join(&left.name), left, right),
                (Some(only), None) => self.found(path.join(&only.name), What::OnlyLeft),
                (None, Some(only)) => self.found(path.join(&only.name), What::OnlyRight),
                (None, None) => return,
            }
        }
    }

    fn compare_entries(&mut self, path: &ByteText, left: &Entry, right: &Entry) {
        let mut aspects = left.aspects(right);
        let readable = left.unreadable.is_none() && right.unreadable.is_none();
        if left.kind == right.kind && readable && left.content != right.content {
            match left.kind {
                EntryKind::Directory => {
                    self.descended = true;
                    let question =
                        Question::Directory { path: path.clone(), prefix: Vec::new(), split: false };
                    self.waiting.push_back(question);
                }
                // What differs besides its content is told when the byte is found, in one line.
                _ if self.begin_to_locate(path, left.size.min(right.size)) => {}
                _ => aspects.push(Aspect::Content { first_byte: None }),
            }
        }
        if !aspects.is_empty() {
            self.found(path.clone(), What::Differs { aspects });
        }
    }

    /// False when it is not looked for.
    fn begin_to_locate(&mut self, path: &ByteText, common: u64) -> bool {
        if self.located >= MOST_LOCATED || self.differences.len() >= MOST_DIFFERENCES {
            return false;
        }
        self.located += 1;
        if common == 0 {
            self.found(
                path.clone(),
                What::Differs { aspects: vec![Aspect::Content { first_byte: Some(0) }] },
            );
        } else {
            self.look_in(path, 0, common);
        }
        true
    }

    fn look_in(&mut self, path: &ByteText, offset: u64, length: u64) {
        let block = length.div_ceil(FAN_OUT).max(1);
        self.waiting.push_back(Question::Content { path: path.clone(), offset, length, block });
    }

    fn located(
        &mut self,
        path: &ByteText,
        (offset, length, block): (u64, u64, u64),
        left: &[Digest],
        right: &[Digest],
    ) {
        let blocks = length.div_ceil(block);
        if left.len() as u64 != blocks || right.len() as u64 != blocks {
            self.fail(
                "E_VERIFY_ANSWER",
                "a side read another number of blocks than it was asked for".to_owned(),
            );
            return;
        }
        let first = left.iter().zip(right).zip(0_u64..).find(|((left, right), _)| left != right);
        let aspect = match first {
            Some((_, index)) if block == 1 => Aspect::Content { first_byte: Some(offset + index) },
            Some((_, index)) => {
                let from = offset + index * block;
                self.look_in(path, from, block.min(offset + length - from));
                return;
            }
            // Up to the end of the shorter one they are equal, if this was asked about all of it: then the longer one goes on there.
            None if offset == 0 && self.has_other_size(path) => Aspect::Content { first_byte: Some(length) },
            None => Aspect::Unstable,
        };
        self.found(path.clone(), What::Differs { aspects: vec![aspect] });
    }

    fn has_other_size(&self, path: &ByteText) -> bool {
        self.differences.iter().any(|difference| {
            let What::Differs { aspects } = &difference.what else { return false };
            difference.path == *path && aspects.iter().any(|aspect| matches!(aspect, Aspect::Size { .. }))
        })
    }

    fn parted(&mut self, path: &ByteText, prefix: &[u8], left: &[Digest], right: &[Digest]) {
        if left.len() as u64 != FAN_OUT || right.len() as u64 != FAN_OUT {
            self.fail("E_VERIFY_ANSWER", "a directory has another number of parts".to_owned());
            return;
        }
        for ((left, right), byte) in left.iter().zip(right).zip(0_u8..=u8::MAX) {
            if left != right {
                let mut prefix = prefix.to_vec();
                prefix.push(byte);
                self.waiting.push_back(Question::Directory { path: path.clone(), prefix, split: false });
            }
        }
    }

    /// Notes a difference; aspects of one path come together.
    fn found(&mut self, path: ByteText, what: What) {
        let has_place = self.differences.len() < MOST_DIFFERENCES;
        let known = self.differences.iter_mut().find(|difference| difference.path == path);
        match (known, what) {
            (Some(Difference { what: What::Differs { aspects }, .. }), What::Differs { aspects: new }) => {
                aspects.extend(new);
            }
            (_, what) if has_place => self.differences.push(Difference { path, what }),
            _ => self.more += 1,
        }
    }

    fn fail(&mut self, code: &str, detail: String) {
        self.finish(Outcome::Failed, Some(code.to_owned()), Some(detail));
    }

    /// Ends it with what was found until now.
    pub fn abandon(&mut self, outcome: Outcome, code: &str, detail: String) {
        if self.verdict.is_none() {
            self.finish(outcome, Some(code.to_owned()), Some(detail));
        }
    }

    fn finish(&mut self, outcome: Outcome, code: Option<String>, detail: Option<String>) {
        self.asked.clear();
        self.waiting.clear();
        self.verdict = Some(Verdict {
            outcome,
            deep: self.deep && self.guid.is_some(),
            code,
            detail,
            guid: self.guid,
            properties: std::mem::take(&mut self.properties),
            differences: std::mem::take(&mut self.differences),
            more: self.more,
            not_looked_into: self.not_looked_into,
            entries: self.entries,
            bytes: self.bytes,
            left_pool: std::mem::take(&mut self.pools[0]),
            right_pool: std::mem::take(&mut self.pools[1]),
        });
    }
}
