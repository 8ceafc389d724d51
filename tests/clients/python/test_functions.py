"""The example functions, run as a serverless runtime runs them: a zip, a fresh interpreter, the arguments as JSON."""

import json
import os
import random
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from conftest import needed, unique
from postgrest import CountMethod

FUNCTIONS = Path(__file__).parents[3] / "examples" / "functions"

# What the runtime does: it takes main from __main__.py at the root of the zip, and __name__ is not "__main__".
RUNTIME = """
import json, runpy, sys
main = runpy.run_path(sys.argv[1], run_name="action")["main"]
json.dump(main(json.load(sys.stdin)), sys.stdout)
"""


class Died(Exception):
    pass


@pytest.fixture(scope="session")
def invoke(tmp_path_factory, url):
    folder = tmp_path_factory.mktemp("zips")

    def zipped(name):
        path = folder / f"{name}.zip"
        if not path.exists():
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(FUNCTIONS / name / "__main__.py", "__main__.py")
        return path

    def call(name, key, **args):
        process = subprocess.run(
            [sys.executable, "-c", RUNTIME, zipped(name)],
            input=json.dumps({"basalt_url": url, "basalt_key": key, **args}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if process.returncode:
            raise Died(process.stderr)
        return json.loads(process.stdout)

    return call


def read(url, key, path):
    return httpx.get(f"{url}{path}", headers={"apikey": key})


@pytest.fixture(scope="module")
def search_key():
    return needed("TEST_SEARCH_KEY")


@pytest.fixture(scope="module")
def payroll_key():
    return needed("TEST_PAYROLL_KEY")


@pytest.fixture(scope="module")
def people(service):
    mark = unique("s")
    departments = service.table("departments").insert([{"code": f"{mark}{n}", "name": f"{mark} {name}"} for n, name in ((1, "Sales, North"), (2, "Care"))]).execute().data
    rows = [
        {
            "employee_number": f"{mark}-{number}",
            "given_name": given,
            "family_name": f"{family}{mark}",
            "display_name": f"{given} {family}{mark}",
            "status": "active",
            "hired_on": "2000-01-01",
            "department_id": departments[department]["id"],
        }
        for number, given, family, department in ((1, "José", "Dvořák", 0), (2, "Josef", "Dvorak", 1))
    ]
    service.table("employees").insert(rows).execute()
    return mark


@pytest.fixture(scope="module")
def bucket(service):
    if "slips" not in [bucket.id for bucket in service.storage.list_buckets()]:
        service.storage.create_bucket("slips", options={"public": False})
    return "slips"


class TestEmployeeSearch:
    def numbers(self, answer):
        return [row["employee_number"] for row in answer["employees"]]

    def test_finds_people_by_name_whatever_its_accents(self, invoke, search_key, people):
        answer = invoke("employee_search", search_key, q=f"dvorak{people}")
        assert sorted(self.numbers(answer)) == [f"{people}-1", f"{people}-2"]
        assert set(answer["employees"][0]) == {"id", "employee_number", "display_name", "work_email", "job_title", "department"}

    def test_narrows_to_a_department_by_code_or_name(self, invoke, search_key, people):
        for department in (f"{people}1", f"{people} SALES, north"):
            assert self.numbers(invoke("employee_search", search_key, q=f"dvorak{people}", department=department)) == [f"{people}-1"]
        assert invoke("employee_search", search_key, q=f"dvorak{people}", department="nowhere") == {"employees": []}

    def test_limits_what_it_finds(self, invoke, search_key, people):
        assert len(invoke("employee_search", search_key, q=f"dvorak{people}", limit=1)["employees"]) == 1

    @pytest.mark.parametrize("args", [{}, {"q": " "}, {"q": "a", "limit": 0}, {"q": "a", "limit": "ten"}, {"q": "a", "department": "a*"}, {"q": 7}])
    def test_refuses_bad_arguments(self, invoke, search_key, args):
        assert invoke("employee_search", search_key, **args)["error"]["status"] == 400

    def test_reports_what_basalt_refuses(self, invoke):
        assert invoke("employee_search", "sb_secret_wrong", q="a")["error"]["status"] == 401

    def test_reports_that_basalt_is_away(self, invoke, search_key):
        assert invoke("employee_search", search_key, q="a", basalt_url="http://127.0.0.1:1")["error"]["code"] == "unreachable"

    def test_its_key_sees_no_pay(self, url, search_key):
        for path in ("compensations", "payslips", "payroll_runs", "employees?select=id,compensations(base_minor)"):
            answer = read(url, search_key, f"/rest/v1/{path}")
            assert answer.status_code in (401, 403), f"{path}: {answer.status_code} {answer.text}"
            assert answer.json()["code"] == "42501"


class TestPayroll:
    @pytest.fixture
    def month(self, service):
        """A month in which only these people are paid: the period, and what each is due."""
        mark = unique("m")
        # Before anybody's salary that is still in force.
        year = random.randint(1000, 1899)
        start, middle, end = f"{year}-04-01", f"{year}-04-11", f"{year}-05-01"
        people = service.table("employees").insert(
            [
                {"employee_number": f"{mark}-{n}", "given_name": "Pay", "family_name": mark, "display_name": f"Pay {mark}", "status": "active", "hired_on": start}
                for n in range(12)
            ]
        ).execute().data
        salaries, due = [], {}
        for n, person in enumerate(people[:10]):
            annual = 5_000_001 + n * 1_111_117
            # Whole months, arrivals, leavers and raises on the eleventh; the last two people are not paid at all.
            rows = [[(start, end, 30)], [(middle, end, 20)], [(start, middle, 10)], [(start, middle, 10), (middle, end, 20)]][n % 4]
            exact = Fraction(0)
            for step, (since, until, days) in enumerate(rows):
                base = annual + step * 333_333
                exact += Fraction(base * days, 12 * 30)
                salaries.append(
                    {"employee_id": person["id"], "effective_from": since, "effective_to": until, "currency": "USD", "pay_basis": "year", "base_minor": base}
                )
            due[person["id"]] = int(exact + Fraction(1, 2))
        service.table("compensations").insert(salaries).execute()
        return f"{year}-04", due

    def slips(self, service, answer):
        rows = service.table("payslips").select("*").eq("run_id", answer["run_id"]).execute().data
        assert len(rows) == len({row["employee_id"] for row in rows})
        return rows

    def check(self, service, bucket, answer, period, due):
        assert (answer["slips"], answer["total_minor"], answer["currency"]) == (len(due), sum(due.values()), "USD")
        rows = self.slips(service, answer)
        assert {row["employee_id"]: row["net_minor"] for row in rows} == due
        for row in rows:
            assert row["status"] == "final"
            assert row["gross_minor"] - row["deductions_minor"] - row["tax_minor"] == row["net_minor"]
            assert row["document_path"] == f"{row['employee_id']}/{period}.pdf"
            assert service.storage.from_(bucket).download(row["document_path"]).startswith(b"%PDF-")
        runs = service.table("payroll_runs").select("id,status,totals").eq("idempotency_key", f"payroll-{period}").execute().data
        assert runs == [{"id": answer["run_id"], "status": "calculated", "totals": {"slips": len(due), "total_minor": sum(due.values())}}]

    def test_pays_everybody_once_however_often_it_runs(self, invoke, payroll_key, service, bucket, month):
        period, due = month
        first = invoke("payroll", payroll_key, period=period, batch=3)
        self.check(service, bucket, first, period, due)
        assert invoke("payroll", payroll_key, period=period) == first
        self.check(service, bucket, first, period, due)

    @pytest.mark.parametrize("slips", [1, 5, 10])
    def test_goes_on_where_it_was_killed(self, invoke, payroll_key, service, bucket, month, slips):
        period, due = month
        with pytest.raises(Died):
            invoke("payroll", payroll_key, period=period, batch=4, stop_after=slips)
        assert service.table("payroll_runs").select("status").eq("idempotency_key", f"payroll-{period}").single().execute().data == {"status": "calculating"}
        self.check(service, bucket, invoke("payroll", payroll_key, period=period, batch=4), period, due)

    def test_two_at_once_are_as_good_as_one(self, invoke, payroll_key, service, bucket, month):
        period, due = month
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda batch: invoke("payroll", payroll_key, period=period, batch=batch), (2, 5, 3)))
        assert answers[0] == answers[1] == answers[2]
        self.check(service, bucket, answers[0], period, due)

    def test_an_employee_opens_its_own_slip_and_no_other(self, invoke, payroll_key, service, bucket, month, signed_in):
        period, due = month
        answer = invoke("payroll", payroll_key, period=period)
        me, other = list(due)[:2]
        app, user = signed_in()
        service.table("employees").update({"user_id": user.id}).eq("id", me).execute()
        slips = app.table("payslips").select("employee_id,net_minor,document_path", count=CountMethod.exact).execute()
        assert slips.data == [{"employee_id": me, "net_minor": due[me], "document_path": f"{me}/{period}.pdf"}]
        assert slips.count == 1
        signed = app.storage.from_(bucket).create_signed_url(slips.data[0]["document_path"], 60)
        assert httpx.get(signed["signedURL"]).content.startswith(b"%PDF-")
        with pytest.raises(Exception, match="not found"):
            app.storage.from_(bucket).create_signed_url(f"{other}/{period}.pdf", 60)
        for refused in (
            app.table("payslips").select("id").eq("employee_id", other),
            app.table("payslips").select("id").gt("net_minor", due[me] + 1),
            app.table("payroll_runs").select("id").eq("id", answer["run_id"]),
        ):
            try:
                assert refused.execute().data == []
            except Exception as refusal:
                assert getattr(refusal, "code", None) == "42501", refusal

    @pytest.mark.parametrize("args", [{}, {"period": "2000-13"}, {"period": "2000-1"}, {"period": "2000-01", "batch": 0}, {"period": "2000-01", "currency": ""}])
    def test_refuses_bad_arguments(self, invoke, payroll_key, args):
        assert invoke("payroll", payroll_key, **args)["error"]["status"] == 400

    def test_needs_all_of_its_scopes(self, invoke, month):
        period, _ = month
        assert invoke("payroll", needed("TEST_SEARCH_KEY"), period=period)["error"]["status"] == 403

    @pytest.mark.skipif(not os.environ.get("TEST_COMPANY"), reason="set TEST_COMPANY when examples/company is imported and nobody else is")
    def test_pays_the_example_company(self, invoke, payroll_key, service, bucket):
        answer = invoke("payroll", payroll_key, period="2000-01", batch=500)
        assert (answer["slips"], answer["total_minor"]) == (865, 479_046_912)
        counted = service.table("payslips").select("id", count=CountMethod.exact).eq("run_id", answer["run_id"]).limit(1).execute()
        assert counted.count == 865
