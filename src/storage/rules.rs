//! Who may do what with which objects and buckets: the tenant's rules, which only allow. What no rule allows is denied.
//!
//! A rule is matched on the key as it is stored, by whole segments. The same rules answer for one object ([`Rights::allow`]) and become
//! part of the SQL of lists ([`Rights::filter`]), so that paging counts only what the caller may see. What is known of an object decides:
//! before its bytes are taken that is its name, then what the request tells of it, and at the commit all.
//!
//! Above the rules stand secret keys, which may do everything, and function keys, which may do what their scopes say. Sealed buckets (a
//! setting of the tenant, payslips by default) are there only for rules that say so, and are never public.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::is_nfc;

use super::model::{Bucket, ContentType, MimePattern, Object, ObjectKey};
use crate::{
    auth::{Caller, Principal, SignedIn},
    db::{ANY, DEEP, glob_matches},
    tenants::{self, Ownership, RuleAction, Sealed, StorageRule, StorageSettings},
};

/// What can be done with an object. Copying from it is getting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Get,
    List,
    Sign,
    Insert,
    Update,
    Delete,
}

use Action::{Delete, Get, Insert, List, Sign, Update};

impl Action {
    /// Its name, as rules and errors have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Get => "get",
            List => "list",
            Sign => "sign",
            Insert => "insert",
            Update => "update",
            Delete => "delete",
        }
    }
}

const READING: [Action; 3] = [Get, List, Sign];
const WRITING: [Action; 3] = [Insert, Update, Delete];

/// What can be done with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketAction {
    Create,
    /// See that it is there, and its settings.
    Read,
    Update,
    /// Empty and remove it.
    Delete,
}

impl BucketAction {
    fn in_rules(self) -> RuleAction {
        match self {
            Self::Create => RuleAction::CreateBucket,
            Self::Read => RuleAction::ReadBucket,
            Self::Update => RuleAction::UpdateBucket,
            Self::Delete => RuleAction::DeleteBucket,
        }
    }

    /// Its name, as rules and errors have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create_bucket",
            Self::Read => "read_bucket",
            Self::Update => "update_bucket",
            Self::Delete => "delete_bucket",
        }
    }
}

/// What one caller may do in one bucket. It can be written down, for work that follows the request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Rights {
    /// What the caller's new objects have as their owner.
    pub(super) owner: Option<String>,
    grants: Vec<Grant>,
}

/// A rule, as it is for one caller in one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Grant {
    pub(super) actions: Vec<Action>,
    pub(super) fit: Fit,
}

/// The objects of a bucket that an action is allowed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    /// Those that fit at least one; none when there is none.
    Any(Vec<Fit>),
}

/// One way for an object to be allowed: all that is said here is so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Fit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<NameFit>,
    /// None means all types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mime: Vec<MimePattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_size: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) user_metadata: BTreeMap<String, String>,
}

/// Which names fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum NameFit {
    Is(String),
    /// Below this prefix, which ends in a slash.
    Under(String),
    /// Matching a pattern of [`crate::db::glob_matches`].
    Like {
        /// What all of them begin with.
        beginning: String,
        pattern: String,
    },
}

/// What is known of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) owner: Option<&'a str>,
    /// What it is, once that is known; until then no condition on it stands in the way.
    pub(super) content: Option<Content<'a>>,
}

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) kind: &'a str,
    /// Its bytes, once they are counted.
    pub(super) size: Option<i64>,
    pub(super) user_metadata: Option<&'a Value>,
}

impl<'a> From<&'a Object> for Subject<'a> {
    fn from(object: &'a Object) -> Self {
        let user_metadata = object.user_metadata.as_ref().map(|json| &json.0);
        let content = Content { kind: &object.content_type, size: Some(object.size), user_metadata };
        Self { name: &object.name, owner: object.owner_id.as_deref(), content: Some(content) }
    }
}

/// Why a rule does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Miss {
    Bucket,
    Sealed,
    Role,
    Claims,
    Action,
    Path,
    Owner,
    Mime,
    Size,
    Metadata,
}

