//! What tables there are: columns, types, keys, relations, and which group of fields each column is in.
//!
//! The planner, the document and the rights are all drawn from here, so that a new resource is a declaration here and a migration. It is
//! a value: tables that a tenant declares will be added to it from rows.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use crate::db::Type;

/// Every table that `/rest/v1` serves.
#[derive(Debug, Default)]
pub struct Catalog {
    tables: Vec<Arc<Table>>,
    by_name: HashMap<String, usize>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name, in the database and on the wire.
    pub name: String,
    /// One sentence for the document.
    pub about: String,
    /// Its columns, without `tenant_id`.
    pub columns: Vec<Arc<Column>>,
    /// Its primary key, without `tenant_id`.
    pub primary_key: Vec<String>,
    /// Its other keys.
    pub uniques: Vec<Key>,
    /// Its references.
    pub foreign_keys: Vec<Arc<ForeignKey>>,
    /// The column that names the employee whose row it is.
    pub owner: Option<String>,
    /// Whether the name search looks here.
    pub searchable: bool,
    /// The group that its existence belongs to: who may make and delete rows.
    pub group: Group,
    /// Whether the server alone writes it.
    pub read_only: bool,
}

/// A column.
#[derive(Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Type,
    /// Who may see it.
    pub group: Group,
    /// Whether it may be empty.
    pub nullable: bool,
    /// What it holds when nothing is said.
    pub default: Default,
    /// The words it may hold, when they are few.
    pub words: Vec<String>,
    /// One sentence for the document.
    pub about: String,
}

/// What a column holds when a new row does not say.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// Nothing.
    Null,
    /// A new id, sorted by time.
    NewId,
    /// The present moment; a client can't set it.
    Now,
    /// One, and one more with every change; a client can't set it.
    Version,
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// A truth value.
    Truth(bool),
    /// A JSON text.
    Json(&'static str),
    /// Made by the server out of the row's other columns.
    Derived,
}

/// A unique key.
#[derive(Debug)]
pub struct Key {
    /// The constraint's name.
    pub name: String,
    /// Its columns, without `tenant_id`.
    pub columns: Vec<String>,
}

/// A reference to another table.
#[derive(Debug)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The table that refers.
    pub table: String,
    /// The column that refers.
    pub column: String,
    /// The table referred to.
    pub target: String,
    /// The column referred to.
    pub target_column: String,
    /// Whether the target's bare name means this reference. Of several to one table only the plainest is; the others go by their column
    /// or by a hint.
    pub plain: bool,
}

/// Groups of fields, by who may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// What a colleague may know.
    Directory,
    /// What a superior may know.
    Work,
    /// What concerns the person.
    Personal,
    /// What is paid.
    Pay,
    /// How the record hangs together with other systems.
    System,
}

impl Catalog {
    /// The tables that every tenant has.
    pub fn built_in() -> &'static Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::of(built_in_tables())));
        &BUILT_IN
    }

    fn of(tables: Vec<Table>) -> Self {
        let by_name = tables.iter().enumerate().map(|(index, table)| (table.name.clone(), index)).collect();
        Self { tables: tables.into_iter().map(Arc::new).collect(), by_name }
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.by_name.get(name).map(|&index| &self.tables[index])
    }

    /// All tables.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Every reference to `target`.
    pub fn references_to<'c>(&'c self, target: &'c str) -> impl Iterator<Item = (&'c Arc<Table>, &'c Arc<ForeignKey>)> {
        let of = move |table: &'c Arc<Table>| table.foreign_keys.iter().filter(move |key| key.target == target).map(move |key| (table, key));
        self.tables.iter().flat_map(of)
    }
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether these columns name at most one row.
    pub fn is_key(&self, columns: &[&str]) -> bool {
        let same = |key: &[String]| key.len() == columns.len() && key.iter().all(|column| columns.contains(&column.as_str()));
        same(&self.primary_key) || self.uniques.iter().any(|unique| same(&unique.columns))
    }

    /// The name of the key constraint over these columns.
    pub fn key_name(&self, columns: &[String]) -> Option<String> {
        if columns == self.primary_key {
            return Some(format!("{}_pkey", self.name));
        }
        self.uniques.iter().find(|unique| unique.columns == columns).map(|unique| unique.name.clone())
    }
}

