//! `/t/{ref}/…`: the tenant in the path, for clients that can't be given a host of their own.

use bytes::Bytes;
use http::{Request, Uri, uri::PathAndQuery};

/// An extension: the tenant that the path began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantInPath(pub String);

/// An extension: the path and query as they came, where [`strip_tenant`] shortened them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalPath(pub PathAndQuery);

/// Where the requests of a listener belong that serves one tenant.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The tenant.
    pub tenant: String,
    /// What is at `/auth/v1` is at `/`.
    pub is_root: bool,
    /// No key is asked for where one would only name the tenant.
    pub is_open: bool,
}

/// An extension: no key is asked for where one would only name the tenant.
#[derive(Clone, Copy, Debug)]
pub struct KeyIsOptional;

impl Mount {
    /// Makes of a request what it would be if it had named its tenant and its surface.
    pub(super) fn enter<B>(&self, request: &mut Request<B>) {
        if self.is_root
            && let Some(original) = request.uri().path_and_query().filter(|whole| !whole.path().starts_with("/auth/v1/")).cloned()
            && let Ok(path) = PathAndQuery::from_maybe_shared(Bytes::from(format!("/auth/v1{original}")))
        {
            set_path(request, path);
            request.extensions_mut().insert(OriginalPath(original));
        }
        request.extensions_mut().insert(TenantInPath(self.tenant.clone()));
        if self.is_open {
            request.extensions_mut().insert(KeyIsOptional);
        }
    }
}

fn set_path<B>(request: &mut Request<B>, path: PathAndQuery) {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Takes `/t/{ref}` off the path and notes it, so that the rest is routed as if it had not been there.
pub(super) fn strip_tenant<B>(request: &mut Request<B>) {
    let Some(original) = request.uri().path_and_query() else { return };
    let Some((reference, rest)) = split(original.as_str()) else { return };
    let Ok(path) = PathAndQuery::from_maybe_shared(rest) else { return };
    let (reference, original) = (reference.to_owned(), original.clone());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(TenantInPath(reference));
        request.extensions_mut().insert(OriginalPath(original));
    }
}

/// `/t/acme/rest/v1?x` is `acme` and `/rest/v1?x`. What has no well-formed name stays as it is, and no route will match it.
fn split(path: &str) -> Option<(&str, Bytes)> {
    let rest = path.strip_prefix("/t/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (reference, rest) = rest.split_at(end);
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if reference.is_empty() || !reference.bytes().all(is_plain) {
        return None;
    }
    let rest = if rest.starts_with('/') { Bytes::copy_from_slice(rest.as_bytes()) } else { format!("/{rest}").into() };
    Some((reference, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(uri: &str) -> (String, Option<String>) {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        strip_tenant(&mut request);
        let tenant = request.extensions().get::<TenantInPath>().map(|tenant| tenant.0.clone());
        (request.uri().to_string(), tenant)
    }

    #[test]
    fn the_tenant_is_taken_off_once() {
        let acme = || Some("acme".to_owned());
        assert_eq!(stripped("/t/acme/rest/v1/employees?id=eq.1"), ("/rest/v1/employees?id=eq.1".to_owned(), acme()));
        assert_eq!(stripped("/t/acme"), ("/".to_owned(), acme()));
        assert_eq!(stripped("/t/acme?x"), ("/?x".to_owned(), acme()));
        assert_eq!(stripped("/t/acme/t/other/x"), ("/t/other/x".to_owned(), acme()));
        assert_eq!(stripped("/t/acme//x"), ("//x".to_owned(), acme()));
    }

    #[test]
    fn what_names_no_tenant_stays() {
        for uri in ["/", "/t", "/t/", "/t//rest", "/t/Acme/x", "/t/a%2Fb/x", "/t/a.b/x", "/rest/v1/t/acme"] {
            assert_eq!(stripped(uri), (uri.to_owned(), None));
        }
    }
}
