// What users do with mails, codes, factors and identities, from the first request to the session, in tenants made for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { done, password, uniqueMail } from './basalt.js'
import { follow, fragment, newTenant, totp } from './tenant.js'

const another = 'another good password'

test('a sign-up is confirmed by the link of its mail', async () => {
  const tenant = await newTenant({ sign_up: { email_autoconfirm: false }, mail: { resend_seconds: 0 } })
  const email = uniqueMail()
  const app = tenant.anonymous()
  const { user, session } = done(await app.auth.signUp({ email, password }))
  assert.equal(session, null)
  assert.equal(user.email_confirmed_at, undefined)
  assert.equal((await app.auth.signInWithPassword({ email, password })).error.code, 'email_not_confirmed')
  const first = await tenant.mail(email, 'Confirm your mail address')
  done(await app.auth.resend({ type: 'signup', email }))
  let mail = first
  while (mail.id === first.id) mail = await tenant.mail(email, 'Confirm your mail address')
  assert.equal(fragment(await follow(first.link)).error_code, 'otp_expired', 'only the newest link counts')
  const landed = fragment(await follow(mail.link))
  assert.equal(landed.type, 'signup')
  const { session: own } = done(await app.auth.setSession({ access_token: landed.access_token, refresh_token: landed.refresh_token }))
  assert.equal(own.user.id, user.id)
  assert.ok(own.user.email_confirmed_at)
  done(await tenant.anonymous().auth.signInWithPassword({ email, password }))
  // Who comes again is told what a newcomer is told, but for the missing identities.
  const again = done(await tenant.anonymous().auth.signUp({ email, password }))
  assert.deepEqual([again.session, again.user.identities.length], [null, 0])
  await tenant.mail(email, 'You already have an account')
})

test('a code from a mail signs in, once', async () => {
  const tenant = await newTenant()
  const email = uniqueMail()
  const app = tenant.anonymous()
  assert.deepEqual(done(await app.auth.signInWithOtp({ email, options: { data: { nickname: 'Ada' } } })), { user: null, session: null })
  const { code } = await tenant.mail(email, 'Sign in')
  const wrong = code === '000000' ? '000001' : '000000'
  assert.equal((await app.auth.verifyOtp({ email, token: wrong, type: 'email' })).error.code, 'otp_expired')
  const { user, session } = done(await app.auth.verifyOtp({ email, token: code, type: 'email' }))
  assert.equal(user.user_metadata.nickname, 'Ada')
  assert.equal(done(await app.auth.getUser()).user.id, user.id)
  assert.deepEqual(done(await app.auth.getClaims(session.access_token)).claims.amr.map((proof) => proof.method), ['otp'])
  const again = await tenant.anonymous().auth.verifyOtp({ email, token: code, type: 'email' })
  assert.deepEqual([again.error.status, again.error.code], [403, 'otp_expired'])
  const stranger = await app.auth.signInWithOtp({ email: uniqueMail(), options: { shouldCreateUser: false } })
  assert.equal(stranger.error.code, 'otp_disabled')
})

test('a lost password is replaced by way of a code that only the asking app can exchange', async () => {
  const tenant = await newTenant()
  const email = uniqueMail()
  done(await tenant.service().auth.admin.createUser({ email, password, email_confirm: true }))
  const app = tenant.anonymous({ flowType: 'pkce' })
  const events = []
  app.auth.onAuthStateChange((event) => events.push(event))
  done(await app.auth.resetPasswordForEmail(email, { redirectTo: 'http://127.0.0.1:3000/reset?lang=fr' }))
  const landed = await follow((await tenant.mail(email, 'Choose a new password')).link)
  assert.deepEqual([landed.origin, landed.pathname, landed.searchParams.get('lang')], ['http://127.0.0.1:3000', '/reset', 'fr'])
  const code = landed.searchParams.get('code')
  const thief = tenant.anonymous({ flowType: 'pkce' })
  done(await thief.auth.signInWithOtp({ email: uniqueMail() }))
  assert.equal((await thief.auth.exchangeCodeForSession(code)).error.code, 'bad_code_verifier')
  const { session } = done(await app.auth.exchangeCodeForSession(code))
  assert.equal(session.user.email, email)
  assert.ok(events.includes('PASSWORD_RECOVERY'), events.join())
  done(await app.auth.updateUser({ password: another }))
  await tenant.mail(email, 'Your password was changed')
  done(await tenant.anonymous().auth.signInWithPassword({ email, password: another }))
  assert.equal((await tenant.anonymous().auth.signInWithPassword({ email, password })).error.code, 'invalid_credentials')
  // Nobody is told who has an account.
  done(await app.auth.resetPasswordForEmail(uniqueMail()))
})

