//! CouchDB's answers to writes.

use datastore::Rev;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Call, Error};
use crate::reply::Body;

/// The answer to the write of one document.
#[derive(Deserialize)]
struct Written {
    rev: Option<String>,
    error: Option<Value>,
    reason: Option<Value>,
}

impl Written {
    fn into_rev(self, call: &Call) -> Result<Rev, Error> {
        if self.error.is_some() {
            return Err(Error::refused_inside(call, self.error.as_ref(), self.reason.as_ref()));
        }
        let rev = self.rev.and_then(|rev| Rev::parse(&rev).ok());
        rev.ok_or_else(|| Error::unreadable(call, "no revision in the answer"))
    }
}

impl Body {
    /// The revision that a write of one document has made.
    pub(crate) fn rev(&self) -> Result<Rev, Error> {
        self.json::<Written>()?.into_rev(self.call())
    }

    /// The first of the revisions of writes that make sense only together, if all were done.
    pub(crate) fn rev_of_all(&self) -> Result<Rev, Error> {
        let rows: Vec<Written> = self.json()?;
        let revs = rows.into_iter().map(|row| row.into_rev(self.call())).collect::<Result<Vec<_>, _>>()?;
        revs.into_iter().next().ok_or_else(|| Error::unreadable(self.call(), "no row in the answer"))
    }

    /// The revisions that a write of several documents has made, each with a result of its own, in their order.
    pub(crate) fn revs(&self, documents: usize) -> Result<Vec<Result<Rev, Error>>, Error> {
        let rows: Vec<Written> = self.json()?;
        check_count(self.call(), rows.len(), documents)?;
        Ok(rows.into_iter().map(|row| row.into_rev(self.call())).collect())
    }
}

/// Checks that each document has a row.
pub(crate) fn check_count(call: &Call, rows: usize, documents: usize) -> Result<(), Error> {
    if rows == documents {
        Ok(())
    } else {
        Err(Error::unreadable(call, format!("{rows} rows for {documents} documents")))
    }
}
