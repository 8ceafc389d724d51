//! Parameters of a query or a form, each of which may be there once: of two, one reader takes the first and another the last (V12).

use axum::http::request::Parts;
use url::form_urlencoded;

use super::error::AuthError;

/// Parameters, each once.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a request's query.
    pub(super) fn of_query(parts: &Parts) -> Result<Self, AuthError> {
        Self::read(parts.uri.query().unwrap_or_default().as_bytes())
    }

    /// Those of a query and of the form that came with it.
    pub(super) fn of_both(parts: &Parts, form: &[u8]) -> Result<Self, AuthError> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let divider: &[u8] = if query.is_empty() || form.is_empty() { b"" } else { b"&" };
        Self::read(&[query, divider, form].concat())
    }

    /// Those of a form.
    pub(super) fn of_form(form: &[u8]) -> Result<Self, AuthError> {
        Self::read(form)
    }

    fn read(text: &[u8]) -> Result<Self, AuthError> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            if found.iter().any(|(known, _)| *known == name) {
                return Err(AuthError::validation("a parameter is there twice"));
            }
            if found.len() == 50 {
                return Err(AuthError::validation("there are more than 50 parameters"));
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(found))
    }

    /// What a parameter says, if it says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub(super) fn all(&self) -> &[(String, String)] {
        &self.0
    }
}
