// A client generated from the served document compiles without complaint and makes signed-in calls.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { promisify } from 'node:util'
import openapiTS, { astToString } from 'openapi-typescript'
import { password, publishableKey, signedIn, url } from './basalt.js'

const here = (path) => new URL(`generated_client/${path}`, import.meta.url)
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

test('a generated TypeScript client compiles and makes a signed-in call', async () => {
  const answer = await fetch(`${url}/openapi.json`)
  assert.equal(answer.status, 200)
  const document = await answer.json()
  assert.match(document.openapi, /^3\.1\./)
  await writeFile(here('schema.d.ts'), astToString(await openapiTS(document)))
  const compiled = await promisify(execFile)(process.execPath, [tsc, '--project', here('tsconfig.json').pathname]).catch((error) => error)
  assert.equal(compiled.stdout, '')

  const { email } = await signedIn({ roles: ['hr'] })
  const { tour } = await import(here('built/tour.js'))
  const seen = await tour(url, publishableKey, email, password)
  assert.equal(seen.email, email)
  assert.ok(Array.isArray(seen.people))
})