impl Column {
    /// Whether the server alone writes it; what a client says of it is passed over.
    pub fn kept_by_server(&self) -> bool {
        matches!(self.default, Default::Now | Default::Version)
    }
}

/// A table in the making.
struct Draft(Table);

impl Draft {
    fn new(name: &str, group: Group, about: &str) -> Self {
        let table = Table {
            name: name.into(),
            about: about.into(),
            columns: Vec::new(),
            primary_key: vec!["id".into()],
            uniques: Vec::new(),
            foreign_keys: Vec::new(),
            owner: None,
            searchable: false,
            group,
            read_only: false,
        };
        Self(table)
    }

    fn id(self) -> Self {
        let group = self.0.group;
        self.column("id", Type::Uuid, group, "Made by the server, sorted by time, when it is not given").required().default(Default::NewId)
    }

    fn column(mut self, name: &str, kind: Type, group: Group, about: &str) -> Self {
        let column = Column { name: name.into(), kind, group, nullable: true, default: Default::Null, words: Vec::new(), about: about.into() };
        self.0.columns.push(Arc::new(column));
        self
    }

    fn last(&mut self) -> &mut Column {
        let column = self.0.columns.last_mut().and_then(Arc::get_mut);
        column.expect("a draft holds the only reference to its columns, and a column was declared before it was described")
    }

    fn required(mut self) -> Self {
        self.last().nullable = false;
        self
    }

    fn default(mut self, default: Default) -> Self {
        self.last().default = default;
        self
    }

