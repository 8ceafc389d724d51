//! An answer on its way: what is sent, kept for who asks again, or put among the results of a batch.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value as Json};

use super::error::{RestError, RestResult};
use crate::error::Error;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers that are its own; those that every answer has are added on the way out.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// An answer without headers.
    pub(super) fn new(status: StatusCode, body: String) -> Self {
        Self { status, headers: HeaderMap::new(), body }
    }

    /// Adds a header. A value that can't stand in one is left out.
    pub(super) fn header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Says which version the one row has that this is about.
    pub(super) fn version(&mut self, version: i64) {
        self.header(header::ETAG, &format!("\"{version}\""));
    }

    /// The headers as JSON.
    pub(super) fn headers_as_json(&self) -> Json {
        let pairs = self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), Json::from(value.to_str().unwrap_or_default())));
        Json::Object(pairs.collect::<Map<_, _>>())
    }

    /// What [`Self::headers_as_json`] and the rest were made of.
    pub(super) fn of_parts(status: i64, headers: &Json, body: String) -> RestResult<Self> {
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(|| RestError::from(Error::internal("a kept answer has no status")))?;
        let mut answer = Self::new(status, body);
        for (name, value) in headers.as_object().into_iter().flatten() {
            if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), value.as_str()) {
                answer.header(name, value);
            }
        }
        Ok(answer)
    }

    /// The answer as it is sent.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_being_kept() {
        let mut answer = Answer::new(StatusCode::CREATED, "[]".to_owned());
        answer.header(header::CONTENT_RANGE, "*/*");
        answer.version(7);
        let again = Answer::of_parts(201, &answer.headers_as_json(), answer.body.clone()).unwrap();
        assert_eq!(again, answer);
        assert_eq!(again.headers[header::ETAG], "\"7\"");
        assert!(Answer::of_parts(7, &Json::Null, String::new()).is_err());
    }
}
