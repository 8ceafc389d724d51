//! The files: what a line of each says, and what is wrong with it.

use std::{collections::HashSet, io::ErrorKind, path::Path};

use chrono::NaiveDate;

use super::Refused;
use crate::error::{Error, Result};

/// All files, read and checked.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) departments: Vec<Department>,
    pub(super) employees: Vec<Employee>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) titles: Vec<Title>,
    pub(super) salaries: Vec<Salary>,
    pub(super) managers: Vec<Assignment>,
    pub(super) refused: Vec<Refused>,
}

#[derive(Debug)]
pub(super) struct Department {
    pub(super) code: String,
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) struct Employee {
    pub(super) number: String,
    pub(super) given_name: String,
    pub(super) family_name: String,
    pub(super) birth_date: Option<NaiveDate>,
    pub(super) gender: Option<String>,
    pub(super) hired_on: Option<NaiveDate>,
}

/// From a day, to the day from which it no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: NaiveDate,
    pub(super) to: Option<NaiveDate>,
}

#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) employee: String,
    pub(super) department: String,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) struct Title {
    pub(super) employee: String,
    pub(super) name: String,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) struct Salary {
    pub(super) employee: String,
    /// A year's pay.
    pub(super) cents: i64,
    pub(super) span: Span,
}

/// A line that was split, with the names that may occur in it.
struct Line<'l> {
    fields: &'l csv::StringRecord,
    departments: &'l HashSet<String>,
    employees: &'l HashSet<String>,
}

type Parsed<T> = std::result::Result<T, String>;

impl Files {
    /// Reads what is in the directory. Departments and employees must be there; the other files need not.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut files = Self::default();
        let mut reader = Reader { directory, departments: HashSet::new(), employees: HashSet::new(), refused: Vec::new() };

        let departments = reader.file("departments.csv", ["code", "name"], true, |line| {
            Ok(Department { code: line.required(0, "code")?, name: line.required(1, "name")? })
        })?;
        (files.departments, reader.departments) = reader.unique("departments.csv", departments, |row| row.code.clone());
        let header = ["employee_number", "given_name", "family_name", "birth_date", "gender", "hired_on"];
        let employees = reader.file("employees.csv", header, true, |line| {
            Ok(Employee {
                number: line.required(0, "employee_number")?,
                given_name: line.text(1).unwrap_or_default(),
                family_name: line.required(2, "family_name")?,
                birth_date: line.day(3, "birth_date")?,
                gender: line.text(4),
                hired_on: line.day(5, "hired_on")?,
            })
        })?;
        (files.employees, reader.employees) = reader.unique("employees.csv", employees, |row| row.number.clone());
        let assignment = |line: &Line<'_>| Ok(Assignment { employee: line.employee(0)?, department: line.department(1)?, span: line.span(2)? });
        let header = ["employee_number", "department_code", "starts_on", "ends_on"];
        files.assignments = without_lines(reader.file("assignments.csv", header, false, assignment)?);
        files.managers = without_lines(reader.file("managers.csv", header, false, assignment)?);
        let titles = reader.file("titles.csv", ["employee_number", "title", "starts_on", "ends_on"], false, |line| {
            Ok(Title { employee: line.employee(0)?, name: line.required(1, "title")?, span: line.span(2)? })
        })?;
        files.titles = without_lines(titles);
        let salaries = reader.file("salaries.csv", ["employee_number", "annual_salary", "starts_on", "ends_on"], false, |line| {
            Ok(Salary { employee: line.employee(0)?, cents: line.cents(1)?, span: line.span(2)? })
        })?;
        (files.salaries, _) = reader.unique("salaries.csv", salaries, |row| format!("{} {}", row.employee, row.span.from));
        files.refused = reader.refused;
        Ok(files)
    }
}

/// Reads files one after the other; what earlier ones named, later ones may refer to.
struct Reader<'d> {
    directory: &'d Path,
    departments: HashSet<String>,
    employees: HashSet<String>,
    refused: Vec<Refused>,
}