    fn words(mut self, words: &[&'static str]) -> Self {
        self.last().words = words.iter().map(ToString::to_string).collect();
        self
    }

    fn unique(mut self, columns: &[&str]) -> Self {
        let name = format!("{}_{}_key", self.0.name, columns.join("_"));
        self.0.uniques.push(Key { name, columns: columns.iter().map(ToString::to_string).collect() });
        self
    }

    fn refers(mut self, column: &str, target: &str, plain: bool) -> Self {
        let key = ForeignKey {
            name: format!("{}_{column}_fkey", self.0.name),
            table: self.0.name.clone(),
            column: column.into(),
            target: target.into(),
            target_column: "id".into(),
            plain,
        };
        self.0.foreign_keys.push(Arc::new(key));
        self
    }

    fn owned_by(mut self, column: &str) -> Self {
        self.0.owner = Some(column.into());
        self
    }

    /// The columns every table ends with.
    fn done(self) -> Table {
        let group = self.0.group;
        self.column("version", Type::I64, group, "One more with every change")
            .required()
            .default(Default::Version)
            .column("created_at", Type::Timestamp, group, "When the row was made")
            .required()
            .default(Default::Now)
            .column("updated_at", Type::Timestamp, group, "When the row was last changed")
            .required()
            .default(Default::Now)
            .0
    }
}

fn built_in_tables() -> Vec<Table> {
    let mut tables = vec![departments(), employees(), employee_private(), job_assignments(), compensations(), payroll_runs(), payslips()];
    let of = |what: &str| format!("What was changed in {what}: who, when, before and after");
    tables.push(changes("changes", Group::System, &of("departments, employees and their assignments")));
    tables.push(changes("personal_changes", Group::Personal, &(of("what concerns persons") + ", as keyed hashes")));
    tables.push(changes("pay_changes", Group::Pay, &(of("pay, runs and slips") + ", as keyed hashes")));
    tables
}

fn departments() -> Table {
    use Group::{Directory, Work};
    Draft::new("departments", Directory, "The parts of the company")
        .id()
        .column("code", Type::Text, Directory, "The short name, unique")
        .required()
        .column("name", Type::Text, Directory, "The name")
        .required()
        .column("parent_id", Type::Uuid, Directory, "The department it is part of")
        .column("head_employee_id", Type::Uuid, Directory, "Who leads it")
        .column("cost_center", Type::Text, Work, "Where its cost is booked")
        .column("active", Type::Bool, Directory, "Whether it is still in use")
        .required()
        .default(Default::Truth(true))
        .unique(&["code"])
        .refers("parent_id", "departments", true)
        .refers("head_employee_id", "employees", false)
        .done()
}

fn employees() -> Table {
    use Group::{Directory, System, Work};
    let mut draft = Draft::new("employees", Directory, "The people of the company")
        .id()
        .column("employee_number", Type::Text, Directory, "The number the company knows them by, unique")
        .required()
        .column("user_id", Type::Uuid, System, "The user who is this employee")
        .column("external_id", Type::Text, System, "The id in the system the record came from, unique")
        .column("given_name", Type::Text, Directory, "The given name")
        .column("family_name", Type::Text, Directory, "The family name")
        .column("middle_name", Type::Text, Directory, "The middle name")
        .column("preferred_name", Type::Text, Directory, "What they want to be called")
        .column("display_name", Type::Text, Directory, "The whole name as shown; made of given and family name when it is not given")
        .required()
        .default(Default::Derived)
        .column("name_phonetic", Type::Text, Directory, "How the name is said; for Chinese names made by the server when it is not given")
        .default(Default::Derived)
        .column("name_sort", Type::Text, System, "What names are sorted by; made by the server when it is not given")
        .required()
        .default(Default::Derived)
        .column("work_email", Type::Text, Directory, "The address at work, unique, kept in lower case")
        .column("work_phone", Type::Text, Directory, "The number at work")
        .column("status", Type::Text, Work, "Whether they work here now")
        .required()
        .default(Default::Text("active"))
        .words(&["pending", "active", "leave", "suspended", "terminated"])
        .column("employment_type", Type::Text, Work, "How they are employed")
        .required()
        .default(Default::Text("full_time"))
        .words(&["full_time", "part_time", "contractor", "intern", "temporary"])
        .column("department_id", Type::Uuid, Directory, "The department they are in now")
        .column("job_title", Type::Text, Directory, "What they do now")
        .column("manager_id", Type::Uuid, Directory, "Whom they report to")
        .column("cost_center", Type::Text, Work, "Where their cost is booked")
        .column("hired_on", Type::Date, Work, "The first day")
        .column("terminated_on", Type::Date, Work, "The day from which they are gone")
        .column("custom", Type::Json, Work, "Fields of your own")
        .required()
        .default(Default::Json("{}"))
        .unique(&["employee_number"])
        .unique(&["user_id"])
        .unique(&["external_id"])
        .unique(&["work_email"])
        .refers("department_id", "departments", true)
        .refers("manager_id", "employees", true)
        .owned_by("id");
    draft.0.searchable = true;
    draft.done()
}

fn employee_private() -> Table {
    use Group::Personal;
    let mut draft = Draft::new("employee_private", Personal, "What concerns the person and not the job: one row for an employee")
        .column("employee_id", Type::Uuid, Personal, "The employee")
        .required()
        .column("date_of_birth", Type::Date, Personal, "The day of birth")
        .column("gender", Type::Text, Personal, "The gender")
        .column("personal_email", Type::Text, Personal, "The address at home")
        .column("mobile", Type::Text, Personal, "The number of their own telephone")
        .column("home_address", Type::Json, Personal, "Where they live")
        .refers("employee_id", "employees", true)
        .owned_by("employee_id");
    draft.0.primary_key = vec!["employee_id".into()];
    draft.done()
}

fn job_assignments() -> Table {
    use Group::Work;
    Draft::new("job_assignments", Work, "Who did what in which department, from when to when")
        .id()
        .column("employee_id", Type::Uuid, Work, "The employee")
        .required()
        .column("effective_from", Type::Date, Work, "The first day")
        .required()
        .column("effective_to", Type::Date, Work, "The day from which it no longer holds; null while it does")
        .column("department_id", Type::Uuid, Work, "The department")
        .column("job_title", Type::Text, Work, "The job")
        .column("manager_id", Type::Uuid, Work, "Whom they reported to")
        .column("fte_permille", Type::I64, Work, "The share of full time, in thousandths")
        .required()
        .default(Default::Number(1000))
        .column("change_reason", Type::Text, Work, "Why it changed")
        .refers("employee_id", "employees", true)
        .refers("department_id", "departments", true)
        .refers("manager_id", "employees", false)
        .owned_by("employee_id")
        .done()
}

fn compensations() -> Table {
    use Group::Pay;
    Draft::new("compensations", Pay, "What an employee is paid, from when to when")
        .id()
        .column("employee_id", Type::Uuid, Pay, "The employee")
        .required()
        .column("effective_from", Type::Date, Pay, "The first day")
        .required()
        .column("effective_to", Type::Date, Pay, "The day from which it no longer holds; null while it does")
        .column("currency", Type::Text, Pay, "ISO 4217")
        .required()
        .column("pay_basis", Type::Text, Pay, "What base_minor is paid for")
        .required()
        .words(&["hour", "day", "month", "year"])
        .column("pay_frequency", Type::Text, Pay, "How often it is paid")
        .required()
        .default(Default::Text("monthly"))
        .words(&["weekly", "biweekly", "semimonthly", "monthly"])
        .column("base_minor", Type::I64, Pay, "The amount in the currency's smallest unit")
        .required()
        .column("reason", Type::Text, Pay, "Why it changed")
        .unique(&["employee_id", "effective_from"])
        .refers("employee_id", "employees", true)
        .owned_by("employee_id")
        .done()
}

fn payroll_runs() -> Table {
    use Group::Pay;
    Draft::new("payroll_runs", Pay, "One payment of the company")
        .id()
        .column("type", Type::Text, Pay, "What kind of run it is")
        .required()
        .default(Default::Text("regular"))
        .words(&["regular", "off_cycle", "correction", "termination", "bonus"])
        .column("period_start", Type::Date, Pay, "The first day that is paid")
        .required()
        .column("period_end", Type::Date, Pay, "The last day that is paid")
        .required()
        .column("pay_date", Type::Date, Pay, "The day of payment")
        .column("currency", Type::Text, Pay, "ISO 4217")
        .required()
        .column("status", Type::Text, Pay, "How far it is")
        .required()
        .default(Default::Text("draft"))
        .words(&["draft", "calculating", "calculated", "approved", "paid", "closed", "failed", "cancelled"])
        .column("idempotency_key", Type::Text, Pay, "Chosen by who makes the run, unique, so that making it twice makes it once")
        .column("totals", Type::Json, Pay, "What it came to")
        .required()
        .default(Default::Json("{}"))
        .unique(&["idempotency_key"])
        .done()
}

fn payslips() -> Table {
    use Group::Pay;
    Draft::new("payslips", Pay, "What one employee is paid in one run")
        .id()
        .column("run_id", Type::Uuid, Pay, "The run")
        .required()
        .column("employee_id", Type::Uuid, Pay, "The employee")
        .required()
        .column("currency", Type::Text, Pay, "ISO 4217")
        .required()
        .column("gross_minor", Type::I64, Pay, "Before deductions and tax, in the currency's smallest unit")
        .required()
        .column("deductions_minor", Type::I64, Pay, "Deductions")
        .required()
        .default(Default::Number(0))
        .column("tax_minor", Type::I64, Pay, "Tax")
        .required()
        .default(Default::Number(0))
        .column("net_minor", Type::I64, Pay, "What is paid out")
        .required()
        .column("status", Type::Text, Pay, "The employee sees it once it is final")
        .required()
        .default(Default::Text("draft"))
        .words(&["draft", "final", "void"])
        .column("snapshot", Type::Json, Pay, "What the slip said when it was made")
        .required()
        .default(Default::Json("{}"))
        .column("document_path", Type::Text, Pay, "Where the slip lies in storage: its name inside the bucket")
        .column("replaces_id", Type::Uuid, Pay, "In a run of the type correction: the slip of an approved run that this one stands for instead")
        .unique(&["run_id", "employee_id"])
        .refers("run_id", "payroll_runs", true)
        .refers("replaces_id", "payslips", true)
        .refers("employee_id", "employees", true)
        .owned_by("employee_id")
        .done()
}

fn changes(name: &str, group: Group, about: &str) -> Table {
    let mut table = Draft::new(name, group, about)
        .column("id", Type::Uuid, group, "Sorted by time")
        .required()
        .column("table_name", Type::Text, group, "The table")
        .required()
        .column("row_id", Type::Uuid, group, "The row's key")
        .required()
        .column("action", Type::Text, group, "What was done")
        .required()
        .words(&["insert", "update", "delete"])
        .column("changed_at", Type::Timestamp, group, "When")
        .required()
        .column("actor", Type::Text, group, "What asked for it: user, key, service_role")
        .required()
        .column("actor_id", Type::Uuid, group, "Which user or key")
        .column("request_id", Type::Text, group, "The request, as the log names it")
        .column("changes", Type::Json, group, "By column: old and new")
        .required()
        .0;
    table.read_only = true;
    table
}
