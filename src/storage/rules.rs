//! Who may do what with which objects. A list that only allows; what no rule allows is denied.
//!
//! A rule is matched on the key as it is stored, by whole segments. The same rules answer for one object ([`Rights::allow`]) and become
//! part of the SQL of lists ([`Rights::filter`]), so that paging counts only what the caller may see.
//!
//! Sealed buckets (a setting of the tenant, payslips by default) are outside of what `admin` may see, and are never public.

use serde::{Deserialize, Serialize};

use super::model::{Bucket, ObjectKey};
use crate::{
    auth::{Caller, Principal},
    tenants,
};

/// What can be done with an object. Signing, listing and copying from are selecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Action {
    Select,
    Insert,
    Update,
    Delete,
}

use Action::{Delete, Insert, Select, Update};

/// One line of the list.
struct Rule {
    who: Who,
    buckets: Buckets,
    actions: &'static [Action],
    condition: Condition,
}

enum Who {
    /// A secret key without scopes.
    Service,
    /// A function key with this scope for the bucket.
    Key(tenants::Action),
    /// Any signed-in user.
    User,
    /// A signed-in user who is linked to an employee.
    Employee,
    /// A signed-in user with this role.
    Role(&'static str),
}

enum Buckets {
    All,
    Open,
    Sealed,
}

enum Condition {
    /// Every object.
    Always,
    /// Objects that the caller owns.
    Owner,
    /// Objects below `{user_id}/`.
    UnderUser,
    /// Objects below `{employee_id}/`.
    UnderEmployee,
}

const EVERYTHING: &[Action] = &[Select, Insert, Update, Delete];

/// The rules of every tenant.
const RULES: &[Rule] = &[
    Rule { who: Who::Service, buckets: Buckets::All, actions: EVERYTHING, condition: Condition::Always },
    Rule { who: Who::Key(tenants::Action::Read), buckets: Buckets::All, actions: &[Select], condition: Condition::Always },
    Rule { who: Who::Key(tenants::Action::Write), buckets: Buckets::All, actions: &[Insert, Update, Delete], condition: Condition::Always },
    Rule { who: Who::User, buckets: Buckets::Open, actions: &[Select, Update, Delete], condition: Condition::Owner },
    Rule { who: Who::User, buckets: Buckets::Open, actions: &[Insert], condition: Condition::UnderUser },
    Rule { who: Who::Employee, buckets: Buckets::All, actions: &[Select], condition: Condition::UnderEmployee },
    Rule { who: Who::Role("owner"), buckets: Buckets::Open, actions: EVERYTHING, condition: Condition::Always },
    Rule { who: Who::Role("admin"), buckets: Buckets::Open, actions: EVERYTHING, condition: Condition::Always },
    Rule { who: Who::Role("owner"), buckets: Buckets::Sealed, actions: &[Select], condition: Condition::Always },
    Rule { who: Who::Role("payroll"), buckets: Buckets::Sealed, actions: EVERYTHING, condition: Condition::Always },
];

/// What one caller may do in one bucket. It can be written down, for work that follows the request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Rights {
    /// What the caller's new objects have as their owner.
    pub(super) owner: Option<String>,
    grants: Vec<Grant>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Grant {
    actions: Vec<Action>,
    fit: Fit,
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
    pub(super) owner: Option<String>,
    pub(super) name: Option<NameFit>,
}

/// Which names fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum NameFit {
    Is(String),
    /// Below this prefix, which ends in a slash.
    Under(String),
}

impl Rights {
    /// All that can be done.
    pub(super) fn all() -> Self {
        Self { owner: None, grants: vec![Grant { actions: EVERYTHING.to_vec(), fit: Fit::default() }] }
    }

    /// What a signed URL lets its holder do: upload this one object, and replace what is there as far as `replace` says.
    pub(super) fn of_signed_upload(owner: Option<String>, key: &ObjectKey, replace: Replace) -> Self {
        let fit = Fit { owner: None, name: Some(NameFit::Is(key.as_str().to_owned())) };
        let update = match replace {
            Replace::Nothing => None,
            Replace::Own => Some(Fit { owner: owner.clone(), ..fit.clone() }),
            Replace::Any => Some(fit.clone()),
        };
        let insert = Grant { actions: vec![Insert], fit };
        let update = update.map(|fit| Grant { actions: vec![Update], fit });
        Self { owner, grants: std::iter::once(insert).chain(update).collect() }
    }

