import pytest
from conftest import PASSWORD, unique_mail
from supabase import AuthApiError


def test_signing_up_gives_a_session_and_a_user(anonymous):
    email = unique_mail()
    answer = anonymous().auth.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"nickname": "Ada"}}})
    assert answer.user.email == email
    assert answer.user.role == "authenticated"
    assert answer.user.user_metadata["nickname"] == "Ada"
    assert [identity.provider for identity in answer.user.identities] == ["email"]
    assert answer.session.token_type == "bearer"
    assert answer.session.refresh_token


def test_an_address_can_be_signed_up_once(anonymous, signed_in):
    _, user = signed_in()
    with pytest.raises(AuthApiError, match="User already registered") as refusal:
        anonymous().auth.sign_up({"email": user.email, "password": PASSWORD})
    assert (refusal.value.status, refusal.value.code) == (422, "user_already_exists")


def test_signing_in_tells_nobody_whether_address_or_password_was_wrong(anonymous, signed_in):
    _, user = signed_in()
    for email, password in ((user.email, "wrong password"), (unique_mail(), PASSWORD)):
        with pytest.raises(AuthApiError, match="Invalid login credentials") as refusal:
            anonymous().auth.sign_in_with_password({"email": email, "password": password})
        assert (refusal.value.status, refusal.value.code) == (400, "invalid_credentials")


def test_refreshing_gives_the_same_child_to_whoever_asks_again(anonymous, signed_in):
    app, user = signed_in()
    parent = app.auth.get_session().refresh_token
    child = app.auth.refresh_session().session
    assert child.refresh_token != parent
    assert child.user.id == user.id
    assert anonymous().auth.refresh_session(parent).session.refresh_token == child.refresh_token


def test_a_user_reads_and_changes_itself(anonymous, signed_in):
    app, user = signed_in()
    assert app.auth.get_user().user.id == user.id
    changed = app.auth.update_user({"data": {"theme": "dark"}}).user
    assert changed.user_metadata["theme"] == "dark"
    app.auth.update_user({"password": "another good password"})
    anonymous().auth.sign_in_with_password({"email": user.email, "password": "another good password"})
    with pytest.raises(AuthApiError):
        anonymous().auth.sign_in_with_password({"email": user.email, "password": PASSWORD})


def test_claims_are_verified_against_the_published_key(signed_in):
    app, user = signed_in()
    answer = app.auth.get_claims()
    assert answer["headers"]["alg"] == "ES256"
    assert answer["claims"]["sub"] == user.id
    assert answer["claims"]["aal"] == "aal1"
    assert answer["claims"]["iss"].endswith("/auth/v1")


def test_signing_out_ends_the_session_at_once(anonymous, signed_in):
    app, _ = signed_in()
    session = app.auth.get_session()
    app.auth.sign_out({"scope": "local"})
    assert app.auth.get_session() is None
    with pytest.raises(AuthApiError):
        anonymous().auth.get_user(session.access_token)
    with pytest.raises(AuthApiError):
        anonymous().auth.refresh_session(session.refresh_token)


def test_an_admin_creates_finds_changes_and_deletes_users(service):
    email = unique_mail()
    admin = service.auth.admin
    user = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user
    assert admin.get_user_by_id(user.id).user.email == email
    changed = admin.update_user_by_id(user.id, {"app_metadata": {"roles": ["hr"]}}).user
    assert changed.app_metadata["roles"] == ["hr"]
    assert len(admin.list_users(page=1, per_page=2)) == 2
    admin.delete_user(user.id)
    with pytest.raises(AuthApiError) as refusal:
        admin.get_user_by_id(user.id)
    assert (refusal.value.status, refusal.value.code) == (404, "user_not_found")


def test_only_an_admin_may_administer(anonymous, signed_in):
    app, _ = signed_in("hr")
    for caller in (anonymous(), app):
        with pytest.raises(AuthApiError) as refusal:
            caller.auth.admin.list_users()
        assert refusal.value.status in (401, 403)