test('an admin invites, and makes links of every kind that work', async () => {
  const tenant = await newTenant()
  const admin = tenant.service().auth.admin
  const guest = uniqueMail()
  const { user: invited } = done(await admin.inviteUserByEmail(guest, { data: { team: 'blue' } }))
  assert.ok(invited.invited_at)
  const { hash } = await tenant.mail(guest, 'You are invited')
  const app = tenant.anonymous()
  const accepted = done(await app.auth.verifyOtp({ token_hash: hash, type: 'invite' }))
  assert.deepEqual([accepted.user.id, accepted.user.user_metadata.team], [invited.id, 'blue'])
  done(await app.auth.updateUser({ password }))

  const { user: fresh, properties: signUp } = done(await admin.generateLink({ type: 'signup', email: uniqueMail(), password }))
  assert.equal(done(await tenant.anonymous().auth.verifyOtp({ token_hash: signUp.hashed_token, type: 'signup' })).user.id, fresh.id)
  for (const type of ['magiclink', 'recovery']) {
    const { properties } = done(await admin.generateLink({ type, email: guest }))
    assert.equal(properties.verification_type, type)
    const byHash = done(await tenant.anonymous().auth.verifyOtp({ token_hash: properties.hashed_token, type }))
    assert.equal(byHash.user.id, invited.id)
    const { properties: second } = done(await admin.generateLink({ type, email: guest }))
    assert.ok(fragment(await follow(second.action_link)).access_token)
    const { properties: third } = done(await admin.generateLink({ type, email: guest }))
    done(await tenant.anonymous().auth.verifyOtp({ email: guest, token: third.email_otp, type }))
  }
  const newEmail = uniqueMail()
  const halves = {}
  for (const type of ['email_change_current', 'email_change_new']) {
    halves[type] = done(await admin.generateLink({ type, email: guest, newEmail })).properties
  }
  assert.match(fragment(await follow(halves.email_change_current.action_link)).message, /^Confirmation link accepted/)
  const moved = done(await tenant.anonymous().auth.verifyOtp({ token_hash: halves.email_change_new.hashed_token, type: 'email_change' }))
  assert.deepEqual([moved.user.id, moved.user.email], [invited.id, newEmail])
})

test('a change of address has to be agreed to at both', async () => {
  const tenant = await newTenant()
  const [email, newEmail] = [uniqueMail(), uniqueMail()]
  const app = tenant.anonymous()
  done(await app.auth.signUp({ email, password }))
  assert.equal(done(await app.auth.updateUser({ email: newEmail })).user.new_email, newEmail)
  const toNew = await tenant.mail(newEmail, 'Confirm your new mail address')
  const toOld = await tenant.mail(email, 'Agree to your new mail address')
  const half = done(await app.auth.verifyOtp({ email: newEmail, token: toNew.code, type: 'email_change' }))
  assert.equal(half.session, null)
  assert.equal(done(await app.auth.getUser()).user.email, email)
  assert.equal(done(await app.auth.verifyOtp({ email, token: toOld.code, type: 'email_change' })).user.email, newEmail)
  await tenant.mail(email, 'Your mail address was changed')
})

test('a password that needs a code gets it by mail', async () => {
  const tenant = await newTenant()
  const email = uniqueMail()
  const app = tenant.anonymous()
  done(await app.auth.signUp({ email, password }))
  assert.equal((await app.auth.reauthenticate()).error, null)
  const { code } = await tenant.mail(email, 'Your code')
  done(await app.auth.updateUser({ password: another, nonce: code }))
})

test('an authenticator app raises the session, and is given up again', async () => {
  const tenant = await newTenant()
  const email = uniqueMail()
  const app = tenant.anonymous()
  done(await app.auth.signUp({ email, password }))
  const elsewhere = tenant.anonymous()
  done(await elsewhere.auth.signInWithPassword({ email, password }))
  const level = async () => {
    const { currentLevel, nextLevel } = done(await app.auth.mfa.getAuthenticatorAssuranceLevel())
    return [currentLevel, nextLevel]
  }
  const factor = done(await app.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'My phone', issuer: 'Acme' }))
  assert.match(factor.totp.qr_code, /^data:image\/svg\+xml/)
  assert.match(factor.totp.uri, /^otpauth:\/\/totp\/Acme:.*issuer=Acme/)
  assert.deepEqual(await level(), ['aal1', 'aal1'])
  const challenge = done(await app.auth.mfa.challenge({ factorId: factor.id }))
  const code = totp(factor.totp.secret)
  const wrong = await app.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: code === '000000' ? '000001' : '000000' })
  assert.deepEqual([wrong.error.status, wrong.error.code], [422, 'mfa_verification_failed'])
  done(await app.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code }))
  assert.deepEqual(await level(), ['aal2', 'aal2'])
  const claims = done(await app.auth.getClaims()).claims
  assert.deepEqual(claims.amr.map((proof) => proof.method), ['totp', 'password'])
  assert.deepEqual(done(await app.auth.mfa.listFactors()).totp.map((known) => [known.id, known.friendly_name, known.status]), [[factor.id, 'My phone', 'verified']])
  // The sessions that were not raised are over.
  assert.ok((await elsewhere.auth.getUser()).error)
  const low = tenant.anonymous()
  done(await low.auth.signInWithPassword({ email, password }))
  assert.equal((await low.auth.updateUser({ password: another })).error.code, 'insufficient_aal')
  assert.equal((await low.auth.mfa.unenroll({ factorId: factor.id })).error.code, 'insufficient_aal')
  // The same code again is none.
  assert.ok((await low.auth.mfa.challengeAndVerify({ factorId: factor.id, code })).error)
  done(await low.auth.mfa.challengeAndVerify({ factorId: factor.id, code: totp(factor.totp.secret, 1) }))
  done(await low.auth.refreshSession())
  done(await low.auth.mfa.unenroll({ factorId: factor.id }))
  assert.deepEqual(done(await low.auth.mfa.listFactors()).all, [])
})

