//! Who may do what to which fields of which rows.
//!
//! The rules are data: those that every tenant begins with, here, and those of its settings. [`Access`] is what one principal may do to one
//! table, drawn from them; `resolve.rs` is the only one that asks.

use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;
use uuid::Uuid;

use super::catalog::{Column, Group, Table};
pub use crate::tenants::{RecordAction as Action, RowScope as Scope};
use crate::{
    auth::{Principal, SignedIn},
    tenants::{RecordRule, RecordSettings, RowCondition},
};

/// Rules in force.
type Rules = Arc<[Arc<RecordRule>]>;

/// Who asks, as far as rights go, and the rules that say what it may.
#[derive(Clone, Debug)]
pub struct Asker {
    who: Who,
    rules: Rules,
    /// Whether the tenant has what the law protects most.
    special: bool,
}

/// Who asks.
#[derive(Clone, Debug)]
enum Who {
    /// Nobody that is known.
    Anonymous,
    /// A signed-in user.
    User(Box<SignedIn>),
    /// A function key: its scopes.
    Key(Vec<String>),
    /// Who may do all.
    Service,
}

/// What an asker may do to a table: the scopes that each rule found for it gives.
#[derive(Clone, Debug)]
pub struct Access {
    rules: Granted,
}

#[derive(Clone, Debug)]
enum Granted {
    Everything,
    By(Vec<Arc<RecordRule>>),
}

/// The rows in which something is allowed.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// None.
    None,
    /// Those within any of these bounds.
    In(Vec<Bound>),
    /// All.
    All,
}

/// The rows that one rule is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Whose they are.
    pub scope: Scope,
    /// What must be so of them besides.
    pub when: Option<RowCondition>,
}

/// Why a rule does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Miss {
    /// It is about others.
    Who,
    /// It is about other tables.
    Table,
    /// It is about other groups of fields.
    Group,
    /// It is about other columns.
    Column,
    /// It is about other actions.
    Action,
    /// It is about rows of employees, and the asker is none or the table has none.
    Rows,
    /// It is about other rows than this one.
    Row,
}

impl Asker {
    /// Who asks in a tenant with these settings.
    pub fn of(principal: &Principal, settings: &RecordSettings) -> Self {
        let who = match principal {
            Principal::Anon => Who::Anonymous,
            Principal::Service => Who::Service,
            Principal::Key(key) => Who::Key(key.scopes.to_string().split([' ', ',']).map(str::to_owned).collect()),
            Principal::User(user) => Who::User(Box::new(user.clone())),
        };
        Self { who, rules: rules_of(settings), special: settings.special }
    }

    /// Who may do all.
    pub fn service() -> Self {
        Self { who: Who::Service, rules: Arc::clone(default_rules()), special: true }
    }

    /// Nobody is signed in.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.who, Who::Anonymous)
    }

    /// The employee who asks.
    pub fn employee(&self) -> Option<Uuid> {
        if let Who::User(user) = &self.who { user.employee_id } else { None }
    }

    /// The user who asks.
    pub fn user(&self) -> Option<Uuid> {
        if let Who::User(user) = &self.who { Some(user.user_id) } else { None }
    }

    /// What is known of the asker by this name.
    pub fn claim(&self, name: &str) -> Option<Json> {
        let Who::User(user) = &self.who else { return None };
        match name {
            "user_id" => Some(user.user_id.to_string().into()),
            "employee_id" => Some(user.employee_id?.to_string().into()),
            "email" => Some(user.email.clone()?.into()),
            "aal" => Some(user.aal.clone().into()),
            name => user.app_metadata.get(name.strip_prefix("app_metadata.")?).cloned(),
        }
    }

    /// What it may do to `table`.
    pub fn access(&self, table: &Table) -> Access {
        if table.group == Group::Special && !self.special {
            return Access { rules: Granted::By(Vec::new()) };
        }
        if matches!(self.who, Who::Service) {
            return Access { rules: Granted::Everything };
        }
        Access { rules: Granted::By(self.rules.iter().filter(|rule| self.miss(rule, table).is_none()).cloned().collect()) }
    }

    /// Every rule, and why it is not about this asker and table, if it is not.
    pub fn rules<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (&'a Arc<RecordRule>, Option<Miss>)> {
        self.rules.iter().map(move |rule| (rule, self.miss(rule, table)))
    }

    /// Whether all is allowed, whatever the rules say.
    pub fn is_service(&self) -> bool {
        matches!(self.who, Who::Service)
    }

    fn miss(&self, rule: &RecordRule, table: &Table) -> Option<Miss> {
        if !self.is(rule) {
            return Some(Miss::Who);
        }
        if !rule.tables.is_empty() && !rule.tables.contains(&table.name) {
            return Some(Miss::Table);
        }
        // A rule for all tables says nothing of one that has no such fields.
        if !table.columns.iter().any(|column| rule.groups.contains(&column.group)) {
            return Some(Miss::Group);
        }
        let of_employees = self.employee().is_some();
        let has_owner = table.owner.is_some() || table.part_of.is_some();
        let possible = match rule.rows {
            Scope::All => true,
            Scope::Active => of_employees,
            Scope::Reports | Scope::Own | Scope::OwnFinal => of_employees && has_owner,
        };
        (!possible).then_some(Miss::Rows)
    }

    fn is(&self, rule: &RecordRule) -> bool {
        match &self.who {
            Who::User(user) => rule.roles.iter().any(|name| match name.as_str() {
                "authenticated" => true,
                "employee" => user.employee_id.is_some(),
                name => user.roles.has(name),
            }),
            Who::Key(scopes) => rule.scopes.iter().any(|scope| scopes.contains(scope)),
            Who::Anonymous | Who::Service => false,
        }
    }
}

