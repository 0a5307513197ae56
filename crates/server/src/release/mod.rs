//! Which release of Kazoo a store belongs to. `signs` judges what was seen, `read` looks at the databases, `choose`
//! decides at the start, and `watch` looks again while the server runs. The operator may name the release; then
//! nothing is refused.

mod choose;
mod read;
mod signs;
mod watch;

pub(crate) use self::choose::{Choice, ProfileSetting, choose, find};
pub(crate) use self::signs::Finding;
pub(crate) use self::watch::ReleaseWatch;