impl Fit {
    /// Whether an object fits, or by what it does not.
    pub(super) fn check(&self, subject: &Subject<'_>) -> Result<(), Miss> {
        let all = |fits: bool, miss: Miss| if fits { Ok(()) } else { Err(miss) };
        all(self.name.as_ref().is_none_or(|fit| fit.takes(subject.name)), Miss::Path)?;
        all(self.owner.as_deref().is_none_or(|wanted| subject.owner == Some(wanted)), Miss::Owner)?;
        let Some(content) = &subject.content else { return Ok(()) };
        all(ContentType::read(Some(content.kind)).is_allowed_by(&self.mime), Miss::Mime)?;
        all(self.max_size.is_none_or(|most| content.size.is_none_or(|size| size <= most)), Miss::Size)?;
        let says = |key: &str, value: &str| content.user_metadata.and_then(|metadata| metadata.get(key)?.as_str()) == Some(value);
        all(self.user_metadata.iter().all(|(key, value)| says(key, value)), Miss::Metadata)
    }
}

impl NameFit {
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Is(wanted) => name == wanted,
            Self::Under(prefix) => name.starts_with(prefix),
            Self::Like { pattern, .. } => glob_matches(pattern, name),
        }
    }
}

impl Rights {
    /// All that can be done.
    pub(super) fn all() -> Self {
        Self { owner: None, grants: vec![Grant { actions: [READING, WRITING].concat(), fit: Fit::default() }] }
    }

    /// What of these rights a signed URL gives to its holder: to upload this one object, and to replace what is there. The URL says which
    /// object that is; see [`Self::only_for`].
    pub(super) fn to_upload(&self, key: &ObjectKey, upsert: bool) -> Self {
        let is_given = |action: &Action| *action == Insert || *action == Update && upsert;
        let mut grants: Vec<Grant> = Vec::new();
        for grant in self.grants.iter().filter(|grant| grant.fit.name.as_ref().is_none_or(|name| name.takes(key.as_str()))) {
            let actions: Vec<Action> = grant.actions.iter().copied().filter(is_given).collect();
            let narrowed = Grant { actions, fit: Fit { name: None, ..grant.fit.clone() } };
            if !narrowed.actions.is_empty() && !grants.contains(&narrowed) {
                grants.push(narrowed);
            }
        }
        Self { owner: self.owner.clone(), grants }
    }

    /// These rights, with this one object and no other.
    pub(super) fn only_for(&self, key: &ObjectKey) -> Self {
        let mut rights = self.clone();
        for grant in &mut rights.grants {
            grant.fit.name = Some(NameFit::Is(key.as_str().to_owned()));
        }
        rights
    }

    /// Whether the action is allowed on an object.
    pub(super) fn allow(&self, action: Action, subject: &Subject<'_>) -> bool {
        self.grants.iter().any(|grant| grant.actions.contains(&action) && grant.fit.check(subject).is_ok())
    }

    /// What is known of an object that the caller is about to make.
    pub(super) fn new_subject<'a>(&'a self, name: &'a str, content: Option<Content<'a>>) -> Subject<'a> {
        Subject { name, owner: self.owner.as_deref(), content }
    }

    /// Which objects the action is allowed on.
    pub(super) fn filter(&self, action: Action) -> Filter {
        let fits: Vec<Fit> = self.grants.iter().filter(|grant| grant.actions.contains(&action)).map(|grant| grant.fit.clone()).collect();
        // One grant without a condition is all objects.
        if fits.contains(&Fit::default()) { Filter::All } else { Filter::Any(fits) }
    }
}

impl Filter {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Any(Vec::new())
    }
}

