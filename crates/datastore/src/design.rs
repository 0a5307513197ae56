//! Design documents, which define the views of a database.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::deadline::Deadline;
use crate::document::{Document, Draft};
use crate::error::{Cause, Result, StoreError};
use crate::name::{DbName, DocId, NameError};
use crate::store::Store;

/// How often a design document is read again because another client has changed it.
const ATTEMPTS: usize = 5;

/// The language of views that are written for a store by this program.
const JAVASCRIPT: &str = "javascript";

/// A design document with views.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignDocument {
    id: DocId,
    language: String,
    /// The name of each view, and its members. One of them is `map`.
    views: Vec<(String, Map<String, Value>)>,
}

impl DesignDocument {
    /// The design document `_design/{name}` with a view for each pair of name and JavaScript map.
    ///
    /// # Errors
    /// [`NameError`] if `name` cannot be part of a document id.
    pub fn new(name: &str, views: &[(&str, &str)]) -> std::result::Result<Self, NameError> {
        let members = |map: &str| Map::from_iter([("map".to_owned(), json!(map))]);
        let views = views.iter().map(|(view, map)| ((*view).to_owned(), members(map))).collect();
        Ok(Self { id: DocId::design(name)?, language: JAVASCRIPT.to_owned(), views })
    }

    /// The same document as somebody else defines it: with the language and the views of `definition`. `None` if that
    /// is of another document, or lacks one of this document's views.
    #[must_use]
    pub fn defined_by(&self, definition: &Value) -> Option<Self> {
        let defined = definition.get("views")?.as_object()?;
        let views: Option<Vec<_>> = defined
            .iter()
            .map(|(name, members)| {
                members.get("map")?.as_str()?;
                Some((name.clone(), members.as_object()?.clone()))
            })
            .collect();
        let views = views?;
        let has = |wanted: &String| views.iter().any(|(name, _)| name == wanted);
        let is_whole = self.views.iter().all(|(name, _)| has(name));
        let language = definition.get("language").map_or(Some(JAVASCRIPT), Value::as_str)?.to_owned();
        let is_same = definition.get("_id").is_some_and(|id| *id == *self.id.as_str());
        (is_whole && is_same).then(|| Self { id: self.id.clone(), language, views })
    }

    /// The names of its views.
    pub fn view_names(&self) -> impl Iterator<Item = &str> {
        self.views.iter().map(|(name, _)| name.as_str())
    }

    /// The map of a view.
    #[must_use]
    pub fn map_of(&self, view: &str) -> Option<&str> {
        let (_, members) = self.views.iter().find(|(name, _)| name == view)?;
        members.get("map")?.as_str()
    }

    /// The id, `_design/{name}`.
    #[must_use]
    pub fn id(&self) -> &DocId {
        &self.id
    }

    /// Adds the views that a stored design document does not have. Its other members stay as they are.
    fn complete(&self, body: &mut Map<String, Value>) -> Result<Ensured> {
        if body.is_empty() {
            body.insert("language".to_owned(), json!(self.language));
        }
        let language = body.get("language").cloned();
        let views = body.entry("views").or_insert_with(|| json!({}));
        let views = views.as_object_mut().ok_or_else(|| self.unusable("its `views` is not an object"))?;
        let mut states = Vec::with_capacity(self.views.len());
        for (name, members) in &self.views {
            let view = views.entry(name).or_insert_with(|| json!({}));
            let view = view
                .as_object_mut()
                .ok_or_else(|| self.unusable(&format!("its view {name} is not an object")))?;
            let state = match view.get("map") {
                Some(stored) if members.get("map") == Some(stored) => ViewState::Found,
                Some(_) => ViewState::FoundOther,
                None => {
                    view.extend(members.clone());
                    ViewState::Added
                }
            };
            states.push((name.clone(), state));
        }
        let ensured = Ensured { id: self.id.clone(), is_new: false, views: states };
        match language {
            Some(language) if ensured.has_added() && language != *self.language => {
                Err(self.unusable(&format!("its language is {language}, not {}", self.language)))
            }
            _ => Ok(ensured),
        }
    }

    fn unusable(&self, why: &str) -> StoreError {
        StoreError::Invalid(Cause::new(format!(
            "views cannot be added to {}, since {why}: correct the document or delete it",
            self.id
        )))
    }
}

/// The views of a design document after [`ensure_design`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured {
    id: DocId,
    is_new: bool,
    views: Vec<(String, ViewState)>,
}

impl Ensured {
    /// The name and the state of each view.
    #[must_use]
    pub fn views(&self) -> &[(String, ViewState)] {
        &self.views
    }