impl Reader<'_> {
    fn file<T, const N: usize>(
        &mut self,
        name: &'static str,
        header: [&str; N],
        required: bool,
        parse: impl Fn(&Line<'_>) -> Parsed<T>,
    ) -> Result<Vec<(u64, T)>> {
        let path = self.directory.join(name);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(Vec::new()),
            Err(error) => return Err(Error::invalid(name, format!("{} can't be read: {error}", path.display()))),
        };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(std::io::BufReader::new(file));
        let found = reader.headers().map_err(|error| Error::invalid(name, error.to_string()))?;
        if found.iter().map(str::trim).ne(header) {
            let found: Vec<&str> = found.iter().collect();
            return Err(Error::invalid(name, format!("the header should be \"{}\", not \"{}\"", header.join(","), found.join(","))));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let (line, parsed) = match record {
                Ok(record) if record.len() != N => (line_of(&record), Err(format!("{} fields where {N} belong", record.len()))),
                Ok(record) => {
                    let line = Line { fields: &record, departments: &self.departments, employees: &self.employees };
                    (line_of(&record), parse(&line))
                }
                Err(error) => (error.position().map_or(0, csv::Position::line), Err(error.to_string())),
            };
            match parsed {
                Ok(row) => rows.push((line, row)),
                Err(why) => self.refused.push(Refused { file: name, line, why }),
            }
        }
        Ok(rows)
    }

    /// Keeps the first of rows with the same key, and tells all keys.
    fn unique<T>(&mut self, file: &'static str, rows: Vec<(u64, T)>, key: impl Fn(&T) -> String) -> (Vec<T>, HashSet<String>) {
        let mut met = HashSet::with_capacity(rows.len());
        let mut kept = Vec::with_capacity(rows.len());
        for (line, row) in rows {
            let key = key(&row);
            if met.contains(&key) {
                self.refused.push(Refused { file, line, why: format!("\"{key}\" was there before") });
            } else {
                met.insert(key);
                kept.push(row);
            }
        }
        (kept, met)
    }
}

fn without_lines<T>(rows: Vec<(u64, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}

fn line_of(record: &csv::StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

impl Line<'_> {
    fn text(&self, index: usize) -> Option<String> {
        self.fields.get(index).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn required(&self, index: usize, name: &str) -> Parsed<String> {
        self.text(index).ok_or_else(|| format!("{name} is empty"))
    }

    fn day(&self, index: usize, name: &str) -> Parsed<Option<NaiveDate>> {
        let parse = |text: String| text.parse().map_err(|_| format!("{name} \"{text}\" is no day; take YYYY-MM-DD"));
        self.text(index).map(parse).transpose()
    }

    fn span(&self, index: usize) -> Parsed<Span> {
        let from = self.day(index, "starts_on")?.ok_or("starts_on is empty")?;
        let to = self.day(index + 1, "ends_on")?;
        match to {
            Some(to) if to <= from => Err(format!("the range is empty: it ends on {to} and starts on {from}")),
            _ => Ok(Span { from, to }),
        }
    }

    fn employee(&self, index: usize) -> Parsed<String> {
        let number = self.required(index, "employee_number")?;
        if self.employees.contains(&number) { Ok(number) } else { Err(format!("there is no employee \"{number}\"")) }
    }

    fn department(&self, index: usize) -> Parsed<String> {
        let code = self.required(index, "department_code")?;
        if self.departments.contains(&code) { Ok(code) } else { Err(format!("there is no department \"{code}\"")) }
    }

    fn cents(&self, index: usize) -> Parsed<i64> {
        let text = self.required(index, "annual_salary")?;
        let dollars: Option<i64> = text.parse().ok().filter(|dollars| *dollars >= 0);
        dollars.and_then(|dollars| dollars.checked_mul(100)).ok_or_else(|| format!("annual_salary \"{text}\" is no whole number of dollars"))
    }
}
