"""The running server under test, and who calls it. Coordinates come from the environment; see ../README.md."""

import os
from uuid import uuid4

import pytest
from supabase import Client, ClientOptions, create_client

PASSWORD = "correct horse battery staple"


def needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: these tests drive a running server", returncode=2)
    return value


def unique(prefix: str) -> str:
    """A name nobody used before: the server may be tested again and again."""
    return f"{prefix}-{uuid4().hex[:8]}"


def unique_mail() -> str:
    return f"{unique('user')}@example.com"


def client(key: str) -> Client:
    return create_client(needed("TEST_URL"), key, ClientOptions(auto_refresh_token=False, persist_session=True))


@pytest.fixture(scope="session")
def url() -> str:
    return needed("TEST_URL")


@pytest.fixture
def anonymous():
    """Makes clients as an app in a browser has them."""
    return lambda: client(needed("TEST_PUBLISHABLE_KEY"))


@pytest.fixture(scope="session")
def service() -> Client:
    """A client as a trusted server has it."""
    return client(needed("TEST_SECRET_KEY"))


@pytest.fixture
def signed_in(anonymous, service):
    """Makes clients that are signed in as a new user, with roles only an admin can give."""

    def make(*roles: str):
        email = unique_mail()
        user = service.auth.admin.create_user(
            {"email": email, "password": PASSWORD, "email_confirm": True, "app_metadata": {"roles": list(roles)}}
        ).user
        app = anonymous()
        app.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        return app, user

    return make
