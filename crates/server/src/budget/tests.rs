//! Tests of the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kazoo::AccountId;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::amounts::Size;
use super::pool::LARGE;
use super::reservation::PATIENCE;
use super::{Budget, Limits, NoRoom, Payer, Reservation};

const MB: usize = 1_000_000;

fn account(letter: &str) -> Payer {
    Payer::Account(AccountId::parse(&letter.repeat(32)).unwrap())
}

fn budget(total: usize) -> Arc<Budget> {
    Arc::new(Budget::new(Limits::of(total)))
}

/// Holds bytes for a request that sent as many.
async fn hold(budget: &Arc<Budget>, payer: Payer, bytes: usize) -> Result<Reservation, NoRoom> {
    hold_for(budget, payer, bytes, bytes).await
}

async fn hold_for(
    budget: &Arc<Budget>,
    payer: Payer,
    sent: usize,
    bytes: usize,
) -> Result<Reservation, NoRoom> {
    let reservation = Reservation::new(budget, payer);
    reservation.has_sent(sent);
    reservation.grow_to(bytes).await.map(|()| reservation)
}

#[tokio::test(start_paused = true)]
async fn strangers_and_one_account_leave_room_to_others() {
    let budget = budget(256 * MB);
    let _strangers = hold(&budget, Payer::Stranger, 24 * MB).await.unwrap();
    assert_eq!(hold(&budget, Payer::Stranger, MB).await.unwrap_err(), NoRoom);
    let _one = hold(&budget, account("a"), 96 * MB).await.unwrap();
    assert_eq!(hold(&budget, account("a"), MB).await.unwrap_err(), NoRoom);
    assert!(hold(&budget, account("b"), MB).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn small_requests_find_room_beside_large_ones() {
    let budget = budget(256 * MB);
    let _large = hold(&budget, Payer::Stranger, 32 * MB).await.unwrap();
    assert!(hold(&budget, Payer::Stranger, LARGE).await.is_ok());
    assert!(hold(&budget, Payer::Stranger, LARGE + 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn small_requests_for_much_share_a_quarter_of_each_limit() {
    let budget = budget(256 * MB);
    let most = |payer| hold_for(&budget, payer, 0, 100 * MB);
    let first = most(account("a")).await.unwrap();
    assert_eq!(first.held(), 24 * MB);
    assert!(most(account("a")).await.is_err());
    let _second = most(account("b")).await.unwrap();
    assert!(most(account("c")).await.is_err());
    // A request that sends a byte may hold four.
    let sender = hold_for(&budget, account("c"), 10 * MB, 40 * MB).await.unwrap();
    assert_eq!(sender.size(), Size { bytes: 40 * MB, surplus: 0 });
    first.has_sent(6 * MB);
    assert!(most(account("c")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_wants_too_much_is_served_when_it_is_alone() {
    let budget = budget(256 * MB);
    let alone = hold(&budget, Payer::Stranger, usize::MAX).await.unwrap();
    assert_eq!(alone.held(), 24 * MB);
    assert!(hold(&budget, Payer::Stranger, usize::MAX).await.is_err());
    drop(alone);
    assert!(hold(&budget, Payer::Stranger, usize::MAX).await.is_ok());
    assert_eq!(budget.used(), Size::default());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_gets_the_room_that_another_gives_back() {
    let budget = budget(256 * MB);
    let first = hold(&budget, Payer::Stranger, 24 * MB).await.unwrap();
    let waiting = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { hold(&budget, Payer::Stranger, 20 * MB).await.map(|held| held.held()) }
    });
    tokio::time::sleep(PATIENCE / 2).await;
    first.shrink_to(MB);
    assert_eq!(waiting.await.unwrap(), Ok(20 * MB));
}

/// Two requests whose bodies have arrived want all the room that there is for one.
#[tokio::test(start_paused = true)]
async fn requests_that_wait_do_not_wait_for_each_other() {
    let budget = budget(256 * MB);
    let works = |budget: Arc<Budget>| async move {
        let reservation = hold(&budget, Payer::Stranger, 7 * MB).await?;
        tokio::time::sleep(PATIENCE / 10).await;
        reservation.grow_to(usize::MAX).await?;
        tokio::time::sleep(PATIENCE / 10).await;
        Ok::<_, NoRoom>(())
    };
    let both = [tokio::spawn(works(Arc::clone(&budget))), tokio::spawn(works(Arc::clone(&budget)))];
    for request in both {
        assert_eq!(request.await.unwrap(), Ok(()));
    }
    let used = budget.lock();
    assert_eq!((used.held.total, used.idle.total), (Size::default(), Size::default()));
}

#[tokio::test]
async fn a_request_that_waits_for_another_one_leaves_room_to_it() {
    let budget = budget(256 * MB);
    let first = hold_for(&budget, Payer::Stranger, 0, MB).await.unwrap();
    let second = hold_for(&budget, Payer::Stranger, 0, MB).await.unwrap();
    let (done, is_done) = tokio::sync::oneshot::channel();
    let works = async {
        first.grow_to(usize::MAX).await.unwrap();
        done.send(first.held()).unwrap();
    };
    let (waited, ()) = futures::join!(second.idle_while(is_done), works);
    // All that small requests for much may have, although the other one holds some of it.
    assert_eq!(waited.unwrap(), Ok(6 * MB));
    drop((first, second));
    assert_eq!(budget.used(), Size::default());
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_holds_moves_to_the_account_that_pays() {
    let budget = budget(256 * MB);
    let held = hold(&budget, Payer::Stranger, 20 * MB).await.unwrap();
    let Payer::Account(id) = account("a") else { unreachable!() };
    held.bill(&id);
    assert_eq!(budget.used().bytes, 20 * MB);
    assert!(hold(&budget, Payer::Stranger, 20 * MB).await.is_ok());
    drop(held);
    assert_eq!(budget.used(), Size::default());
    assert!(budget.lock().held.accounts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_portion_grows_and_shrinks_beside_what_the_request_holds() {
    let budget = budget(256 * MB);
    let request = Arc::new(hold_for(&budget, account("a"), 0, 4 * MB).await.unwrap());
    let (one, other) = (request.portion(), request.portion());
    one.set(10 * MB).await.unwrap();
    assert!(other.try_set(2 * MB) && one.try_set(3 * MB));
    assert_eq!((request.held(), budget.used().bytes), (4 * MB, 9 * MB));
    // Together they get the most that one request can hold.
    other.set(usize::MAX).await.unwrap();
    assert_eq!(budget.used().bytes, 24 * MB);
    drop(other);
    one.keep();
    assert_eq!((request.held(), budget.used().bytes), (7 * MB, 7 * MB));
    drop(one);
    request.shrink_to(MB);
    assert_eq!(budget.used().bytes, MB);
    drop(request);
    assert_eq!(budget.used(), Size::default());
}

/// Two parts of a request wait for room. Afterwards all of it is given back, and nothing counts as idle.
#[tokio::test(start_paused = true)]
async fn portions_of_several_requests_take_turns() {
    let budget = budget(256 * MB);
    let works = |budget: Arc<Budget>| async move {
        let request = Arc::new(hold_for(&budget, account("a"), 0, MB).await?);
        let (one, other) = (request.portion(), request.portion());
        let (first, second) = futures::join!(one.set(8 * MB), other.set(8 * MB));
        first.and(second)?;
        tokio::time::sleep(PATIENCE / 10).await;
        Ok::<_, NoRoom>(())
    };
    let all: Vec<_> = (0..4).map(|_| tokio::spawn(works(Arc::clone(&budget)))).collect();
    for request in all {
        assert_eq!(request.await.unwrap(), Ok(()));
    }
    let used = budget.lock();
    assert_eq!((used.held.total, used.idle.total), (Size::default(), Size::default()));
    assert!(!used.is_overdrawn);
}

/// The chore is done again and again while a request holds much, and once more after it.
#[tokio::test]
async fn memory_is_swept_while_much_is_reserved() {
    static SWEPT: AtomicUsize = AtomicUsize::new(0);
    let swept = || SWEPT.load(Ordering::Relaxed);
    let wait_for = async |times: usize| {
        while swept() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let budget = budget(256 * MB);
    let sweep = || {
        SWEPT.fetch_add(1, Ordering::Relaxed);
    };
    budget.sweep_with(sweep).unwrap();
    wait_for(1).await;
    let small = hold(&budget, account("a"), MB).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(swept(), 1);
    let large = hold(&budget, account("a"), 20 * MB).await.unwrap();
    wait_for(4).await;
    drop(large);
    let mut before = 0;
    while before != swept() {
        before = swept();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(small);
    drop(budget);
    wait_for(before + 1).await;
}

#[derive(Clone, Debug)]
enum Step {
    Grow(usize, usize),
    Shrink(usize, usize),
    Send(usize, usize),
    Bill(usize, bool),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..8usize, 0..400_000usize).prop_map(|(n, bytes)| Step::Grow(n, bytes)),
        (0..8usize, 0..400_000usize).prop_map(|(n, bytes)| Step::Shrink(n, bytes)),
        (0..8usize, 0..40_000usize).prop_map(|(n, bytes)| Step::Send(n, bytes)),
        (0..8usize, any::<bool>()).prop_map(|(n, second)| Step::Bill(n, second)),
        (0..8usize).prop_map(Step::Drop),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn no_limit_is_passed_and_everything_is_given_back(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let limits = Limits::of(1_000_000);
        let budget = Arc::new(Budget::new(limits));
        let mut reservations: Vec<_> =
            (0..8).map(|_| Reservation::new(&budget, Payer::Stranger)).collect();
        let mut sent = [0; 8];
        for step in steps {
            match step {
                Step::Grow(n, bytes) => {
                    let before = reservations[n].held();
                    let most = budget.most(&Payer::Stranger, sent[n]);
                    match runtime.block_on(reservations[n].grow_to(bytes)) {
                        Ok(()) => prop_assert!(reservations[n].held() >= bytes.min(most).max(before)),
                        Err(NoRoom) => prop_assert_eq!(reservations[n].held(), before),
                    }
                }
                Step::Send(n, bytes) => {
                    sent[n] += bytes;
                    reservations[n].has_sent(sent[n]);
                }
                Step::Shrink(n, bytes) => reservations[n].shrink_to(bytes),
                Step::Bill(n, second) => {
                    let Payer::Account(id) = account(if second { "b" } else { "a" }) else { unreachable!() };
                    reservations[n].bill(&id);
                }
                Step::Drop(n) => {
                    reservations[n] = Reservation::new(&budget, Payer::Stranger);
                    sent[n] = 0;
                }
            }
            let used = &budget.lock().held;
            prop_assert!(used.total.fits_in(limits.total) && used.strangers.fits_in(limits.strangers));
            let sum = |sizes: &mut dyn Iterator<Item = Size>| sizes.fold(Size::default(), Size::plus);
            prop_assert_eq!(used.total, sum(&mut reservations.iter().map(Reservation::size)));
            prop_assert_eq!(used.total, used.strangers.plus(sum(&mut used.accounts.values().copied())));
        }
        drop(reservations);
        prop_assert_eq!(budget.used(), Size::default());
    }
}
