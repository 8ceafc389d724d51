// The running server under test, and who calls it. Coordinates come from the environment; see ../README.md.
import { randomUUID } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'

export const url = needed('TEST_URL')
export const publishableKey = needed('TEST_PUBLISHABLE_KEY')
export const secretKey = needed('TEST_SECRET_KEY')
export const password = 'correct horse battery staple'

export function needed(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: these tests drive a running server`)
  return value
}

/** A name nobody used before: the server may be tested again and again. */
export const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`
export const uniqueMail = () => `${unique('user')}@example.com`

const forgetful = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false }

/** As an app in a browser has it. */
export const anonymous = (options = {}) => createClient(url, publishableKey, { auth: forgetful, ...options })

/** As a trusted server has it. */
export const service = () => createClient(url, secretKey, { auth: forgetful })

/** A client that is signed in as a new user, with roles only an admin can give. */
export async function signedIn({ roles = [], email = uniqueMail(), options = {} } = {}) {
  const created = done(await service().auth.admin.createUser({ email, password, email_confirm: true, app_metadata: { roles } }))
  const client = anonymous(options)
  const { session } = done(await client.auth.signInWithPassword({ email, password }))
  return { client, session, user: created.user, email }
}

/** The data of an answer that must be a success. */
export function done({ data, error }) {
  if (error) throw new Error(`expected success, got ${error.status ?? ''} ${error.code ?? error.statusCode ?? ''} ${error.message}`, { cause: error })
  return data
}