/// What the caller may do with the objects of a bucket.
pub(super) fn rights(caller: &Caller, bucket: &str) -> Rights {
    let may = |action| matches!(&caller.principal, Principal::Key(key) if key.scopes.allow(&format!("storage.{bucket}"), action));
    let grants = match &caller.principal {
        Principal::Service => return Rights::all(),
        Principal::Key(_) => {
            let read = may(tenants::Action::Read).then(|| Grant { actions: READING.to_vec(), fit: Fit::default() });
            let write = may(tenants::Action::Write).then(|| Grant { actions: WRITING.to_vec(), fit: Fit::default() });
            read.into_iter().chain(write).collect()
        }
        Principal::Anon | Principal::User(_) => {
            let (settings, who) = (&caller.tenant.settings.storage, Who::of(&caller.principal));
            settings.rules.iter().filter_map(|rule| grant(rule, settings, who, bucket).ok()).collect()
        }
    };
    Rights { owner: owner_of_new(caller), grants }
}

/// Who is the owner of what the caller makes.
pub(super) fn owner_of_new(caller: &Caller) -> Option<String> {
    Who::of(&caller.principal).id()
}

/// Somebody whom the rules are for.
#[derive(Clone, Copy)]
pub(super) struct Who<'a>(pub(super) Option<&'a SignedIn>);

impl<'a> Who<'a> {
    fn of(principal: &'a Principal) -> Self {
        match principal {
            Principal::User(user) => Self(Some(user)),
            Principal::Anon | Principal::Key(_) | Principal::Service => Self(None),
        }
    }

    pub(super) fn id(self) -> Option<String> {
        self.0.map(|user| user.user_id.to_string())
    }

    fn has_role(self, role: &str) -> bool {
        match (role, self.0) {
            ("anon", user) => user.is_none(),
            ("authenticated", user) => user.is_some(),
            (role, user) => user.is_some_and(|user| user.roles.has(role)),
        }
    }

    /// What is known of the caller by this name.
    fn claim(self, name: &str) -> Option<String> {
        let user = self.0?;
        match name {
            "user_id" => Some(user.user_id.to_string()),
            "employee_id" => user.employee_id.map(|id| id.to_string()),
            "email" => user.email.clone(),
            "aal" => Some(user.aal.clone()),
            name => user.app_metadata.get(name.strip_prefix("app_metadata.")?)?.as_str().map(str::to_owned),
        }
    }

    fn fits(self, rule: &StorageRule) -> Result<(), Miss> {
        if !rule.roles.iter().any(|role| self.has_role(role)) {
            return Err(Miss::Role);
        }
        let is_so = |(name, value): (&String, &String)| self.claim(name).as_ref() == Some(value);
        if rule.claims.iter().all(is_so) { Ok(()) } else { Err(Miss::Claims) }
    }
}

/// What a rule of objects is for this caller in this bucket, or why it is nothing.
pub(super) fn grant(rule: &StorageRule, settings: &StorageSettings, who: Who<'_>, bucket: &str) -> Result<Grant, Miss> {
    is_about(rule, settings, bucket)?;
    who.fits(rule)?;
    let actions: Vec<Action> = [READING, WRITING].concat().into_iter().filter(|action| names(rule, *action)).collect();
    if actions.is_empty() {
        return Err(Miss::Action);
    }
    let name = rule.path.as_deref().map(|path| name_fit(path, who)).transpose()?.flatten();
    let owner = match rule.owner {
        Some(Ownership::Caller) => Some(who.id().ok_or(Miss::Owner)?),
        None => None,
    };
    // A type that can't be read must not widen the rule to all types.
    let mime = rule.mime.iter().map(|kind| MimePattern::read(kind)).collect::<Option<Vec<_>>>().ok_or(Miss::Mime)?;
    let (max_size, user_metadata) = (rule.max_size.map(i64::from), rule.user_metadata.clone());
    Ok(Grant { actions, fit: Fit { owner, name, mime, max_size, user_metadata } })
}

fn names(rule: &StorageRule, action: Action) -> bool {
    rule.actions.iter().any(|named| match named {
        RuleAction::Select => READING.contains(&action),
        RuleAction::Get => action == Get,
        RuleAction::List => action == List,
        RuleAction::Sign => action == Sign,
        RuleAction::Insert => action == Insert,
        RuleAction::Update => action == Update,
        RuleAction::Delete => action == Delete,
        RuleAction::CreateBucket | RuleAction::ReadBucket | RuleAction::UpdateBucket | RuleAction::DeleteBucket => false,
    })
}

