//! Sessions of the dashboard: a cookie that stands for a key until its time is over. The dashboard opens and closes them; here they
//! are only recognised, so that its pages may read the API.

use http::{HeaderMap, header};

use super::{
    Caller, caller,
    secret::{self, Kind},
};
use crate::{error::Answer, state::AppState};

/// The cookie's name.
const COOKIE: &str = "zfs_sync_session";

/// The owner of the request's session; `None` without one, or when it is over.
pub(crate) async fn authenticate(state: &AppState, headers: &HeaderMap) -> Answer<Option<Caller>> {
    let Some(text) = cookie(headers) else { return Ok(None) };
    // The text is looked up by its hash, so that comparing takes no longer for a text that begins well.
    match state.store.session(secret::hash(text), state.now()).await? {
        Some(row) => caller(row).map(Some),
        None => Ok(None),
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, text) = pairs.find(|(name, _)| *name == COOKIE)?;
    secret::prefix(Kind::Session, text).map(|_| text)
}
