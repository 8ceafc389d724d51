//! What this room says when it can't do what was asked, in the wire's two spellings.

use std::borrow::Cow;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::{
    error::{Constraint, ConstraintKind, Error},
    http::{body::BodyError, report, request_id, wants_text_codes},
};

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal),+ $(,)?) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub enum AuthCode {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name),+
        }

        impl AuthCode {
            /// The code as it is sent.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

codes! {
    /// A field or parameter can't be used.
    ValidationFailed "validation_failed",
    /// The body is no JSON, or not of the shape that is asked for.
    BadJson "bad_json",
    /// Unknown user or wrong password: which of them is not told.
    InvalidCredentials "invalid_credentials",
    /// The mail address is still to be confirmed.
    EmailNotConfirmed "email_not_confirmed",
    /// The phone number is still to be confirmed.
    PhoneNotConfirmed "phone_not_confirmed",
    /// The code or link is unknown, used or over.
    OtpExpired "otp_expired",
    /// Nobody has the address, and no account was to be made.
    OtpDisabled "otp_disabled",
    /// There is no sign-in by mail address here.
    EmailProviderDisabled "email_provider_disabled",
    /// A code has to come along (`GET /reauthenticate`).
    ReauthenticationNeeded "reauthentication_needed",
    /// The code that came along is wrong or over.
    ReauthenticationNotValid "reauthentication_not_valid",
    /// The current password has to come along.
    CurrentPasswordRequired "current_password_required",
    /// Another account has this phone number.
    PhoneExists "phone_exists",
    /// Nobody could be asked to send the message.
    SmsSendFailed "sms_send_failed",
    /// Too many mails in too short a time.
    OverEmailSendRateLimit "over_email_send_rate_limit",
    /// Too many messages in too short a time.
    OverSmsSendRateLimit "over_sms_send_rate_limit",
    /// The refresh token belongs to no session, or not any more.
    RefreshTokenNotFound "refresh_token_not_found",
    /// A refresh token older than the one before was shown: its session has been ended.
    RefreshTokenAlreadyUsed "refresh_token_already_used",
    /// The session's time is over.
    SessionExpired "session_expired",
    /// The session was ended.
    SessionNotFound "session_not_found",
    /// The user is banned.
    UserBanned "user_banned",
    /// There is no such user.
    UserNotFound "user_not_found",
    /// The current password that came along is wrong.
    CurrentPasswordInvalid "current_password_invalid",
    /// There is no bearer token, or no key.
    NoAuthorization "no_authorization",
    /// The bearer token is not good.
    BadJwt "bad_jwt",
    /// Only an admin may do this.
    NotAdmin "not_admin",
    /// Strangers can't sign up here.
    SignupDisabled "signup_disabled",
    /// The address has an account.
    UserAlreadyExists "user_already_exists",
    /// Another account has this address.
    EmailExists "email_exists",
    /// The password is too weak; `weak_password` tells why.
    WeakPassword "weak_password",
    /// The new password is the old one.
    SamePassword "same_password",
    /// Nobody can be anonymous here.
    AnonymousProviderDisabled "anonymous_provider_disabled",
    /// There is no sign-in by phone here.
    PhoneProviderDisabled "phone_provider_disabled",
    /// No flow belongs to the code, or it was exchanged already.
    FlowStateNotFound "flow_state_not_found",
    /// The code was not exchanged in time.
    FlowStateExpired "flow_state_expired",
    /// The verifier is not the one of the challenge.
    BadCodeVerifier "bad_code_verifier",
    /// The provider does not vouch for the mail address: it has to be confirmed first.
    ProviderEmailNeedsVerification "provider_email_needs_verification",
    /// There is no such invitation, or not any more.
    InviteNotFound "invite_not_found",
    /// The user has a second factor and did not use it in this session.
    InsufficientAal "insufficient_aal",
    /// There is no such factor, or it was not asked this.
    MfaFactorNotFound "mfa_factor_not_found",
    /// Another factor of the user is called so.
    MfaFactorNameConflict "mfa_factor_name_conflict",
    /// The user can have no more factors.
    TooManyEnrolledMfaFactors "too_many_enrolled_mfa_factors",
    /// The user has such a factor.
    MfaVerifiedFactorExists "mfa_verified_factor_exists",
    /// The challenge was asked for from elsewhere, or answered before.
    MfaIpAddressMismatch "mfa_ip_address_mismatch",
    /// The challenge is too old.
    MfaChallengeExpired "mfa_challenge_expired",
    /// The proof is wrong, or was used before.
    MfaVerificationFailed "mfa_verification_failed",
    /// Authenticator apps can't be enrolled here.
    MfaTotpEnrollNotEnabled "mfa_totp_enroll_not_enabled",
    /// Codes of authenticator apps are not taken here.
    MfaTotpVerifyNotEnabled "mfa_totp_verify_not_enabled",
    /// Phones can't be enrolled here.
    MfaPhoneEnrollNotEnabled "mfa_phone_enroll_not_enabled",
    /// Codes sent to phones are not taken here.
    MfaPhoneVerifyNotEnabled "mfa_phone_verify_not_enabled",
    /// Security keys can't be enrolled here.
    MfaWebauthnEnrollNotEnabled "mfa_webauthn_enroll_not_enabled",
    /// Security keys are not taken here.
    MfaWebauthnVerifyNotEnabled "mfa_webauthn_verify_not_enabled",
    /// There are no recovery codes here.
    MfaRecoveryCodesEnrollNotEnabled "mfa_recovery_codes_enroll_not_enabled",
    /// Recovery codes are not taken here.
    MfaRecoveryCodesVerifyNotEnabled "mfa_recovery_codes_verify_not_enabled",
    /// Too many wrong recovery codes were tried.
    MfaRecoveryCodesLocked "mfa_recovery_codes_locked",
    /// Recovery codes can't be the only factor.
    MfaRecoveryCodesSoleFactor "mfa_recovery_codes_sole_factor",
    /// There is no sign-in by passkey here.
    PasskeyDisabled "passkey_disabled",
    /// The user can have no more passkeys.
    TooManyPasskeys "too_many_passkeys",
    /// The credential is registered already.
    WebauthnCredentialExists "webauthn_credential_exists",
    /// There is no such challenge, or it was answered before.
    WebauthnChallengeNotFound "webauthn_challenge_not_found",
    /// The challenge is too old.
    WebauthnChallengeExpired "webauthn_challenge_expired",
    /// The authenticator's answer is not what was asked for.
    WebauthnVerificationFailed "webauthn_verification_failed",
    /// The proof that no program asks is missing, or not good.
    CaptchaFailed "captcha_failed",
    /// Too much was asked for from this network, or too many guesses were made at this account.
    OverRequestRateLimit "over_request_rate_limit",
    /// A code or state was used before.
    FlowStateAlreadyUsed "flow_state_already_used",
    /// No flow, or not one of this browser, awaits what came back from the provider.
    BadOauthState "bad_oauth_state",
    /// What came back from the provider is no answer.
    BadOauthCallback "bad_oauth_callback",
    /// The provider is not one that the tenant uses.
    ProviderDisabled "provider_disabled",
    /// The provider tells no mail address.
    EmailAddressNotProvided "email_address_not_provided",
    /// Users can't link and unlink identities here.
    ManualLinkingDisabled "manual_linking_disabled",
    /// The identity is a user's already.
    IdentityAlreadyExists "identity_already_exists",
    /// The user has no such identity.
    IdentityNotFound "identity_not_found",
    /// The user's only identity can't be given up.
    SingleIdentityNotDeletable "single_identity_not_deletable",
    /// Without the identity the user would have an address that is another's.
    EmailConflictIdentityNotDeletable "email_conflict_identity_not_deletable",
    /// There are as many custom providers as there can be.
    OverCustomProviderQuota "over_custom_provider_quota",
    /// There is no such custom provider.
    CustomProviderNotFound "custom_provider_not_found",
    /// There is no sign-in by SAML.
    SamlProviderDisabled "saml_provider_disabled",
    /// There is no sign-in by wallet.
    Web3ProviderDisabled "web3_provider_disabled",
    /// This part of the wire is not offered.
    FeatureDisabled "feature_disabled",
    /// A hook can't be reached, or is too slow.
    HookTimeout "hook_timeout",
    /// A hook always says to come back later.
    HookTimeoutAfterRetry "hook_timeout_after_retry",
    /// A hook's answer is too large.
    HookPayloadOverSizeLimit "hook_payload_over_size_limit",
    /// A hook's answer is no JSON.
    HookPayloadInvalidContentType "hook_payload_invalid_content_type",
    /// A hook refuses the code of a second factor.
    MfaVerificationRejected "mfa_verification_rejected",
    /// What a hook says, without a code of its own.
    Unknown "unknown",
    /// The request contradicts what is stored.
    Conflict "conflict",
    /// The body is larger than it may be.
    RequestEntityTooLarge "request_entity_too_large",
    /// The request took too long.
    RequestTimeout "request_timeout",
    /// Our own fault, or too much to do.
    UnexpectedFailure "unexpected_failure",
}

impl AuthCode {
    /// The code of what a hook says with this status: hooks give none.
    pub(super) fn of_hook(status: StatusCode) -> Self {
        if status == StatusCode::INTERNAL_SERVER_ERROR { Self::UnexpectedFailure } else { Self::Unknown }
    }
}

/// Why a password is too weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeakPasswordReason {
    /// It is too short.
    Length,
    /// A kind of characters is missing.
    Characters,
    /// It is common, breached, or little more than a name.
    Pwned,
}

