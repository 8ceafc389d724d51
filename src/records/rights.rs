//! Who may do what to which fields of which rows.
//!
//! The rules are a table: who, which table, which group of fields, which rows. [`Access`] is what one principal may do to one table, drawn
//! from it; `resolve.rs` is the only one that asks.

use std::sync::LazyLock;

use uuid::Uuid;

use super::catalog::{Column, Group, Table};

/// Which rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every row of the tenant.
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

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user with this role.
    Role(String),
    /// A user who is linked to an employee.
    Employee,
    /// A key with this scope.
    Key(String),
}

/// What may be done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See them.
    Read,
    /// Make them.
    Insert,
    /// Change them.
    Update,
    /// Remove them.
    Delete,
}

/// One line of the table of rights.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// The table; none for all.
    pub table: Option<String>,
    /// The group of fields.
    pub group: Group,
    /// The columns of the group; none for all.
    pub columns: Option<Vec<String>>,
    /// What it allows.
    pub actions: Vec<Action>,
    /// In which rows.
    pub scope: Scope,
}

/// Who asks, as far as rights go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Nobody that is known.
    Anonymous,
    /// A signed-in user: the roles, and the employee it is.
    User {
        /// The roles.
        roles: Vec<String>,
        /// The employee.
        employee: Option<Uuid>,
    },
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
    By(Vec<&'static Rule>),
}

/// The rows in which something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// None.
    None,
    /// Those in any of these scopes.
    In(Vec<Scope>),
    /// All.
    All,
}

impl Asker {
    /// Nobody is signed in.
    pub fn is_anonymous(&self) -> bool {
        *self == Self::Anonymous
    }

    /// The employee who asks.
    pub fn employee(&self) -> Option<Uuid> {
        match self {
            Self::User { employee, .. } => *employee,
            _ => None,
        }
    }

    /// What it may do to `table`.
    pub fn access(&self, table: &Table) -> Access {
        if *self == Self::Service {
            return Access { rules: Granted::Everything };
        }
        let possible = |scope| match scope {
            Scope::All => true,
            Scope::Active => self.employee().is_some(),
            Scope::Reports | Scope::Own | Scope::OwnFinal => self.employee().is_some() && table.owner.is_some(),
        };
        // A rule for all tables says nothing of one that has no such fields.
        let has = |group| table.columns.iter().any(|column| column.group == group);
        let of_table = |rule: &&Rule| {
            rule.table.as_ref().is_none_or(|name| *name == table.name) && has(rule.group) && possible(rule.scope) && self.is(&rule.who)
        };
        Access { rules: Granted::By(default_rules().iter().filter(of_table).collect()) }
    }

    fn is(&self, who: &Who) -> bool {
        match (self, who) {
            (Self::User { roles, .. }, Who::Role(role)) => roles.contains(role),
            (Self::User { employee, .. }, Who::Employee) => employee.is_some(),
            (Self::Key(scopes), Who::Key(scope)) => scopes.contains(scope),
            _ => false,
        }
    }
}

impl Access {
    /// The rows in which the column may be read or written.
    pub fn column(&self, action: Action, column: &Column) -> Rows {
        self.rows(action, |rule| rule.group == column.group && rule.columns.as_ref().is_none_or(|columns| columns.contains(&column.name)))
    }

    /// The rows in which anything at all may be read or written.
    pub fn any(&self, action: Action) -> Rows {
        self.rows(action, |_| true)
    }

    /// The rows that may be made or removed.
    pub fn row(&self, action: Action, table: &Table) -> Rows {
        self.rows(action, |rule| rule.group == table.group && rule.columns.is_none())
    }

    /// Whether nothing is kept from the asker here.
    pub fn is_everything(&self) -> bool {
        matches!(self.rules, Granted::Everything)
    }

    fn rows(&self, action: Action, fits: impl Fn(&Rule) -> bool) -> Rows {
        let rules = match &self.rules {
            Granted::Everything => return Rows::All,
            Granted::By(rules) => rules,
        };
        let mut scopes = Vec::new();
        for rule in rules.iter().filter(|rule| rule.actions.contains(&action) && fits(rule)) {
            match rule.scope {
                Scope::All => return Rows::All,
                scope if !scopes.contains(&scope) => scopes.push(scope),
                _ => {}
            }
        }
        if scopes.is_empty() { Rows::None } else { Rows::In(scopes) }
    }
}

