//! One call of a hook: signed as Standard Webhooks say, tried again for a while, its answer read.

use std::time::Duration;

use aws_lc_rs::hmac;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::super::error::{AuthCode, AuthError};
use crate::{
    app::App,
    crypto::base64,
    db::{TenantId, Timestamp},
    error::{Error, Result},
    outbound::{Bounds, OutboundError},
    tenants::{Hook, webhook_keys},
};

/// How long all tries of one call may take together.
pub(super) const BUDGET: Duration = Duration::from_secs(5);
/// Tries of one call.
const TRIES: u32 = 3;
/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of an answer at most.
const LARGEST: usize = 200 * 1024;

/// Characters of what a hook has to say at most.
pub(super) const LONGEST_MESSAGE: usize = 1000;

/// Why a hook gave no answer that can be used.
#[derive(Debug)]
pub(super) enum HookError {
    /// It can't be reached, or was too slow.
    Silent,
    /// It was reached, and always said to come back later.
    Busy,
    /// Its answer is too large.
    TooLarge,
    /// Its answer is no JSON, by its own words.
    NoJson(String),
    /// Its answer is not what was asked for, or of a status that says so.
    Unfit(String),
    /// It says no, in words of its own.
    Refused { status: Option<u16>, message: String },
    /// Our own fault.
    Internal(Error),
}

impl HookError {
    /// Whether it will be the same the next time: the hook has heard, and says no.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status: Some(400..=499), .. }) && !matches!(self, Self::Refused { status: Some(408 | 409 | 425 | 429), .. })
    }

    /// What the log says of it: nothing in the hook's own words, which may be about somebody. `None` for its decisions.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => None,
            error => Some(error.to_string()),
        }
    }
}

impl From<Error> for HookError {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

impl From<HookError> for AuthError {
    fn from(error: HookError) -> Self {
        let failed = |message: String| Self::new(StatusCode::INTERNAL_SERVER_ERROR, AuthCode::UnexpectedFailure, message);
        match error {
            HookError::Silent => {
                let message = format!("Failed to reach hook within maximum time of {} seconds", BUDGET.as_secs());
                Self::unprocessable(AuthCode::HookTimeout, message)
            }
            HookError::Busy => Self::unprocessable(AuthCode::HookTimeoutAfterRetry, "Failed to reach hook after maximum retries"),
            HookError::TooLarge => {
                Self::unprocessable(AuthCode::HookPayloadOverSizeLimit, format!("Payload size exceeded size limit of {LARGEST} bytes"))
            }
            HookError::NoJson(kind) => {
                let message = format!("Invalid JSON response. Received content-type: {kind}");
                Self::bad_request(AuthCode::HookPayloadInvalidContentType, message)
            }
            HookError::Unfit(message) => failed(message),
            HookError::Refused { status, message } => {
                let status =
                    status.and_then(|status| StatusCode::from_u16(status).ok()).filter(|status| status.is_client_error() || status.is_server_error());
                match status {
                    Some(status) => Self::new(status, AuthCode::of_hook(status), message),
                    None => failed(message),
                }
            }
            HookError::Internal(error) => error.into(),
        }
    }
}

impl std::fmt::Display for HookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("the hook can't be reached, or is too slow"),
            Self::Busy => f.write_str("the hook says to come back later"),
            Self::TooLarge => write!(f, "the hook's answer has more than {LARGEST} bytes"),
            Self::NoJson(kind) => write!(f, "the hook's answer is of type \"{kind}\" and should be application/json"),
            Self::Unfit(why) | Self::Refused { message: why, .. } => f.write_str(why),
            Self::Internal(error) => error.fmt(f),
        }
    }
}