/// What is wrong with a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WeakPassword {
    /// What it should be instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it is too weak.
    pub reasons: Vec<WeakPasswordReason>,
}

/// What went wrong. Its spelling follows the request's `X-Supabase-Api-Version`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AuthErrorBody {
    /// From `2024-01-01` on.
    Dated(DatedAuthError),
    /// Without the header, or with an older date.
    Undated(UndatedAuthError),
}

/// An error as clients read it that send `X-Supabase-Api-Version: 2024-01-01`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DatedAuthError {
    /// What went wrong, for programs.
    pub code: AuthCode,
    /// What went wrong, for people.
    pub message: String,
    /// Why a password is too weak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_password: Option<WeakPassword>,
}

/// An error as older clients read it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UndatedAuthError {
    /// The HTTP status.
    pub code: u16,
    /// What went wrong, for programs.
    pub error_code: AuthCode,
    /// What went wrong, for people.
    pub msg: String,
    /// Names this request in the server's log. Only when it was the server's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_id: Option<String>,
    /// Why a password is too weak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_password: Option<WeakPassword>,
}

/// The error answers that every route of this room can give, for the document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the document is made of it")]
pub(super) enum AuthFailures {
    /// The request can't be done; `code` or `error_code` says why.
    #[response(status = "4XX")]
    Refused(AuthErrorBody),
    /// Our own fault, or too much to do; 503 says when to come again.
    #[response(status = "5XX")]
    Failed(AuthErrorBody),
}

