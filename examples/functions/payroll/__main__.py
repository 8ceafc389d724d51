"""Payroll: pays one month, with one payslip and one slip file for each employee in force.

Stateless, and safe to repeat: every step either finds its work done or does it whole, so the function may be called twice, at once, or again
after it died at any point, and there is still exactly one payslip each. Where Basalt is and the key to call it with come with every call; the key
needs the scopes `employees:read pay:read payslips:write storage.slips:write`.
"""

import calendar
import io
import os
import re
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from fractions import Fraction
from itertools import groupby

import httpx
from reportlab.lib.pagesizes import A5
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

UPLOADS_AT_ONCE = 8
TRIES = 6
DONE = {"calculated", "approved", "paid", "closed"}


class Refused(Exception):
    """The work cannot go on; carries what the caller is told."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.answer = {"status": status, "code": code, "message": message}


def main(args):
    try:
        month = Month(text(args, "period"))
        with Basalt(text(args, "basalt_url"), text(args, "basalt_key")) as basalt:
            return pay(basalt, month, Options(args))
    except Refused as refusal:
        # OpenWhisk marks an activation as failed when its result has the key `error`.
        return {"error": refusal.answer}


def pay(basalt, month, options):
    run = find_or_start_run(basalt, month, options)
    if run["status"] not in DONE:
        slips, total = 0, 0
        for salaries in batches(basalt, month, options):
            count, amount = pay_batch(basalt, run, month, salaries, options)
            slips, total = slips + count, total + amount
        run = finish_run(basalt, run, slips, total)
    return {"run_id": run["id"], **(run["totals"] or {}), "currency": run["currency"]}


# The run


def find_or_start_run(basalt, month, options):
    key = f"payroll-{month.period}"
    basalt.rest(
        "POST",
        "payroll_runs?on_conflict=idempotency_key",
        prefer="resolution=ignore-duplicates,return=minimal",
        json={
            "type": "regular",
            "period_start": str(month.first),
            "period_end": str(month.last),
            "pay_date": str(month.last),
            "currency": options.currency,
            "status": "calculating",
            "idempotency_key": key,
        },
    )
    run = basalt.one("payroll_runs", {"idempotency_key": f"eq.{key}", "select": "id,status,currency,totals"})
    if run["currency"] != options.currency:
        raise Refused(409, "currency", f"run {key} pays {run['currency']}, not {options.currency}")
    if run["status"] in ("cancelled", "failed"):
        raise Refused(409, "run_closed", f"run {key} is {run['status']}")
    return run


def finish_run(basalt, run, slips, total):
    """Only a run that is still being calculated is closed, so a late double of this function changes nothing."""
    written = basalt.count("payslips", {"run_id": f"eq.{run['id']}"})
    if written != slips:
        raise Refused(409, "slips_differ", f"the run holds {written} payslips where {slips} are due")
    basalt.rest(
        "PATCH",
        "payroll_runs",
        params={"id": f"eq.{run['id']}", "status": "in.(draft,calculating)"},
        json={"status": "calculated", "totals": {"slips": slips, "total_minor": total}},
    )
    return basalt.one("payroll_runs", {"id": f"eq.{run['id']}", "select": "id,status,currency,totals"})


# Reading salaries


def batches(basalt, month, options):
    """All salary rows that overlap the month, in lists that never split an employee."""
    held_back, after = [], None
    while page := salaries_page(basalt, month, options.batch, after):
        rows, after = held_back + page, page[-1]
        # The last employee of a page may go on in the next one.
        held_back = [row for row in rows if row["employee_id"] == after["employee_id"]]
        if len(held_back) < len(rows):
            yield rows[: len(rows) - len(held_back)]
    if held_back:
        yield held_back


def salaries_page(basalt, month, size, after):
    conditions = [f"or(effective_to.is.null,effective_to.gt.{month.first})"]
    if after:
        employee, start = after["employee_id"], after["effective_from"]
        conditions.append(f"or(employee_id.gt.{employee},and(employee_id.eq.{employee},effective_from.gt.{start}))")
    query = {
        "select": "employee_id,effective_from,effective_to,currency,pay_basis,base_minor,"
        "employee:employees(employee_number,display_name,job_title,department:departments!department_id(name))",
        "effective_from": f"lte.{month.last}",
        "and": f"({','.join(conditions)})",
        "order": "employee_id,effective_from",
        "limit": str(size),
    }
    return basalt.rest("GET", "compensations", params=query).json()


# Paying


def pay_batch(basalt, run, month, salaries, options):
    """Pays who has no payslip yet. The file comes first: a payslip that can be read has a file that can be opened."""
    due = [Slip(month, options.currency, list(rows)) for _, rows in groupby(salaries, key=lambda row: row["employee_id"])]
    due = [slip for slip in due if slip.lines]
    if not due:
        return 0, 0
    already = existing_slips(basalt, run, due)
    missing = [slip for slip in due if slip.employee_id not in already]
    if missing:
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            for _ in pool.map(lambda slip: upload(basalt, slip, options), missing):
                pass
        basalt.rest(
            "POST",
            "payslips?on_conflict=run_id,employee_id",
            prefer="resolution=ignore-duplicates,return=minimal",
            json=[slip.row(run) for slip in missing],
        )
        # Another call may have been first with some of them: what counts is what was written.
        already = existing_slips(basalt, run, due)
    return len(already), sum(already.values())


def existing_slips(basalt, run, due):
    query = {
        "select": "employee_id,net_minor",
        "run_id": f"eq.{run['id']}",
        "and": f"(employee_id.gte.{due[0].employee_id},employee_id.lte.{due[-1].employee_id})",
        "limit": str(len(due)),
    }
    rows = basalt.rest("GET", "payslips", params=query).json()
    return {row["employee_id"]: row["net_minor"] for row in rows}


def upload(basalt, slip, options):
    basalt.send(
        "POST",
        f"/storage/v1/object/{options.bucket}/{slip.document_path}",
        headers={"content-type": "application/pdf", "x-upsert": "true"},
        content=slip.pdf(),
    )
    options.count_upload()


class Slip:
    """What one employee is paid for one month, from salary rows in order of their start."""

    def __init__(self, month, currency, salaries):
        self.month = month
        self.currency = currency
        self.employee_id = salaries[0]["employee_id"]
        self.employee = salaries[0]["employee"] or {}
        self.document_path = f"{self.employee_id}/{month.period}.pdf"
        self.lines = [line for line in (self.line(row) for row in salaries) if line["days"] > 0]
        exact = sum(Fraction(line["annual_minor"] * line["days"], 12 * month.days) for line in self.lines)
        self.pay_minor = half_up(exact)

    def line(self, row):
        if row["currency"] != self.currency or row["pay_basis"] != "year":
            raise Refused(422, "unsupported_salary", f"employee {self.employee.get('employee_number')} is not paid by year in {self.currency}")
        start = max(date.fromisoformat(row["effective_from"]), self.month.first)
        end = self.month.end if row["effective_to"] is None else min(date.fromisoformat(row["effective_to"]), self.month.end)
        return {"from": str(start), "to": str(end), "days": (end - start).days, "annual_minor": row["base_minor"]}

    def row(self, run):
        return {
            "run_id": run["id"],
            "employee_id": self.employee_id,
            "currency": self.currency,
            "gross_minor": self.pay_minor,
            "deductions_minor": 0,
            "tax_minor": 0,
            "net_minor": self.pay_minor,
            "status": "final",
            "document_path": self.document_path,
            "snapshot": {
                "employee_number": self.employee.get("employee_number"),
                "display_name": self.employee.get("display_name"),
                "department": (self.employee.get("department") or {}).get("name"),
                "lines": self.lines,
            },
        }

    def pdf(self):
        """The same slip gives the same bytes: no time of writing is in them."""
        file = io.BytesIO()
        page = Canvas(file, pagesize=A5, invariant=1)
        page.setTitle(f"Payslip {self.month.period}")
        left, right, y = 40, A5[0] - 40, A5[1] - 60
        write(page, left, y, f"Payslip {self.month.period}", size=18)
        department = (self.employee.get("department") or {}).get("name")
        for word in (
            self.employee.get("display_name"),
            f"Employee {self.employee.get('employee_number')}",
            ", ".join(part for part in (self.employee.get("job_title"), department) if part),
        ):
            y -= 18
            write(page, left, y, word or "")
        y -= 14
        for line in self.lines:
            y -= 18
            last = date.fromisoformat(line["to"]) - timedelta(days=1)
            write(page, left, y, f"{line['from']} to {last}: {line['days']} days of {money(line['annual_minor'])} a year")
        y -= 32
        write(page, left, y, f"Paid ({self.currency})", size=12)
        page.drawRightString(right, y, money(self.pay_minor))
        page.save()
        return file.getvalue()


def half_up(amount):
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def money(minor):
    return f"{minor // 100:,}.{minor % 100:02}"


pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))


def write(page, x, y, words, size=10):
    """Latin names in Helvetica, Chinese names in the reader's own Song; other marks are left off (the employee number tells who it is)."""
    chinese = any("\u2e80" <= letter <= "\u9fff" for letter in words)
    if not chinese:
        words = "".join(letter if spelled(letter) else folded(letter) for letter in words)
    page.setFont("STSong-Light" if chinese else "Helvetica", size)
    page.drawString(x, y, words)


