"""Employee search: finds people by name, number or mail, optionally within one department.

Stateless: where Basalt is and the key to call it with come with every call. The key needs the scope `employees:read` and no other.
"""

import httpx

COLUMNS = "id,employee_number,display_name,work_email,job_title"
TIMEOUT = httpx.Timeout(10, connect=5)


class BadArgument(ValueError):
    """What the caller passed cannot be searched for."""


def main(args):
    try:
        request = search_request(args)
    except BadArgument as error:
        return failure(400, "bad_argument", str(error))
    try:
        answer = httpx.get(**request, timeout=TIMEOUT)
    except httpx.InvalidURL as error:
        return failure(400, "bad_argument", f"basalt_url cannot be read: {error}")
    except httpx.HTTPError as error:
        return failure(502, "unreachable", f"Basalt did not answer: {type(error).__name__}")
    if answer.is_error:
        return refused(answer)
    return {"employees": answer.json()}


def search_request(args):
    department = text(args, "department", required=False)
    query = {
        "search": f"wfts.{text(args, 'q')}",
        # By its column: a department also has an employee at its head.
        "select": f"{COLUMNS},department:departments!department_id{'!inner' if department else ''}(code,name)",
        "limit": str(whole_number(args, "limit", default=20, largest=100)),
    }
    if department:
        query["department.or"] = f"(code.eq.{quoted(department)},name.ilike.{quoted(literal(department))})"
    return {
        "url": f"{text(args, 'basalt_url').rstrip('/')}/rest/v1/employees",
        "params": query,
        "headers": {"apikey": text(args, "basalt_key")},
    }


def text(args, name, required=True):
    value = args.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise BadArgument(f"{name} must be a text that is not empty")
    return value.strip()


def whole_number(args, name, default, largest):
    value = args.get(name, default)
    # What comes from a web form is text; True is an int to Python.
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise BadArgument(f"{name} must be a whole number from 1 to {largest}")
    return value


def literal(value):
    """The value as a pattern that matches only itself, in any case."""
    if "*" in value:
        raise BadArgument("department must not contain *")
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def quoted(value):
    """The value as one word of a logic tree, whatever commas and parentheses it holds."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def refused(answer):
    try:
        body = answer.json()
        return failure(answer.status_code, body.get("code"), body.get("message"))
    except (ValueError, AttributeError):
        return failure(answer.status_code, None, answer.reason_phrase)


def failure(status, code, message):
    """OpenWhisk marks an activation as failed when its result has the key `error`."""
    return {"error": {"status": status, "code": code, "message": message}}