test('an admin helps who has lost its authenticator app', async () => {
  const tenant = await newTenant()
  const app = tenant.anonymous()
  const { user } = done(await app.auth.signUp({ email: uniqueMail(), password }))
  const { id, totp: setup } = done(await app.auth.mfa.enroll({ factorType: 'totp' }))
  done(await app.auth.mfa.challengeAndVerify({ factorId: id, code: totp(setup.secret) }))
  const { mfa } = tenant.service().auth.admin
  assert.deepEqual(done(await mfa.listFactors({ userId: user.id })).factors.map((factor) => factor.id), [id])
  done(await mfa.deleteFactor({ userId: user.id, id }))
  assert.deepEqual(done(await mfa.listFactors({ userId: user.id })).factors, [])
  assert.equal(done(await app.auth.refreshSession()).user.factors?.length ?? 0, 0)
})

test('a user sets out for a provider, to sign in and to link', async () => {
  const github = { enabled: true, client_id: 'client-of-acme', secret: 'secret-of-acme' }
  const tenant = await newTenant({ providers: { github } })
  const app = tenant.anonymous({ flowType: 'pkce' })
  const { url } = done(await app.auth.signInWithOAuth({ provider: 'github', options: { scopes: 'read:org', skipBrowserRedirect: true } }))
  const there = await follow(url)
  assert.equal(there.origin + there.pathname, 'https://github.com/login/oauth/authorize')
  assert.equal(there.searchParams.get('client_id'), 'client-of-acme')
  assert.match(there.searchParams.get('scope'), /read:org/)
  assert.equal(there.searchParams.get('redirect_uri'), `${tenant.url}/auth/v1/callback`)
  assert.ok(there.searchParams.get('state'))
  // Whoever comes back without having left is sent to the app with an error.
  const back = await follow(`${tenant.url}/auth/v1/callback?state=unknown&code=x`)
  assert.equal(back.searchParams.get('error_code'), 'bad_oauth_state')

  done(await app.auth.signUp({ email: uniqueMail(), password }))
  const link = { provider: 'github', options: { skipBrowserRedirect: true } }
  assert.equal((await app.auth.linkIdentity(link)).error.code, 'manual_linking_disabled')
  await tenant.set({ identities: { manual_linking: true } })
  // Another process may have to hear of the change first.
  let linked = await app.auth.linkIdentity(link)
  for (let tries = 0; linked.error && tries < 100; tries++) linked = await app.auth.linkIdentity(link)
  assert.equal(new URL(done(linked).url).host, 'github.com')
  const { identities } = done(await app.auth.getUserIdentities())
  assert.deepEqual(identities.map((identity) => identity.provider), ['email'])
  assert.equal((await app.auth.unlinkIdentity(identities[0])).error.code, 'single_identity_not_deletable')
})

test('nobody in particular becomes somebody', async () => {
  const tenant = await newTenant({ sign_up: { anonymous: true, email_autoconfirm: false } })
  const app = tenant.anonymous()
  const { user } = done(await app.auth.signInAnonymously({ options: { data: { theme: 'dark' } } }))
  assert.deepEqual([user.is_anonymous, user.email, user.user_metadata.theme], [true, '', 'dark'])
  assert.equal(done(await app.auth.getClaims()).claims.is_anonymous, true)
  assert.equal((await app.auth.mfa.enroll({ factorType: 'totp' })).error.code, 'no_authorization')
  const email = uniqueMail()
  done(await app.auth.updateUser({ email }))
  const { code } = await tenant.mail(email, 'Confirm your new mail address')
  const somebody = done(await app.auth.verifyOtp({ email, token: code, type: 'email_change' })).user
  assert.deepEqual([somebody.id, somebody.is_anonymous, somebody.email], [user.id, false, email])
  done(await app.auth.updateUser({ password }))
  done(await tenant.anonymous().auth.signInWithPassword({ email, password }))
})

test('what a tenant does not offer says so', async () => {
  const tenant = await newTenant({ sign_up: { email: false } })
  const app = tenant.anonymous()
  assert.equal((await app.auth.signUp({ email: uniqueMail(), password })).error.code, 'email_provider_disabled')
  assert.equal((await app.auth.signInAnonymously()).error.code, 'anonymous_provider_disabled')
  assert.equal((await app.auth.signInWithOtp({ phone: '+491701234567' })).error.code, 'phone_provider_disabled')
  assert.equal((await app.auth.signInWithIdToken({ provider: 'google', token: 'x' })).error.message.includes('not enabled'), true)
  assert.equal((await app.auth.signInWithSSO({ domain: 'example.com' })).error.code, 'saml_provider_disabled')
})
