import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anonymous, done, password, service, signedIn, unique, uniqueMail } from './basalt.js'

test('signing up gives a session and a user', async () => {
  const email = uniqueMail()
  const { user, session } = done(await anonymous().auth.signUp({ email, password, options: { data: { nickname: 'Ada' } } }))
  assert.equal(user.email, email)
  assert.equal(user.role, 'authenticated')
  assert.equal(user.aud, 'authenticated')
  assert.equal(user.user_metadata.nickname, 'Ada')
  assert.deepEqual(user.app_metadata.providers, ['email'])
  assert.equal(user.identities.length, 1)
  assert.equal(user.identities[0].provider, 'email')
  assert.ok(user.email_confirmed_at)
  assert.equal(session.token_type, 'bearer')
  assert.ok(session.refresh_token)
  assert.ok(Math.abs(session.expires_at - Date.now() / 1000 - session.expires_in) < 30)
})

test('an address can be signed up once', async () => {
  const { email } = await signedIn()
  const { data, error } = await anonymous().auth.signUp({ email, password })
  assert.equal(error.code, 'user_already_exists')
  assert.equal(error.status, 422)
  assert.equal(error.message, 'User already registered')
  assert.equal(data.user, null)
})

test('a weak password and a bad address are refused', async () => {
  const weak = await anonymous().auth.signUp({ email: uniqueMail(), password: '12345' })
  assert.equal(weak.error.code, 'weak_password')
  assert.equal(weak.error.status, 422)
  assert.deepEqual(weak.error.reasons, ['length'])
  const bad = await anonymous().auth.signUp({ email: 'nobody', password })
  assert.equal(bad.error.code, 'validation_failed')
  assert.equal(bad.error.status, 400)
})

test('signing in tells nobody whether address or password was wrong', async () => {
  const { email } = await signedIn()
  const wrong = await anonymous().auth.signInWithPassword({ email, password: 'wrong password' })
  const unknown = await anonymous().auth.signInWithPassword({ email: uniqueMail(), password })
  for (const { error } of [wrong, unknown]) {
    assert.equal(error.code, 'invalid_credentials')
    assert.equal(error.status, 400)
    assert.equal(error.message, 'Invalid login credentials')
  }
})

test('refreshing gives new tokens, and the same child to whoever asks again', async () => {
  const { client, session } = await signedIn()
  const { session: child } = done(await client.auth.refreshSession())
  assert.notEqual(child.refresh_token, session.refresh_token)
  assert.equal(child.user.id, session.user.id)
  const { session: again } = done(await anonymous().auth.refreshSession({ refresh_token: session.refresh_token }))
  assert.equal(again.refresh_token, child.refresh_token)
})

test('many refreshes of one token at once leave one live chain', async () => {
  const { session } = await signedIn()
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => anonymous().auth.refreshSession({ refresh_token: session.refresh_token })),
  )
  const children = new Set(answers.map((answer) => done(answer).session.refresh_token))
  assert.equal(children.size, 1)
  done(await anonymous().auth.refreshSession({ refresh_token: [...children][0] }))
})

test('a token nobody issued cannot be refreshed', async () => {
  const { error } = await anonymous().auth.refreshSession({ refresh_token: 'abcdefghijkl' })
  assert.equal(error.status, 400)
  assert.ok(['refresh_token_not_found', 'validation_failed'].includes(error.code), error.code)
})

test('a user reads and changes itself', async () => {
  const { client, user, email } = await signedIn()
  assert.equal(done(await client.auth.getUser()).user.id, user.id)
  const changed = done(await client.auth.updateUser({ data: { theme: 'dark', locale: 'fr' } })).user
  assert.equal(changed.user_metadata.theme, 'dark')
  const trimmed = done(await client.auth.updateUser({ data: { theme: null } })).user
  assert.equal('theme' in trimmed.user_metadata, false)
  assert.equal(trimmed.user_metadata.locale, 'fr')
  done(await client.auth.updateUser({ password: 'another good password' }))
  assert.equal((await anonymous().auth.signInWithPassword({ email, password })).error.code, 'invalid_credentials')
  done(await anonymous().auth.signInWithPassword({ email, password: 'another good password' }))
})

