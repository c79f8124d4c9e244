//! Places for connections that have not yet shown who they are.
//!
//! Anybody who reaches the port can take one, so that they are apart from the places of those who are known, and nobody is refused one: whoever
//! comes last takes the place of the one that has waited longest, from the same network if that has many. An honest handshake takes some
//! round trips, and whoever says nothing becomes the oldest.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Handshakes at a time.
const MOST: usize = 512;
/// Of one address; several agents may be behind one, and each begins some at once.
const MOST_OF_ONE: usize = 128;

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the order in which they came.
    waiting: BTreeMap<u64, (IpAddr, CancellationToken)>,
    next: u64,
}

/// One of them; its place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    of: &'a Handshakes,
    number: u64,
    /// Cancelled when somebody else has taken the place.
    pub(super) over: CancellationToken,
}

impl Handshakes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there, at the cost of another one where there is none.
    pub(super) fn begin(&self, from: IpAddr) -> Handshake<'_> {
        let (network, over) = (network(from), CancellationToken::new());
        let mut state = self.state();
        let of_one: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, (other, _))| *other == network)
            .map(|(number, _)| *number)
            .collect();
        let oldest = if of_one.len() >= MOST_OF_ONE {
            of_one.first().copied()
        } else if state.waiting.len() >= MOST {
            state.waiting.keys().next().copied()
        } else {
            None
        };
        if let Some((_, other)) = oldest.and_then(|number| state.waiting.remove(&number)) {
            other.cancel();
        }
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, (network, over.clone()));
        Handshake { of: self, number, over }
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.of.state().waiting.remove(&self.number);
    }
}

/// Whoever has one address of IPv6 has as many as there are in its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    #[test]
    fn the_last_of_an_address_that_has_many_takes_the_place_of_its_oldest() {
        let handshakes = Handshakes::default();
        let other = handshakes.begin(address(2));
        let many: Vec<_> = (0..MOST_OF_ONE).map(|_| handshakes.begin(address(1))).collect();
        assert!(many.iter().all(|one| !one.over.is_cancelled()));
        let last = handshakes.begin(address(1));
        assert!(many[0].over.is_cancelled() && !many[1].over.is_cancelled() && !last.over.is_cancelled());
        assert!(!other.over.is_cancelled(), "an older one, and not of theirs");
    }

    #[test]
    fn where_all_are_taken_the_oldest_goes() {
        let handshakes = Handshakes::default();
        let many: Vec<_> = (0..MOST).map(|number| handshakes.begin(address(number))).collect();
        assert!(many.iter().all(|one| !one.over.is_cancelled()));
        let last = handshakes.begin(address(MOST));
        assert!(many[0].over.is_cancelled() && !many[1].over.is_cancelled() && !last.over.is_cancelled());
        drop(many);
        drop(last);
        assert!(handshakes.state().waiting.is_empty());
    }

    #[test]
    fn all_of_a_network_are_one() {
        let [one, same, other] =
            ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"].map(|text| network(text.parse().unwrap()));
        assert!(one == same && one != other);
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
    }
}
