from types import SimpleNamespace

import pytest
from conftest import unique
from postgrest import CountMethod
from supabase import PostgrestAPIError

MARK = unique("p")


@pytest.fixture(scope="module")
def company(service):
    """One department that no other test and no other run looks into."""
    department = service.table("departments").insert({"code": MARK, "name": f"{MARK} Research"}).execute().data[0]

    def person(number, given, family, **more):
        return {
            "employee_number": f"{MARK}-{number}",
            "given_name": given,
            "family_name": family,
            "display_name": f"{given} {family}",
            "work_email": f"{MARK}-{number}@example.com",
            "status": "active",
            "hired_on": "1999-05-01",
            "department_id": department["id"],
            **more,
        }

    boss = service.table("employees").insert(person(1, "Grace", "Hopper")).execute().data[0]
    ada, li = (
        service.table("employees")
        .insert(
            [
                person(2, "Ada", "Lovelace", manager_id=boss["id"]),
                person(3, "娜", "李", display_name="李娜", manager_id=boss["id"], hired_on="2001-02-03"),
            ]
        )
        .execute()
        .data
    )
    service.table("compensations").insert(
        {"employee_id": ada["id"], "effective_from": "2011-05-01", "currency": "USD", "pay_basis": "year", "base_minor": 6_000_000}
    ).execute()
    return SimpleNamespace(department=department, boss=boss, ada=ada, li=li)


@pytest.fixture
def mine(company, signed_in):
    app, _ = signed_in("hr", "payroll")
    return lambda *columns, **options: app.table("employees").select(*columns, **options).eq("department_id", company.department["id"])


def names(answer):
    return [row["given_name"] for row in answer.data]


def test_embeds_go_to_one_to_many_and_to_oneself(mine, company):
    row = (
        mine("display_name", "department:departments!department_id(code)", "manager:manager_id(display_name)", "compensations(base_minor)")
        .eq("id", company.ada["id"])
        .single()
        .execute()
        .data
    )
    assert row == {
        "display_name": "Ada Lovelace",
        "department": {"code": MARK},
        "manager": {"display_name": "Grace Hopper"},
        "compensations": [{"base_minor": 6_000_000}],
    }


def test_filters_compare_match_and_negate(mine):
    every = lambda: mine("given_name").order("employee_number")
    assert names(every().neq("given_name", "Ada").execute()) == ["Grace", "娜"]
    assert names(every().gte("hired_on", "2000-01-01").execute()) == ["娜"]
    assert names(every().ilike("display_name", "%hOPP%").execute()) == ["Grace"]
    assert names(every().in_("given_name", ["Ada", "Grace"]).execute()) == ["Grace", "Ada"]
    assert names(every().is_("manager_id", "null").execute()) == ["Grace"]
    assert names(every().not_.is_("manager_id", "null").execute()) == ["Ada", "娜"]
    assert names(every().or_("given_name.eq.Ada,and(family_name.eq.李,hired_on.gt.2000-01-01)").execute()) == ["Ada", "娜"]


def test_order_limit_and_range_choose_a_page(mine):
    assert names(mine("given_name").order("hired_on", desc=True).limit(1).execute()) == ["娜"]
    assert names(mine("given_name").order("employee_number").range(1, 2).execute()) == ["Ada", "娜"]


def test_a_count_comes_with_the_page(mine):
    answer = mine("id", count=CountMethod.exact).limit(2).execute()
    assert (len(answer.data), answer.count) == (2, 3)


def test_single_and_maybe_single_insist_on_one_row(mine, company):
    assert mine("id").eq("id", company.li["id"]).single().execute().data == {"id": company.li["id"]}
    with pytest.raises(PostgrestAPIError) as refusal:
        mine("id").single().execute()
    assert refusal.value.code == "PGRST116"
    assert mine("id").eq("given_name", "Nobody").maybe_single().execute() is None


