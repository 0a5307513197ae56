//! Amounts of memory: who holds how much, and how much they may hold. Plain numbers, without waiting.

use std::collections::HashMap;

use kazoo::AccountId;

/// A request may hold this many bytes for each byte that it sent. The rest of what it holds is its surplus.
pub(super) const PER_SENT_BYTE: usize = 4;

/// How much may be reserved at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// By all requests.
    pub(super) total: Size,
    /// By all requests without a good token in a header.
    pub(super) strangers: Size,
    /// By the requests of one account.
    pub(super) account: Size,
}

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: usize,
    /// The part of it that is surplus.
    pub(super) surplus: usize,
}

/// The amounts that are reserved.
#[derive(Debug, Default)]
pub(super) struct Used {
    pub(super) held: Amounts,
    /// The part of it that waiting requests hold.
    pub(super) idle: Amounts,
    /// Whether a request holds more than there was room for.
    pub(super) is_overdrawn: bool,
}

/// Who holds how much.
#[derive(Debug, Default)]
pub(super) struct Amounts {
    pub(super) total: Size,
    pub(super) strangers: Size,
    pub(super) accounts: HashMap<AccountId, Size>,
}

/// The one who pays for a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// Somebody whose token, if there is one, is not known to be good.
    Stranger,
    /// The caller's account.
    Account(AccountId),
}

impl Limits {
    /// Strangers together get an eighth of the total, and one account half of it. A quarter of each may be
    /// surplus.
    pub(crate) fn of(total: usize) -> Self {
        let size = |bytes| Size { bytes, surplus: bytes / 4 };
        Self { total: size(total), strangers: size(total / 8), account: size(total / 2) }
    }

    pub(super) fn of_payer(&self, payer: &Payer) -> Size {
        match payer {
            Payer::Stranger => self.strangers,
            Payer::Account(_) => self.account,
        }
    }
}

impl Size {
    /// The size of a request that holds `bytes` and has sent `sent`.
    pub(super) fn of(bytes: usize, sent: usize) -> Self {
        Self { bytes, surplus: bytes.saturating_sub(sent.saturating_mul(PER_SENT_BYTE)) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            surplus: self.surplus.saturating_add(other.surplus),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            surplus: self.surplus.saturating_sub(other.surplus),
        }
    }

    pub(super) fn at_most(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), surplus: self.surplus.min(other.surplus) }
    }

    pub(super) fn fits_in(self, limit: Self) -> bool {
        self.bytes <= limit.bytes && self.surplus <= limit.surplus
    }

    /// The part of a limit that large requests may use. They leave a quarter to small ones, so a few large
    /// bodies keep nobody from logging in.
    pub(super) fn for_large(self) -> Self {
        Self { bytes: self.bytes / 4 * 3, surplus: self.surplus / 4 * 3 }
    }
}

impl Amounts {
    pub(super) fn of(&self, payer: &Payer) -> Size {
        match payer {
            Payer::Stranger => self.strangers,
            Payer::Account(id) => self.accounts.get(id).copied().unwrap_or_default(),
        }
    }

    /// `payer` holds `after` in place of `before`.
    pub(super) fn replace(&mut self, payer: &Payer, before: Size, after: Size) {
        let replaced = |size: Size| size.minus(before).plus(after);
        self.total = replaced(self.total);
        match payer {
            Payer::Stranger => self.strangers = replaced(self.strangers),
            Payer::Account(id) => {
                let size = replaced(self.of(payer));
                if size == Size::default() {
                    self.accounts.remove(id);
                } else if let Some(of_account) = self.accounts.get_mut(id) {
                    *of_account = size;
                } else {
                    self.accounts.insert(id.clone(), size);
                }
            }
        }
    }
}