test('the same password again is refused', async () => {
  const { client } = await signedIn()
  const { error } = await client.auth.updateUser({ password })
  assert.equal(error.code, 'same_password')
  assert.equal(error.status, 422)
})

test('claims are verified in the client, against the published ES256 key', async () => {
  const asked = []
  const fetching = (input, init) => {
    asked.push(String(input.url ?? input))
    return fetch(input, init)
  }
  const { client, session, user, email } = await signedIn({ options: { global: { fetch: fetching } } })
  asked.length = 0
  const { claims, header } = done(await client.auth.getClaims())
  assert.equal(header.alg, 'ES256')
  assert.ok(header.kid)
  assert.equal(claims.sub, user.id)
  assert.equal(claims.email, email)
  assert.equal(claims.role, 'authenticated')
  assert.equal(claims.aud, 'authenticated')
  assert.equal(claims.aal, 'aal1')
  assert.equal(claims.amr[0].method, 'password')
  assert.match(claims.iss, /\/auth\/v1$/)
  assert.ok(claims.session_id)
  assert.ok(asked.every((address) => address.includes('/.well-known/jwks.json')), asked.join())

  const [head, , signature] = session.access_token.split('.')
  const forged = [head, Buffer.from(JSON.stringify({ ...claims, role: 'service_role' })).toString('base64url'), signature].join('.')
  assert.match((await client.auth.getClaims(forged)).error.message, /Invalid JWT signature/)
  assert.equal((await anonymous().auth.getUser(forged)).error.code, 'bad_jwt')
})

test('signing out ends the session at once', async () => {
  const { client, session } = await signedIn()
  assert.equal((await client.auth.signOut({ scope: 'local' })).error, null)
  const { error } = await anonymous().auth.getUser(session.access_token)
  assert.equal(error.name, 'AuthSessionMissingError')
  const refreshed = await anonymous().auth.refreshSession({ refresh_token: session.refresh_token })
  assert.ok(refreshed.error)
})

test('signing out others keeps only this session', async () => {
  const { client, email } = await signedIn()
  const elsewhere = done(await anonymous().auth.signInWithPassword({ email, password })).session
  assert.equal((await client.auth.signOut({ scope: 'others' })).error, null)
  done(await client.auth.getUser())
  assert.ok((await anonymous().auth.getUser(elsewhere.access_token)).error)
})

test('an admin creates, finds, changes and deletes users', async () => {
  const admin = service().auth.admin
  const email = uniqueMail()
  const { user } = done(await admin.createUser({ email, password, email_confirm: true, user_metadata: { team: 'blue' } }))
  assert.equal(user.email, email)
  assert.equal(done(await admin.getUserById(user.id)).user.user_metadata.team, 'blue')
  const changed = done(await admin.updateUserById(user.id, { app_metadata: { roles: ['hr'] } })).user
  assert.deepEqual(changed.app_metadata.roles, ['hr'])
  assert.equal(changed.user_metadata.team, 'blue')
  const page = done(await admin.listUsers({ page: 1, perPage: 2 }))
  assert.equal(page.users.length, 2)
  assert.ok(page.total >= 2)
  assert.equal((await admin.createUser({ email, password })).error.code, 'email_exists')
  done(await admin.deleteUser(user.id))
  const gone = await admin.getUserById(user.id)
  assert.equal(gone.error.status, 404)
  assert.equal(gone.error.code, 'user_not_found')
})

test('only an admin may administer', async () => {
  const { client } = await signedIn({ roles: ['hr'] })
  for (const caller of [anonymous(), client]) {
    const { error } = await caller.auth.admin.listUsers()
    assert.ok([401, 403].includes(error.status), String(error.status))
  }
})

test('a user cannot give itself a role', async () => {
  const email = uniqueMail()
  const client = anonymous()
  const { user } = done(await client.auth.signUp({ email, password, options: { data: { roles: ['owner'] } } }))
  assert.equal(user.app_metadata.roles, undefined)
  assert.equal((await client.auth.updateUser({ app_metadata: { roles: ['owner'] } })).error.code, 'not_admin')
  assert.equal(done(await client.auth.getUser()).user.app_metadata.roles, undefined)
  const { error } = await client.from('departments').insert({ code: unique('d'), name: 'Mine' })
  assert.equal(error.code, '42501')
})
