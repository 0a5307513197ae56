//! Paths of the admin listener. Each can only be read.

use actix_web::http::{Method, header};
use actix_web::web;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder};

/// A path that can only be read.
pub(super) fn read_only<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(nothing_here))
}

/// The answer to all else.
pub(super) async fn nothing_here(request: HttpRequest) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::HEAD => HttpResponse::NotFound().finish(),
        _ => HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish(),
    }
}