impl Access {
    /// The rows in which the column may be read or written.
    pub fn column(&self, action: Action, column: &Column) -> Rows {
        if column.hidden {
            return Rows::None;
        }
        self.rows(action, |rule| is_about(rule, column))
    }

    /// The rows in which anything at all may be read or written.
    pub fn any(&self, action: Action) -> Rows {
        self.rows(action, |_| true)
    }

    /// The rows in sight: those in which any column of the table's own group may be read.
    pub fn seen(&self, table: &Table) -> Rows {
        self.rows(Action::Read, |rule| rule.groups.contains(&table.group))
    }

    /// The rows that may be made or removed.
    pub fn row(&self, action: Action, table: &Table) -> Rows {
        self.rows(action, |rule| rule.groups.contains(&table.group) && rule.columns.is_empty())
    }

    /// Whether nothing is kept from the asker here.
    pub fn is_everything(&self) -> bool {
        matches!(self.rules, Granted::Everything)
    }

    fn rows(&self, action: Action, fits: impl Fn(&RecordRule) -> bool) -> Rows {
        let rules = match &self.rules {
            Granted::Everything => return Rows::All,
            Granted::By(rules) => rules,
        };
        let mut bounds: Vec<Bound> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.actions.contains(&action) && fits(rule)) {
            if rule.rows == Scope::All && rule.when.is_none() {
                return Rows::All;
            }
            let bound = Bound::of(rule);
            if !bounds.contains(&bound) {
                bounds.push(bound);
            }
        }
        if bounds.is_empty() { Rows::None } else { Rows::In(bounds) }
    }
}

/// Whether a rule is about a column of a table that it is about.
pub(super) fn is_about(rule: &RecordRule, column: &Column) -> bool {
    rule.groups.contains(&column.group) && (rule.columns.is_empty() || rule.columns.contains(&column.name))
}

impl Bound {
    /// The rows that a rule is about.
    pub fn of(rule: &RecordRule) -> Self {
        Self { scope: rule.rows, when: rule.when.clone() }
    }
}

const READ: &[Action] = &[Action::Read];
const REVEAL: &[Action] = &[Action::Reveal];
const UPDATE: &[Action] = &[Action::Update];
const ALL: &[Action] = &[Action::Read, Action::Insert, Action::Update, Action::Delete];
const WRITE: &[Action] = &[Action::Insert, Action::Update, Action::Delete];
const FILL: &[Action] = &[Action::Insert, Action::Update];
const KEEP: &[Action] = &[Action::Read, Action::Insert, Action::Update];

/// The rules of a tenant: those that every tenant begins with, unless it has done without them, and its own.
fn rules_of(settings: &RecordSettings) -> Rules {
    if settings.rules.is_empty() && settings.default_rules {
        return Arc::clone(default_rules());
    }
    let defaults = default_rules().iter().filter(|_| settings.default_rules).cloned();
    defaults.chain(settings.rules.iter().cloned().map(Arc::new)).collect()
}

/// The rights of a tenant that has not changed them.
pub fn default_rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        let mut rules = role_rules();
        rules.extend(employee_rules());
        rules.extend(key_rules());
        rules.into_iter().map(Arc::new).collect()
    });
    &RULES
}