def spelled(letter):
    return letter.encode("cp1252", "ignore") != b""


# What no decomposition brings back to plain letters.
STRUCK = str.maketrans("ŁłĐđĦħŦŧı", "LlDdHhTti")


def folded(letter):
    plain = unicodedata.normalize("NFKD", letter.translate(STRUCK))
    return "".join(part for part in plain if spelled(part)) or "?"


# What the caller passes


class Month:
    def __init__(self, period):
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", period) or not "0001" < period < "9999-12":
            raise Refused(400, "bad_argument", "period must be a month such as 2000-01")
        year, month = int(period[:4]), int(period[5:])
        self.period = period
        self.days = calendar.monthrange(year, month)[1]
        self.first = date(year, month, 1)
        self.last = date(year, month, self.days)
        self.end = self.last + timedelta(days=1)


class Options:
    def __init__(self, args):
        self.bucket = text(args, "bucket", default="slips")
        self.currency = text(args, "currency", default="USD")
        self.batch = whole_number(args, "batch", default=200, largest=1000)
        self.stop_after = whole_number(args, "stop_after", default=0, largest=10**9)
        self.uploads = 0
        self.lock = threading.Lock()

    def count_upload(self):
        """Plays a crash for the tests: the process ends here and now, in the middle of its work."""
        with self.lock:
            self.uploads += 1
            if self.uploads == self.stop_after:
                os._exit(70)


