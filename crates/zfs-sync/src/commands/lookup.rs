//! From what a person typed to the one thing that is meant: a name, an id, or the beginning of an id. Never a guess.

use uuid::Uuid;
use zfs_sync_api::{
    client::{Client, TransferQuery},
    codes::ErrorCode,
    v1::{group::Group, key::EnrolmentToken, system::System, transfer::Transfer},
};

use crate::{failure::Failure, settings::nearest};

/// The shortest beginning of an id that is looked up.
const SHORTEST_PREFIX: usize = 4;

struct Kind {
    name: &'static str,
    not_found: ErrorCode,
    list: &'static str,
}

pub(super) async fn system(client: &Client, text: &str) -> Result<System, Failure> {
    let kind = Kind { name: "system", not_found: ErrorCode::SystemNotFound, list: "zfs-sync system list" };
    let systems = client.list_systems().await?;
    choose(systems, text, &kind, |system| Some(&system.hostname), |system| system.id.as_uuid())
}

pub(super) async fn group(client: &Client, text: &str) -> Result<Group, Failure> {
    let kind = Kind { name: "sync group", not_found: ErrorCode::GroupNotFound, list: "zfs-sync group list" };
    let groups = client.list_groups().await?;
    choose(groups, text, &kind, |group| Some(&group.name), |group| group.id.as_uuid())
}

pub(super) async fn token(client: &Client, text: &str) -> Result<EnrolmentToken, Failure> {
    let kind =
        Kind { name: "enrolment token", not_found: ErrorCode::NotFound, list: "zfs-sync system token list" };
    let tokens = client.list_enrolment_tokens().await?;
    choose(tokens, text, &kind, |_| None, |token| token.id.as_uuid())
}

pub(super) async fn transfer(client: &Client, text: &str) -> Result<Transfer, Failure> {
    if let Ok(id) = text.parse::<Uuid>() {
        return Ok(client.find_transfer(id.into()).await?);
    }
    let kind =
        Kind { name: "transfer", not_found: ErrorCode::TransferNotFound, list: "zfs-sync transfer list" };
    let transfers =
        client.list_transfers(&TransferQuery { limit: 10_000, ..TransferQuery::default() }).await?;
    choose(transfers, text, &kind, |_| None, |transfer| transfer.id.as_uuid())
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
            Err(Failure::new(ErrorCode::SelectorInvalid, detail)
                .context("matches", ids.join(", "))
                .unchanged())
        }
        (None, _) => {
            let names: Vec<&str> = others.iter().filter_map(|item| name(item).map(String::as_str)).collect();
            let failure = Failure::new(kind.not_found, format!("no {} `{text}` here", kind.name))
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

    const KIND: Kind =
        Kind { name: "thing", not_found: ErrorCode::GroupNotFound, list: "zfs-sync group list" };

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
        assert!(failure.to_text(str::to_owned).contains("did you mean `prod`?"));
    }
}
