//! The schemas that are shipped with this project, compiled.

use serde_json::{Map, Value};

use crate::defaults;
use crate::error::SchemaError;
use crate::valico_validator::ValicoValidator;
use crate::validator::Validator;
use crate::violations::Violations;

/// A schema that documents can be checked against. Make one and keep it: each thread that checks with it
/// keeps a compiled form of its own for as long as the thread lives.
pub struct Schema {
    schema: Value,
    validator: Box<dyn Validator>,
}

impl Schema {
    /// What a group must be.
    #[must_use]
    pub fn groups() -> Self {
        Self::shipped(include_str!("../../../schemas/groups.json"))
    }

    /// What logging in with a user's credentials takes.
    #[must_use]
    pub fn user_auth() -> Self {
        Self::shipped(include_str!("../../../schemas/user_auth.json"))
    }

    /// What logging in with an account's key takes.
    #[must_use]
    pub fn api_auth() -> Self {
        Self::shipped(include_str!("../../../schemas/api_auth.json"))
    }

    #[allow(clippy::expect_used, reason = "the schemas are part of the program, and a test loads each")]
    fn shipped(text: &str) -> Self {
        Self::parse(text).expect("a shipped schema can be used")
    }

    /// Compiles a schema of draft 4.
    ///
    /// # Errors
    /// [`SchemaError`] where it is broken, or where its violations could not be told rightly.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let schema: Value =
            serde_json::from_str(text).map_err(|error| SchemaError::Invalid { reason: error.to_string() })?;
        let validator = Box::new(ValicoValidator::new(&schema)?);
        Ok(Self { schema, validator })
    }

    /// Fills in the defaults that a document lacks, then checks it.
    ///
    /// # Errors
    /// Every violation at once.
    pub fn check(&self, document: &mut Map<String, Value>) -> Result<(), Violations> {
        defaults::fill(document, &self.schema);
        let whole = Value::Object(std::mem::take(document));
        let problems = self.validator.problems(&whole);
        let verdict = match problems.as_slice() {
            [] => Ok(()),
            problems => Err(Violations::describe(problems, &self.schema, &whole)),
        };
        if let Value::Object(members) = whole {
            *document = members;
        }
        verdict
    }
}