/// An answer that is no success.
#[derive(Debug)]
pub struct AuthError {
    status: StatusCode,
    code: AuthCode,
    message: Cow<'static, str>,
    weak_password: Option<WeakPassword>,
    /// In how many seconds it may be asked again.
    retry_after: Option<i64>,
    /// What OAuth calls it.
    oauth: Option<&'static str>,
    /// Whether it is answered as OAuth does (RFC 6749, 5.2).
    is_of_oauth: bool,
}

/// An error as OAuth spells it.
#[derive(Serialize)]
struct OauthError<'e> {
    error: &'e str,
    error_description: &'e str,
}

impl AuthError {
    /// An error of this status.
    pub(super) fn new(status: StatusCode, code: AuthCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), weak_password: None, retry_after: None, oauth: None, is_of_oauth: false }
    }

    /// Whether it says that a hook gave no answer that can be used, which may be otherwise the next time.
    pub(super) fn is_passing(&self) -> bool {
        let is_of_hook = matches!(
            self.code,
            AuthCode::HookTimeout | AuthCode::HookTimeoutAfterRetry | AuthCode::HookPayloadOverSizeLimit | AuthCode::HookPayloadInvalidContentType
        );
        is_of_hook || matches!(self.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS)
    }

    pub(super) fn bad_request(code: AuthCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn forbidden(code: AuthCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(super) fn unprocessable(code: AuthCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// A field or parameter can't be used.
    pub(super) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(AuthCode::ValidationFailed, message)
    }

    /// A password is too weak. What it should be instead is the error's own message.
    pub(super) fn weak_password(weak: WeakPassword) -> Self {
        let message = weak.message.unwrap_or_default();
        Self { weak_password: Some(WeakPassword { message: None, reasons: weak.reasons }), ..Self::unprocessable(AuthCode::WeakPassword, message) }
    }

    /// It may be asked for again in so many seconds.
    pub(super) fn too_many(code: AuthCode, message: impl Into<Cow<'static, str>>, seconds: i64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(seconds)
    }

    /// The same, with when to come again.
    pub(super) fn retry_after(self, seconds: i64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// The code is unknown, used or over.
    pub(super) fn invite_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, AuthCode::InviteNotFound, "Invite not found")
    }

    pub(super) fn otp_expired() -> Self {
        Self::forbidden(AuthCode::OtpExpired, "Token has expired or is invalid")
    }

    /// The same error where a link was shown, not a code.
    pub(super) fn of_link(self) -> Self {
        if self.code == AuthCode::OtpExpired { Self { message: "Email link is invalid or has expired".into(), ..self } } else { self }
    }

    pub(super) fn user_already_exists() -> Self {
        Self::unprocessable(AuthCode::UserAlreadyExists, "User already registered")
    }

    pub(super) fn signup_disabled() -> Self {
        Self::unprocessable(AuthCode::SignupDisabled, "Signups not allowed for this instance")
    }

    /// Another account has the address or the number, whichever of them the database complains of.
    pub(super) fn taken(constraint: &Constraint) -> Self {
        let names = constraint.columns.iter().chain(&constraint.name);
        if names.into_iter().any(|name| name.contains("phone")) { Self::phone_exists() } else { Self::email_exists() }
    }

    pub(super) fn phone_exists() -> Self {
        Self::unprocessable(AuthCode::PhoneExists, "A user with this phone number has already been registered")
    }

    pub(super) fn invalid_credentials() -> Self {
        Self::bad_request(AuthCode::InvalidCredentials, "Invalid login credentials")
    }

    pub(super) fn user_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, AuthCode::UserNotFound, "User not found")
    }

    pub(super) fn email_exists() -> Self {
        Self::unprocessable(AuthCode::EmailExists, "A user with this email address has already been registered")
    }

    pub(super) fn not_admin() -> Self {
        Self::forbidden(AuthCode::NotAdmin, "User not allowed")
    }

    /// The same under this name of OAuth's.
    pub(super) fn named(self, oauth: &'static str) -> Self {
        Self { oauth: Some(oauth), ..self }
    }

    /// The same, answered as OAuth does.
    pub(super) fn of_oauth(self, oauth: &'static str) -> Self {
        Self { is_of_oauth: true, ..self.named(oauth) }
    }

    /// What OAuth calls an error of this kind (RFC 6749, 4.1.2.1), as far as it calls it anything.
    pub(super) fn oauth_name(&self) -> Option<&'static str> {
        let is_denied = matches!(self.code, AuthCode::SignupDisabled | AuthCode::UserBanned | AuthCode::ProviderEmailNeedsVerification);
        self.oauth.or(match self.status {
            _ if is_denied => Some("access_denied"),
            StatusCode::FORBIDDEN => Some("access_denied"),
            StatusCode::BAD_REQUEST => Some("invalid_request"),
            StatusCode::UNAUTHORIZED => Some("unauthorized_client"),
            status if status.is_server_error() => Some("server_error"),
            _ => None,
        })
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, for programs.
    pub(super) fn code(&self) -> AuthCode {
        self.code
    }

    /// What went wrong, for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn error_id(&self) -> Option<String> {
        self.status.is_server_error().then(|| request_id().as_str().to_owned())
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AuthError {}

