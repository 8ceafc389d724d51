// A tenant of its own, for journeys that need other settings than those of the tenant that all tests share.
import { createHmac } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'
import { needed, unique, url } from './basalt.js'

const operatorKey = needed('TEST_OPERATOR_KEY')

/** What the operator asks of the server. */
async function operate(method, path, body) {
  const headers = { authorization: `Bearer ${operatorKey}`, 'content-type': 'application/json' }
  const answer = await fetch(`${url}/admin/v1${path}`, { method, headers, body: body && JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.status === 204 ? undefined : answer.json()
}

/** Makes a tenant with these settings. */
export async function newTenant(settings = {}) {
  const ref = unique('journey')
  await operate('POST', '/tenants', { ref, settings })
  const key = async (kind) => (await operate('POST', `/tenants/${ref}/keys`, { kind })).key
  return new Tenant(ref, await key('publishable'), await key('secret'))
}

class Tenant {
  constructor(ref, publishableKey, secretKey) {
    Object.assign(this, { ref, publishableKey, secretKey, url: `${url}/t/${ref}` })
  }

  /** A client as an app in a browser has it; what it keeps, it keeps in memory. */
  anonymous(auth = {}) {
    return createClient(this.url, this.publishableKey, {
      auth: { persistSession: true, storage: memory(), storageKey: unique('storage'), autoRefreshToken: false, detectSessionInUrl: false, ...auth },
    })
  }

  /** A client as a trusted server has it. */
  service() {
    return createClient(this.url, this.secretKey, { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } })
  }

  set(settings) {
    return operate('PATCH', `/tenants/${this.ref}/settings`, settings)
  }

  /** The newest mail with this subject to an address. The server writes it a moment after the request that asked for it. */
  async mail(to, subject) {
    const until = Date.now() + 20_000
    for (;;) {
      const { mails } = await operate('GET', `/inbox?tenant=${this.ref}&to=${encodeURIComponent(to)}`)
      const mail = mails.find((mail) => mail.subject === subject)
      if (mail) return carried(mail)
      if (Date.now() > until) throw new Error(`no mail "${subject}" to ${to}, but ${JSON.stringify(mails.map((mail) => mail.subject))}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** A mail, with the link and the code in it. */
function carried(mail) {
  const link = mail.text.match(/https?:\S+\/verify\?\S+/)?.[0]
  return { ...mail, link, hash: link && new URL(link).searchParams.get('token'), code: mail.text.match(/: (\d{6,10})$/m)?.[1] }
}

function memory() {
  const items = new Map()
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) }
}

/** Where a link leads, as a browser sees it. */
export async function follow(link) {
  const answer = await fetch(link, { redirect: 'manual' })
  if (answer.status !== 303 && answer.status !== 302) throw new Error(`${link}: ${answer.status} ${await answer.text()}`)
  return new URL(answer.headers.get('location'))
}

/** What is in a URL's fragment. */
export const fragment = (to) => Object.fromEntries(new URLSearchParams(to.hash.slice(1)))

/** The code of an authenticator app (RFC 6238) for a secret in base32, `steps` of 30 seconds from now. */
export function totp(secret, steps = 0) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps))
  const mac = createHmac('sha1', key).update(step).digest()
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}
