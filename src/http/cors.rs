//! Pages of any origin may call every surface: a caller shows its key and its token itself, and there are no cookies to steal.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use super::surface::Surface;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Said when a preflight does not name the headers it asks for.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, accept-profile, apikey, authorization, content-profile, content-type, idempotency-key, if-match, if-none-match, prefer, range, \
     range-unit, tus-resumable, upload-checksum, upload-defer-length, upload-length, upload-metadata, upload-offset, x-client-info, \
     x-client-ip, x-http-method-override, x-jwt-aud, x-metadata, x-request-id, x-signature, x-supabase-api-version, x-upsert, x-use-cookie",
);

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, ETag, Link, Location, Next-Cursor, Preference-Applied, \
     Retry-After, Transfer-Encoding, Tus-Checksum-Algorithm, Tus-Complete, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, \
     Upload-Defer-Length, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset, X-Request-Id, X-Sb-Error-Code, \
     X-Supabase-Api-Version, X-Total-Count",
);

/// How long a browser may remember a preflight, in seconds; the longest that any browser takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

const ANY: HeaderValue = HeaderValue::from_static("*");

/// A browser's question whether it may send the real request, which no handler needs to see.
pub(super) fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight; [`allow`] adds the origin.
pub(super) fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allowed = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(HEADERS);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    response
}

/// Lets the page that asked read the answer.
pub(super) fn allow(surface: Surface, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    let Some(origin) = origin else { return };
    if surface == Surface::Auth {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    } else {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
