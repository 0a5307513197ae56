//! `serve`: the API, the admin listener and the background tasks, from start to graceful stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App as ActixApp, HttpResponse, HttpServer};
use auth::{Authenticator, Buckets};
use datastore::{Backend, Deadline, StoreError};
use futures::future;
use groups::Groups;
use kazoo::Place;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use validation::Schema;

use super::{BACKGROUND_THREADS, demo, health, runtime};
use crate::app::{App, node_digest};
use crate::arguments::Serve;
use crate::budget::{Budget, Limits};
use crate::failure::Failure;
use crate::http;
use crate::lane::Lane;
use crate::settings::ServeSettings;
use crate::stack;
use crate::supervisor::{StopSignal, Supervisor};

/// How long running requests may take to finish once the server is told to stop.
const GRACE_SECONDS: u64 = 8;

/// How long background tasks may take to stop after that. Both together stay below ten seconds.
const TASK_PATIENCE: Duration = Duration::from_secs(1);

/// How many requests may wait for a thread of the lane, or be at work there.
const LANE_QUEUE: usize = 1_024;

/// How often expired logged-out tokens are deleted, and how long that may take.
const PURGE_INTERVAL: Duration = Duration::from_secs(3600);
const PURGE_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: Serve) -> Result<(), Failure> {
    let (settings, store_settings) = arguments.settings()?;
    let background = runtime("background", BACKGROUND_THREADS)?;
    // One more than the event loops, so that some large requests do not hold up all small ones.
    let lane = runtime("lane", settings.workers.saturating_add(1))?;
    let opened = Opened {
        store: stack::build(&store_settings)?,
        name: store_settings.location.to_string(),
        is_own: store_settings.location.is_own(),
    };
    actix_web::rt::System::new().block_on(serve(
        settings,
        opened,
        arguments.demo,
        background.handle(),
        Lane::new(lane.handle().clone(), LANE_QUEUE),
    ))
}

/// The store to serve.
struct Opened {
    store: Arc<dyn Backend>,
    /// Its location, without credentials.
    name: String,
    /// Whether only this program uses it. In a CouchDB, the design documents may be Kazoo's.
    is_own: bool,
}

async fn serve(
    settings: ServeSettings,
    opened: Opened,
    is_demo: bool,
    background: &Handle,
    lane: Lane,
) -> Result<(), Failure> {
    let Opened { store, name, is_own } = opened;
    let greeting = if is_demo { Some(demo::prepare(&store, is_own).await?) } else { None };
    let shared = Data::new(app(settings.clone(), store, is_own, lane));
    check_set_up(&shared.auth).await?;
    log::info!(store = name.as_str(); "opened the store");
    let supervisor = Data::new(Supervisor::new(background.clone()));
    let auth = Arc::clone(&shared.auth);

    let api_shared = shared.clone();
    let api = HttpServer::new(move || {
        ActixApp::new().app_data(api_shared.clone()).default_service(web::route().to(http::serve))
    })
    .workers(settings.workers)
    .max_connections(settings.max_connections)
    .keep_alive(Duration::from_secs(120))
    .shutdown_timeout(GRACE_SECONDS)
    .disable_signals();
    let api = api.bind(settings.listen).map_err(|error| cannot_listen("listen", settings.listen, &error))?;
    let api_address = api.addrs().first().copied().unwrap_or(settings.listen);
    let api = api.run();

    let tasks = supervisor.clone();
    let admin = HttpServer::new(move || {
        ActixApp::new()
            .app_data(shared.clone())
            .app_data(tasks.clone())
            .route("/health/live", web::get().to(HttpResponse::Ok))
            .route("/health/ready", web::get().to(health::ready))
    })
    .workers(1)
    .shutdown_timeout(GRACE_SECONDS)
    .disable_signals();
    let admin = admin
        .bind(settings.admin_listen)
        .map_err(|error| cannot_listen("admin_listen", settings.admin_listen, &error))?;
    let admin_address = admin.addrs().first().copied().unwrap_or(settings.admin_listen);
    let admin = admin.run();

    stop_on_signal([api.handle(), admin.handle()])?;
    supervisor.start("purge of logged-out tokens", move |stop| purge_logged_out(Arc::clone(&auth), stop));
    log::info!(address = api_address.to_string().as_str(), admin_address = admin_address.to_string().as_str(); "serving");
    if let Some(greeting) = greeting {
        // Serving goes on even if nobody reads the output.
        if super::say(&greeting.text(api_address)).is_err() {
            log::warn!("the demo's greeting could not be printed");
        }
    }
    let served = future::try_join(api, admin).await;
    supervisor.stop(TASK_PATIENCE).await;
    served.map_err(|error| Failure::run(format!("the server failed: {error}")))?;
    log::info!("stopped");
    Ok(())
}

fn app(settings: ServeSettings, store: Arc<dyn Backend>, is_own: bool, lane: Lane) -> App {
    let auth_settings = auth::Settings {
        place: Place { node: settings.kazoo_node.clone(), zone: settings.kazoo_zone.clone() },
        reverse_proxies: settings.reverse_proxies.clone(),
        strict_tokens: settings.strict_tokens,
        may_create_views: is_own,
        ..auth::Settings::default()
    };
    App {
        version: settings.api_version.clone(),
        node: node_digest(&settings.node_name),
        groups: Groups::new(Arc::<dyn Backend>::clone(&store)),
        auth: Arc::new(Authenticator::new(store, auth_settings)),
        buckets: Buckets::default(),
        budget: Arc::new(Budget::new(Limits::of(settings.request_memory_bytes))),
        lane,
        user_auth_schema: Schema::user_auth(),
        api_auth_schema: Schema::api_auth(),
        settings,
    }
}

/// Refuses to serve a store that lacks what tokens are checked with, because every request would fail.
/// A store that does not answer is no reason to stop: it may answer later.
async fn check_set_up(auth: &Authenticator) -> Result<(), Failure> {
    match auth.is_set_up(Deadline::after(health::PATIENCE)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::setup(
            "the store has no system_config/auth, so no token could be checked: create an account with \
             `crossbar-groups account create`, `import` one, or try `serve --demo`",
        )),
        Err(error @ (StoreError::Unauthorized(_) | StoreError::Forbidden(_))) => Err(Failure::setup(
            format!("check the user and the password in the setting store: {}", crate::chain(&error)),
        )),
        Err(error) => {
            log::warn!("the store does not answer yet: {}", crate::chain(&error));
            Ok(())
        }
    }
}

fn cannot_listen(setting: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::setup(format!(
        "cannot listen on {address}: {error}; stop what holds the port, or choose another with the setting {setting}"
    ))
}

/// On SIGTERM or SIGINT, stops the servers once their running requests have finished.
fn stop_on_signal(handles: [ServerHandle; 2]) -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::setup(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    actix_web::rt::spawn(async move {
        future::select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await;
        log::info!("stopping: running requests may finish");
        future::join_all(handles.iter().map(|handle| handle.stop(true))).await;
    });
    Ok(())
}

/// Deletes the records of logged-out tokens that have expired, every hour.
async fn purge_logged_out(auth: Arc<Authenticator>, mut stop: StopSignal) -> Result<(), String> {
    loop {
        match auth.purge_logged_out(Deadline::after(PURGE_PATIENCE)).await {
            Ok(0) => {}
            Ok(purged) => log::info!(purged; "deleted the records of expired logged-out tokens"),
            Err(error) => return Err(crate::chain(&error)),
        }
        if !stop.pause(PURGE_INTERVAL).await {
            return Ok(());
        }
    }
}
