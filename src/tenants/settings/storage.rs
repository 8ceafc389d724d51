//! Files: who may do what with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// Rules of a tenant at most.
const MOST_RULES: usize = 100;
/// What a condition can ask of the caller, besides `app_metadata.NAME`.
const CLAIMS: [&str; 4] = ["user_id", "employee_id", "email", "aal"];

/// Who may see which files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSettings {
    /// Buckets that are never public, and that no rule is about which does not say so; payslips by default.
    pub sealed_buckets: Vec<String>,
    /// Whether an error has the HTTP status that its body tells. Otherwise most are 400, as stock clients know them.
    pub true_status: bool,
    /// The most bytes of all files together; null is no limit.
    pub quota_bytes: Option<u64>,
    /// The most bytes of the files that one user owns; null is no limit.
    pub user_quota_bytes: Option<u64>,
    /// What users may do. Rules only allow: what none allows is denied. Secret keys may do everything, function keys what their scopes say.
    pub rules: Vec<StorageRule>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self { sealed_buckets: vec!["slips".to_owned()], true_status: false, quota_bytes: None, user_quota_bytes: None, rules: default_rules() }
    }
}

/// A rule allows these actions, in these buckets, to who has one of these roles, where all its conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageRule {
    /// What it is called where it is told of.
    #[schema(example = "users read what they own")]
    pub name: String,
    /// The buckets by name, `*` standing for any characters; all when absent.
    #[serde(default = "all_buckets")]
    pub buckets: Vec<String>,
    /// Whether it is about sealed buckets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sealed: Sealed,
    /// `anon` (nobody signed in), `authenticated` (any user), or a role that users have.
    #[schema(example = json!(["authenticated"]))]
    pub roles: Vec<String>,
    /// What is allowed.
    pub actions: Vec<RuleAction>,
    /// The names of objects: `{user_id}/**`. A segment is text, in which `*` stands for any characters; `**` for any number of segments, at
    /// the end for at least one; or one of `{user_id}`, `{employee_id}`, `{email}` and `{app_metadata.NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "{user_id}/**")]
    pub path: Option<String>,
    /// Whose the object (or bucket) is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Ownership>,
    /// The types of files: `image/png`, `image/*`; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mime: Vec<String>,
    /// The most bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u32>,
    /// What the object's own metadata says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_metadata: BTreeMap<String, String>,
    /// What is known of the caller: `user_id`, `employee_id`, `email`, `aal`, or `app_metadata.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// Which buckets a rule is about, besides their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sealed {
    /// Not those that are sealed.
    #[default]
    No,
    /// Only those that are sealed.
    Only,
    /// Those that are sealed and the others.
    Too,
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// The caller's own.
    #[serde(rename = "self")]
    Caller,
}

/// What a rule can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// `get`, `list` and `sign` together.
    Select,
    /// Read an object, and what is known of it.
    Get,
    /// See an object in lists.
    List,
    /// Make a URL by which everybody reads it for a while.
    Sign,
    /// Make an object.
    Insert,
    /// Replace an object, or move it away.
    Update,
    /// Remove an object.
    Delete,
    /// Make a bucket.
    CreateBucket,
    /// See a bucket and its settings.
    ReadBucket,
    /// Change a bucket's settings.
    UpdateBucket,
    /// Empty and remove a bucket.
    DeleteBucket,
}

