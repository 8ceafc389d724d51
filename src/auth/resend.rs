//! Asks for a mail or message once more.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ask::{Ask, Asked, Pkce},
    caller::Visitor,
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    link::Languages,
    otp::Asking,
    phone::Phone,
    redirect::AskedRedirect,
    request::JsonBody,
};
use crate::app::App;

/// What is to be sent once more.
#[derive(Deserialize, ToSchema)]
pub(super) struct Resending {
    /// `signup`, `email_change`, `sms` or `phone_change`.
    #[serde(rename = "type")]
    #[schema(example = "signup")]
    kind: Option<String>,
    /// The mail address that the user has.
    email: Option<String>,
    /// The phone number that the user has.
    phone: Option<String>,
    /// The challenge of the PKCE flow, with its method.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
}

/// Asks for a mail or message once more. Nobody is told whether there was one.
#[utoipa::path(post, path = "/auth/v1/resend", tag = "auth", request_body = Resending,
    responses((status = 200, body = Asking, description = "It is on its way, if there is anything to send"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn resend(
    State(app): State<App>,
    visitor: Visitor,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<Resending>,
) -> Result<Json<Asking>, AuthError> {
    let given = |field: Option<String>| field.filter(|text| !text.is_empty());
    let tenant = &visitor.tenant;
    let (email, phone) = (given(asked.email), given(asked.phone));
    let (by_mail, by_phone) = match asked.kind.as_deref() {
        Some("signup") if email.is_none() => return Err(AuthError::validation("Type provided requires an email address")),
        Some("sms") if phone.is_none() => return Err(AuthError::validation("Type provided requires a phone number")),
        Some("signup" | "sms") => (Asked::ConfirmationAgain, Asked::ConfirmationAgain),
        Some("email_change") => (Asked::EmailChangeAgain, Asked::EmailChangeAgain),
        Some("phone_change") => (Asked::PhoneChangeAgain, Asked::PhoneChangeAgain),
        _ => return Err(AuthError::validation("Missing one of these types: signup, email_change, sms, phone_change")),
    };
    let challenge = Pkce { code_challenge: asked.code_challenge, code_challenge_method: asked.code_challenge_method };
    challenge.read()?;
    match (email, phone) {
        (Some(_), Some(_)) => Err(AuthError::validation("Only an email address or phone number should be provided.")),
        (None, None) => Err(AuthError::validation("Missing email address or phone number")),
        (Some(email), None) => {
            if !tenant.settings.sign_up.email {
                return Err(AuthError::bad_request(AuthCode::EmailProviderDisabled, "Email logins are disabled"));
            }
            let email: Email = email.parse()?;
            let redirect_to = redirect.decide(&app, tenant).to.to_string();
            let ask = Ask { asked: by_mail, address: email.into(), challenge, redirect_to, languages: languages.0, channel: String::new() };
            ask.submit(&app, tenant).await?;
            Ok(Json(Asking::default()))
        }
        (None, Some(phone)) => {
            if !tenant.settings.sign_up.phone {
                return Err(AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Phone logins are disabled"));
            }
            let phone: Phone = phone.parse()?;
            // Whether there is anybody to send a message to is not told, so neither is whether anybody could send it: that the job fails is seen.
            let message_id = Ask::by_phone(by_phone, phone, "sms".to_owned()).submit(&app, tenant).await?;
            Ok(Json(Asking { message_id: Some(message_id) }))
        }
    }
}
