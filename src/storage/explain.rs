//! What the rules say, and why: for who writes them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    error::{Code, ErrorBody, StorageError},
    extract::JsonBody,
    model::{BucketName, ObjectKey},
    rules::{self, Action, BucketAction, Content, Miss, Subject, Who},
    sql,
};
use crate::{
    app::App,
    auth::{Caller, Principal, Roles, SignedIn},
    tenants::{RuleAction, StorageRule, StorageSettings, storage_presets},
};

/// The tenant's rules, and rules to begin with.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleList {
    rules: Vec<StorageRule>,
    sealed_buckets: Vec<String>,
    /// By name: what apps ask for most, to be filled in and put into the tenant's settings.
    presets: BTreeMap<&'static str, StorageRule>,
}

/// Shows the tenant's rules.
#[utoipa::path(get, path = "/storage/v1/rules", tag = "storage", security(("apikey" = [])), responses(
    (status = 200, body = RuleList), (status = 403, body = ErrorBody)))]
pub(super) async fn list_rules(caller: Caller) -> Result<Json<RuleList>, StorageError> {
    only_service(&caller)?;
    let settings = &caller.tenant.settings.storage;
    Ok(Json(RuleList { rules: settings.rules.clone(), sealed_buckets: settings.sealed_buckets.clone(), presets: storage_presets() }))
}

fn only_service(caller: &Caller) -> Result<(), StorageError> {
    if matches!(caller.principal, Principal::Service) { Ok(()) } else { Err(StorageError::new(Code::InvalidRole, "Access denied: Invalid role")) }
}

/// What is asked about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// What would be done; `select` is three, of which one is asked for.
    action: RuleAction,
    #[schema(example = "avatars")]
    bucket: String,
    /// The object; not for actions on buckets.
    #[schema(example = "folder/me.png")]
    key: Option<String>,
    /// Who would do it. For secret keys only; the caller itself when absent.
    r#as: Option<Somebody>,
    /// What the object would be. When absent it is the one that is there, if one is.
    object: Option<Something>,
    /// Other rules than the tenant's, to try them out. For secret keys only.
    rules: Option<Vec<StorageRule>>,
}

enum Deed {
    Object(Action),
    Bucket(BucketAction),
}

impl Deed {
    fn of(action: RuleAction) -> Result<Self, StorageError> {
        Ok(match action {
            RuleAction::Select => return Err(StorageError::invalid("body/action select is three: ask for get, list or sign")),
            RuleAction::Get => Self::Object(Action::Get),
            RuleAction::List => Self::Object(Action::List),
            RuleAction::Sign => Self::Object(Action::Sign),
            RuleAction::Insert => Self::Object(Action::Insert),
            RuleAction::Update => Self::Object(Action::Update),
            RuleAction::Delete => Self::Object(Action::Delete),
            RuleAction::CreateBucket => Self::Bucket(BucketAction::Create),
            RuleAction::ReadBucket => Self::Bucket(BucketAction::Read),
            RuleAction::UpdateBucket => Self::Bucket(BucketAction::Update),
            RuleAction::DeleteBucket => Self::Bucket(BucketAction::Delete),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Object(action) => action.as_str(),
            Self::Bucket(action) => action.as_str(),
        }
    }
}

/// A user, as the rules see one; without an id it is nobody in particular.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Somebody {
    user_id: Option<Uuid>,
    #[serde(default)]
    roles: Vec<String>,
    employee_id: Option<Uuid>,
    email: Option<String>,
    #[serde(default = "first_level")]
    aal: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    app_metadata: serde_json::Map<String, serde_json::Value>,
}

fn first_level() -> String {
    "aal1".to_owned()
}

impl Somebody {
    fn signed_in(self) -> Option<SignedIn> {
        Some(SignedIn {
            user_id: self.user_id?,
            session_id: Uuid::nil(),
            email: self.email,
            aal: self.aal,
            roles: Roles::of(&serde_json::json!({ "roles": self.roles })),
            employee_id: self.employee_id,
            is_anonymous: false,
            app_metadata: serde_json::Value::Object(self.app_metadata),
        })
    }
}

/// An object, as the rules see one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Something {
    /// The id of the user whose it is. For `insert` it is who makes it.
    owner: Option<String>,
    #[serde(default = "unknown_type")]
    content_type: String,
    size: Option<i64>,
    #[schema(value_type = Option<Object>)]
    user_metadata: Option<serde_json::Value>,
}

fn unknown_type() -> String {
    "application/octet-stream".to_owned()
}

/// Whether it may be done, and what each rule says to it.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    allowed: bool,
    /// The first rule that allows it; null also where a key needs none.
    rule: Option<String>,
    /// The permission that is missing, if it is not allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'static str>,
    rules: Vec<Verdict>,
}

/// What a rule says.
#[derive(Serialize, ToSchema)]
struct Verdict {
    rule: String,
    allows: bool,
    /// What does not fit: `bucket`, `sealed`, `role`, `claims`, `action`, `path`, `owner`, `mime`, `size` or `metadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "path")]
    because: Option<Miss>,
}