@pytest.mark.parametrize("words", ["李娜", "娜", "lina", "ln"])
def test_people_are_found_by_any_spelling_of_their_name(mine, company, words):
    found = mine("id").wfts("search", words).execute().data
    assert {"id": company.li["id"]} in found


def test_rows_are_inserted_upserted_updated_and_deleted(service):
    employees = lambda: service.table("employees")
    number = unique(MARK)
    first = {"employee_number": number, "given_name": "New", "family_name": "Comer", "display_name": "New Comer", "status": "active", "hired_on": "2020-01-01"}
    created = employees().insert(first).execute().data[0]
    merged = employees().upsert({**first, "job_title": "Merged"}, on_conflict="employee_number").execute().data[0]
    assert (merged["id"], merged["job_title"]) == (created["id"], "Merged")
    ignored = employees().upsert({**first, "job_title": "Ignored"}, on_conflict="employee_number", ignore_duplicates=True).execute()
    assert ignored.data == []
    updated = employees().update({"job_title": "Moved"}).eq("id", created["id"]).execute().data
    assert [row["job_title"] for row in updated] == ["Moved"]
    assert len(employees().delete().eq("id", created["id"]).execute().data) == 1
    assert employees().select("id").eq("id", created["id"]).execute().data == []


def test_a_row_is_changed_in_the_version_that_was_read(service):
    row = service.table("departments").insert({"code": unique(MARK), "name": "x"}).execute().data[0]
    changed = service.table("departments").update({"name": "y"}).eq("id", row["id"]).eq("version", 1).execute().data
    assert [row["version"] for row in changed] == [2]
    with pytest.raises(PostgrestAPIError) as refusal:
        service.table("departments").update({"name": "z"}).eq("id", row["id"]).eq("version", 1).execute()
    assert (refusal.value.code, refusal.value.details) == ("PT412", "The current version is 2.")


def test_functions_are_called(service, company):
    tree = service.rpc("org_tree", {"root": company.boss["id"]}).execute().data
    assert {row["id"] for row in tree} == {company.boss["id"], company.ada["id"], company.li["id"]}
    found = service.rpc("search_employees", {"q": f"{MARK}-3"}, get=True).execute().data
    assert found[0]["id"] == company.li["id"]


def test_pages_follow_a_cursor(mine):
    page = lambda: mine("given_name", "_cursor").order("hired_on").order("employee_number").limit(2)
    first = page().execute()
    following = page().filter("after", "cursor", first.data[-1]["_cursor"]).execute()
    assert names(first) + names(following) == ["Grace", "Ada", "娜"]


def test_rows_come_as_csv(mine):
    lines = mine("given_name").order("employee_number").csv().execute().data.split()
    assert lines == ["given_name", "Grace", "Ada", "娜"]


def test_refusals_have_the_codes_of_the_wire(service, company):
    employees = lambda: service.table("employees")
    same = {key: company.ada[key] for key in ("employee_number", "given_name", "family_name", "display_name", "status", "hired_on")}
    for code, query in (
        ("23505", employees().insert(same)),
        ("22P02", employees().select("id").eq("id", "not-a-uuid")),
        ("42703", employees().select("shoe_size")),
        ("PGRST204", employees().insert({"shoe_size": 44})),
        ("PGRST205", service.table("nowhere").select("*")),
        ("PGRST200", employees().select("payslip_dreams(*)")),
    ):
        with pytest.raises(PostgrestAPIError) as refusal:
            query.execute()
        assert refusal.value.code == code


def test_pay_is_hidden_from_everybody_it_is_not_for(anonymous, signed_in, company):
    app, _ = signed_in()
    for caller in (anonymous(), app):
        for query in (
            caller.table("compensations").select("base_minor").eq("employee_id", company.ada["id"]),
            caller.table("compensations").select("id").gt("base_minor", 1),
            caller.table("payslips").select("net_minor"),
        ):
            try:
                assert query.execute().data == []
            except PostgrestAPIError as refusal:
                assert refusal.code == "42501"
