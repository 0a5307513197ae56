//! `serve`: the API, the admin listener and the background tasks, from start to graceful stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::App as ActixApp;
use actix_web::web::{self, Data};
use auth::{Authenticator, Buckets};
use cache::Watcher;
use couchdb::Client;
use datastore::{Backend, Deadline};
use edge::{Capacity, Listener, Service};
use futures::future;
use futures::lock::Mutex;
use groups::Groups;
use kazoo::NodeAndZone;
use notices::{Amqp, Notices};
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use validation::Schema;

use super::changes::remote;
use super::health::Checker;
use super::notices_in::{self, Memories};
use super::reload::Reload;
use super::{
    BACKGROUND_THREADS, admin, cluster, demo, exposure, first_look, health, listening, pages, runtime,
    shadow_worker, signals, systemd,
};
use crate::access_log::AccessLog;
use crate::allocator;
use crate::app::{App, Running, node_digest};
use crate::arguments::{AllSettings, Serve};
use crate::budget::{Budget, Limits};
use crate::connections::RefusedConnections;
use crate::failure::Failure;
use crate::http;
use crate::lane::Lane;
use crate::metrics::{Metrics, StoreFigures};
use crate::refusals::Refusals;
use crate::release::{self, Choice, ReleaseWatch};
use crate::settings::{NoticeSettings, ServeSettings};
use crate::shadow::Shadow;
use crate::stack::{self, Opening};
use crate::supervisor::{StopSignal, Supervisor};
use crate::writes::Writes;

/// How many connections the admin listener serves at once.
const ADMIN_CONNECTIONS: usize = 64;

/// How long background tasks may take to stop once running requests have ended (`GRACE_SECONDS`). Both together stay
/// below ten seconds.
const TASK_PATIENCE: Duration = Duration::from_secs(1);

/// How many requests may wait for a thread of the lane, or be at work there.
const LANE_QUEUE: usize = 1_024;

/// How often expired logged-out tokens are deleted, and how long that may take.
const PURGE_INTERVAL: Duration = Duration::from_secs(3600);
const PURGE_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: Serve) -> Result<(), Failure> {
    let background = runtime("background", BACKGROUND_THREADS)?;
    // `cli::main` has made SIGHUP harmless. Whatever came since is obeyed once the server serves.
    let hangups = {
        let _within = background.enter();
        signals::hangups()?
    };
    let AllSettings { serve: settings, admin, cache, store: store_settings } = arguments.settings()?;
    // The addresses come first: a server that cannot listen makes no store.
    listening::check_addresses(settings.listen, admin.admin_listen)?;
    let api = listening::bind(listening::API, settings.listen)?;
    let admin = listening::bind(listening::ADMIN, admin.admin_listen)?;
    // One more than the event loops, so that some large requests do not hold up all small ones.
    let lane_threads = settings.workers.saturating_add(1);
    let lane = runtime("lane", lane_threads)?;
    let metrics = Arc::new(Metrics::new());
    let opening = if arguments.demo { Opening::Create } else { Opening::Write };
    let figures = StoreFigures::register(&metrics);
    let stack = stack::build(&store_settings, opening, Some(figures), notice_settings(&settings.notices))?;
    let location = &store_settings.location;
    let file = location.file().map(Path::to_path_buf);
    if let Some(path) = &file {
        exposure::warn_of_open_files(path);
    }
    let (store, watcher) = stack::cached(Arc::clone(&stack.store), &cache);
    if let Some(watcher) = &watcher {
        admin::register_cache(&metrics, watcher);
    }
    cluster::register(&metrics, stack.couchdb.clone());
    admin::register_notices(&metrics, stack.notices.as_ref());
    let (name, is_own) = (location.to_string(), location.is_own());
    let opened = Opened {
        store,
        watcher,
        uncached: stack.store,
        writes: stack.writes,
        notices: stack.notices,
        couchdb: stack.couchdb,
        name,
        file,
        is_own,
        memory_of_auth: cache.bytes / 2,
    };
    let about = pages::About::new(api.address().port(), opened.name.clone(), &arguments.show()?);
    let parts = ServeParts {
        about,
        settings,
        hangups,
        listeners: [api, admin],
        lane: Lane::new(lane.handle().clone(), lane_threads, LANE_QUEUE),
        metrics,
        arguments,
    };
    actix_web::rt::System::new().block_on(serve(parts, opened, background.handle()))
}

