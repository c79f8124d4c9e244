//! From what a person typed to the one thing that is meant: a name, an id, or the beginning of an id. Never a guess.

use uuid::Uuid;
use zfs_sync_api::{
    client::{Client, ConflictQuery, TransferQuery},
    codes::ErrorCode,
    v1::{
        conflict::{Conflict, ConflictState},
        group::Group,
        key::EnrolmentToken,
        plan::Plan,
        system::System,
        transfer::Transfer,
    },
};

use crate::{failure::Failure, settings::nearest};

/// The shortest beginning of an id that is looked up.
const SHORTEST_PREFIX: usize = 4;

/// Conflicts among which a beginning is looked up: the newest.
const MOST_CONFLICTS: u32 = 1000;

struct Kind {
    name: &'static str,
    /// What the argument is called in the usage.
    argument: &'static str,
    not_found: ErrorCode,
    list: &'static str,
}

pub(super) async fn system(client: &Client, text: &str) -> Result<System, Failure> {
    let kind = Kind {
        name: "system",
        argument: "SYSTEM",
        not_found: ErrorCode::SystemNotFound,
        list: "zfs-sync system list",
    };
    let systems = client.list_systems().await?;
    choose(systems, text, &kind, |system| Some(&system.hostname), |system| system.id.as_uuid())
}

pub(super) async fn group(client: &Client, text: &str) -> Result<Group, Failure> {
    let kind = Kind {
        name: "sync group",
        argument: "GROUP",
        not_found: ErrorCode::GroupNotFound,
        list: "zfs-sync group list",
    };
    let groups = client.list_groups().await?;
    choose(groups, text, &kind, |group| Some(&group.name), |group| group.id.as_uuid())
}

pub(super) async fn token(client: &Client, text: &str) -> Result<EnrolmentToken, Failure> {
    let kind = Kind {
        name: "enrolment token",
        argument: "TOKEN",
        not_found: ErrorCode::NotFound,
        list: "zfs-sync system token list",
    };
    let tokens = client.list_enrolment_tokens().await?;
    choose(tokens, text, &kind, |_| None, |token| token.id.as_uuid())
}

pub(super) async fn transfer(client: &Client, text: &str) -> Result<Transfer, Failure> {
    if let Ok(id) = text.parse::<Uuid>() {
        return Ok(client.find_transfer(id.into()).await?);
    }
    let kind = Kind {
        name: "transfer",
        argument: "TRANSFER",
        not_found: ErrorCode::TransferNotFound,
        list: "zfs-sync transfer list",
    };
    let transfers =
        client.list_transfers(&TransferQuery { limit: 10_000, ..TransferQuery::default() }).await?;
    choose(transfers, text, &kind, |_| None, |transfer| transfer.id.as_uuid())
}

/// A conflict by its id, or by its replica: `DATASET@SYSTEM`, open ones before those that are over.
pub(super) async fn conflict(client: &Client, text: &str) -> Result<Conflict, Failure> {
    let kind = Kind {
        name: "conflict",
        argument: "ID|DATASET@SYSTEM",
        not_found: ErrorCode::ConflictNotFound,
        list: "zfs-sync conflict list --state all",
    };
    if let Ok(id) = text.parse::<Uuid>() {
        let found = client.find_conflict(id.into()).await;
        return found.map_err(|error| Failure::from(error).argument(kind.argument, named_none(text, &kind)));
    }
    let all = |system: Option<String>, dataset: Option<String>| ConflictQuery {
        system,
        dataset,
        state: Some("all".to_owned()),
        limit: Some(MOST_CONFLICTS),
        ..ConflictQuery::default()
    };
    let Some((dataset, host)) = text.rsplit_once('@') else {
        let conflicts = client.list_conflicts(&all(None, None)).await?;
        let found = choose(conflicts, text, &kind, |_| None, |conflict| conflict.id.as_uuid());
        let how = "name a conflict by its replica (DATASET@SYSTEM, the system that receives), or by its id or the beginning of it";
        return found.map_err(|failure| failure.hint(how));
    };
    let system = system(client, host).await?;
    let query = all(Some(system.id.to_string()), Some(dataset.to_owned()));
    let mut conflicts = client.list_conflicts(&query).await?;
    conflicts.retain(|conflict| conflict.report.target.system == system.id);
    let over = |conflict: &Conflict| conflict.state == ConflictState::Resolved;
    if conflicts.iter().any(|conflict| !over(conflict)) {
        conflicts.retain(|conflict| !over(conflict));
    } else {
        // The newest first: what is over is asked about by its end.
        conflicts.truncate(1);
    }
    let ids: Vec<_> =
        conflicts.iter().map(|conflict| format!("{} ({})", conflict.id, conflict.group)).collect();
    match (conflicts.pop(), conflicts.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), _) => {
            let detail = format!("`{text}` is in conflict in {} groups; name one by its id", ids.len());
            Err(Failure::new(ErrorCode::SelectorInvalid, &detail)
                .argument(kind.argument, detail)
                .context("matches", ids.join(", "))
                .fix(kind.list)
                .unchanged())
        }
        (None, _) => {
            Err(Failure::new(kind.not_found, format!("{dataset} on {} is not in conflict", system.hostname))
                .argument(kind.argument, named_none(text, &kind))
                .hint("after the @ stands the system that receives")
                .unchanged()
                .fix(kind.list)
                .fix(format!("zfs-sync why {}", zfs_sync_zfs::command::quote(text))))
        }
    }
}

