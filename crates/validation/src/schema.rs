//! A compiled schema, and the schemas that are part of this program.

use serde_json::{Map, Value};

use crate::defaults;
use crate::error::SchemaError;
use crate::operator;
use crate::valico_validator::ValicoValidator;
use crate::validator::Validator;
use crate::violations::Violations;

/// A schema to check documents against. Create it once and keep it: every thread that uses it keeps its own
/// compiled form until the thread ends.
pub struct Schema {
    schema: Value,
    validator: Box<dyn Validator>,
}

impl Schema {
    /// The schema of a group.
    #[must_use]
    pub fn groups() -> Self {
        Self::shipped(include_str!("../../../schemas/groups.json"))
    }

    /// The schema of a login with a user's credentials.
    #[must_use]
    pub fn user_auth() -> Self {
        Self::shipped(include_str!("../../../schemas/user_auth.json"))
    }

    /// The schema of a login with an account's API key.
    #[must_use]
    pub fn api_auth() -> Self {
        Self::shipped(include_str!("../../../schemas/api_auth.json"))
    }

    #[allow(clippy::expect_used, reason = "the schemas are part of the program, and a test loads each")]
    fn shipped(text: &str) -> Self {
        Self::parse(text).expect("a shipped schema can be used")
    }

    /// Compiles the schema of groups that an operator has stored. `schema` is its document without what stands beside
    /// the schema there, the id and Kazoo's private members.
    ///
    /// # Errors
    /// [`SchemaError`] if the schema is not valid, uses something that this program does otherwise than Kazoo, or
    /// would make checks cost too much.
    pub fn of_operator(schema: Map<String, Value>) -> Result<Self, SchemaError> {
        let schema = Value::Object(schema);
        operator::check(&schema)?;
        Self::compile(schema)
    }

    /// Compiles a schema (draft 4).
    ///
    /// # Errors
    /// [`SchemaError`] if the schema is not valid or uses an unsupported feature.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let schema: Value =
            serde_json::from_str(text).map_err(|error| SchemaError::Invalid { reason: error.to_string() })?;
        Self::compile(schema)
    }

    fn compile(schema: Value) -> Result<Self, SchemaError> {
        let validator = Box::new(ValicoValidator::new(&schema)?);
        Ok(Self { schema, validator })
    }

    /// Fills in defaults for missing members, then checks the document.
    ///
    /// # Errors
    /// The violations in the document, but not more than [`MAX_PROBLEMS`](crate::MAX_PROBLEMS).
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
