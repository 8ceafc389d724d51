//! Records: what may be asked of them, what an employee has of a tenant's own, and who may do what with which fields of which rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// Rules of a tenant at most.
const MOST_RULES: usize = 100;
/// Conditions of one rule at most, and how deep they may lie in each other.
const MOST_CONDITIONS: usize = 50;
const DEEPEST: usize = 8;
/// Values in a list of a condition at most.
const MOST_VALUES: usize = 200;
/// What a condition can ask of the caller, besides `app_metadata.NAME`.
const CLAIMS: [&str; 4] = ["user_id", "employee_id", "email", "aal"];

/// What may be asked of records, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is chosen by itself")]
pub struct RecordSettings {
    /// Whether rows may be put together: `sum()`, `avg()`, `min()`, `max()`, `count()`. They reach no field that the caller may not read.
    pub aggregates: bool,
    /// Whether `Prefer: tx=rollback` undoes a write after answering it.
    pub rollback: bool,
    /// Whether there is `employee_special`: ethnicity, disability, health.
    pub special: bool,
    /// What the field `custom` of employees has to be: a JSON Schema (2020-12) of an object; null for any object. It is replaced whole. A
    /// property with `"x-indexed": true` is found fast by `eq`.
    #[schema(value_type = Option<Object>)]
    pub custom_schema: Option<Value>,
    /// Whether the rules that every tenant begins with hold. They are shown, with the tenant's own, at `/admin/v1/tenants/{ref}/rules`.
    pub default_rules: bool,
    /// The tenant's own rules. Rules only allow: what none allows is denied. Secret keys without scopes may do everything.
    pub rules: Vec<RecordRule>,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self { aggregates: false, rollback: false, special: false, custom_schema: None, default_rules: true, rules: Vec::new() }
    }
}

/// Groups of fields, by who may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldGroup {
    /// What a colleague may know.
    Directory,
    /// What a superior may know.
    Work,
    /// What concerns the person.
    Personal,
    /// Numbers by which states and banks know the person.
    Identity,
    /// What the law protects most: ethnicity, disability, health.
    Special,
    /// What is paid.
    Pay,
    /// How the record hangs together with other systems.
    System,
}

/// What may be done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordAction {
    /// See them.
    Read,
    /// Make them.
    Insert,
    /// Change them.
    Update,
    /// Remove them.
    Delete,
    /// See whole what is masked; it is written down who did.
    Reveal,
}

/// Which rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowScope {
    /// Every row of the tenant.
    #[default]
    All,
    /// Those of employees at work, and one's own.
    Active,
    /// Those of who reports to one, through however many others.
    Reports,
    /// One's own.
    Own,
    /// One's own that are final.
    OwnFinal,
}

/// A rule allows these actions, on these groups of fields, to who has one of these roles or scopes, in the rows that it is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRule {
    /// What it is called where it is told of.
    #[schema(example = "HR of Germany changes work data of its own company")]
    pub name: String,
    /// Roles of users; `employee` is any user who is linked to an employee, `authenticated` any user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["hr_de"]))]
    pub roles: Vec<String>,
    /// Scopes of function keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The tables; all that have such fields when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// The groups of fields.
    pub groups: Vec<FieldGroup>,
    /// The columns of these groups; all when empty. A rule about some columns makes and removes no rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What is allowed.
    pub actions: Vec<RecordAction>,
    /// In which rows.
    #[serde(default)]
    pub rows: RowScope,
    /// What must be so of these rows besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<RowCondition>,
}

/// What must be so of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a condition is {\"all\": […]}, {\"any\": […]}, {\"not\": …}, {\"employee\": …} or {\"column\": …, \"op\": …, \"value\": …}"
)]
pub enum RowCondition {
    /// All of them hold.
    All {
        /// The conditions.
        #[schema(no_recursion)]
        all: Vec<RowCondition>,
    },
    /// At least one of them holds.
    Any {
        /// The conditions.
        #[schema(no_recursion)]
        any: Vec<RowCondition>,
    },
    /// It does not hold.
    Not {
        /// The condition.
        #[schema(no_recursion)]
        not: Box<RowCondition>,
    },
    /// It holds of the employee whose row it is.
    Employee {
        /// The condition, on columns of `employees`.
        #[schema(no_recursion)]
        employee: Box<RowCondition>,
    },
    /// A column compares so with a value.
    Compare {
        /// The column.
        column: String,
        /// How.
        op: RowOperator,
        /// With what: a value, a list of values for `in`, or `{"caller": "app_metadata.legal_entities"}` for what is known of the caller:
        /// `user_id`, `employee_id`, `email`, `aal` or `app_metadata.NAME`. What is not known of a caller fits nothing.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        #[schema(value_type = Object)]
        value: Value,
    },
}

