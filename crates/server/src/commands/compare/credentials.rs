//! The operator's token, or the API key with which tokens are fetched. Both come from files, since other users of the
//! machine can see a command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Compare;
use crate::counterpart::Counterpart;
use crate::failure::Failure;

/// The largest file that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// What the requests show.
pub(super) enum Credentials {
    Token(String),
    ApiKey(String),
}

impl Credentials {
    pub(super) fn read(arguments: &Compare) -> Result<Self, Failure> {
        match (&arguments.token_file, &arguments.api_key_file) {
            (Some(path), None) => Ok(Self::Token(read(path, "token")?)),
            (None, Some(path)) => Ok(Self::ApiKey(read(path, "API key")?)),
            _ => Err(Failure::setup(
                "compare needs a token or an API key: name a file with --token-file or --api-key-file; - is standard \
                 input",
            )),
        }
    }

    /// A token. One for an API key is new each time.
    pub(super) async fn token(&self, server: &Counterpart) -> Result<String, Failure> {
        let key = match self {
            Self::Token(token) => return Ok(token.clone()),
            Self::ApiKey(key) => key,
        };
        let address = server.address();
        let refused = |why: &str| Failure::run(format!("{address} gave no token for the API key: {why}"));
        let body = json!({"data": {"api_key": key}}).to_string();
        let answer = server.put("/v2/api_auth", body).await.map_err(|error| refused(&error.to_string()))?;
        if answer.status != 201 {
            return Err(refused(&format!("it answers with the status {}", answer.status)));
        }
        let envelope: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let token = envelope.as_ref().and_then(|envelope| envelope.get("auth_token")?.as_str());
        token.map(str::to_owned).ok_or_else(|| refused("its answer holds none"))
    }

    /// Whether a new token can be had when one has expired.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self, Self::ApiKey(_))
    }
}

/// The text in a file, without blanks around it.
fn read(path: &Path, what: &str) -> Result<String, Failure> {
    let shown = path.display();
    let file: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| Failure::setup(format!("cannot read {shown}: {error}")))?)
    };
    let mut text = String::new();
    file.take(MOST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::setup(format!("cannot read {shown}: {error}")))?;
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::setup(format!("{shown} must hold the {what} and nothing else")));
    }
    Ok(text.to_owned())
}