/// Tells whether the caller, or with a secret key anybody, may do something, and which rules say so. Nothing is done.
#[utoipa::path(post, path = "/storage/v1/rules/can", tag = "storage", request_body = Question, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Answer), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn explain(caller: Caller, State(app): State<App>, JsonBody(asked): JsonBody<Question>) -> Result<Json<Answer>, StorageError> {
    if asked.r#as.is_some() || asked.rules.is_some() {
        only_service(&caller)?;
    }
    let bucket = BucketName::read(&asked.bucket)?;
    let mut settings = caller.tenant.settings.storage.clone();
    if let Some(rules) = asked.rules {
        rules.iter().try_for_each(StorageRule::check)?;
        settings.rules = rules;
    }
    let deed = Deed::of(asked.action)?;
    let somebody = match (asked.r#as, &caller.principal) {
        (Some(somebody), _) => somebody.signed_in(),
        (None, Principal::User(user)) => Some(user.clone()),
        (None, Principal::Anon) => None,
        // Keys stand above the rules.
        (None, Principal::Key(_) | Principal::Service) => {
            let allowed = is_allowed_to_key(&caller, &bucket, &deed, asked.key.as_deref())?;
            let missing = (!allowed).then(|| deed.name());
            return Ok(Json(Answer { allowed, rule: None, missing, rules: Vec::new() }));
        }
    };
    let (who, is_service) = (Who(somebody.as_ref()), matches!(caller.principal, Principal::Service));
    let tenant = caller.tenant.id;
    let verdicts: Vec<Verdict> = match deed {
        Deed::Bucket(action) => {
            let there = sql::find_bucket(&app.db.read().await?, tenant, bucket.as_str()).await?;
            let owner = there.and_then(|bucket| bucket.owner_id);
            let says = |rule| rules::allows_bucket(rule, &settings, who, action, (bucket.as_str(), owner.as_deref()));
            settings.rules.iter().map(|rule| Verdict::new(rule, says(rule))).collect()
        }
        Deed::Object(action) => {
            let key = key_of(asked.key.as_deref())?;
            let there = sql::find_object(&app.db.read().await?, tenant, bucket.as_str(), key.as_str()).await?;
            // What the caller may not see is as if it were not there.
            let there = there.filter(|object| is_service || rules::rights(&caller, bucket.as_str()).allow(Action::Get, &Subject::from(object)));
            let maker = who.id();
            let subject = match (&asked.object, &there) {
                (Some(object), _) => object.subject(&key, if action == Action::Insert { maker.as_deref() } else { object.owner.as_deref() }),
                (None, Some(object)) if action != Action::Insert => Subject::from(object),
                (None, _) => Subject { name: key.as_str(), owner: maker.as_deref().filter(|_| action == Action::Insert), content: None },
            };
            settings.rules.iter().map(|rule| Verdict::new(rule, says(rule, &settings, who, &bucket, action, &subject))).collect()
        }
    };
    let rule = verdicts.iter().find(|verdict| verdict.allows).map(|verdict| verdict.rule.clone());
    let missing = rule.is_none().then(|| deed.name());
    Ok(Json(Answer { allowed: rule.is_some(), rule, missing, rules: verdicts }))
}

fn key_of(text: Option<&str>) -> Result<ObjectKey, StorageError> {
    ObjectKey::read(text.ok_or_else(|| StorageError::invalid("body must have required property 'key'"))?)
}

fn is_allowed_to_key(caller: &Caller, bucket: &BucketName, deed: &Deed, key: Option<&str>) -> Result<bool, StorageError> {
    match deed {
        Deed::Bucket(action) => Ok(rules::may(caller, *action, bucket.as_str(), None)),
        Deed::Object(action) => {
            let key = key_of(key)?;
            Ok(rules::rights(caller, bucket.as_str()).allow(*action, &Subject { name: key.as_str(), owner: None, content: None }))
        }
    }
}

fn says(
    rule: &StorageRule,
    settings: &StorageSettings,
    who: Who<'_>,
    bucket: &BucketName,
    action: Action,
    subject: &Subject<'_>,
) -> Result<(), Miss> {
    let grant = rules::grant(rule, settings, who, bucket.as_str())?;
    if grant.actions.contains(&action) { grant.fit.check(subject) } else { Err(Miss::Action) }
}

impl Verdict {
    fn new(rule: &StorageRule, says: Result<(), Miss>) -> Self {
        Self { rule: rule.name.clone(), allows: says.is_ok(), because: says.err() }
    }
}

impl Something {
    fn subject<'a>(&'a self, key: &'a ObjectKey, owner: Option<&'a str>) -> Subject<'a> {
        let content = Content { kind: &self.content_type, size: self.size, user_metadata: self.user_metadata.as_ref() };
        Subject { name: key.as_str(), owner, content: Some(content) }
    }
}
