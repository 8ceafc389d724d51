// A project that has moved here: its keys, the tokens that its users' browsers hold, and their passwords go on. See ../moved.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { done, url } from './basalt.js'

const secret = readFileSync(new URL('../moved/jwt-secret', import.meta.url))
const project = 'abcdefghijklmnopqrst'
const ada = '11111111-1111-4111-8111-111111111111'
const now = Math.floor(Date.now() / 1000)

/** A token as the project signed it. */
function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** A client with a key of the project: all that its app has to change is the URL. */
function client(role) {
  const key = token({ iss: 'supabase', ref: project, role, iat: now - 1000, exp: now + 315_360_000 })
  return createClient(`${url}/t/moved`, key, { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } })
}

const held = (exp) =>
  token({
    iss: `https://${project}.supabase.co/auth/v1`, sub: ada, aud: 'authenticated', exp, iat: exp - 3600, email: 'ada@example.com', phone: '',
    app_metadata: { provider: 'email', providers: ['email'] }, user_metadata: { full_name: 'Ada' }, role: 'authenticated', aal: 'aal1',
    amr: [{ method: 'password', timestamp: exp - 3600 }], session_id: '33333333-3333-4333-8333-333333333333', is_anonymous: false,
  })

test('the service_role key of the project opens its tenant', async () => {
  const { users } = done(await client('service_role').auth.admin.listUsers())
  assert.deepEqual(users.map((user) => [user.id, user.email]), [[ada, 'ada@example.com']])
  assert.ok((await client('anon').auth.admin.listUsers()).error)
})

test('a browser goes on with the access token that it holds', async () => {
  const app = client('anon')
  const { session } = done(await app.auth.setSession({ access_token: held(now + 600), refresh_token: 'movedtoken22' }))
  assert.equal(session.user.user_metadata.full_name, 'Ada')
  assert.equal(done(await app.auth.getUser()).user.id, ada)
})

test('a browser whose access token is over exchanges its refresh token', async () => {
  const app = client('anon')
  const { session } = done(await app.auth.setSession({ access_token: held(now - 600), refresh_token: 'movedtoken22' }))
  assert.equal(session.user.id, ada)
  assert.notEqual(session.refresh_token, 'movedtoken22')
  const { claims, header } = done(await app.auth.getClaims())
  assert.deepEqual([header.alg, claims.session_id], ['ES256', '33333333-3333-4333-8333-333333333333'])
  assert.equal(done(await app.auth.getUser()).user.id, ada)
})

test('a user signs in with the password that it had', async () => {
  const { user } = done(await client('anon').auth.signInWithPassword({ email: 'ada@example.com', password: 'correct horse' }))
  assert.equal(user.id, ada)
})
