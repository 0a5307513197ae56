//! What the status page shows, as JSON: health, every figure of the registry, the last warnings and errors, and the
//! settings that differ from their defaults. The page makes rates of it.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use arc_swap::ArcSwap;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::health::{Asks, Checker};
use crate::logging::{self, Stamp};
use crate::settings::{Default, ShownSetting, Source};

/// What the page tells of a server beside its figures.
pub(in crate::commands) struct About {
    /// The port of the API's listener.
    pub(in crate::commands) api_port: u16,
    /// The location of the store, without credentials.
    pub(in crate::commands) store: String,
    /// The settings that differ from their defaults, as other people may see them.
    settings: ArcSwap<Vec<Value>>,
}

impl About {
    /// A server whose API listens on this port.
    pub(in crate::commands) fn new(api_port: u16, store: String, settings: &[ShownSetting]) -> Self {
        Self { api_port, store, settings: ArcSwap::from_pointee(changed(settings)) }
    }

    /// Shows these settings from now on.
    pub(in crate::commands) fn set(&self, settings: &[ShownSetting]) {
        self.settings.store(Arc::new(changed(settings)));
    }
}

/// The settings that differ from their defaults.
fn changed(settings: &[ShownSetting]) -> Vec<Value> {
    let changed = settings.iter().filter(|shown| match (&shown.source, &shown.setting.default) {
        (Source::Default, _) => false,
        (_, Default::Value(default)) => shown.value.as_deref() != Some(*default),
        _ => true,
    });
    let shown = changed.map(|ShownSetting { setting, value, source, .. }| {
        json!({"key": setting.key, "value": value, "source": source.to_string()})
    });
    shown.collect()
}

/// `/status.json`.
pub(super) async fn figures(app: Data<App>, about: Data<About>, checker: Data<Checker>) -> HttpResponse {
    let (status, health) = checker.check(Asks::Reads).await;
    let figures = match app.metrics.figures() {
        Ok(figures) => figures,
        Err(error) => {
            log::error!("the metrics could not be written: {error}");
            return HttpResponse::InternalServerError().finish();
        }
    };
    let body = json!({
        "version": crate::VERSION,
        "time": Stamp.to_string(),
        "store": about.store,
        "ready": status == StatusCode::OK,
        "health": health,
        "figures": figures,
        "log": logging::recent(),
        "settings": **about.settings.load(),
    });
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(format!("{body}\n"))
}
