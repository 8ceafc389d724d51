// What an app looks like that uses the client generated from /openapi.json: it compiles only if the document is right.
import createClient from 'openapi-fetch'
import type { paths } from './schema.js'

export async function tour(baseUrl: string, apikey: string, email: string, password: string) {
  const basalt = createClient<paths>({ baseUrl, headers: { apikey } })

  const signedIn = await basalt.POST('/auth/v1/token', {
    params: { query: { grant_type: 'password' } },
    body: { email, password },
  })
  if (!signedIn.data) throw new Error(`sign-in was refused: ${JSON.stringify(signedIn.error)}`)

  const mine = { headers: { Authorization: `Bearer ${signedIn.data.access_token}` } }
  const user = await basalt.GET('/auth/v1/user', mine)
  if (!user.data) throw new Error(`the user was refused: ${JSON.stringify(user.error)}`)

  const people = await basalt.GET('/rest/v1/employees', {
    ...mine,
    params: { query: { select: 'id,display_name', order: 'display_name', limit: 3 } },
  })
  if (!people.data) throw new Error(`the employees were refused: ${JSON.stringify(people.error)}`)

  return { email: user.data.email, people: people.data }
}
