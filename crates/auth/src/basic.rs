//! `Authorization: Basic`: an account's id and the credentials of one of its users.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datastore::{AccountId, Deadline, ViewQuery};
use serde_json::{Map, json};

use crate::authenticator::{Authenticator, check_trial};
use crate::caller::Caller;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::password;

impl Authenticator {
    /// Verifies what stands behind `Basic `: base64 of `account id:credentials`.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify_basic(&self, encoded: &str, deadline: Deadline) -> Result<Caller, AuthError> {
        let decoded = STANDARD.decode(encoded).map_err(|_| AuthError::Invalid("not base64"))?;
        let decoded = String::from_utf8(decoded).map_err(|_| AuthError::Invalid("not text"))?;
        let (account_id, credentials) = decoded.split_once(':').ok_or(AuthError::Invalid("no colon in it"))?;
        let account_id = AccountId::parse(account_id).map_err(|_| AuthError::Invalid("no account id in it"))?;
        let (view, key) = self.basic_view(&account_id, credentials, deadline).await?;
        let query = ViewQuery { key: Some(json!(key)), limit: Some(2), ..ViewQuery::of("users", view) };
        let rows = match self.users_view(&account_id, query, deadline).await {
            // Where nobody has set up the view, nobody has credentials.
            Err(datastore::StoreError::ViewMissing(_)) => Vec::new(),
            rows => rows?,
        };
        let [row] = rows.as_slice() else { return Err(AuthError::Invalid("not the credentials of one user")) };
        let account = self.lookup.account(&account_id, deadline).await?;
        check_trial(account.as_deref())?;
        let mut claims = Map::new();
        claims.insert("method".to_owned(), json!("cb_basic_auth"));
        let is_superduper = account.is_some_and(|account| account.is_superduper());
        Ok(Caller::new(account_id, Some(row.id.as_str().to_owned()), is_superduper, Claims(claims)))
    }

    /// The view and key that credentials are looked up by: the account says of what kind they are.
    async fn basic_view(
        &self,
        account_id: &AccountId,
        credentials: &str,
        deadline: Deadline,
    ) -> Result<(&'static str, String), AuthError> {
        let own = self.lookup.document(account_id, "configs_crossbar.auth", deadline).await?;
        let system = self.lookup.config("crossbar.auth", deadline).await?;
        let own = own.as_ref().and_then(|own| own.get("basic_auth_type")?.as_str());
        Ok(match own.or(system.text(&["basic_auth_type"])).unwrap_or("md5") {
            "md5" => ("creds_by_md5", credentials.to_owned()),
            "sha" => ("creds_by_sha", credentials.to_owned()),
            _ => ("creds_by_md5", password::md5_of(credentials)),
        })
    }
}