fn is_about(rule: &StorageRule, settings: &StorageSettings, bucket: &str) -> Result<(), Miss> {
    let is_sealed = settings.sealed_buckets.iter().any(|sealed| sealed == bucket);
    let fits_seal = match rule.sealed {
        Sealed::No => !is_sealed,
        Sealed::Only => is_sealed,
        Sealed::Too => true,
    };
    // A bucket's name has no slashes, so it is one segment.
    let is_named = |pattern: &String| glob_matches(&pattern.replace('*', &ANY.to_string()), bucket);
    match (fits_seal, rule.buckets.iter().any(is_named)) {
        (_, false) => Err(Miss::Bucket),
        (false, true) => Err(Miss::Sealed),
        (true, true) => Ok(()),
    }
}

/// The names that a rule's path stands for; `None` where all fit. A miss where something it asks of the caller is not known.
fn name_fit(path: &str, who: Who<'_>) -> Result<Option<NameFit>, Miss> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let template = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        segments.push(match (segment, template) {
            ("**", _) => DEEP.to_string(),
            (_, Some(claim)) => who.claim(claim).filter(|value| fills_a_segment(value)).ok_or(Miss::Path)?,
            (text, None) => text.replace('*', &ANY.to_string()),
        });
    }
    let pattern = segments.join("/");
    let Some(wild) = pattern.find([ANY, DEEP]) else { return Ok(Some(NameFit::Is(pattern))) };
    let (beginning, rest) = pattern.split_at(wild);
    let is_all_below = rest.chars().eq([DEEP]);
    Ok(match (is_all_below, beginning) {
        (true, "") => None,
        (true, _) => Some(NameFit::Under(beginning.to_owned())),
        (false, _) => Some(NameFit::Like { beginning: beginning.to_owned(), pattern }),
    })
}

/// A template stands for one whole segment, and for nothing that could mean more.
fn fills_a_segment(value: &str) -> bool {
    !value.is_empty() && is_nfc(value) && !value.contains('/') && !value.contains(char::is_control)
}

/// Whether the tenant has set this bucket apart.
pub(super) fn is_sealed(caller: &Caller, bucket: &str) -> bool {
    caller.tenant.settings.storage.sealed_buckets.iter().any(|sealed| sealed == bucket)
}

/// Whether the caller may do this with a bucket; with `owner` as the one who made it.
pub(super) fn may(caller: &Caller, action: BucketAction, bucket: &str, owner: Option<&str>) -> bool {
    match &caller.principal {
        Principal::Service => true,
        Principal::Key(key) => {
            let resource = format!("storage.{bucket}");
            let has_scope = key.scopes.allow(&resource, tenants::Action::Read) || key.scopes.allow(&resource, tenants::Action::Write);
            action == BucketAction::Read && has_scope
        }
        Principal::Anon | Principal::User(_) => {
            let (settings, who) = (&caller.tenant.settings.storage, Who::of(&caller.principal));
            settings.rules.iter().any(|rule| allows_bucket(rule, settings, who, action, (bucket, owner)).is_ok())
        }
    }
}

/// Whether a rule allows this with a bucket, or why not.
pub(super) fn allows_bucket(
    rule: &StorageRule,
    settings: &StorageSettings,
    who: Who<'_>,
    action: BucketAction,
    (bucket, owner): (&str, Option<&str>),
) -> Result<(), Miss> {
    is_about(rule, settings, bucket)?;
    who.fits(rule)?;
    if !rule.actions.contains(&action.in_rules()) {
        return Err(Miss::Action);
    }
    match (rule.owner, who.id()) {
        (None, _) => Ok(()),
        (Some(Ownership::Caller), Some(id)) if owner == Some(id.as_str()) => Ok(()),
        (Some(Ownership::Caller), _) => Err(Miss::Owner),
    }
}

/// The same for a bucket that is there.
pub(super) fn may_with(caller: &Caller, action: BucketAction, bucket: &Bucket) -> bool {
    may(caller, action, &bucket.id, bucket.owner_id.as_deref())
}
