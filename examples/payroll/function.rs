//! The payroll function: stateless, and safe to repeat. Every step finds its work done or does it whole, so the function may be called
//! twice, at once, or again after it died anywhere, and there is still exactly one payslip each.
//!
//! `examples/functions/payroll` is the same function in Python, as an OpenWhisk action.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{Days, Months, NaiveDate};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::shell::{Failure, Shell};

/// Rows asked for at once.
const PAGE: usize = 500;
/// Files uploaded at once.
const UPLOADS: usize = 16;
/// The bucket of slips.
pub(crate) const BUCKET: &str = "slips";

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) run_id: String,
    pub(crate) slips: u64,
    pub(crate) total_minor: i64,
}

/// A month to be paid.
#[derive(Clone, Copy)]
struct Month {
    first: NaiveDate,
    /// The first day of the next month.
    end: NaiveDate,
}

impl Month {
    fn read(period: &str) -> Result<Self, Failure> {
        let first: NaiveDate = format!("{period}-01").parse().map_err(|_| format!("\"{period}\" is no month, as 2000-01"))?;
        Ok(Self { first, end: first + Months::new(1) })
    }

    fn last(self) -> NaiveDate {
        self.end - Days::new(1)
    }

    fn days(self) -> i64 {
        (self.end - self.first).num_days()
    }

    fn period(self) -> String {
        self.first.format("%Y-%m").to_string()
    }
}

/// A salary that overlaps the month.
#[derive(Deserialize)]
struct Salary {
    id: String,
    employee_id: String,
    base_minor: i64,
    effective_from: NaiveDate,
    effective_to: Option<NaiveDate>,
    employee: Employee,
}

#[derive(Clone, Deserialize)]
struct Employee {
    employee_number: String,
    display_name: String,
}

/// One employee's pay of the month.
struct Slip {
    employee_id: String,
    employee: Employee,
    pay_minor: i64,
}

/// Pays a month.
pub(crate) async fn pay(shell: &Shell, period: &str) -> Result<Paid, Failure> {
    let month = Month::read(period)?;
    let run_id = find_or_start_run(shell, month).await?;
    let mut after: Option<(String, String)> = None;
    let mut held_back = Vec::new();
    loop {
        let page = salaries(shell, month, after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.employee_id.clone(), last.id.clone()));
        let mut rows = std::mem::take(&mut held_back);
        rows.extend(page);
        // The last employee of a page may go on in the next one.
        let last_employee = rows[rows.len() - 1].employee_id.clone();
        held_back = rows.split_off(rows.partition_point(|row| row.employee_id < last_employee));
        pay_employees(shell, month, &run_id, rows).await?;
    }
    pay_employees(shell, month, &run_id, held_back).await?;
    finish(shell, &run_id).await
}

async fn find_or_start_run(shell: &Shell, month: Month) -> Result<String, Failure> {
    let key = format!("payroll-{}", month.period());
    let run = json!({
        "type": "regular", "period_start": month.first, "period_end": month.last(), "pay_date": month.last(),
        "currency": "USD", "status": "calculating", "idempotency_key": key,
    });
    shell.post("/rest/v1/payroll_runs?on_conflict=idempotency_key", &run, "resolution=ignore-duplicates,return=minimal").await?;
    let found = shell.get(&format!("/rest/v1/payroll_runs?select=id&idempotency_key=eq.{key}")).await?;
    found[0]["id"].as_str().map(str::to_owned).ok_or_else(|| format!("run {key} is not there: {found}").into())
}

async fn salaries(shell: &Shell, month: Month, after: Option<&(String, String)>) -> Result<Vec<Salary>, Failure> {
    let mut conditions = format!("or(effective_to.is.null,effective_to.gt.{})", month.first);
    if let Some((employee, id)) = after {
        conditions += &format!(",or(employee_id.gt.{employee},and(employee_id.eq.{employee},id.gt.{id}))");
    }
    let path = format!(
        "/rest/v1/compensations?select=id,employee_id,base_minor,effective_from,effective_to,employee:employees(employee_number,display_name)\
         &effective_from=lt.{}&and=({conditions})&order=employee_id,id&limit={PAGE}",
        month.end
    );
    Ok(serde_json::from_value(shell.get(&path).await?)?)
}

