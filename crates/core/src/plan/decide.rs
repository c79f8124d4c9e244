//! What is done for one replica, or why nothing is.

use super::{
    act::by_relation,
    classic,
    compare::{Comparison, Relation},
    pair::Pair,
    policy::lacks_base,
    reason::{Reason, Warning},
    report::{ReplicaState, RuleApplied},
    sender::{Sender, Substitute, substitute},
    step::Action,
    survey::Survey,
    words::Words,
};
use crate::{
    group::{NoName, Profile},
    inventory::Dataset,
    name::DatasetName,
};

/// The decision for one replica.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub(super) state: ReplicaState,
    pub(super) reason: Option<Reason>,
    pub(super) warnings: Vec<Warning>,
    pub(super) rules: Vec<RuleApplied>,
    pub(super) next: String,
    /// Who sends, and what is done.
    pub(super) step: Option<(Sender<'a>, Action)>,
    /// Facts beyond what both sides have.
    pub(super) notes: Vec<String>,
}

impl<'a> Outcome<'a> {
    pub(super) fn nothing(state: ReplicaState, reason: Reason, next: String) -> Self {
        Self { reason: Some(reason), ..Self::new(state, next) }
    }

    pub(super) fn act(state: ReplicaState, sender: Sender<'a>, action: Action, next: String) -> Self {
        Self { step: Some((sender, action)), ..Self::new(state, next) }
    }

    fn new(state: ReplicaState, next: String) -> Self {
        let (warnings, rules, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { state, reason: None, warnings, rules, next, step: None, notes }
    }

    pub(super) fn warn(mut self, applies: bool, warning: Warning) -> Self {
        if applies {
            self.warnings.push(warning);
        }
        self
    }

    pub(super) fn note(mut self, text: String) -> Self {
        self.notes.push(text);
        self
    }
}

/// The rules that were looked at, in order.
#[derive(Debug, Default)]
struct Trace(Vec<RuleApplied>);

impl Trace {
    /// Notes a rule, and answers whether it holds.
    fn holds(&mut self, rule: &str, holds: bool) -> bool {
        self.0.push(RuleApplied { rule: rule.to_owned(), holds });
        holds
    }
}

pub(super) fn decide<'a>(survey: &Survey<'a>, pair: &Pair<'a>) -> Outcome<'a> {
    let words = Words::new(survey, pair);
    let mut trace = Trace::default();
    let mut outcome = by_circumstances(survey, pair, &words, &mut trace);
    if outcome.step.is_some() {
        // Who applied a plan wants it carried out to its end.
        let decided = pair.decision.as_ref().is_some_and(|decided| !decided.by_policy);
        if pair.by_name {
            trace.holds("both sides report GUIDs", false);
            outcome.reason = Some(Reason::NoGuid);
            outcome.next = Words::by_name(&outcome.next);
        } else if decided {
            trace.holds("a person has decided", true);
        } else if !trace.holds("the group starts steps by itself", survey.input.group.auto) {
            outcome.reason = Some(Reason::ManualMode);
            outcome.next = words.by_hand(&outcome.next);
        }
    }
    outcome.rules = trace.0;
    if let Some(why) = pair.policy_stopped.clone().filter(|_| outcome.state == ReplicaState::Diverged) {
        outcome = outcome.note(why);
    }
    outcome.warn(pair.by_name, Warning::NoGuid)
}

/// Sorts out everything that forbids acting on the two histories, before they are looked at.
fn by_circumstances<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    words: &Words<'_>,
    trace: &mut Trace,
) -> Outcome<'a> {
    let blocked = Outcome::nothing;
    if !trace.holds("the group is enabled", survey.input.group.enabled) {
        return blocked(ReplicaState::Paused, Reason::Paused, words.paused());
    }
    let running = pair.mapped.as_ref().ok().and_then(|target| survey.running(pair.target.id, target));
    if let Some(transfer) = running {
        trace.holds("no transfer for it is queued or runs", false);
        return blocked(ReplicaState::Syncing, Reason::TransferRunning, Words::running(transfer));
    }
    trace.holds("no transfer for it is queued or runs", true);
    for side in [&pair.source, &pair.target] {
        if side.inventory.is_none() {
            trace.holds("both systems have reported", false);
            return blocked(ReplicaState::Unknown, Reason::NeverReported, Words::never_reported(side));
        }
    }
    trace.holds("both systems have reported", true);
    if !trace.holds("the target's report is fresh", pair.target.fresh) {
        return blocked(ReplicaState::Unknown, Reason::AgentOffline, Words::offline(&pair.target));
    }
    let target = match &pair.mapped {
        Ok(target) => target,
        Err(NoName::Name(error)) => {
            trace.holds("the dataset has a name on the target", false);
            return blocked(ReplicaState::Unknown, Reason::NameTooLong, words.no_name(error));
        }
        Err(NoName::NotMapped) => {
            trace.holds("a mapping covers the dataset", false);
            return blocked(ReplicaState::Unknown, Reason::NotMapped, words.not_mapped());
        }
    };
    let rivals = survey.rivals(pair);
    if !trace.holds("nothing else maps to the same target", rivals.is_empty()) {
        return blocked(ReplicaState::Unknown, Reason::MappingCollision, words.collision(&rivals, target));
    }
    let has_pool = pair.target.inventory.is_some_and(|inventory| inventory.has_pool(target.pool()));
    if !trace.holds("the target has the pool", has_pool) {
        return blocked(ReplicaState::Unknown, Reason::TargetPoolMissing, words.pool_missing(target));
    }
    if !pair.split.is_empty() {
        trace.holds("one member has what all others have", false);
        let outcome =
            blocked(ReplicaState::Diverged, Reason::NoElectedSource, words.split(survey, &pair.split));
        let heads = pair.split.iter().filter_map(|id| {
            let dataset = survey.dataset_on(pair.home, &pair.dataset, *id)?;
            Words::end_of_one(&survey.side(*id), dataset)
        });
        return heads.fold(outcome, Outcome::note);
    }
    if !trace.holds("the source's report is fresh", pair.source.fresh) {
        // Whoever has decided has named whom to follow.
        let other = pair.decision.is_none().then(|| instead(survey, pair, target, words, trace)).flatten();
        let offline = || blocked(ReplicaState::Unknown, Reason::AgentOffline, Words::offline(&pair.source));
        return other.unwrap_or_else(offline);
    }
    let (Some(source), Some(comparison)) = (pair.source_dataset, &pair.comparison) else {
        trace.holds("the member before it has the dataset", false);
        let state =
            if pair.target_dataset.is_some() { ReplicaState::Unknown } else { ReplicaState::NeverSeeded };
        return blocked(state, Reason::UpstreamFirst, words.upstream());
    };
    let reachable = !survey.input.unreachable.contains(&(pair.source.id, pair.target.id));
    let wanted = !reachable && !matches!(comparison.relation, Relation::UpToDate);
    if pair.decision.is_none()
        && (wanted || lacks_base(pair))
        && let Some(outcome) = instead(survey, pair, target, words, trace)
    {
        return outcome;
    }
    if pair.ahead {
        trace.holds("the member before it has what it has", false);
        return ahead(survey, pair, target, words);
    }
    if survey.input.group.profile == Profile::Classic
        && let Some(outcome) = classic_rules(pair, source, comparison, words, trace)
    {
        return outcome;
    }
    trace.holds(Words::relation_rule(comparison), comparison.relation.conflict().is_none());
    by_relation(survey, pair, Sender { system: pair.source.id, dataset: source }, target, comparison, words)
}