/// The store to serve.
struct Opened {
    /// The store, behind the cache if there is one.
    store: Arc<dyn Backend>,
    watcher: Option<Watcher>,
    /// The store without the cache.
    uncached: Arc<dyn Backend>,
    writes: Arc<Writes>,
    /// The change notices, if a broker is set.
    notices: Option<Arc<Notices>>,
    couchdb: Option<Client>,
    /// Its location, without credentials.
    name: String,
    /// How many bytes authentication may remember.
    memory_of_auth: u64,
    /// The file of an embedded store.
    file: Option<PathBuf>,
    /// Whether only this program uses it. In a CouchDB, the design documents may be Kazoo's.
    is_own: bool,
}

/// What serving needs beside the store.
struct ServeParts {
    /// What the status page shows of this server.
    about: pages::About,
    settings: ServeSettings,
    arguments: Serve,
    hangups: Signal,
    /// The API's, and the admin listener.
    listeners: [Listener; 2],
    lane: Lane,
    metrics: Arc<Metrics>,
}

async fn serve(parts: ServeParts, opened: Opened, background: &Handle) -> Result<(), Failure> {
    let ServeParts { about, settings, arguments, hangups, listeners: [api, admin], lane, metrics } = parts;
    let Opened { store, watcher, uncached, writes, notices, couchdb, name, file, is_own, memory_of_auth } =
        opened;
    if let Some(couchdb) = &couchdb {
        cluster::check_versions(couchdb).await?;
    }
    let for_commands = Arc::clone(&store);
    let greeting = if arguments.demo { Some(demo::prepare(&store, is_own).await?) } else { None };
    let choice = release::choose(settings.profile, &*uncached, Deadline::after(health::PATIENCE)).await?;
    let for_release = Arc::clone(&uncached);
    let (shadow, shadow_worker) = shadow_worker::set_up(&settings, &metrics)?;
    let shared_parts = SharedParts { lane, metrics, shadow, memory_of_auth };
    let shared = Data::new(app(settings.clone(), choice, (store, uncached), is_own, shared_parts));
    first_look::check_set_up(&shared).await?;
    first_look::warn_of_unknown_sections(&shared).await;
    log::info!(store = name.as_str(); "opened the store");
    let supervisor = Data::new(Supervisor::new(background.clone()));
    let (auth, release) = (Arc::clone(&shared.auth), Arc::clone(&shared.release));
    let groups = shared.groups.clone();

    let api_shared = shared.clone();
    let [api_address, admin_address] = [&api, &admin].map(Listener::address);
    let refused = RefusedConnections::new(&shared.metrics);
    let service = listening::api_service(&settings, refused.report("api"));
    admin::register(&shared, service.capacity.clone(), supervisor.clone().into_inner());
    let api = api.serve(service.clone(), move || {
        ActixApp::new().app_data(api_shared.clone()).default_service(web::route().to(http::serve))
    });
    let api = api.map_err(|error| listening::refusal(listening::API, api_address, &error))?;
    let about = Data::new(about);
    let reload = Reload::new(arguments, shared.clone().into_inner(), about.clone().into_inner())?;

    let for_shadow = shared.clone();
    let checker = Data::new(Checker {
        app: shared.clone().into_inner(),
        writes,
        supervisor: supervisor.clone().into_inner(),
        notices: notices.clone(),
        found: Arc::default(),
    });
    health::register(&shared.metrics, &checker.found);
    let (capacity, report) = (Capacity::new(ADMIN_CONNECTIONS), refused.report("admin"));
    let service = Service { workers: 1, capacity, report, ..service };
    let admin = admin.serve(service, move || {
        ActixApp::new()
            .app_data(shared.clone())
            .app_data(checker.clone())
            .app_data(about.clone())
            .configure(admin::configure)
    });
    let admin = admin.map_err(|error| listening::refusal(listening::ADMIN, admin_address, &error))?;

    signals::obey(hangups, [api.handle(), admin.handle()], reload)?;
    let memories = Memories { auth: Arc::clone(&auth), groups, cache: watcher.as_ref().map(Watcher::hints) };
    if let Some(watcher) = watcher {
        let watcher = Arc::new(Mutex::new(watcher));
        supervisor.start("watching of databases", move |stop| watch(Arc::clone(&watcher), stop));
    }
    supervisor.start("watching of the release", move |stop| {
        Arc::clone(&release).run(Arc::clone(&for_release), stop)
    });
    supervisor.start("purge of logged-out tokens", move |stop| purge_logged_out(Arc::clone(&auth), stop));
    if let Some(file) = file {
        supervisor.start("changes by commands", move |stop| {
            remote::serve(file.clone(), Arc::clone(&for_commands), stop)
        });
    }
    if let Some(worker) = shadow_worker {
        worker.start(&supervisor, for_shadow);
    }
    if let Some(notices) = notices {
        let brokers = Arc::new(Amqp::new(settings.notices.amqp.clone(), settings.notices.node_name.clone()));
        let (here, these) = (Arc::clone(&notices), Arc::clone(&brokers));
        supervisor.start("notices of others", move |stop| {
            notices_in::listen(Arc::clone(&here), Arc::clone(&these), memories.clone(), stop)
        });
        supervisor.start("change notices", move |stop| {
            tell_changes(Arc::clone(&notices), Arc::clone(&brokers), stop)
        });
    }
    log::info!(address = api_address.to_string().as_str(), admin_address = admin_address.to_string().as_str(); "serving");
    systemd::serves();
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

/// The settings of change notices, if there is a broker.
pub(super) fn notice_settings(settings: &NoticeSettings) -> Option<notices::Settings> {
    (!settings.amqp.is_empty()).then(|| notices::Settings {
        node: settings.node_name.clone(),
        node_and_zone: node_and_zone(settings),
        queue_bytes: settings.amqp_queue_bytes,
        returned_patience: notices::RETURNED_PATIENCE,
        second_look: Some(notices::SECOND_LOOK),
    })
}

/// Where this server looks first in a document of `system_config`.
fn node_and_zone(settings: &NoticeSettings) -> NodeAndZone {
    NodeAndZone { node: settings.kazoo_node.clone(), zone: settings.kazoo_zone.clone() }
}

/// Parts of the state that all requests share.
struct SharedParts {
    lane: Lane,
    metrics: Arc<Metrics>,
    shadow: Option<Shadow>,
    memory_of_auth: u64,
}

fn app(
    settings: ServeSettings,
    choice: Choice,
    (store, uncached): (Arc<dyn Backend>, Arc<dyn Backend>),
    is_own: bool,
    SharedParts { lane, metrics, shadow, memory_of_auth }: SharedParts,
) -> App {
    let auth_settings = auth::Settings {
        node_and_zone: node_and_zone(&settings.notices),
        reverse_proxies: settings.reverse_proxies.clone(),
        strict_tokens: settings.strict_tokens,
        may_create_views: is_own,
        memory_bytes: memory_of_auth,
        ..auth::Settings::default()
    };
    App {
        release: Arc::new(ReleaseWatch::new(choice)),
        node: node_digest(&settings.notices.node_name),
        groups: Groups::new(Arc::<dyn Backend>::clone(&store)),
        auth: Arc::new(Authenticator::new(store, auth_settings)),
        uncached,
        buckets: Buckets::default(),
        budget: budget(settings.request_memory_bytes),
        lane,
        shadow,
        refusals: Refusals::new(&metrics),
        metrics,
        access_log: AccessLog::start(),
        running: Running::new(settings.live),
        user_auth_schema: Schema::user_auth(),
        api_auth_schema: Schema::api_auth(),
        settings,
    }
}

/// The memory of requests. What large ones free goes back to the system at once.
fn budget(bytes: usize) -> Arc<Budget> {
    allocator::give_large_back_at_once();
    let budget = Arc::new(Budget::new(Limits::of(bytes)));
    if let Err(error) = budget.sweep_with(allocator::give_back) {
        log::warn!("no thread gives memory back: large requests take more of it; {error}");
    }
    budget
}

/// Watches the databases that are read, for the cache.
async fn watch(watcher: Arc<Mutex<Watcher>>, mut stop: StopSignal) -> Result<(), String> {
    watcher.lock().await.run(stop.stopped()).await;
    Ok(())
}

/// Tells a broker of every change until the server stops.
async fn tell_changes(notices: Arc<Notices>, brokers: Arc<Amqp>, mut stop: StopSignal) -> Result<(), String> {
    notices.run(&*brokers, async move { stop.stopped().await }).await;
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
