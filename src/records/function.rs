//! `/rest/v1/rpc`: what can be asked that is no table.
//!
//! A function answers rows of a table, so that filters, `select`, order, page and count work on them, and rights are those of the table.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    catalog::{Catalog, Table},
    error::{RestError, RestResult},
    execute::Write,
    parse::{Aggregate, QueryString},
    plan::{Comparison, Expr, Output, Read},
    resolve::{Resolver, parse_value},
};
use crate::db::{Type, Value};

/// A function.
pub(super) struct Function {
    /// Its name.
    pub name: &'static str,
    /// One sentence for the document.
    pub about: &'static str,
    /// The table whose rows it answers, or is about.
    pub table: &'static str,
    /// What it is given.
    pub arguments: &'static [Argument],
    kind: Kind,
}

/// What a function is given.
pub(super) struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether it can't be left out.
    pub required: bool,
    /// One sentence for the document.
    pub about: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SearchEmployees,
    OrgTree,
    PayrollTotals,
    UndeleteEmployee,
    Reveal,
}

const fn argument(name: &'static str, kind: Type, required: bool, about: &'static str) -> Argument {
    Argument { name, kind, required, about }
}

/// What a function that shows numbers whole is given.
const REVEALED: &[Argument] = &[
    argument("column", Type::Text, true, "The column whose numbers are masked"),
    argument("ids", Type::Json, true, "The keys of the rows, at most 1,000: a list"),
    argument("reason", Type::Text, true, "Why they are needed; it is written down with who asked"),
];

/// Rows whose numbers are shown at a time, at the most.
const MOST_REVEALED: usize = 1000;

/// Steps that a tree is followed down, at the most.
const DEEPEST: i64 = 100;

/// Every function.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "search_employees",
        about: "Finds employees by name, number or address, as `_search` does; the best come first",
        table: "employees",
        arguments: &[argument("q", Type::Text, true, "What to look for")],
        kind: Kind::SearchEmployees,
    },
    Function {
        name: "org_tree",
        about: "An employee and everybody who reports to it, through however many others; manager_id says who hangs on whom",
        table: "employees",
        arguments: &[
            argument("root", Type::Uuid, true, "The employee at the top"),
            argument("depth", Type::I64, false, "How many steps down, 0 to 100"),
        ],
        kind: Kind::OrgTree,
    },
    Function {
        name: "payroll_totals",
        about: "What the slips of a run come to, by currency, without those that are void: of the slips that the caller may see",
        table: "payslips",
        arguments: &[argument("run_id", Type::Uuid, true, "The run")],
        kind: Kind::PayrollTotals,
    },
    Function {
        name: "undelete_employee",
        about: "Brings back an employee that was deleted in the last 90 days, with what concerned the person, and answers it",
        table: "employees",
        arguments: &[argument("id", Type::Uuid, true, "The employee")],
        kind: Kind::UndeleteEmployee,
    },
    Function {
        name: "reveal_identity",
        about: "Shows whole the numbers of persons that are masked elsewhere, and writes down who saw them and why",
        table: "employee_identity",
        arguments: REVEALED,
        kind: Kind::Reveal,
    },
    Function {
        name: "reveal_bank_accounts",
        about: "Shows whole the numbers of accounts that are masked elsewhere, and writes down who saw them and why",
        table: "employee_bank_accounts",
        arguments: REVEALED,
        kind: Kind::Reveal,
    },
];