/// Whom a rule is about.
enum Whom {
    Role(&'static str),
    Key(&'static str),
}

fn rule(whom: &Whom, table: Option<&str>, group: Group, actions: &[Action], rows: Scope) -> RecordRule {
    let (who, roles, scopes) = match whom {
        Whom::Role(role) => (*role, vec![(*role).to_owned()], Vec::new()),
        Whom::Key(scope) => (*scope, Vec::new(), vec![(*scope).to_owned()]),
    };
    let name = format!("{who}: {} of {}", spelled(&actions), table.unwrap_or(&spelled(&group)));
    RecordRule {
        name,
        roles,
        scopes,
        tables: table.map(str::to_owned).into_iter().collect(),
        groups: vec![group],
        columns: Vec::new(),
        actions: actions.to_vec(),
        rows,
        when: None,
    }
}

/// A word of a rule as it is written down.
fn spelled(word: &impl serde::Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(Json::Array(words)) => words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "),
        Ok(Json::String(word)) => word,
        _ => String::new(),
    }
}

fn of_columns(rule: RecordRule, columns: &[&str]) -> RecordRule {
    let name = format!("{} ({})", rule.name, columns.join(", "));
    RecordRule { name, columns: columns.iter().map(ToString::to_string).collect(), ..rule }
}

/// Admin runs the system and is deliberately given neither pay nor personal fields; pay is the payroll role's alone. What the law protects
/// most is nobody's but who is given the role for it.
fn role_rules() -> Vec<RecordRule> {
    use Group::{Directory, Identity, Pay, Personal, Special, System, Work};
    let mut rules = Vec::new();
    for (name, group, actions) in [
        ("owner", Directory, ALL),
        ("owner", Work, ALL),
        ("owner", Personal, READ),
        ("owner", Identity, READ),
        ("owner", Identity, REVEAL),
        ("owner", Pay, READ),
        ("owner", System, READ),
        ("admin", Directory, ALL),
        ("admin", Work, ALL),
        ("admin", System, ALL),
        ("hr", Directory, ALL),
        ("hr", Work, ALL),
        ("hr", Personal, ALL),
        ("hr", Identity, ALL),
        ("hr", Identity, REVEAL),
        ("hr", System, READ),
        ("special_data", Special, ALL),
        ("payroll", Directory, READ),
        ("payroll", Work, READ),
        ("payroll", Pay, ALL),
        ("manager", Directory, READ),
    ] {
        rules.push(rule(&Whom::Role(name), None, group, actions, Scope::All));
    }
    // Who pays has to know where to.
    rules.push(rule(&Whom::Role("payroll"), Some("employee_bank_accounts"), Identity, READ, Scope::All));
    rules.push(rule(&Whom::Role("payroll"), Some("employee_bank_accounts"), Identity, REVEAL, Scope::All));
    let manager = Whom::Role("manager");
    rules.push(rule(&manager, None, Work, READ, Scope::Reports));
    rules.push(of_columns(rule(&manager, Some("employee_private"), Personal, READ, Scope::Reports), &["employee_id", "emergency_contacts"]));
    // HR says which user is which employee.
    rules.push(of_columns(rule(&Whom::Role("hr"), Some("employees"), System, FILL, Scope::All), &["user_id", "external_id", "name_sort"]));
    rules
}

/// What everyone may who is an employee, whatever the role.
fn employee_rules() -> Vec<RecordRule> {
    use Group::{Directory, Identity, Pay, Personal, Special, System, Work};
    let employee = &Whom::Role("employee");
    let own_words = rule(employee, Some("employees"), Directory, UPDATE, Scope::Own);
    vec![
        rule(employee, Some("employees"), Directory, READ, Scope::Active),
        rule(employee, Some("departments"), Directory, READ, Scope::All),
        rule(employee, Some("positions"), Directory, READ, Scope::All),
        rule(employee, Some("locations"), Directory, READ, Scope::All),
        rule(employee, None, Work, READ, Scope::Own),
        rule(employee, Some("employees"), System, READ, Scope::Own),
        rule(employee, Some("employee_private"), Personal, KEEP, Scope::Own),
        rule(employee, Some("employee_identity"), Identity, READ, Scope::Own),
        rule(employee, Some("employee_bank_accounts"), Identity, READ, Scope::Own),
        rule(employee, Some("employee_special"), Special, KEEP, Scope::Own),
        rule(employee, Some("payslips"), Pay, READ, Scope::OwnFinal),
        rule(employee, Some("payslip_lines"), Pay, READ, Scope::OwnFinal),
        of_columns(own_words, &["preferred_name", "work_phone", "avatar_object_id"]),
    ]
}

fn key_rules() -> Vec<RecordRule> {
    use Group::{Directory, Identity, Pay, Personal, Special, Work};
    let of = |scope: &'static str, group, actions| rule(&Whom::Key(scope), None, group, actions, Scope::All);
    let mut rules = vec![
        of("employees.personal:read", Personal, READ),
        of("employees.personal:write", Personal, WRITE),
        of("employees.identity:read", Identity, READ),
        of("employees.identity:write", Identity, WRITE),
        of("employees.numbers:read", Identity, REVEAL),
        of("employees.special:read", Special, READ),
        of("employees.special:write", Special, WRITE),
        of("pay:read", Pay, READ),
        of("pay:write", Pay, WRITE),
    ];
    for group in [Directory, Work] {
        rules.push(of("employees:read", group, READ));
        rules.push(of("employees:write", group, WRITE));
    }
    for table in ["payroll_runs", "payslips", "payslip_lines"] {
        rules.push(rule(&Whom::Key("payslips:write"), Some(table), Pay, FILL, Scope::All));
    }
    rules
}