const READ: &[Action] = &[Action::Read];
const UPDATE: &[Action] = &[Action::Update];
const ALL: &[Action] = &[Action::Read, Action::Insert, Action::Update, Action::Delete];
const WRITE: &[Action] = &[Action::Insert, Action::Update, Action::Delete];
const FILL: &[Action] = &[Action::Insert, Action::Update];

/// The rights of a tenant that has not changed them.
pub fn default_rules() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let mut rules = role_rules();
        rules.extend(employee_rules());
        rules.extend(key_rules());
        rules
    });
    &RULES
}

fn rule(who: Who, table: Option<&str>, group: Group, actions: &[Action], scope: Scope) -> Rule {
    Rule { who, table: table.map(Into::into), group, columns: None, actions: actions.to_vec(), scope }
}

/// Admin runs the system and is deliberately given neither pay nor personal fields; pay is the payroll role's alone.
fn role_rules() -> Vec<Rule> {
    use Group::{Directory, Pay, Personal, System, Work};
    let role = |name: &str| Who::Role(name.into());
    let mut rules = Vec::new();
    for (name, group, actions) in [
        ("owner", Directory, ALL),
        ("owner", Work, ALL),
        ("owner", Personal, READ),
        ("owner", Pay, READ),
        ("owner", System, READ),
        ("admin", Directory, ALL),
        ("admin", Work, ALL),
        ("admin", System, ALL),
        ("hr", Directory, ALL),
        ("hr", Work, ALL),
        ("hr", Personal, ALL),
        ("hr", System, READ),
        ("payroll", Directory, READ),
        ("payroll", Work, READ),
        ("payroll", Pay, ALL),
        ("manager", Directory, READ),
    ] {
        rules.push(rule(role(name), None, group, actions, Scope::All));
    }
    rules.push(rule(role("manager"), None, Work, READ, Scope::Reports));
    // HR says which user is which employee.
    let mut link = rule(role("hr"), Some("employees"), System, FILL, Scope::All);
    link.columns = Some(vec!["user_id".into(), "external_id".into(), "name_sort".into()]);
    rules.push(link);
    rules
}

/// What everyone may who is an employee, whatever the role.
fn employee_rules() -> Vec<Rule> {
    use Group::{Directory, Pay, Personal, System, Work};
    let mut own_words = rule(Who::Employee, Some("employees"), Directory, UPDATE, Scope::Own);
    own_words.columns = Some(vec!["preferred_name".into(), "work_phone".into()]);
    vec![
        rule(Who::Employee, Some("employees"), Directory, READ, Scope::Active),
        rule(Who::Employee, Some("departments"), Directory, READ, Scope::All),
        rule(Who::Employee, None, Work, READ, Scope::Own),
        rule(Who::Employee, Some("employees"), System, READ, Scope::Own),
        rule(Who::Employee, Some("employee_private"), Personal, &[Action::Read, Action::Insert, Action::Update], Scope::Own),
        rule(Who::Employee, Some("payslips"), Pay, READ, Scope::OwnFinal),
        own_words,
    ]
}

fn key_rules() -> Vec<Rule> {
    use Group::{Directory, Pay, Personal, Work};
    let key = |name: &str| Who::Key(name.into());
    let mut rules = vec![
        rule(key("employees.personal:read"), None, Personal, READ, Scope::All),
        rule(key("employees.personal:write"), None, Personal, WRITE, Scope::All),
        rule(key("pay:read"), None, Pay, READ, Scope::All),
        rule(key("pay:write"), None, Pay, WRITE, Scope::All),
    ];
    for group in [Directory, Work] {
        rules.push(rule(key("employees:read"), None, group, READ, Scope::All));
        rules.push(rule(key("employees:write"), None, group, WRITE, Scope::All));
    }
    for table in ["payroll_runs", "payslips"] {
        rules.push(rule(key("payslips:write"), Some(table), Pay, FILL, Scope::All));
    }
    rules
}