/// A plan by its id, in full: plans are not listed, and a beginning could be another one tomorrow.
pub(super) async fn plan(client: &Client, text: &str) -> Result<Plan, Failure> {
    let id: Uuid = text.parse().map_err(|_| {
        Failure::new(ErrorCode::SelectorInvalid, format!("`{text}` is no id of a plan"))
            .argument("PLAN", format!("`{text}` is no id"))
            .hint("`zfs-sync conflict resolve CONFLICT --strategy STRATEGY --dry-run` prints it; it is needed in full")
            .unchanged()
    })?;
    let found = client.find_plan(id.into()).await;
    found.map_err(|error| Failure::from(error).argument("PLAN", format!("`{text}` names no plan")))
}

fn named_none(text: &str, kind: &Kind) -> String {
    format!("`{text}` names no {}", kind.name)
}

fn choose<T>(
    items: Vec<T>,
    text: &str,
    kind: &Kind,
    name: impl Fn(&T) -> Option<&String>,
    id: impl Fn(&T) -> Uuid,
) -> Result<T, Failure> {
    let wanted = text.to_lowercase();
    let by_name =
        items.iter().position(|item| name(item).is_some_and(|name| name.eq_ignore_ascii_case(text)));
    if let Some(index) = by_name {
        return Ok(items.into_iter().nth(index).expect("the index was found in this list"));
    }
    let (mut matching, others): (Vec<T>, Vec<T>) = items
        .into_iter()
        .partition(|item| wanted.len() >= SHORTEST_PREFIX && id(item).to_string().starts_with(&wanted));
    match (matching.pop(), matching.len()) {
        (Some(only), 0) => Ok(only),
        (Some(last), _) => {
            matching.push(last);
            let ids: Vec<_> = matching.iter().map(|item| id(item).to_string()).collect();
            let detail = format!("`{text}` is the beginning of {} ids", ids.len());
            Err(Failure::new(ErrorCode::SelectorInvalid, &detail)
                .argument(kind.argument, detail)
                .context("matches", ids.join(", "))
                .hint("write more of it")
                .unchanged())
        }
        (None, _) => {
            let names: Vec<&str> = others.iter().filter_map(|item| name(item).map(String::as_str)).collect();
            let failure = Failure::new(kind.not_found, format!("no {} `{text}` here", kind.name))
                .argument(kind.argument, named_none(text, kind))
                .unchanged()
                .fix(kind.list);
            Err(match nearest(text, &names) {
                Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
                None => failure,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        name: "thing",
        argument: "THING",
        not_found: ErrorCode::GroupNotFound,
        list: "zfs-sync group list",
    };

    fn find(text: &str) -> Result<(String, Uuid), Failure> {
        let items = vec![
            ("prod".to_owned(), Uuid::from_u128(0xabcd_0000 << 96)),
            ("lab".to_owned(), Uuid::from_u128(0xabcd_1111 << 96)),
        ];
        choose(items, text, &KIND, |item| Some(&item.0), |item| item.1)
    }

    #[test]
    fn a_name_or_the_beginning_of_an_id_is_enough() {
        assert_eq!(find("PROD").unwrap().0, "prod");
        assert_eq!(find("abcd1").unwrap().0, "lab");
    }

    #[test]
    fn what_fits_several_is_never_guessed() {
        let failure = find("abcd").unwrap_err();
        assert_eq!((failure.code(), failure.exit()), ("E_SELECTOR_INVALID", 2));
    }

    #[test]
    fn what_fits_none_is_not_found_with_the_word_that_was_meant() {
        let failure = find("prodd").unwrap_err();
        assert_eq!(failure.exit(), 3);
        let text = failure.to_text(str::to_owned);
        assert!(text.contains("did you mean `prod`?"), "{text}");
        assert!(text.contains("   field    THING: `prodd` names no thing\n"), "{text}");
    }
}