    /// Whether the document was missing and has been created.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the document was written.
    #[must_use]
    pub fn has_added(&self) -> bool {
        self.views.iter().any(|(_, state)| *state == ViewState::Added)
    }
}

impl fmt::Display for Ensured {
    /// `_design/groups: crossbar_listing found, crossbar_listing_by_user added`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.id)?;
        for (number, (name, state)) in self.views.iter().enumerate() {
            write!(f, "{} {name} {state}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The state of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// The view is there.
    Found,
    /// A view of this name is there. It has another map, and is used as it is.
    FoundOther,
    /// The view was missing and has been added.
    Added,
}

impl fmt::Display for ViewState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "found",
            Self::FoundOther => "found with another map (left as it is)",
            Self::Added => "added",
        })
    }
}

/// Creates a design document. If one with this id exists, the views that it does not have are added.
/// Everything else in it stays, because another program may own it.
///
/// # Errors
/// The store's errors. `Invalid` if the stored document cannot take the views. `Unavailable` if other clients
/// keep changing it.
pub async fn ensure_design(
    store: &dyn Store,
    db: &DbName,
    design: &DesignDocument,
    deadline: Deadline,
) -> Result<Ensured> {
    for _ in 0..ATTEMPTS {
        let (stored, body, ensured) = completed(store, db, design, deadline).await?;
        if !ensured.has_added() {
            return Ok(ensured);
        }
        let base = stored.map(|document| document.rev().clone());
        let is_new = base.is_none();
        match store.save(db, Draft { id: design.id.clone(), base, body }, deadline).await {
            Ok(_) => return Ok(Ensured { is_new, ..ensured }),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Unavailable(Cause::new(format!("other clients keep changing {}", design.id))))
}

/// The names of the views that a stored design document does not have. Nothing is written.
///
/// # Errors
/// The store's errors. `Invalid` if the stored document could not take the views.
pub async fn missing_views(
    store: &dyn Store,
    db: &DbName,
    design: &DesignDocument,
    deadline: Deadline,
) -> Result<Vec<String>> {
    let (_, _, ensured) = completed(store, db, design, deadline).await?;
    let missing = ensured.views.into_iter().filter(|(_, state)| *state == ViewState::Added);
    Ok(missing.map(|(name, _)| name).collect())
}

/// The stored design document, its members with the missing views added, and what that found.
async fn completed(
    store: &dyn Store,
    db: &DbName,
    design: &DesignDocument,
    deadline: Deadline,
) -> Result<(Option<Document>, Map<String, Value>, Ensured)> {
    let stored = match store.fetch(db, &design.id, deadline).await {
        Ok(document) => Some(document),
        Err(error) if matches!(error, StoreError::DatabaseMissing(_)) => return Err(error),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let mut body = stored.as_ref().map(Document::to_object).transpose()?.unwrap_or_default();
    body.retain(|member, _| member != "_id" && member != "_rev");
    let ensured = design.complete(&mut body)?;
    Ok((stored, body, ensured))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::DesignDocument;

    #[test]
    fn somebody_elses_definition_must_be_whole() {
        let design = DesignDocument::new("d", &[("v", "ours")]).unwrap();
        let views = json!({"v": {"map": "theirs", "reduce": "_count"}, "w": {"map": "more"}});
        let definition = json!({"_id": "_design/d", "language": "javascript", "views": views});
        let theirs = design.defined_by(&definition).unwrap();
        let mut body = serde_json::Map::new();
        theirs.complete(&mut body).unwrap();
        assert_eq!(json!(body), json!({"language": "javascript", "views": views}));
        for (member, value) in [
            ("_id", json!("_design/e")),
            ("language", json!(5)),
            ("views", json!({"w": {"map": "x"}})),
            ("views", json!({"v": {"map": ["lines"]}})),
            ("views", json!([])),
        ] {
            let mut other = definition.clone();
            other[member] = value;
            assert_eq!(design.defined_by(&other), None, "{other}");
        }
    }

    /// Only the embedded store takes such a view; CouchDB refuses it.
    #[test]
    fn a_view_without_a_map_gets_one() {
        let design = DesignDocument::new("d", &[("v", "ours")]).unwrap();
        let mut body = json!({"views": {"v": {"x": 1}}}).as_object().unwrap().clone();
        assert_eq!(design.complete(&mut body).unwrap().to_string(), "_design/d: v added");
        assert_eq!(body["views"], json!({"v": {"x": 1, "map": "ours"}}));
        for views in [json!([]), json!({"v": 1})] {
            let mut body = json!({ "views": views }).as_object().unwrap().clone();
            design.complete(&mut body).unwrap_err();
        }
    }
}
