//! `serve --demo`: an account with users and a few groups in an empty store, and lines to paste.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use auth::bootstrap::{self, NewAccount, NewUser};
use auth::{Asked, Authenticator, Secret};
use datastore::{Backend, random_hex};
use groups::{Groups, Scope, Stamp};
use kazoo::{AccountId, Time};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{deadline, store_failure};
use crate::failure::Failure;

/// The account's name.
const ACCOUNT: &str = "demo";

/// Its administrator.
const ADMIN: &str = "admin";

/// How long the token is valid, in seconds.
const TOKEN_TTL: u32 = 86_400;

/// How to use the demo.
pub(crate) struct Greeting {
    account_id: String,
    user_id: String,
    api_key: String,
    /// `None` if the administrator has another password.
    password: Option<String>,
    token: String,
}

/// Makes sure that the demo account exists. An account of that name counts as the demo account only in an
/// embedded store; in a Kazoo's CouchDB it belongs to somebody.
pub(crate) async fn prepare(store: &Arc<dyn Backend>, is_own: bool) -> Result<Greeting, Failure> {
    let failure = store_failure("the demo account could not be made");
    let found = bootstrap::find_account(&**store, ACCOUNT, deadline()).await.map_err(&failure)?;
    let (account_id, is_new) = match found {
        Some(id) if is_own => (id, false),
        Some(_) => {
            return Err(Failure::setup(
                "--demo is for an empty store, and this CouchDB has an account of that name: serve it \
                 without --demo, and make a token with `crossbar-groups token`",
            ));
        }
        None if bootstrap::is_set_up(&**store, deadline()).await.map_err(&failure)? => {
            return Err(Failure::setup(
                "--demo is for an empty store, and this one is in use without a demo account",
            ));
        }
        None => {
            let account = NewAccount { name: ACCOUNT, realm: None, parent: None };
            (bootstrap::create_account(&**store, &account, deadline()).await.map_err(&failure)?, true)
        }
    };
    let account = store.fetch(&account_id.db(), &account_id.doc_id(), deadline()).await.map_err(&failure)?;
    let account = account.to_object().map_err(&failure)?;
    let api_key = account.get(kazoo::member::API_KEY).and_then(Value::as_str).unwrap_or_default().to_owned();
    let password = password_of(&api_key);
    let user_id =
        match bootstrap::find_user(&**store, &account_id, ADMIN, deadline()).await.map_err(&failure)? {
            Some(id) => id,
            None => {
                let password = Secret::new(password.as_str());
                let user = NewUser { username: ADMIN, password: &password, is_admin: true };
                bootstrap::create_user(&**store, &account_id, &user, deadline()).await.map_err(&failure)?
            }
        };
    let auth = Authenticator::new(Arc::clone(store), auth::Settings::default());
    let token =
        auth.mint(&account_id, Some(user_id.as_str()), TOKEN_TTL, deadline()).await.map_err(&failure)?;
    if is_new {
        make_groups(store, &auth, &token, &account_id, user_id.as_str()).await?;
    }
    let user = store.fetch(&account_id.db(), &user_id, deadline()).await.map_err(&failure)?;
    let user = user.to_object().map_err(&failure)?;
    let digest = datastore::hex(&Md5::digest(format!("{ADMIN}:{password}")));
    let password =
        user.get(kazoo::member::MD5_AUTH).is_some_and(|stored| *stored == digest).then_some(password);
    let (account_id, user_id) = (account_id.to_string(), user_id.to_string());
    Ok(Greeting { account_id, user_id, api_key, password, token })
}

/// The administrator's password: the same at each start, and known to nobody who does not know the account's
/// random key. So the greeting can show it, although the store has only its digests.
fn password_of(api_key: &str) -> String {
    let digest = datastore::hex(&Md5::digest(format!("the password of the demo at {api_key}")));
    digest.chars().take(16).collect()
}

/// Creates a few groups the way a client's request does: the token is verified and the access checked.
async fn make_groups(
    store: &Arc<dyn Backend>,
    auth: &Authenticator,
    token: &str,
    account_id: &AccountId,
    user_id: &str,
) -> Result<(), Failure> {
    let broken = |error: &dyn std::error::Error| {
        Failure::run(format!("the demo groups could not be made: {}", crate::chain(error)))
    };
    let caller = auth.verify(token, None, deadline()).await.map_err(|error| broken(&error))?;
    let account = auth.load_account(account_id, deadline()).await.map_err(|error| broken(&error))?;
    let account = account.ok_or_else(|| Failure::run("the demo account is gone"))?;
    let asked = Asked { endpoint: "groups", params: &[], verb: "PUT" };
    let access =
        auth.authorise(&caller, &account, asked, deadline()).await.map_err(|error| broken(&error))?;
    let groups = Groups::new(Arc::<dyn Backend>::clone(store));
    let request_id = random_hex();
    let stamp = Stamp { access: &access, request_id: &request_id, now: Time::now() };
    for data in [
        json!({"name": "Sales", "endpoints": {user_id: {"type": "user", "weight": 1}}}),
        json!({"name": "Support", "endpoints": {user_id: {"type": "user", "weight": 2}}, "flags": ["demo"]}),
        json!({"name": "Lobby", "smartpbx": {"call_recording": {"enabled": true}}}),
    ] {
        let group = groups.prepare_new(data).map_err(|error| broken(&error))?;
        groups.create(&Scope { stamp, deadline: deadline() }, group).await.map_err(|error| broken(&error))?;
    }
    // The first listing would create it. A store that is exported before that would lack it.
    groups::ensure_views(&**store, &account_id.db(), deadline()).await.map_err(|error| broken(&error))?;
    Ok(())
}

impl Greeting {
    /// The lines to paste into a shell. The examples of `docs/api.md` use the same variables.
    pub(crate) fn text(&self, address: SocketAddr) -> String {
        let Self { account_id, user_id, api_key, password, token } = self;
        let address = match address.ip().is_unspecified() {
            true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
            false => address,
        };
        let password = password.as_ref().map(|password| format!("export PASSWORD={password}\n"));
        let password = password.unwrap_or_default();
        format!(
            "The demo account is {account_id}, its administrator's token is good for a day:\n\n\
             export BASE=http://{address}/v2\n\
             export ACCOUNT_NAME={ACCOUNT} ACCOUNT_ID={account_id}\n\
             export USER_NAME={ADMIN} USER_ID={user_id}\n\
             {password}export API_KEY={api_key}\n\
             export TOKEN={token}\n\
             curl -s -H \"X-Auth-Token: $TOKEN\" \"$BASE/accounts/$ACCOUNT_ID/groups\"\n\
             curl -s -X PUT -H \"X-Auth-Token: $TOKEN\" -H 'Content-Type: application/json' \
             -d '{{\"data\":{{\"name\":\"Night shift\"}}}}' \"$BASE/accounts/$ACCOUNT_ID/groups\"\n\
             curl -s -H \"X-Auth-Token: $TOKEN\" \"$BASE/accounts/$ACCOUNT_ID/users/$USER_ID/groups\"\n"
        )
    }
}
