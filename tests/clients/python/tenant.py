"""A tenant of its own, for journeys that need other settings than those of the tenant that all tests share."""

import base64
import hashlib
import hmac
import re
import time
from urllib.parse import parse_qs, urlsplit

import httpx
from conftest import needed, unique
from supabase import Client, ClientOptions, create_client


def operate(method: str, path: str, **kwargs):
    """What the operator asks of the server."""
    headers = {"authorization": f"Bearer {needed('TEST_OPERATOR_KEY')}"}
    answer = httpx.request(method, f"{needed('TEST_URL')}/admin/v1{path}", headers=headers, **kwargs)
    answer.raise_for_status()
    return answer.json()


class Tenant:
    def __init__(self, settings: dict):
        self.ref = unique("journey")
        self.url = f"{needed('TEST_URL')}/t/{self.ref}"
        operate("POST", "/tenants", json={"ref": self.ref, "settings": settings})
        self.keys = {kind: operate("POST", f"/tenants/{self.ref}/keys", json={"kind": kind})["key"] for kind in ("publishable", "secret")}

    def anonymous(self, flow_type: str = "implicit") -> Client:
        options = ClientOptions(auto_refresh_token=False, persist_session=True, flow_type=flow_type)
        return create_client(self.url, self.keys["publishable"], options)

    def service(self) -> Client:
        return create_client(self.url, self.keys["secret"], ClientOptions(auto_refresh_token=False))

    def mail(self, to: str, subject: str) -> "Mail":
        """The newest mail with this subject to an address. The server writes it a moment after the request that asked for it."""
        until = time.monotonic() + 20
        while True:
            mails = operate("GET", "/inbox", params={"tenant": self.ref, "to": to})["mails"]
            for mail in mails:
                if mail["subject"] == subject:
                    return Mail(mail["text"])
            assert time.monotonic() < until, f"no mail {subject!r} to {to}, but {[mail['subject'] for mail in mails]}"
            time.sleep(0.05)


class Mail:
    def __init__(self, text: str):
        link, code = re.search(r"https?:\S+/verify\?\S+", text), re.search(r": (\d{6,10})$", text, re.MULTILINE)
        self.link = link and link[0]
        self.hash = link and parse_qs(urlsplit(link[0]).query)["token"][0]
        self.code = code and code[1]

    def follow(self) -> str:
        """Where the link leads, as a browser sees it."""
        answer = httpx.get(self.link)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


def totp(secret: str, steps: int = 0) -> str:
    """The code of an authenticator app (RFC 6238), `steps` of 30 seconds from now."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.digest(key, (int(time.time()) // 30 + steps).to_bytes(8, "big"), hashlib.sha1)
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"