    /// Whose object of this name the caller may replace.
    pub(super) fn may_replace(&self, name: &str) -> Replace {
        if self.allow(Update, name, None) {
            Replace::Any
        } else if self.owner.is_some() && self.allow(Update, name, self.owner.as_deref()) {
            Replace::Own
        } else {
            Replace::Nothing
        }
    }

    /// Whether the action is allowed on an object of this name and owner.
    pub(super) fn allow(&self, action: Action, name: &str, owner: Option<&str>) -> bool {
        self.grants.iter().any(|grant| {
            grant.actions.contains(&action)
                && grant.fit.owner.as_deref().is_none_or(|wanted| owner == Some(wanted))
                && match &grant.fit.name {
                    None => true,
                    Some(NameFit::Is(wanted)) => name == wanted,
                    Some(NameFit::Under(prefix)) => name.starts_with(prefix),
                }
        })
    }

    /// Whether the caller may make an object of this name.
    pub(super) fn allow_insert(&self, name: &str) -> bool {
        self.allow(Insert, name, self.owner.as_deref())
    }

    /// Which objects the action is allowed on.
    pub(super) fn filter(&self, action: Action) -> Filter {
        let fits: Vec<Fit> = self.grants.iter().filter(|grant| grant.actions.contains(&action)).map(|grant| grant.fit.clone()).collect();
        if fits.contains(&Fit::default()) { Filter::All } else { Filter::Any(fits) }
    }
}

/// Whose object may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Replace {
    Nothing,
    Own,
    Any,
}

impl Filter {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Any(Vec::new())
    }
}

/// What the caller may do with the objects of a bucket.
pub(super) fn rights(caller: &Caller, bucket: &str) -> Rights {
    let owner = owner_of_new(caller);
    let grants = RULES.iter().filter_map(|rule| grant(rule, caller, bucket)).collect();
    Rights { owner, grants }
}

/// Who is the owner of what the caller makes.
pub(super) fn owner_of_new(caller: &Caller) -> Option<String> {
    match &caller.principal {
        Principal::User(user) => Some(user.user_id.to_string()),
        _ => None,
    }
}

fn grant(rule: &Rule, caller: &Caller, bucket: &str) -> Option<Grant> {
    let applies = match rule.buckets {
        Buckets::All => true,
        Buckets::Open => !is_sealed(caller, bucket),
        Buckets::Sealed => is_sealed(caller, bucket),
    };
    let user = match (&rule.who, &caller.principal) {
        (Who::Service, Principal::Service) => None,
        (Who::Key(action), Principal::Key(key)) if key.scopes.allow(&format!("storage.{bucket}"), *action) => None,
        (Who::User, Principal::User(user)) => Some(user),
        (Who::Employee, Principal::User(user)) if user.employee_id.is_some() => Some(user),
        (Who::Role(wanted), Principal::User(user)) if user.roles.has(wanted) => Some(user),
        _ => return None,
    };
    let under = |folder: String| Fit { owner: None, name: Some(NameFit::Under(format!("{folder}/"))) };
    let fit = match rule.condition {
        Condition::Always => Fit::default(),
        Condition::Owner => Fit { owner: Some(user?.user_id.to_string()), name: None },
        Condition::UnderUser => under(user?.user_id.to_string()),
        Condition::UnderEmployee => under(user?.employee_id?.to_string()),
    };
    applies.then(|| Grant { actions: rule.actions.to_vec(), fit })
}

/// Whether the tenant has set this bucket apart.
pub(super) fn is_sealed(caller: &Caller, bucket: &str) -> bool {
    caller.tenant.settings.storage.sealed_buckets.iter().any(|sealed| sealed == bucket)
}

/// Whether the caller may make, change and remove this bucket. A sealed one is not the admin's: making it public would open it.
pub(super) fn may_manage(caller: &Caller, bucket: &str) -> bool {
    match &caller.principal {
        Principal::Service => true,
        Principal::User(user) => user.roles.has("owner") || (user.roles.has("admin") && !is_sealed(caller, bucket)),
        Principal::Anon | Principal::Key(_) => false,
    }
}

/// Whether the caller may see that this bucket is there, and its settings.
pub(super) fn may_see(caller: &Caller, bucket: &Bucket) -> bool {
    match &caller.principal {
        Principal::Key(key) => {
            let resource = format!("storage.{}", bucket.id);
            key.scopes.allow(&resource, tenants::Action::Read) || key.scopes.allow(&resource, tenants::Action::Write)
        }
        Principal::User(user) if user.roles.has("admin") => true,
        Principal::User(user) if user.roles.has("payroll") && is_sealed(caller, &bucket.id) => true,
        _ => may_manage(caller, &bucket.id),
    }
}