impl From<Error> for AuthError {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Invalid { why, .. } => return Self::validation(why.clone()),
            Error::Constraint(constraint) if matches!(constraint.kind, ConstraintKind::Data(_)) => {
                return Self::validation("a value can't be stored: text may not have a NUL, numbers and dates must be in range");
            }
            Error::NotFound(_) => (StatusCode::NOT_FOUND, AuthCode::ValidationFailed),
            Error::Conflict(_) => (StatusCode::CONFLICT, AuthCode::Conflict),
            Error::Forbidden(_) => (StatusCode::FORBIDDEN, AuthCode::NotAdmin),
            Error::Unauthorized(_) => (StatusCode::UNAUTHORIZED, AuthCode::NoAuthorization),
            Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, AuthCode::UnexpectedFailure),
            Error::Timeout => (StatusCode::GATEWAY_TIMEOUT, AuthCode::RequestTimeout),
            Error::Constraint(_) | Error::Internal(_) => {
                report(&error);
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, AuthCode::UnexpectedFailure, "something went wrong on our side");
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<BodyError> for AuthError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => {
                let message = format!("Request body exceeds the maximum of {limit} bytes");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, AuthCode::RequestEntityTooLarge, message)
            }
            error => Self::bad_request(AuthCode::BadJson, format!("Could not parse request body as JSON: {error}")),
        }
    }
}

/// The header that asks for a spelling, and tells that it was given.
const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-sb-error-code");

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (status, code, dated) = (self.status, self.code, wants_text_codes());
        let error_id = self.error_id();
        let message = self.message.into_owned();
        if self.is_of_oauth {
            let body = OauthError { error: self.oauth.unwrap_or("invalid_request"), error_description: &message };
            return (status, axum::Json(body)).into_response();
        }
        let body = if dated {
            AuthErrorBody::Dated(DatedAuthError { code, message, weak_password: self.weak_password })
        } else {
            let weak_password = self.weak_password;
            AuthErrorBody::Undated(UndatedAuthError { code: status.as_u16(), error_code: code, msg: message, error_id, weak_password })
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&body).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ERROR_CODE, HeaderValue::from_static(code.as_str()));
        if dated {
            headers.insert(API_VERSION, HeaderValue::from_static("2024-01-01"));
        }
        let retry_after = self.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
