//! Plans, reports and proposals as texts to compare with.

use std::fmt::Write as _;

use zfs_sync_core::{
    ids::SystemId,
    plan::{
        Action, Base, Casualty, Conflict, ConflictSide, Decision, MakeRoom, Plan, ReplicaReport, Send,
        propose,
    },
    size::ByteCount,
};

use crate::{fleet::Fleet, parse::Question};

impl Fleet {
    /// The plan and its reasons, for people and for comparing.
    pub(crate) fn render(&self) -> String {
        let (plan, report) = self.plan();
        let mut text = String::new();
        for warning in &report.warnings {
            writeln!(text, "group: {warning}").unwrap();
        }
        for replica in &report.replicas {
            self.render_replica(&mut text, replica);
        }
        self.render_order(&mut text, &plan);
        text
    }

    fn name(&self, system: SystemId) -> &str {
        self.systems.get(&system).map_or("a stranger", |system| &system.name)
    }

    fn render_order(&self, text: &mut String, plan: &Plan) {
        let order: Vec<String> = plan
            .steps
            .iter()
            .map(|step| format!("{}@{}", step.target, self.name(step.target_system)))
            .collect();
        writeln!(text, "order: {}", if order.is_empty() { "-".to_owned() } else { order.join(", ") })
            .unwrap();
        for lost in &plan.destroys {
            let place = format!("{}@{}", lost.dataset, lost.casualty.label);
            writeln!(text, "destroys: {place} on {}, {}", self.name(lost.system), size(&lost.casualty))
                .unwrap();
        }
    }

    fn render_replica(&self, text: &mut String, replica: &ReplicaReport) {
        let ReplicaReport {
            source,
            target,
            state,
            reason,
            warnings,
            facts,
            next,
            step,
            snapshot_lag,
            conflict,
            ..
        } = replica;
        let (from, to) = (self.name(replica.source_system), self.name(replica.target_system));
        writeln!(text, "{source}@{from} to {target}@{to}: {state}, lag {snapshot_lag}").unwrap();
        for fact in facts {
            let as_of =
                fact.as_of.map_or_else(|| "--:--".to_owned(), |as_of| as_of.strftime("%H:%M").to_string());
            writeln!(text, "  {as_of} {}", fact.text).unwrap();
        }
        let codes = reason.iter().map(ToString::to_string).chain(warnings.iter().map(ToString::to_string));
        let codes: Vec<String> = codes.collect();
        if !codes.is_empty() {
            writeln!(text, "  {}", codes.join(" ")).unwrap();
        }
        if let Some(conflict) = conflict {
            self.render_conflict(text, conflict);
        }
        if let Some(step) = step {
            let sender = if step.source_system == replica.source_system || step.action.is_local() {
                String::new()
            } else {
                format!("from {}: ", self.name(step.source_system))
            };
            writeln!(text, "  > {sender}{}", render_action(&step.action)).unwrap();
        }
        writeln!(text, "  {next}").unwrap();
    }

    fn render_conflict(&self, text: &mut String, conflict: &Conflict) {
        let Conflict { kind, severity, source, target, bytes_at_stake, strategies, suggested, .. } = conflict;
        let stake = if *bytes_at_stake > 0 {
            format!(", {} at stake", ByteCount(*bytes_at_stake))
        } else {
            String::new()
        };
        writeln!(text, "  ! {}, {}{stake}", kind.as_str(), severity.as_str()).unwrap();
        writeln!(text, "    {}; {}", self.render_side(source), self.render_side(target)).unwrap();
        for head in &conflict.other_heads {
            writeln!(text, "    also: {}", self.render_side(head)).unwrap();
        }
        let possible: Vec<&str> = strategies
            .iter()
            .filter(|offer| offer.obstacle.is_none())
            .map(|offer| offer.strategy.as_str())
            .collect();
        if !possible.is_empty() {
            let suggested =
                suggested.map_or_else(String::new, |best| format!(" (suggested: {})", best.as_str()));
            writeln!(text, "    can: {}{suggested}", possible.join(", ")).unwrap();
        }
        let mut obstacles: Vec<(&str, Vec<&str>)> = Vec::new();
        for offer in strategies {
            let Some(obstacle) = &offer.obstacle else { continue };
            match obstacles.iter_mut().find(|(text, _)| text == obstacle) {
                Some((_, names)) => names.push(offer.strategy.as_str()),
                None => obstacles.push((obstacle, vec![offer.strategy.as_str()])),
            }
        }
        for (obstacle, names) in obstacles {
            let names = if names.len() == strategies.len() { "any".to_owned() } else { names.join(", ") };
            writeln!(text, "    not {names}: {obstacle}").unwrap();
        }
    }