impl Function {
    /// The function of that name.
    pub(super) fn find(name: &str) -> RestResult<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name).ok_or_else(|| {
            let message = format!("Could not find the function public.{name} in the schema cache");
            let details = format!("Searched for the function public.{name}, but no matches were found in the schema cache.");
            let error = RestError::new("PGRST202", message).details(details);
            match nearest(name) {
                Some(near) => error.hint(format!("Perhaps you meant to call the function public.{near}")),
                None => error,
            }
        })
    }

    /// The table it answers rows of.
    pub(super) fn table(&self) -> &'static Arc<Table> {
        Catalog::built_in().table(self.table).expect("functions name tables of the catalog, which a test sees to")
    }

    /// What it is to read, for these arguments and what is asked of its rows. One that writes reads nothing.
    pub(super) fn read(&self, resolver: &Resolver<'_>, given: &Arguments, query: &QueryString, all: bool) -> RestResult<Read> {
        let table = self.table();
        match self.kind {
            Kind::SearchEmployees => {
                let query = QueryString { search: given.text("q"), ..query.clone() };
                resolver.read(table, &query, all)
            }
            Kind::OrgTree => {
                let mut read = resolver.read(table, query, all)?;
                let depth = given.number("depth").unwrap_or(DEEPEST);
                if !(0..=DEEPEST).contains(&depth) {
                    return Err(RestError::new("22003", format!("depth should be 0 to {DEEPEST}, not {depth}")));
                }
                if let (Some(id), Some(root)) = (table.column("id"), given.id("root")) {
                    read.filter = read.filter.and(Expr::Below(Arc::clone(id), root, depth));
                }
                Ok(read)
            }
            Kind::PayrollTotals => totals(resolver, table, given, query),
            Kind::UndeleteEmployee | Kind::Reveal => Err(RestError::new("25006", "cannot execute INSERT in a read-only transaction")),
        }
    }

    /// Whether it changes something, and is called by POST alone.
    pub(super) fn only_writes(&self) -> bool {
        matches!(self.kind, Kind::UndeleteEmployee | Kind::Reveal)
    }

    /// What it is to write, if it is one that writes.
    pub(super) fn write(&self, resolver: &Resolver<'_>, given: &Arguments) -> RestResult<Option<Write>> {
        if !self.only_writes() {
            return Ok(None);
        }
        if self.kind == Kind::Reveal {
            return self.reveal(resolver, given).map(Some);
        }
        resolver.may_make_any(self.table())?;
        Ok(given.id("id").map(Write::Undelete))
    }

    fn reveal(&self, resolver: &Resolver<'_>, given: &Arguments) -> RestResult<Write> {
        let wrong = |why: &str| RestError::new("22023", why.to_owned());
        let reason = given.text("reason").unwrap_or_default().trim().to_owned();
        if reason.is_empty() || reason.chars().count() > 500 {
            return Err(wrong("a reason has 1 to 500 characters"));
        }
        let ids = match given.get("ids") {
            Some(Value::Json(text)) => serde_json::from_str::<Vec<Uuid>>(text).map_err(|_| wrong("ids is a list of uuids"))?,
            _ => Vec::new(),
        };
        if ids.is_empty() || ids.len() > MOST_REVEALED {
            return Err(wrong("ids has 1 to 1000 uuids"));
        }
        resolver.reveal(self.table(), &given.text("column").unwrap_or_default(), &ids, reason).map(Write::Reveal)
    }

    /// Reads the arguments: a JSON object, or parameters of the URL.
    pub(super) fn arguments(&self, method: &Method, given: Vec<(String, String)>, body: &[u8]) -> RestResult<Arguments> {
        let mut values = Vec::new();
        if *method == Method::POST {
            let text = if body.is_empty() { b"{}" } else { body };
            let members: Map<String, Json> =
                serde_json::from_slice(text).map_err(|error| RestError::new("PGRST102", "Empty or invalid json").details(error.to_string()))?;
            for (name, value) in members {
                let argument = self.arguments.iter().find(|argument| argument.name == name).ok_or_else(|| self.no_match(&name))?;
                if !value.is_null() {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    values.push((argument.name, parse_value(argument.kind, &text)?));
                }
            }
        } else {
            for (name, text) in given {
                let argument = self.arguments.iter().find(|argument| argument.name == name).ok_or_else(|| self.no_match(&name))?;
                values.push((argument.name, parse_value(argument.kind, &text)?));
            }
        }
        for argument in self.arguments.iter().filter(|argument| argument.required) {
            if !values.iter().any(|(name, _)| *name == argument.name) {
                return Err(self.no_match("").hint(format!("The argument {} is missing", argument.name)));
            }
        }
        Ok(Arguments(values))
    }

    fn no_match(&self, name: &str) -> RestError {
        let known: Vec<&str> = self.arguments.iter().map(|argument| argument.name).collect();
        let asked = if name.is_empty() { String::new() } else { format!("({name})") };
        RestError::new("PGRST202", format!("Could not find the function public.{}{asked} in the schema cache", self.name))
            .details(format!("The function public.{} has the parameters {}", self.name, known.join(", ")))
            .hint(format!("Perhaps you meant to call the function public.{}({})", self.name, known.join(", ")))
    }
}

/// A name that this one may have been meant for.
fn nearest(name: &str) -> Option<&'static str> {
    let is_near = |function: &&Function| {
        let shared = function.name.split('_').filter(|word| name.contains(word)).count();
        shared > 0 || (name.len() > 2 && function.name.contains(name))
    };
    FUNCTIONS.iter().find(is_near).map(|function| function.name)
}

/// The arguments of a call.
pub(super) struct Arguments(Vec<(&'static str, Value)>);

impl Arguments {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        if let Some(Value::Text(text)) = self.get(name) { Some(text.clone()) } else { None }
    }

    fn number(&self, name: &str) -> Option<i64> {
        if let Some(Value::I64(number)) = self.get(name) { Some(*number) } else { None }
    }

    fn id(&self, name: &str) -> Option<Uuid> {
        if let Some(Value::Uuid(id)) = self.get(name) { Some(*id) } else { None }
    }
}

/// The sums of a run. They are made of columns as the caller sees them.
fn totals(resolver: &Resolver<'_>, table: &Arc<Table>, given: &Arguments, query: &QueryString) -> RestResult<Read> {
    if query.select.is_some() || !query.filters.is_empty() || !query.orders.is_empty() {
        return Err(RestError::new("PGRST127", "Feature not implemented").details("The totals of a run are answered as they are"));
    }
    let mut read = resolver.read(table, query, false)?;
    let scalar = |name: &str| resolver.scalar(table, name);
    let (run, status, currency) = (scalar("run_id")?, scalar("status")?, scalar("currency")?);
    if let Some(id) = given.id("run_id") {
        read.filter = read.filter.and(Expr::Compare(run.clone(), Comparison::Equal, Value::Uuid(id)));
    }
    read.filter = read.filter.and(Expr::Compare(status, Comparison::NotEqual, Value::Text("void".to_owned())));
    let sum =
        |name: &str| RestResult::Ok(Output::Aggregate { key: name.to_owned(), function: Aggregate::Sum, of: Some(scalar(name)?), as_text: false });
    read.output = vec![
        Output::Value { key: "run_id".to_owned(), value: run },
        Output::Value { key: "currency".to_owned(), value: currency },
        Output::Aggregate { key: "slips".to_owned(), function: Aggregate::Count, of: None, as_text: false },
        sum("gross_minor")?,
        sum("deductions_minor")?,
        sum("tax_minor")?,
        sum("employer_cost_minor")?,
        sum("net_minor")?,
    ];
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_about_tables_that_are_there() {
        for function in FUNCTIONS {
            assert_eq!(function.table().name, function.table);
        }
        assert_eq!(Function::find("search_employee").err().unwrap().hint.unwrap(), "Perhaps you meant to call the function public.search_employees");
        assert_eq!(Function::find("xyz").err().unwrap().hint, None);
    }
}