def text(args, name, default=None):
    value = args.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, "bad_argument", f"{name} must be a text that is not empty")
    return value.strip()


def whole_number(args, name, default, largest):
    value = args.get(name, default)
    # What comes from a web form is text; True is an int to Python.
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not min(default, 1) <= value <= largest:
        raise Refused(400, "bad_argument", f"{name} must be a whole number up to {largest}")
    return value


# Calling Basalt


class Basalt:
    def __init__(self, url, key):
        try:
            self.client = httpx.Client(base_url=url.rstrip("/"), headers={"apikey": key}, timeout=httpx.Timeout(30, connect=5))
        except httpx.InvalidURL as error:
            raise Refused(400, "bad_argument", f"basalt_url cannot be read: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def rest(self, method, path, prefer=None, accept=None, **request):
        headers = {name: value for name, value in (("prefer", prefer), ("accept", accept)) if value}
        return self.send(method, f"/rest/v1/{path}", headers=headers, **request)

    def one(self, table, query):
        return self.rest("GET", table, accept="application/vnd.pgrst.object+json", params=query).json()

    def count(self, table, query):
        answer = self.rest("GET", table, prefer="count=exact", params={**query, "select": "id", "limit": "1"})
        return int(answer.headers["content-range"].split("/")[1])

    def send(self, method, path, **request):
        """Tries again while Basalt is away: every request of this function may safely be repeated."""
        for tried in range(1, TRIES + 1):
            try:
                answer = self.client.request(method, path, **request)
                if answer.status_code not in (429, 502, 503, 504):
                    break
            except httpx.TransportError as error:
                if tried == TRIES:
                    raise Refused(502, "unreachable", f"Basalt did not answer: {type(error).__name__}") from error
            if tried < TRIES:
                time.sleep(0.1 * 2**tried)
        if answer.is_error:
            raise self.refusal(answer)
        return answer

    @staticmethod
    def refusal(answer):
        try:
            body = answer.json()
            return Refused(answer.status_code, body.get("code") or body.get("error"), body.get("message"))
        except (ValueError, AttributeError):
            return Refused(answer.status_code, None, answer.reason_phrase)