fn all_buckets() -> Vec<String> {
    vec!["*".to_owned()]
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const OBJECTS: [RuleAction; 4] = [RuleAction::Select, RuleAction::Insert, RuleAction::Update, RuleAction::Delete];
const BUCKETS: [RuleAction; 4] = [RuleAction::CreateBucket, RuleAction::ReadBucket, RuleAction::UpdateBucket, RuleAction::DeleteBucket];

fn rule(name: &str, roles: &[&str], actions: &[&[RuleAction]]) -> StorageRule {
    StorageRule {
        name: name.to_owned(),
        buckets: all_buckets(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        actions: actions.concat(),
        ..StorageRule::default()
    }
}

/// The rules of a tenant that has chosen none.
fn default_rules() -> Vec<StorageRule> {
    use RuleAction::{Delete, Insert, ReadBucket, Select, Update};

    let users = &["authenticated"][..];
    vec![
        StorageRule { owner: Some(Ownership::Caller), ..rule("users read, change and remove what they own", users, &[&[Select, Update, Delete]]) },
        StorageRule { path: Some("{user_id}/**".to_owned()), ..rule("users upload below the folder of their user id", users, &[&[Insert]]) },
        StorageRule {
            path: Some("{employee_id}/**".to_owned()),
            sealed: Sealed::Too,
            ..rule("employees read below the folder of their employee id", users, &[&[Select]])
        },
        rule("owners and admins do everything", &["owner", "admin"], &[&OBJECTS, &BUCKETS]),
        StorageRule { sealed: Sealed::Only, ..rule("owners read and manage what is sealed", &["owner"], &[&[Select], &BUCKETS]) },
        StorageRule { sealed: Sealed::Only, ..rule("payroll does everything with sealed files", &["payroll"], &[&OBJECTS, &[ReadBucket]]) },
        StorageRule { sealed: Sealed::Only, ..rule("admins see that there are sealed buckets", &["admin"], &[&[ReadBucket]]) },
    ]
}

/// Rules to begin with, by name: what apps ask for most. Their buckets are to be filled in.
pub fn storage_presets() -> BTreeMap<&'static str, StorageRule> {
    let everybody = &["anon", "authenticated"][..];
    let users = &["authenticated"][..];
    BTreeMap::from([
        (
            "public_images",
            StorageRule {
                path: Some("public/**".to_owned()),
                mime: vec!["image/*".to_owned()],
                ..rule("everybody reads the images in the folder public", everybody, &[&[RuleAction::Select]])
            },
        ),
        (
            "own_folder",
            StorageRule {
                path: Some("{user_id}/**".to_owned()),
                ..rule("users do everything below the folder of their user id", users, &[&OBJECTS])
            },
        ),
        (
            "users_folder",
            StorageRule { path: Some("private/**".to_owned()), ..rule("users do everything in the folder private", users, &[&OBJECTS]) },
        ),
        (
            "one_user",
            StorageRule {
                path: Some("admin/assets/**".to_owned()),
                claims: BTreeMap::from([("user_id".to_owned(), "00000000-0000-0000-0000-000000000000".to_owned())]),
                ..rule("one user does everything in the folder admin/assets", users, &[&OBJECTS])
            },
        ),
    ])
}

impl StorageSettings {
    pub(super) fn check(&self) -> Result<()> {
        if self.rules.len() > MOST_RULES {
            return Err(Error::invalid("storage.rules", format!("take at most {MOST_RULES} rules")));
        }
        self.rules.iter().try_for_each(StorageRule::check)
    }
}

impl StorageRule {
    /// Refuses what can't be a rule, by its name.
    pub fn check(&self) -> Result<()> {
        let wrong = |why: String| Error::invalid("storage.rules", format!("\"{}\": {why}", self.name));
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(wrong("a rule has a name of at most 200 characters".to_owned()));
        }
        if self.roles.is_empty() || self.roles.iter().any(String::is_empty) || self.actions.is_empty() || self.buckets.is_empty() {
            return Err(wrong("a rule has at least one of roles, actions and buckets".to_owned()));
        }
        if let Some(path) = &self.path {
            check_path(path).map_err(wrong)?;
        }
        if let Some(kind) = self.mime.iter().find(|kind| !is_mime(kind)) {
            return Err(wrong(format!("\"{kind}\" is no type; take TYPE/SUBTYPE or TYPE/*")));
        }
        if let Some(key) = self.user_metadata.keys().find(|key| !is_word(key)) {
            return Err(wrong(format!("\"{key}\" can't be asked of metadata; take letters, digits, _ and -")));
        }
        match self.claims.keys().find(|claim| !is_claim(claim)) {
            Some(claim) => Err(wrong(unknown_claim(claim))),
            None => Ok(()),
        }
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let segments: Vec<&str> = path.split('/').collect();
    if segments.iter().filter(|segment| **segment == "**").count() > 1 {
        return Err("a path has ** once at most".to_owned());
    }
    for segment in segments {
        let template = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match template {
            Some(claim) if is_claim(claim) => {}
            Some(claim) => return Err(unknown_claim(claim)),
            None if segment.is_empty() || matches!(segment, "." | "..") => return Err("a path has no empty segments, nor . and ..".to_owned()),
            None if segment != "**" && segment.contains("**") => return Err(format!("** is a segment of its own, not in \"{segment}\"")),
            None if segment.contains(['{', '}']) || segment.contains(char::is_control) => {
                return Err(format!("\"{segment}\" is no segment: a template fills a whole one, as in {{user_id}}"));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_claim(name: &str) -> bool {
    CLAIMS.contains(&name) || name.strip_prefix("app_metadata.").is_some_and(is_word)
}

fn unknown_claim(name: &str) -> String {
    format!("\"{name}\" is not known of a caller; take {} or app_metadata.NAME", CLAIMS.join(", "))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_mime(text: &str) -> bool {
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte));
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && (subtype == "*" || is_token(subtype)))
}
