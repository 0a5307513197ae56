//! The addresses that showed good credentials of an account within the last day: a login, Basic, or a token. They
//! are kept in memory, and the least recently used ones go first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kazoo::AccountId;

/// How long an address counts as known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How many pairs of account and address are kept: the number of parts, and of pairs in each. All pairs of an
/// account are in one part, so an account whose users log in from very many addresses pushes out those of few
/// others.
const PARTS: usize = 64;
const PAIRS_IN_PART: usize = 2_048;

/// The pairs in one part, and when each of them was used last.
type Part = HashMap<(AccountId, IpAddr), Instant>;

/// Which addresses showed good credentials of which accounts.
pub(super) struct KnownAddresses {
    parts: Vec<Mutex<Part>>,
    /// Seeded by chance, so that nobody can tell which accounts share a part.
    hasher: RandomState,
}

impl KnownAddresses {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Remembers good credentials.
    pub(super) fn remember(&self, account_id: &AccountId, address: IpAddr, now: Instant) {
        let Some(mut part) = self.part(account_id) else { return };
        let pair = (account_id.clone(), address);
        if part.len() >= PAIRS_IN_PART && !part.contains_key(&pair) {
            part.retain(|_, at| is_recent(*at, now));
            if part.len() >= PAIRS_IN_PART {
                let oldest = part.iter().min_by_key(|(_, at)| **at).map(|(pair, _)| pair.clone());
                oldest.and_then(|oldest| part.remove(&oldest));
            }
        }
        part.insert(pair, now);
    }

    /// Whether the address showed good credentials of the account within the last day.
    pub(super) fn contains(&self, account_id: &AccountId, address: IpAddr, now: Instant) -> bool {
        let at = self.part(account_id).and_then(|part| part.get(&(account_id.clone(), address)).copied());
        at.is_some_and(|at| is_recent(at, now))
    }

    fn part(&self, account_id: &AccountId) -> Option<MutexGuard<'_, Part>> {
        let parts = u64::try_from(self.parts.len()).ok()?;
        let place = self.hasher.hash_one(account_id).checked_rem(parts)?;
        let part = self.parts.get(usize::try_from(place).ok()?)?;
        Some(part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < KNOWN_FOR
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use kazoo::AccountId;

    use super::{KnownAddresses, PAIRS_IN_PART, PARTS};

    fn account(number: usize) -> AccountId {
        AccountId::parse(&format!("{number:032x}")).unwrap()
    }

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).unwrap().to_be_bytes())
    }

    #[test]
    fn an_account_can_have_many_addresses_and_the_one_unused_longest_goes_first() {
        let known = KnownAddresses::new();
        let begin = Instant::now();
        let at = |seconds: usize| begin + Duration::from_secs(u64::try_from(seconds).unwrap());
        let account = account(1);
        for n in 0..PAIRS_IN_PART {
            known.remember(&account, address(n), at(n));
        }
        let now = at(PAIRS_IN_PART);
        assert!((0..PAIRS_IN_PART).all(|n| known.contains(&account, address(n), now)));
        // An address that is known already takes no other address's place.
        known.remember(&account, address(2), now);
        assert!(known.contains(&account, address(0), now));
        // The first logs in again, so the second goes.
        known.remember(&account, address(0), now);
        known.remember(&account, address(PAIRS_IN_PART), now);
        let contains = |n| known.contains(&account, address(n), now);
        assert!(contains(0) && !contains(1) && contains(2) && contains(PAIRS_IN_PART));
    }

    #[test]
    fn all_accounts_together_have_a_bound_and_one_of_them_fills_one_part() {
        let known = KnownAddresses::new();
        let now = Instant::now();
        for n in 0..PARTS * PAIRS_IN_PART * 17 / 16 {
            known.remember(&account(n), address(n), now);
        }
        let kept: Vec<_> = known.parts.iter().map(|part| part.lock().unwrap().len()).collect();
        assert!(kept.iter().all(|count| *count <= PAIRS_IN_PART), "{kept:?}");
        let known = KnownAddresses::new();
        for n in 0..2 * PAIRS_IN_PART {
            known.remember(&account(1), address(n), now);
        }
        let filled = known.parts.iter().filter(|part| !part.lock().unwrap().is_empty()).count();
        assert_eq!(filled, 1);
    }
}
