//! Makes jemalloc give memory back to the system soon enough. Its own thread wakes ten times a second, and a large
//! request frees tens of megabytes between two of these times. Without jemalloc, nothing is done.

#[cfg(feature = "jemalloc")]
pub(crate) use jemalloc::{give_back, give_large_back_at_once};

#[cfg(not(feature = "jemalloc"))]
pub(crate) use system::{give_back, give_large_back_at_once};

#[cfg(feature = "jemalloc")]
mod jemalloc {
    use tikv_jemalloc_ctl::{Access as _, AsName as _, Result, arenas};

    /// It is larger than the threshold in `.cargo/config.toml`.
    const LARGE: usize = 1 << 20;

    /// From now on, what a large allocation used goes back when it is freed. jemalloc does so by itself only if it has no
    /// thread in the background.
    pub(crate) fn give_large_back_at_once() {
        // The arena of large allocations is the last one, once there was one.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
        if let Err(error) = arenas::narenas::read().and_then(|count| set_decay(count.saturating_sub(1), 0)) {
            log::warn!("large memory is given back late: {error}");
        }
    }

    /// Gives back what is free now.
    pub(crate) fn give_back() {
        for arena in 0..arenas::narenas::read().unwrap_or(0) {
            // An arena that no thread uses yet has no decay, and nothing to give back.
            let _ = give_back_of(arena);
        }
    }

    /// An arena gives back all that is free when its decay becomes zero. There is an order to do only that, but no safe
    /// function for it.
    pub(super) fn give_back_of(arena: u32) -> Result<()> {
        let before = decay(arena)?;
        set_decay(arena, 0)?;
        set_decay(arena, before)
    }

    pub(super) fn decay(arena: u32) -> Result<isize> {
        name(arena).as_str().name().read()
    }

    fn set_decay(arena: u32, milliseconds: isize) -> Result<()> {
        name(arena).as_str().name().write(milliseconds)
    }

    fn name(arena: u32) -> String {
        format!("arena.{arena}.dirty_decay_ms\0")
    }
}

#[cfg(not(feature = "jemalloc"))]
mod system {
    pub(crate) fn give_large_back_at_once() {}

    pub(crate) fn give_back() {}
}

#[cfg(all(test, feature = "jemalloc"))]
mod tests {
    use super::jemalloc::{decay, give_back, give_back_of, give_large_back_at_once};

    #[test]
    fn arenas_take_the_orders_and_keep_their_decay() {
        let _used = vec![1_u8; 100_000];
        let before = decay(0).unwrap();
        assert!(before > 0);
        give_back();
        assert!(give_back_of(0).is_ok() && decay(0).unwrap() == before);
        assert!(give_back_of(1_000).is_err());
        give_large_back_at_once();
        let large = tikv_jemalloc_ctl::arenas::narenas::read().unwrap() - 1;
        assert_eq!(decay(large).unwrap(), 0);
    }
}