/// The member before this one in the chain has to catch up first.
fn ahead<'a>(survey: &Survey<'_>, pair: &Pair<'a>, target: &DatasetName, words: &Words<'_>) -> Outcome<'a> {
    let first = survey.dataset_on(pair.home, &pair.dataset, pair.home).and_then(Dataset::newest);
    let state = match first {
        Some(newest) if Some(newest.guid) == pair.target_head() => ReplicaState::InSync,
        _ => ReplicaState::Behind,
    };
    let next = match pair.target_dataset.and_then(Dataset::newest) {
        Some(newest) => words.ahead(target, &newest.label),
        None => words.upstream(),
    };
    Outcome::nothing(state, Reason::UpstreamFirst, next)
}

/// What another member can do for the target.
fn instead<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    target: &DatasetName,
    words: &Words<'_>,
    trace: &mut Trace,
) -> Option<Outcome<'a>> {
    let Substitute { sender, name, comparison } = substitute(survey, pair)?;
    let note = words.other_sender(&name, &sender.dataset.name);
    let outcome =
        by_relation(survey, pair, sender, target, &comparison, &words.sent_by(&name, sender.dataset));
    outcome.step.as_ref()?;
    trace.holds("another member has the same history and can send", true);
    Some(outcome.warn(true, Warning::OtherSender).note(note))
}

/// The old service's rules, in front of ours.
fn classic_rules<'a>(
    pair: &Pair<'a>,
    source: &Dataset,
    comparison: &Comparison,
    words: &Words<'_>,
    trace: &mut Trace,
) -> Option<Outcome<'a>> {
    let has_to_send = comparison.relation.conflict().is_none() && !source.snapshots.is_empty();
    if !has_to_send || matches!(comparison.relation, Relation::UpToDate) {
        return None;
    }
    let Some(end) = classic::end(source) else {
        trace.holds("the source has a midnight snapshot", false);
        let state =
            if pair.target_dataset.is_some() { ReplicaState::InSync } else { ReplicaState::NeverSeeded };
        return Some(Outcome::nothing(state, Reason::NoMidnightSnapshot, words.no_midnight()));
    };
    trace.holds("the source has a midnight snapshot", true);
    let newest = pair.target_dataset.and_then(Dataset::newest)?;
    let lag = end.creation.saturating_sub(newest.creation);
    let outside = trace.holds("the target is more than 72 hours behind", lag > classic::WINDOW_SECONDS);
    (!outside).then(|| Outcome::nothing(ReplicaState::InSync, Reason::WithinWindow, words.within_window()))
}
