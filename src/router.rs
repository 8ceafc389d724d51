//! Every room mounted once. What is served and what is in the document are the same list.

use std::sync::LazyLock;

use axum::{
    Json, Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    app::App,
    auth, health,
    http::{Surface, SurfaceError},
    records, storage, tenants,
};

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Basalt", description = "Sign-in, employee records and files for many tenants. Every path can also be called below `/t/{ref}`, which names the tenant."),
    tags(
        (name = "auth", description = "Users and sessions, on the wire of Supabase Auth"),
        (name = "records", description = "Employees and what belongs to them, on the wire of PostgREST"),
        (name = "scim", description = "A directory's users and groups as employees, by SCIM 2.0"),
        (name = "storage", description = "Buckets and files, on the wire of Supabase Storage"),
        (name = "admin", description = "Tenants and their keys, for the operator"),
        (name = "server", description = "How the process is"),
    ),
    // Answers that routes share name their bodies without bringing them along.
    components(schemas(auth::AuthErrorBody)),
    modifiers(&SecuritySchemes)
)]
struct Frame;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let api_key = ApiKeyValue::with_description("apikey", "A publishable or secret key of the tenant");
        components.add_security_scheme("apikey", SecurityScheme::ApiKey(ApiKey::Header(api_key)));
        let bearer =
            |description: &str| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build());
        components.add_security_scheme("user", bearer("A user's access token"));
        components.add_security_scheme("operator", bearer("An operator key"));
        components.add_security_scheme("metrics", bearer("The setting metrics.token"));
    }
}

/// Every route, and the document that describes them.
pub fn routes() -> (Router<App>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Frame::openapi())
        .merge(tenants::router())
        .merge(auth::router())
        .merge(records::router())
        .merge(storage::router())
        .merge(health::router())
        .routes(routes!(get_document))
        .split_for_parts();
    name_wildcards_plainly(&mut document);
    (router, document)
}

/// The router writes `{*key}` for a parameter that may have slashes; the document has no such thing.
fn name_wildcards_plainly(document: &mut Document) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}

/// The document as it is served and as `openapi/openapi.json` has it.
pub fn document() -> Document {
    routes().1
}

/// The router of a running process.
pub fn router(app: App) -> Router {
    let (router, _) = routes();
    router
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .with_state(app)
}

/// The document of this server, OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, body = serde_json::Value)))]
async fn get_document() -> Json<&'static Document> {
    // It is the same for every server of the process, and a layer to carry it would be paid for by every route.
    static DOCUMENT: LazyLock<Document> = LazyLock::new(document);
    Json(&DOCUMENT)
}

async fn unknown_route(request: Request) -> Response {
    let path = request.uri().path();
    SurfaceError::no_route(Surface::of(path), format!("there is nothing at {} {path}", request.method())).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let path = request.uri().path();
    SurfaceError::wrong_method(Surface::of(path), format!("{path} does not take {}", request.method())).into_response()
}
