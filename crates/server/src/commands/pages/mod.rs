//! The pages of the admin listener for people: `/docs` to try the API, and `/status` to see how the server does.
//! All that a browser needs for them is in the binary, and a policy in each answer forbids everything else.

mod assets;
mod status;

use actix_web::http::header;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use self::assets::Asset;
pub(super) use self::status::About;
use super::read_only::read_only;
use crate::answer::gzip::takes_gzip;
use crate::app::App;
use crate::settings::Origin;

/// The document of the API. [`API_IN_DOCUMENT`] stands in it once.
const OPENAPI: &str = include_str!("../../../../../docs/openapi.yaml");

/// The URL of the API that the document names.
const API_IN_DOCUMENT: &str = "http://127.0.0.1:8000/v2";

/// Adds the paths of the pages.
pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .service(read_only("/docs", show_docs))
        .service(read_only("/docs/openapi.yaml", show_openapi))
        .service(read_only("/status.json", status::figures));
    for asset in assets::ALL {
        service.service(read_only(asset.path, move |request: HttpRequest| async move {
            show(asset, &request, SAME_ORIGIN)
        }));
    }
}

/// The `Content-Security-Policy` of a page that only talks to the admin listener.
const SAME_ORIGIN: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/docs`. The page may also talk to the API.
async fn show_docs(request: HttpRequest, app: Data<App>, about: Data<About>) -> HttpResponse {
    let api = api(&request, &app, &about);
    let policy =
        SAME_ORIGIN.replace("connect-src 'self'", &format!("connect-src 'self' {}", api.in_policy()));
    show(assets::DOCS, &request, &policy)
}

/// The document, with the API's URL as the browser reaches it.
async fn show_openapi(request: HttpRequest, app: Data<App>, about: Data<About>) -> HttpResponse {
    let api = api(&request, &app, &about);
    let text = OPENAPI.replacen(API_IN_DOCUMENT, &format!("{api}/v2"), 1);
    HttpResponse::Ok()
        .content_type("application/yaml")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

/// Where the browser that sends a request finds the API.
fn api(request: &HttpRequest, app: &App, about: &About) -> Origin {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    app.settings.api_url.clone().unwrap_or_else(|| Origin::beside(host, about.api_port))
}

/// Answers with a file of the binary.
fn show(asset: Asset, request: &HttpRequest, policy: &str) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(asset.media_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        // A newer server has newer pages.
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    match asset.content(takes_gzip(accepted)) {
        Ok(content) => {
            if let Some(coding) = content.coding {
                answer.insert_header((header::CONTENT_ENCODING, coding));
            }
            answer.insert_header((header::VARY, "accept-encoding")).body(content.bytes)
        }
        Err(error) => {
            log::error!("a file of the binary cannot be read: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_names_the_api_once() {
        assert_eq!(super::OPENAPI.matches(super::API_IN_DOCUMENT).count(), 1);
    }
}
