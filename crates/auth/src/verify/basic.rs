//! Verifies `Authorization: Basic`. It holds an account's id and the credentials of one of its users. Who may
//! not log in with a password may not use it in this way either.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datastore::{Deadline, Document, StoreError, ViewQuery, ViewRow};
use futures::future;
use kazoo::{AccountId, ConfigDocument, is_deleted};
use serde_json::{Map, json};

use super::caller::Caller;
use super::claims::Claims;
use super::trial::check_trial;
use crate::directory::Directory;
use crate::error::{AuthError, Barred};
use crate::limits::{Password, PasswordGuesses};
use crate::login_config::{BASIC_AUTH, load_login_config};
use crate::password;

/// Verifies Basic credentials: the base64 of `account id:credentials`.
pub(super) async fn verify(
    directory: &Directory,
    guesses: &PasswordGuesses,
    encoded: &str,
    address: Option<IpAddr>,
    deadline: Deadline,
) -> Result<Caller, AuthError> {
    let decoded = STANDARD.decode(encoded).map_err(|_| AuthError::Invalid("not base64"))?;
    let decoded = String::from_utf8(decoded).map_err(|_| AuthError::Invalid("not text"))?;
    let (account_id, credentials) = decoded.split_once(':').ok_or(AuthError::Invalid("there is no colon"))?;
    let account_id = AccountId::parse(account_id)
        .map_err(|_| AuthError::Invalid("there is no account id before the colon"))?;

    // The access check needs the restrictions later. Reading them now saves a round trip.
    let view = view_and_key(directory, &account_id, credentials, deadline);
    let account = directory.account(&account_id, deadline);
    let master = directory.master_account_id(deadline);
    let reseller = directory.is_reseller(&account_id, deadline);
    let restrictions = directory.policy(&account_id, "token_restrictions", deadline);
    let (view, account, master, _, _) = future::join5(view, account, master, reseller, restrictions).await;
    let ((view, key), account, master) = (view?, account?, master?);
    let Some(account) = account.filter(|account| !account.is_deleted()) else {
        guesses.judge_unknown(account_id.as_str(), Instant::now())?;
        return Err(AuthError::Invalid("the account does not exist"));
    };

    let query = ViewQuery {
        key: Some(json!(key)),
        limit: Some(2),
        include_docs: true,
        ..ViewQuery::of("users", view)
    };
    let (db, since) = (account_id.db(), directory.moment());
    let rows = directory.rows(&db, query, deadline);
    let config = load_login_config(directory, &account_id, Some(&account), deadline);
    let (rows, config) = future::join(rows, config).await;
    let rows = match rows {
        // If the view is missing, no user has credentials.
        Err(StoreError::ViewMissing(_)) => Vec::new(),
        rows => rows?,
    };
    let user = user_in(&rows, &account_id)?;
    let password = if user.is_some() { Password::Right } else { Password::Wrong };
    guesses.judge(&account_id, address, password, Instant::now())?;
    let user = user.ok_or(AuthError::Invalid("not exactly one user of the account has these credentials"))?;
    check_trial(Some(&account))?;
    if !account.is_enabled() {
        return Err(Barred::AccountDisabled.into());
    }
    let (config, _) = config?;
    config.check(BASIC_AUTH, &account_id, master.as_deref())?;
    guesses.remember(&account_id, address, Instant::now());
    let owner_id = Some(user.id().as_str().to_owned());
    directory.remember_user(&account_id, user.clone(), since);
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!("kazoo"));
    claims.insert("method".to_owned(), json!(BASIC_AUTH));
    Ok(Caller::new(account_id, owner_id, Some(account), Arc::new(Claims(claims))))
}

/// The user with these credentials, if there is exactly one. A row may be older than its document.
fn user_in<'a>(rows: &'a [ViewRow], account_id: &AccountId) -> Result<Option<&'a Document>, AuthError> {
    let [row] = rows else { return Ok(None) };
    let Some(document) = &row.doc else { return Ok(None) };
    let looked_at = [kazoo::member::ACCOUNT_ID, kazoo::member::DELETED];
    let user = document.parse_members(|name| looked_at.contains(&name))?;
    // A user belongs to the account that its document names. A user copied into the database of another
    // account must not open that account.
    let is_own = user.get(kazoo::member::ACCOUNT_ID).is_some_and(|owner| owner == account_id.as_str());
    Ok((is_own && !is_deleted(&user)).then_some(document))
}

/// The view and the key that find a user by credentials. The configuration names the kind of the credentials.
async fn view_and_key(
    directory: &Directory,
    account_id: &AccountId,
    credentials: &str,
    deadline: Deadline,
) -> Result<(&'static str, String), AuthError> {
    let own = directory.policy(account_id, "configs_crossbar.auth", deadline);
    let system = directory.config(ConfigDocument::CrossbarAuth, deadline);
    let (own, system) = future::try_join(own, system).await?;
    let own = own.as_ref().and_then(|own| own.get("basic_auth_type")?.as_str());
    Ok(match own.or(system.text(&["basic_auth_type"])).unwrap_or("md5") {
        "md5" => ("creds_by_md5", credentials.to_owned()),
        "sha" => ("creds_by_sha", credentials.to_owned()),
        _ => ("creds_by_md5", password::md5_of(credentials)),
    })
}