/// The file comes first: a payslip that can be read has a file that can be opened.
async fn pay_employees(shell: &Shell, month: Month, run_id: &str, rows: Vec<Salary>) -> Result<(), Failure> {
    let slips = slips(month, rows);
    if slips.is_empty() {
        return Ok(());
    }
    let shell = Arc::new(shell.clone());
    stream::iter(&slips).map(|slip| upload(Arc::clone(&shell), month, slip)).buffer_unordered(UPLOADS).try_collect::<Vec<()>>().await?;
    let rows: Vec<Value> = slips.iter().map(|slip| slip.row(month, run_id)).collect();
    shell.post("/rest/v1/payslips?on_conflict=run_id,employee_id", &rows.into(), "resolution=ignore-duplicates,return=minimal").await?;
    Ok(())
}

fn slips(month: Month, rows: Vec<Salary>) -> Vec<Slip> {
    let mut due: BTreeMap<String, (Employee, i64)> = BTreeMap::new();
    for row in rows {
        let start = row.effective_from.max(month.first);
        let end = row.effective_to.map_or(month.end, |end| end.min(month.end));
        let days = (end - start).num_days().max(0);
        let (_, sum) = due.entry(row.employee_id).or_insert((row.employee, 0));
        // Cents times days: divided once, when the month is summed.
        *sum += row.base_minor * days;
    }
    let divisor = 12 * month.days();
    let slip =
        |(employee_id, (employee, sum)): (String, (Employee, i64))| Slip { employee_id, employee, pay_minor: (2 * sum + divisor) / (2 * divisor) };
    due.into_iter().filter(|(_, (_, sum))| *sum > 0).map(slip).collect()
}

impl Slip {
    fn document_path(&self, month: Month) -> String {
        format!("{}/{}.txt", self.employee_id, month.period())
    }

    fn row(&self, month: Month, run_id: &str) -> Value {
        json!({
            "run_id": run_id, "employee_id": self.employee_id, "currency": "USD",
            "gross_minor": self.pay_minor, "deductions_minor": 0, "tax_minor": 0, "net_minor": self.pay_minor,
            "status": "final", "document_path": self.document_path(month),
            "snapshot": { "employee_number": self.employee.employee_number, "display_name": self.employee.display_name },
        })
    }

    fn text(&self, month: Month) -> String {
        let Employee { employee_number, display_name } = &self.employee;
        let (units, cents) = (self.pay_minor / 100, self.pay_minor % 100);
        format!("PAYSLIP {}\n\n{display_name}\nEmployee {employee_number}\n\nNet pay  USD {units}.{cents:02}\n", month.period())
    }
}

async fn upload(shell: Arc<Shell>, month: Month, slip: &Slip) -> Result<(), Failure> {
    shell.upload(BUCKET, &slip.document_path(month), "text/plain", slip.text(month)).await
}

async fn finish(shell: &Shell, run_id: &str) -> Result<Paid, Failure> {
    let (mut slips, mut total_minor, mut after) = (0, 0, String::new());
    loop {
        let more = if after.is_empty() { String::new() } else { format!("&id=gt.{after}") };
        let page = shell.get(&format!("/rest/v1/payslips?select=id,net_minor&run_id=eq.{run_id}{more}&order=id&limit={PAGE}")).await?;
        let Some(last) = page.as_array().and_then(|rows| rows.last()) else { break };
        last["id"].as_str().unwrap_or_default().clone_into(&mut after);
        for slip in page.as_array().into_iter().flatten() {
            slips += 1;
            total_minor += slip["net_minor"].as_i64().unwrap_or_default();
        }
    }
    let change = json!({ "status": "calculated", "totals": { "slips": slips, "total_minor": total_minor } });
    shell.patch(&format!("/rest/v1/payroll_runs?id=eq.{run_id}&status=in.(draft,calculating)"), &change).await?;
    Ok(Paid { run_id: run_id.to_owned(), slips, total_minor })
}