/// How a column compares with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOperator {
    /// Equal.
    Eq,
    /// Not equal; a row without a value does not fit.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// One of a list.
    In,
    /// There is no value.
    IsNull,
}

impl RecordSettings {
    pub(super) fn check(&self) -> Result<()> {
        if self.rules.len() > MOST_RULES {
            return Err(Error::invalid("records.rules", format!("take at most {MOST_RULES} rules")));
        }
        self.rules.iter().try_for_each(RecordRule::check)?;
        self.custom_schema.as_ref().map_or(Ok(()), |schema| custom_validator(schema).map(drop))
    }
}

/// Characters of a schema at most.
const LONGEST_SCHEMA: usize = 64 * 1024;

/// What checks the field `custom` of employees. Patterns take no text long, and nothing is fetched.
pub fn custom_validator(schema: &Value) -> Result<jsonschema::Validator> {
    let wrong = |why: String| Error::invalid("records.custom_schema", why);
    if !schema.is_object() || schema.to_string().len() > LONGEST_SCHEMA {
        return Err(wrong(format!("a schema is an object of at most {LONGEST_SCHEMA} bytes")));
    }
    if let Some(name) = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .find_map(|(name, field)| (field["x-indexed"] == true && !is_index(name)).then_some(name))
    {
        return Err(wrong(format!("\"{name}\" can't be indexed; take at most 40 of a-z, 0-9 and _")));
    }
    let options = jsonschema::draft202012::options().with_pattern_options(jsonschema::PatternOptions::regex());
    options.build(schema).map_err(|error| wrong(error.to_string()))
}

fn is_index(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl RecordRule {
    /// Refuses what can't be a rule, by its name.
    pub fn check(&self) -> Result<()> {
        let wrong = |why: String| Error::invalid("records.rules", format!("\"{}\": {why}", self.name));
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(wrong("a rule has a name of at most 200 characters".to_owned()));
        }
        if self.roles.is_empty() && self.scopes.is_empty() || self.groups.is_empty() || self.actions.is_empty() {
            return Err(wrong("a rule has at least one of roles or scopes, of groups and of actions".to_owned()));
        }
        let words = [&self.roles, &self.scopes, &self.tables, &self.columns];
        if words.iter().any(|words| words.len() > MOST_VALUES || words.iter().any(|word| word.is_empty() || word.len() > 200)) {
            return Err(wrong(format!("a list has at most {MOST_VALUES} words of 1 to 200 bytes")));
        }
        let Some(condition) = &self.when else { return Ok(()) };
        if condition.count() > MOST_CONDITIONS {
            return Err(wrong(format!("a rule has at most {MOST_CONDITIONS} conditions")));
        }
        condition.check(DEEPEST).map_err(wrong)
    }
}

impl RowCondition {
    fn count(&self) -> usize {
        1 + match self {
            Self::All { all: of } | Self::Any { any: of } => of.iter().map(Self::count).sum(),
            Self::Not { not: of } | Self::Employee { employee: of } => of.count(),
            Self::Compare { .. } => 0,
        }
    }

    fn check(&self, left: usize) -> Result<(), String> {
        let Some(left) = left.checked_sub(1) else { return Err(format!("conditions lie at most {DEEPEST} deep in each other")) };
        match self {
            Self::All { all: of } | Self::Any { any: of } => of.iter().try_for_each(|condition| condition.check(left)),
            Self::Not { not: of } | Self::Employee { employee: of } => of.check(left),
            Self::Compare { column, op, value } => check_value(column, *op, value),
        }
    }
}

/// What of the caller a value stands for, if it does.
pub fn claim_of(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.len() == 1)?.get("caller")?.as_str()
}

fn check_value(column: &str, op: RowOperator, value: &Value) -> Result<(), String> {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    if let Some(claim) = claim_of(value) {
        let is_known = CLAIMS.contains(&claim) || claim.strip_prefix("app_metadata.").is_some_and(|name| !name.is_empty());
        let why = || format!("\"{claim}\" is not known of a caller; take {} or app_metadata.NAME", CLAIMS.join(", "));
        return if is_known { Ok(()) } else { Err(why()) };
    }
    let fits = match op {
        RowOperator::IsNull => value.is_null(),
        RowOperator::In => value.as_array().is_some_and(|values| values.len() <= MOST_VALUES && values.iter().all(is_plain)),
        _ => is_plain(value),
    };
    if fits {
        return Ok(());
    }
    Err(format!("the value for {column} should be a text, number or truth value, a list of them for in, and none for is_null"))
}
