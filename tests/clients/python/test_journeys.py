"""What users do with mails, codes, factors and identities, from the first request to the session, in tenants made for it."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import PASSWORD, unique_mail
from supabase import AuthApiError
from tenant import Tenant, totp

ANOTHER = "another good password"


def refused(code):
    return pytest.raises(AuthApiError, check=lambda error: error.code == code)


def test_a_sign_up_is_confirmed_by_the_link_of_its_mail():
    tenant, email = Tenant({"sign_up": {"email_autoconfirm": False}}), unique_mail()
    app = tenant.anonymous()
    answer = app.auth.sign_up({"email": email, "password": PASSWORD})
    assert answer.session is None and answer.user.email_confirmed_at is None
    with refused("email_not_confirmed"):
        app.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    landed = parse_qs(urlsplit(tenant.mail(email, "Confirm your mail address").follow()).fragment)
    assert landed["type"] == ["signup"]
    session = app.auth.set_session(landed["access_token"][0], landed["refresh_token"][0])
    assert session.user.id == answer.user.id
    assert tenant.anonymous().auth.sign_in_with_password({"email": email, "password": PASSWORD}).user.email_confirmed_at


def test_a_code_from_a_mail_signs_in_once():
    tenant, email = Tenant({}), unique_mail()
    app = tenant.anonymous()
    app.auth.sign_in_with_otp({"email": email, "options": {"data": {"nickname": "Ada"}}})
    code = tenant.mail(email, "Sign in").code
    with refused("otp_expired"):
        app.auth.verify_otp({"email": email, "token": "000000" if code != "000000" else "000001", "type": "email"})
    answer = app.auth.verify_otp({"email": email, "token": code, "type": "email"})
    assert answer.user.user_metadata["nickname"] == "Ada"
    assert app.auth.get_user().user.id == answer.user.id
    with refused("otp_expired"):
        tenant.anonymous().auth.verify_otp({"email": email, "token": code, "type": "email"})
    with refused("otp_disabled"):
        app.auth.sign_in_with_otp({"email": unique_mail(), "options": {"should_create_user": False}})


def test_a_code_in_a_redirect_is_exchanged_by_the_app_that_asked():
    tenant, email = Tenant({}), unique_mail()
    tenant.service().auth.admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    app = tenant.anonymous("pkce")
    app.auth.sign_in_with_otp({"email": email, "options": {"email_redirect_to": "http://127.0.0.1:3000/in"}})
    landed = urlsplit(tenant.mail(email, "Sign in").follow())
    code = parse_qs(landed.query)["code"][0]
    assert (landed.netloc, landed.path) == ("127.0.0.1:3000", "/in")
    answer = app.auth.exchange_code_for_session({"auth_code": code})
    assert answer.session.user.email == email
    with refused("flow_state_not_found"):
        app.auth.exchange_code_for_session({"auth_code": code, "code_verifier": "a" * 43})


def test_a_lost_password_is_replaced():
    tenant, email = Tenant({}), unique_mail()
    tenant.service().auth.admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    app = tenant.anonymous()
    app.auth.reset_password_for_email(email)
    app.auth.verify_otp({"token_hash": tenant.mail(email, "Choose a new password").hash, "type": "recovery"})
    app.auth.update_user({"password": ANOTHER})
    tenant.anonymous().auth.sign_in_with_password({"email": email, "password": ANOTHER})
    app.auth.reset_password_for_email(unique_mail())


def test_an_admin_invites_and_makes_links():
    tenant, guest = Tenant({}), unique_mail()
    admin = tenant.service().auth.admin
    invited = admin.invite_user_by_email(guest, {"data": {"team": "blue"}}).user
    assert invited.invited_at
    accepted = tenant.anonymous().auth.verify_otp({"token_hash": tenant.mail(guest, "You are invited").hash, "type": "invite"})
    assert (accepted.user.id, accepted.user.user_metadata["team"]) == (invited.id, "blue")
    for kind in ("magiclink", "recovery"):
        properties = admin.generate_link({"type": kind, "email": guest}).properties
        assert tenant.anonymous().auth.verify_otp({"token_hash": properties.hashed_token, "type": kind}).user.id == invited.id


def test_an_authenticator_app_raises_the_session_and_is_given_up_again():
    tenant, email = Tenant({}), unique_mail()
    app = tenant.anonymous()
    app.auth.sign_up({"email": email, "password": PASSWORD})
    factor = app.auth.mfa.enroll({"factor_type": "totp", "friendly_name": "My phone"})
    challenge = app.auth.mfa.challenge({"factor_id": factor.id})
    code = totp(factor.totp.secret)
    with refused("mfa_verification_failed"):
        app.auth.mfa.verify({"factor_id": factor.id, "challenge_id": challenge.id, "code": "000000" if code != "000000" else "000001"})
    app.auth.mfa.verify({"factor_id": factor.id, "challenge_id": challenge.id, "code": code})
    assert app.auth.mfa.get_authenticator_assurance_level().current_level == "aal2"
    assert [known.id for known in app.auth.mfa.list_factors().totp] == [factor.id]
    low = tenant.anonymous()
    low.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    with refused("insufficient_aal"):
        low.auth.update_user({"password": ANOTHER})
    assert app.auth.mfa.unenroll({"factor_id": factor.id}).id == factor.id


def test_a_user_sets_out_for_a_provider():
    github = {"enabled": True, "client_id": "client-of-acme", "secret": "secret-of-acme"}
    tenant = Tenant({"providers": {"github": github}, "identities": {"manual_linking": True}})
    app = tenant.anonymous("pkce")
    there = httpx.get(app.auth.sign_in_with_oauth({"provider": "github"}).url).headers["location"]
    assert there.startswith("https://github.com/login/oauth/authorize?")
    assert parse_qs(urlsplit(there).query)["client_id"] == ["client-of-acme"]
    app.auth.sign_up({"email": unique_mail(), "password": PASSWORD})
    assert urlsplit(app.auth.link_identity({"provider": "github"}).url).netloc == "github.com"
    identities = app.auth.get_user_identities().identities
    assert [identity.provider for identity in identities] == ["email"]
    with refused("single_identity_not_deletable"):
        app.auth.unlink_identity(identities[0])


def test_nobody_in_particular_becomes_somebody():
    tenant, email = Tenant({"sign_up": {"anonymous": True, "email_autoconfirm": False}}), unique_mail()
    app = tenant.anonymous()
    user = app.auth.sign_in_anonymously().user
    assert user.is_anonymous
    app.auth.update_user({"email": email})
    code = tenant.mail(email, "Confirm your new mail address").code
    somebody = app.auth.verify_otp({"email": email, "token": code, "type": "email_change"}).user
    assert (somebody.id, somebody.is_anonymous, somebody.email) == (user.id, False, email)