    fn render_side(&self, side: &ConflictSide) -> String {
        let head = side.head.as_ref().map_or_else(|| "nothing".to_owned(), |head| format!("@{}", head.label));
        let only: Vec<String> =
            side.only_here.iter().map(|casualty| format!("@{}", casualty.label)).collect();
        let only = if only.is_empty() { String::new() } else { format!(", alone with {}", only.join(" ")) };
        format!("{} ends with {head}{only}", self.name(side.system))
    }

    /// What a strategy comes to.
    pub(crate) fn render_proposal(&self, question: &Question) -> String {
        let Question { key, strategy } = question;
        let mut text = String::new();
        let title = format!("{}@{}: {}", key.dataset, self.name(key.target_system), strategy.as_str());
        writeln!(text, "proposal for {title}").unwrap();
        let proposal = self.with_input(|input| propose(input, key, *strategy));
        match proposal {
            Err(refusal) => writeln!(text, "  refused: {refusal}").unwrap(),
            Ok(proposal) => {
                self.render_decision(&mut text, &proposal.decision);
                for step in &proposal.plan.steps {
                    let place = format!("{}@{}", step.target, self.name(step.target_system));
                    writeln!(text, "  > {place}: {}", render_action(&step.action)).unwrap();
                }
                for lost in &proposal.plan.destroys {
                    let place = format!("{}@{}", lost.dataset, lost.casualty.label);
                    writeln!(
                        text,
                        "  destroys {place} on {}, {}",
                        self.name(lost.system),
                        size(&lost.casualty)
                    )
                    .unwrap();
                }
            }
        }
        text
    }

    fn render_decision(&self, text: &mut String, decision: &Decision) {
        let targets: Vec<&str> = decision.targets.iter().map(|target| self.name(*target)).collect();
        let how = match decision.how {
            MakeRoom::SetAside => "set aside",
            MakeRoom::RollBack => "roll back, or set aside where nothing is common",
            MakeRoom::RollBackOnly => "roll back",
        };
        writeln!(text, "  follow {} on {}: {how}", self.name(decision.winner), targets.join(", ")).unwrap();
        for (system, guids) in &decision.may_destroy {
            let guids: Vec<String> = guids.iter().map(ToString::to_string).collect();
            writeln!(text, "  may destroy {} on {}", guids.join(", "), self.name(*system)).unwrap();
        }
        for (system, bytes) in &decision.may_discard {
            if *bytes > 0 {
                writeln!(text, "  may discard {} on {}", ByteCount(*bytes), self.name(*system)).unwrap();
            }
        }
    }
}

fn size(casualty: &Casualty) -> String {
    format!("{} alone in it", ByteCount(casualty.used))
}

fn render_action(action: &Action) -> String {
    let labels = |casualties: &[Casualty]| {
        let labels: Vec<String> = casualties.iter().map(|casualty| format!("@{}", casualty.label)).collect();
        if labels.is_empty() { "nothing".to_owned() } else { labels.join(" ") }
    };
    match action {
        Action::SetAside { rename_to, .. } => format!("rename to {rename_to}"),
        Action::FollowRename { rename_from, .. } => format!("rename from {rename_from}"),
        Action::RollBack { to_label, destroys, discards, .. } => {
            let written =
                if *discards > 0 { format!(", discards {}", ByteCount(*discards)) } else { String::new() };
            format!("back to @{to_label}, destroys {}{written}", labels(destroys))
        }
        Action::DestroySnapshots { destroys, .. } => format!("destroy {}", labels(destroys)),
        Action::Send(send) => render_send(send),
    }
}

fn render_send(send: &Send) -> String {
    let mut text = if send.raw { "raw " } else { "" }.to_owned();
    let to = &send.to.label;
    match (&send.base, send.resume) {
        (_, true) => write!(text, "resume to @{to}"),
        (None, _) => write!(text, "full @{to}"),
        (Some(Base::Snapshot(base)), _) => write!(text, "-I @{}..@{to} ({})", base.label, send.snapshots),
        (Some(Base::Bookmark(base)), _) => write!(text, "-i #{}..@{to}", base.label),
        (Some(Base::Origin { dataset, point }), _) => write!(text, "-i {dataset}@{}..@{to}", point.label),
    }
    .unwrap();
    if let Some(origin) = &send.target_origin {
        write!(text, ", as a clone of {}", origin.dataset).unwrap();
    }
    if let Some(guid) = send.discard_partial {
        write!(text, ", discard {guid}").unwrap();
    }
    for parent in &send.create_parents {
        write!(text, ", create {parent}").unwrap();
    }
    text
}
