//! The tables that every tenant has: one declaration each.

use std::sync::Arc;

use super::{Column, Default, ForeignKey, Group, Key, Table};
use crate::db::Type;

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
            part_of: None,
        };
        Self(table)
    }

    fn id(self) -> Self {
        let group = self.0.group;
        self.column("id", Type::Uuid, group, "Made by the server, sorted by time, when it is not given").required().default(Default::NewId)
    }

    fn column(mut self, name: &str, kind: Type, group: Group, about: &str) -> Self {
        let column = Column {
            name: name.into(),
            kind,
            group,
            nullable: true,
            default: Default::Null,
            words: Vec::new(),
            about: about.into(),
            sealed: false,
            hidden: false,
        };
        self.0.columns.push(Arc::new(column));
        self
    }

    /// A number of which the last digits alone are shown.
    fn sealed(mut self, name: &str, group: Group, about: &str) -> Self {
        self = self.column(name, Type::Text, group, &format!("{about}, masked; found by eq and in, shown whole by a reveal function"));
        self.last().sealed = true;
        for beside in ["sealed", "hash"] {
            self = self.column(&format!("{name}_{beside}"), Type::Text, group, "The server's own");
            self.last().hidden = true;
        }
        self
    }

    fn last(&mut self) -> &mut Column {
        let column = self.0.columns.last_mut().and_then(Arc::get_mut);
        column.expect("a draft holds the only reference to its columns, and a column was declared before it was described")
    }

    /// Whether the row still counts.
    fn active(self) -> Self {
        let group = self.0.group;
        self.column("active", Type::Bool, group, "Whether it is still in use").required().default(Default::Truth(true))
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

    /// Its rows belong to rows of another table.
    fn part_of(mut self, column: &str, table: &str) -> Self {
        self.0.part_of = Some((column.into(), table.into()));
        self.refers(column, table, true)
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

/// The tables in the order of the document.
pub(super) fn tables() -> Vec<Table> {
    let mut tables = vec![
        departments(),
        positions(),
        locations(),
        legal_entities(),
        employees(),
        employee_private(),
        employee_identity(),
        employee_bank_accounts(),
        employee_special(),
        job_assignments(),
        employee_groups(),
        employee_group_members(),
        salary_components(),
        compensations(),
        compensation_items(),
        pay_adjustments(),
        payroll_runs(),
        payslips(),
        payslip_lines(),
    ];
    let of = |what: &str| format!("What was changed in {what}: who, when, before and after");
    tables.push(changes("changes", Group::System, &of("departments, employees and their assignments")));
    tables.push(changes("personal_changes", Group::Personal, &(of("what concerns persons") + ", as keyed hashes")));
    let identity = of("numbers of persons and of their accounts") + ", as keyed hashes; and who was shown which, and why";
    tables.push(changes("identity_changes", Group::Identity, &identity));
    tables.push(changes("special_changes", Group::Special, &(of("what the law protects most") + ", as keyed hashes")));
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
        .active()
        .unique(&["code"])
        .refers("parent_id", "departments", true)
        .refers("head_employee_id", "employees", false)
        .done()
}

fn positions() -> Table {
    use Group::Directory;
    Draft::new("positions", Directory, "What there is to be done")
        .id()
        .column("code", Type::Text, Directory, "The short name, unique")
        .required()
        .column("title", Type::Text, Directory, "The title")
        .required()
        .column("level", Type::Text, Directory, "The grade")
        .column("department_id", Type::Uuid, Directory, "The department it is in")
        .active()
        .unique(&["code"])
        .refers("department_id", "departments", true)
        .done()
}

fn locations() -> Table {
    use Group::Directory;
    Draft::new("locations", Directory, "Where people work")
        .id()
        .column("code", Type::Text, Directory, "The short name, unique")
        .required()
        .column("name", Type::Text, Directory, "The name")
        .required()
        .column("country", Type::Text, Directory, "ISO 3166")
        .column("timezone", Type::Text, Directory, "The time zone: Europe/Berlin")
        .column("address", Type::Json, Directory, "Where it is")
        .active()
        .unique(&["code"])
        .done()
}

fn legal_entities() -> Table {
    use Group::Work;
    Draft::new("legal_entities", Work, "The companies that employ people")
        .id()
        .column("code", Type::Text, Work, "The short name, unique")
        .required()
        .column("name", Type::Text, Work, "The name as registered")
        .required()
        .column("country", Type::Text, Work, "ISO 3166")
        .column("currency", Type::Text, Work, "ISO 4217: what it pays in")
        .column("registration_number", Type::Text, Work, "The number it is registered by")
        .active()
        .unique(&["code"])
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
        .column("user_name", Type::Text, System, "What a directory calls them by, unique, kept in lower case; null where that is the address at work")
        .column("deleted_at", Type::Timestamp, System, "When a directory removed them")
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
        .column("honorific", Type::Text, Directory, "What goes before the name: Dr.")
        .column("avatar_object_id", Type::Uuid, Directory, "The picture: an object in storage")
        .column("work_email", Type::Text, Directory, "The address at work, unique, kept in lower case")
        .column("work_phone", Type::Text, Directory, "The number at work")
        .column("locale", Type::Text, Directory, "The language they are addressed in: de-CH")
        .column("timezone", Type::Text, Directory, "The time zone they work in: Europe/Berlin")
        .column("status", Type::Text, Work, "Whether they work here now")
        .required()
        .default(Default::Text("active"))
        .words(&["pending", "active", "leave", "suspended", "terminated"])
        .column("employment_type", Type::Text, Work, "How they are employed")
        .required()
        .default(Default::Text("full_time"))
        .words(&["full_time", "part_time", "contractor", "intern", "temporary"])
        .column("legal_entity_id", Type::Uuid, Work, "The company that employs them")
        .column("department_id", Type::Uuid, Directory, "The department they are in now")
        .column("position_id", Type::Uuid, Directory, "The position they hold now")
        .column("job_title", Type::Text, Directory, "What they do now")
        .column("manager_id", Type::Uuid, Directory, "Whom they report to")
        .column("location_id", Type::Uuid, Directory, "Where they work now")
        .column("cost_center", Type::Text, Work, "Where their cost is booked")
        .column("hired_on", Type::Date, Work, "The first day")
        .column("probation_ends_on", Type::Date, Work, "The last day of probation")
        .column("contract_ends_on", Type::Date, Work, "The last day of a contract that ends")
        .column("terminated_on", Type::Date, Work, "The day from which they are gone")
        .column("custom", Type::Json, Work, "Fields of your own")
        .required()
        .default(Default::Json("{}"))
        .unique(&["employee_number"])
        .unique(&["user_id"])
        .unique(&["external_id"])
        .unique(&["work_email"])
        .unique(&["user_name"])
        .refers("department_id", "departments", true)
        .refers("manager_id", "employees", true)
        .refers("legal_entity_id", "legal_entities", true)
        .refers("position_id", "positions", true)
        .refers("location_id", "locations", true)
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
        .column("pronouns", Type::Text, Personal, "The pronouns")
        .column("nationality", Type::Text, Personal, "ISO 3166")
        .column("marital_status", Type::Text, Personal, "The marital status")
        .column("emergency_contacts", Type::Json, Personal, "Who is called when something happened")
        .column("dependents", Type::Json, Personal, "Who depends on them")
        .column("termination_reason", Type::Text, Personal, "Why they are gone")
        .refers("employee_id", "employees", true)
        .owned_by("employee_id");
    draft.0.primary_key = vec!["employee_id".into()];
    draft.done()
}

fn employee_identity() -> Table {
    use Group::Identity;
    let mut draft = Draft::new("employee_identity", Identity, "Numbers by which states know a person: one row for an employee")
        .column("employee_id", Type::Uuid, Identity, "The employee")
        .required()
        .column("country", Type::Text, Identity, "ISO 3166: whose numbers they are")
        .sealed("national_id", Identity, "The number of the identity card, or of social security")
        .sealed("tax_id", Identity, "The number that the tax office knows them by")
        .sealed("passport_number", Identity, "The number of the passport")
        .column("passport_expires_on", Type::Date, Identity, "The last day of the passport")
        .sealed("work_permit_number", Identity, "The number of the work permit")
        .column("work_permit_expires_on", Type::Date, Identity, "The last day of the work permit")
        .refers("employee_id", "employees", true)
        .owned_by("employee_id");
    draft.0.primary_key = vec!["employee_id".into()];
    draft.done()
}

fn employee_bank_accounts() -> Table {
    use Group::Identity;
    Draft::new("employee_bank_accounts", Identity, "Where an employee's pay goes")
        .id()
        .column("employee_id", Type::Uuid, Identity, "The employee")
        .required()
        .column("country", Type::Text, Identity, "ISO 3166")
        .column("bank_name", Type::Text, Identity, "The bank")
        .column("bic", Type::Text, Identity, "The bank's own number")
        .column("holder", Type::Text, Identity, "Whose account it is")
        .column("currency", Type::Text, Identity, "ISO 4217")
        .sealed("account_number", Identity, "The number of the account")
        .sealed("iban", Identity, "The number of the account as other countries know it")
        .column("split_permille", Type::I64, Identity, "The share of pay that goes there, in thousandths")
        .required()
        .default(Default::Number(1000))
        .column("valid_from", Type::Date, Identity, "The first day")
        .refers("employee_id", "employees", true)
        .owned_by("employee_id")
        .done()
}

fn employee_special() -> Table {
    use Group::Special;
    let mut draft =
        Draft::new("employee_special", Special, "What the law protects most; there only where the tenant has it: one row for an employee")
            .column("employee_id", Type::Uuid, Special, "The employee")
            .required()
            .column("ethnicity", Type::Text, Special, "The ethnicity, as they say it")
            .column("disability", Type::Text, Special, "The disability")
            .column("health", Type::Text, Special, "What work has to mind of their health")
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
        .column("position_id", Type::Uuid, Work, "The position")
        .column("location_id", Type::Uuid, Work, "Where they worked")
        .column("manager_id", Type::Uuid, Work, "Whom they reported to")
        .column("fte_permille", Type::I64, Work, "The share of full time, in thousandths")
        .required()
        .default(Default::Number(1000))
        .column("change_reason", Type::Text, Work, "Why it changed")
        .refers("employee_id", "employees", true)
        .refers("department_id", "departments", true)
        .refers("manager_id", "employees", false)
        .refers("position_id", "positions", true)
        .refers("location_id", "locations", true)
        .owned_by("employee_id")
        .done()
}

fn employee_groups() -> Table {
    use Group::System;
    Draft::new("employee_groups", System, "Groups of employees that a directory keeps")
        .id()
        .column("display_name", Type::Text, System, "The name, unique")
        .required()
        .column("external_id", Type::Text, System, "The id in the directory, unique")
        .unique(&["display_name"])
        .unique(&["external_id"])
        .done()
}

fn employee_group_members() -> Table {
    use Group::System;
    Draft::new("employee_group_members", System, "Who is in which group")
        .id()
        .column("group_id", Type::Uuid, System, "The group")
        .required()
        .column("employee_id", Type::Uuid, System, "The employee")
        .required()
        .unique(&["group_id", "employee_id"])
        .refers("group_id", "employee_groups", true)
        .refers("employee_id", "employees", true)
        .owned_by("employee_id")
        .done()
}

/// The kinds of what pay is made of.
const COMPONENTS: [&str; 5] = ["earning", "deduction", "employer_contribution", "reimbursement", "tax"];

fn salary_components() -> Table {
    use Group::Pay;
    Draft::new("salary_components", Pay, "What pay is made of")
        .id()
        .column("code", Type::Text, Pay, "The short name, unique")
        .required()
        .column("name", Type::Text, Pay, "The name as slips have it")
        .required()
        .column("kind", Type::Text, Pay, "What it is")
        .required()
        .words(&COMPONENTS)
        .column("taxable", Type::Bool, Pay, "Whether it is taxed")
        .required()
        .default(Default::Truth(true))
        .column("calc", Type::Text, Pay, "How it is reached")
        .required()
        .default(Default::Text("fixed"))
        .words(&["fixed", "percent", "formula"])
        .column("formula", Type::Text, Pay, "The formula, for the function that calculates")
        .column("rounding", Type::Text, Pay, "How it is rounded")
        .required()
        .default(Default::Text("half_up"))
        .words(&["half_up", "half_even", "up", "down"])
        .column("gl_code", Type::Text, Pay, "The account it is booked to")
        .active()
        .unique(&["code"])
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
        .column("approved_by", Type::Uuid, Pay, "The user who approved it")
        .unique(&["employee_id", "effective_from"])
        .refers("employee_id", "employees", true)
        .owned_by("employee_id")
        .done()
}

fn compensation_items() -> Table {
    use Group::Pay;
    Draft::new("compensation_items", Pay, "What is paid beside the base, or kept from it: an amount or a rate")
        .id()
        .column("compensation_id", Type::Uuid, Pay, "The pay it is part of")
        .required()
        .column("component_id", Type::Uuid, Pay, "What it is")
        .required()
        .column("amount_minor", Type::I64, Pay, "The amount in the currency's smallest unit")
        .column("rate_ppm", Type::I64, Pay, "The share of the base, in millionths")
        .unique(&["compensation_id", "component_id"])
        .part_of("compensation_id", "compensations")
        .refers("component_id", "salary_components", true)
        .done()
}

fn pay_adjustments() -> Table {
    use Group::Pay;
    Draft::new("pay_adjustments", Pay, "What is paid or kept once, or for a while")
        .id()
        .column("employee_id", Type::Uuid, Pay, "The employee")
        .required()
        .column("component_id", Type::Uuid, Pay, "What it is")
        .required()
        .column("amount_minor", Type::I64, Pay, "The amount in the currency's smallest unit")
        .required()
        .column("currency", Type::Text, Pay, "ISO 4217")
        .required()
        .column("recurring", Type::Bool, Pay, "Whether it comes again with every period")
        .required()
        .default(Default::Truth(false))
        .column("period_start", Type::Date, Pay, "The first day, or the period that it is paid with")
        .required()
        .column("period_end", Type::Date, Pay, "The last day; null while it goes on")
        .column("run_id", Type::Uuid, Pay, "The run that paid what is paid once")
        .column("reason", Type::Text, Pay, "What it is for")
        .refers("employee_id", "employees", true)
        .refers("component_id", "salary_components", true)
        .refers("run_id", "payroll_runs", true)
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
        .column("legal_entity_id", Type::Uuid, Pay, "The company that pays")
        .column("inputs_hash", Type::Text, Pay, "What the function calculated from, as a hash of its own")
        .column("engine_version", Type::Text, Pay, "What calculated it")
        .column("approved_by", Type::Uuid, Pay, "The user who approved it; written by the server")
        .default(Default::Kept)
        .column("approved_at", Type::Timestamp, Pay, "When it was approved; written by the server")
        .default(Default::Kept)
        .unique(&["idempotency_key"])
        .refers("legal_entity_id", "legal_entities", true)
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
        .column("employer_cost_minor", Type::I64, Pay, "What the company pays on top")
        .required()
        .default(Default::Number(0))
        .column("net_minor", Type::I64, Pay, "What is paid out")
        .required()
        .column("worked_minutes", Type::I64, Pay, "The time that was worked")
        .column("ytd", Type::Json, Pay, "What the year came to until then")
        .required()
        .default(Default::Json("{}"))
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

fn payslip_lines() -> Table {
    use Group::Pay;
    Draft::new("payslip_lines", Pay, "What a slip is made of, as it was when the slip was made")
        .id()
        .column("payslip_id", Type::Uuid, Pay, "The slip")
        .required()
        .column("seq", Type::I64, Pay, "The place on the slip")
        .required()
        .column("component_id", Type::Uuid, Pay, "What it is now")
        .column("component_code", Type::Text, Pay, "What it was called, for short")
        .required()
        .column("component_name", Type::Text, Pay, "What it was called")
        .required()
        .column("kind", Type::Text, Pay, "What it was")
        .required()
        .words(&COMPONENTS)
        .column("quantity_e4", Type::I64, Pay, "How many, in ten-thousandths")
        .column("rate_e4", Type::I64, Pay, "For how much each, in ten-thousandths of the smallest unit")
        .column("amount_minor", Type::I64, Pay, "The amount in the slip's currency, in its smallest unit")
        .required()
        .unique(&["payslip_id", "seq"])
        .part_of("payslip_id", "payslips")
        .refers("component_id", "salary_components", true)
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
        .words(&["insert", "update", "delete", "reveal"])
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