/// Calls a hook with `payload`, under `id`, and reads its answer.
pub(super) async fn call<A: DeserializeOwned + Default>(app: &App, tenant: TenantId, hook: &Hook, id: Uuid, payload: &Value) -> Result<A, HookError> {
    let secrets = hook.secrets.open(&app.master_key, tenant)?.ok_or_else(|| Error::internal("a hook without secrets is enabled"))?;
    let keys = keys(secrets.expose_secret())?;
    let body = serde_json::to_vec(payload).map_err(Error::from)?;
    let answer = tokio::time::timeout(BUDGET, tries(app, &hook.url, &keys, id, &body)).await.map_err(|_| HookError::Silent)??;
    read(&answer)
}

async fn tries(app: &App, url: &str, keys: &[hmac::Key], id: Uuid, body: &[u8]) -> Result<http::Response<bytes::Bytes>, HookError> {
    let bounds = Bounds { time: BUDGET, answer: LARGEST };
    let mut last = HookError::Silent;
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let request = write(url, keys, id, app.clock.now(), body)?;
        match app.outbound.send_within(request, bounds).await {
            Err(OutboundError::TooLarge(_)) => return Err(HookError::TooLarge),
            Err(OutboundError::Unreachable) => last = HookError::Silent,
            Ok(answer) if matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => last = HookError::Busy,
            Ok(answer) => return Ok(answer),
        }
    }
    Err(last)
}

fn write(url: &str, keys: &[hmac::Key], id: Uuid, now: Timestamp, body: &[u8]) -> Result<Request<Vec<u8>>, HookError> {
    let (id, seconds) = (id.to_string(), now.seconds());
    Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signatures(keys, &id, seconds, body))
        .body(body.to_vec())
        .map_err(|_| HookError::Unfit("the hook's address can't be called".to_owned()))
}

/// One for each key, so that a key can take the place of another.
fn signatures(keys: &[hmac::Key], id: &str, seconds: i64, body: &[u8]) -> String {
    let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let each = keys.iter().map(|key| format!("v1,{}", base64(hmac::sign(key, &signed).as_ref())));
    each.collect::<Vec<_>>().join(" ")
}

fn keys(secrets: &str) -> Result<Vec<hmac::Key>, HookError> {
    let keys = webhook_keys(secrets).ok_or_else(|| HookError::Unfit("a hook's secret should be v1,whsec_ and base64".to_owned()))?;
    Ok(keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect())
}

fn read<A: DeserializeOwned + Default>(answer: &http::Response<bytes::Bytes>) -> Result<A, HookError> {
    let status = answer.status();
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {}
        StatusCode::BAD_REQUEST => return Err(HookError::Unfit("Invalid payload sent to hook".to_owned())),
        StatusCode::UNAUTHORIZED => return Err(HookError::Unfit("Hook requires authorization token".to_owned())),
        status => return Err(HookError::Unfit(format!("Unexpected status code returned from hook: {}", status.as_u16()))),
    }
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.is_empty() && answer.body().is_empty() && status == StatusCode::NO_CONTENT {
        return Ok(A::default());
    }
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(HookError::NoJson(kind.chars().take(100).collect()));
    }
    let unfit = |_| HookError::Unfit("Error unmarshaling JSON output.".to_owned());
    let body: Value = serde_json::from_slice(answer.body()).map_err(unfit)?;
    if let Some(refusal) = body.get("error").filter(|error| error.is_object()) {
        let message = refusal["message"].as_str().unwrap_or_default();
        if !message.is_empty() || refusal["http_code"].is_number() {
            let status = refusal["http_code"].as_u64().and_then(|code| u16::try_from(code).ok());
            return Err(HookError::Refused { status, message: message.chars().take(LONGEST_MESSAGE).collect() });
        }
    }
    serde_json::from_value(body).map_err(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_signed_as_standard_webhooks_say() {
        // The example that the libraries of Standard Webhooks are tested with.
        let keys = keys("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let text = signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw|v1,whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";
        assert_eq!(signatures(&super::keys(two).unwrap(), "id", 1, b"").split(' ').count(), 2);
    }
}
