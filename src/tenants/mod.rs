//! Tenants: who they are, what they chose, and the keys by which a request or a token is known to be theirs.
//!
//! Rules: a reference is never used again; keys are stored as hashes and shown once; private signing keys are sealed with the master key.
//! A suspended tenant, a revoked key or a changed setting is felt within half a second on every node.
//!
//! Start with [`resolve`] (how a request finds its tenant), then `manage.rs` (what an operator does), which `api.rs` and the command line share.

mod api;
mod audit;
mod directory;
mod inbox;
mod key;
mod manage;
mod model;
mod operator;
mod resolve;
mod settings;
mod signing;
mod sql;

pub use self::{
    api::router,
    directory::Directory,
    key::{KeyKind, NewKey, read_key},
    manage::{
        FirstStart, KeyRequest, SigningKeyImport, TenantChange, create_key, create_operator_key, create_tenant, delete_tenant, first_start,
        get_tenant, import_signing_keys, list_keys, list_operator_keys, list_signing_keys, list_tenants, remove_signing_key, revoke_key,
        revoke_operator_key, rotate_signing_key, sealed_secret, set_status, update_tenant,
    },
    model::{Action, ApiKey, KeyGrant, Reference, SCOPE_RESOURCES, Scopes, Tenant, TenantStatus},
    operator::Operator,
    resolve::{Refusal, Resolved, resolve},
    settings::{
        CaptchaProvider, CaptchaSettings, CharacterKind, FieldGroup, Hook, HookSettings, IdentitySettings, LimitSettings, MailKind, MailTemplate,
        MfaSettings, NoticeSettings, Ownership, PROVIDERS, PasswordRules, ProviderSettings, PwnedCheck, Rate, RecordAction, RecordRule,
        RecordSettings, RedirectSettings, RowCondition, RowOperator, RowScope, RuleAction, Sealed, SecretSetting, SessionSettings, SmsProvider,
        StorageRule, StorageSettings, TenantSettings, claim_of, custom_validator, read_redirect, storage_presets, webhook_keys,
    },
    signing::{KeyPrint, TokenError, TokenKind, VerifiedClaims, if_there},
    sql::{KeyRow, OperatorKeyRow, SigningKeyRow, TenantRow},
};
pub use crate::db::TenantId;
