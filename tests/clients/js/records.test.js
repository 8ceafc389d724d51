import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { anonymous, done, service, signedIn, unique } from './basalt.js'

// One small company per run: other tests and other runs do not see into its department.
const admin = service()
const mark = unique('t')
let department, other, boss, ada, li, hr

before(async () => {
  ;[department, other] = done(
    await admin.from('departments').insert([{ code: `${mark}-d1`, name: `${mark} Research` }, { code: `${mark}-d2`, name: `${mark} Sales` }]).select(),
  )
  const person = (number, given, family, more) => ({
    employee_number: `${mark}-${number}`,
    given_name: given,
    family_name: family,
    display_name: `${given} ${family}`,
    work_email: `${mark}-${number}@example.com`,
    status: 'active',
    hired_on: '1999-05-01',
    department_id: department.id,
    ...more,
  })
  boss = done(await admin.from('employees').insert(person(1, 'Grace', 'Hopper', { job_title: 'Admiral' })).select().single())
  ;[ada, li] = done(
    await admin
      .from('employees')
      .insert([
        person(2, 'Ada', `Lovelace${mark}`, { job_title: 'Analyst, first', manager_id: boss.id }),
        person(3, '娜', '李', { display_name: '李娜', job_title: 'Engineer', manager_id: boss.id, hired_on: '2001-02-03' }),
      ])
      .select(),
  )
  done(
    await admin.from('compensations').insert([
      { employee_id: ada.id, effective_from: '2011-05-01', effective_to: '2012-05-01', currency: 'USD', pay_basis: 'year', base_minor: 6_000_000 },
      { employee_id: ada.id, effective_from: '2012-05-01', currency: 'USD', pay_basis: 'year', base_minor: 9_007_199_254_740 },
    ]),
  )
  ;({ client: hr } = await signedIn({ roles: ['hr', 'payroll'] }))
})

const mine = (columns, options) => hr.from('employees').select(columns, options).eq('department_id', department.id)

describe('reading', () => {
  test('select names columns, gives aliases and casts', async () => {
    const [row] = done(await mine('number:employee_number, given_name, hired:hired_on::text').eq('id', ada.id))
    assert.deepEqual(row, { number: `${mark}-2`, given_name: 'Ada', hired: '1999-05-01' })
  })

  test('embeds go to one, to many and to oneself', async () => {
    const row = done(
      await hr
        .from('employees')
        .select('display_name, department:departments!department_id(code), manager:manager_id(display_name), compensations(base_minor)')
        .eq('id', ada.id)
        .order('effective_from', { referencedTable: 'compensations' })
        .single(),
    )
    assert.equal(row.department.code, `${mark}-d1`)
    assert.equal(row.manager.display_name, 'Grace Hopper')
    assert.deepEqual(row.compensations.map((pay) => pay.base_minor), [6_000_000, 9_007_199_254_740])
  })

  test('inner embeds filter the rows above them', async () => {
    const rows = done(await mine('id, compensations!inner(base_minor)').gt('compensations.base_minor', 7_000_000))
    assert.deepEqual(rows.map((row) => row.id), [ada.id])
    assert.equal(rows[0].compensations.length, 1)
  })

  test('filters compare, match and negate', async () => {
    const numbers = async (query) => done(await query.order('employee_number')).map((row) => row.employee_number.slice(mark.length + 1))
    const all = () => mine('employee_number')
    assert.deepEqual(await numbers(all().neq('given_name', 'Ada')), ['1', '3'])
    assert.deepEqual(await numbers(all().gt('hired_on', '2000-01-01')), ['3'])
    assert.deepEqual(await numbers(all().gte('hired_on', '1999-05-01').lt('hired_on', '2000-01-01')), ['1', '2'])
    assert.deepEqual(await numbers(all().like('display_name', 'Gr%')), ['1'])
    assert.deepEqual(await numbers(all().ilike('display_name', '%hOPP%')), ['1'])
    assert.deepEqual(await numbers(all().in('given_name', ['Ada', 'Grace'])), ['1', '2'])
    assert.deepEqual(await numbers(all().in('job_title', ['Analyst, first'])), ['2'])
    assert.deepEqual(await numbers(all().in('given_name', [])), [])
    assert.deepEqual(await numbers(all().is('manager_id', null)), ['1'])
    assert.deepEqual(await numbers(all().not('manager_id', 'is', null)), ['2', '3'])
    assert.deepEqual(await numbers(all().match({ given_name: 'Ada', status: 'active' })), ['2'])
    assert.deepEqual(await numbers(all().or('given_name.eq.Ada,and(family_name.eq.李,hired_on.gt.2000-01-01)')), ['2', '3'])
    assert.deepEqual(await numbers(all().or('given_name.eq.Ada,not.and(hired_on.gt.2000-01-01,status.in.(active,leave))')), ['1', '2'])
    assert.deepEqual(await numbers(all().filter('job_title', 'eq', 'Analyst, first')), ['2'])
  })

  test('order, limit and range choose a page', async () => {
    const names = (rows) => rows.map((row) => row.given_name)
    assert.deepEqual(names(done(await mine('given_name').order('hired_on', { ascending: false }).order('employee_number'))), ['娜', 'Grace', 'Ada'])
    assert.deepEqual(names(done(await mine('given_name').order('manager_id', { nullsFirst: true }).order('employee_number').limit(1))), ['Grace'])
    assert.deepEqual(names(done(await mine('given_name').order('employee_number').range(1, 2))), ['Ada', '娜'])
  })

  test('a count comes with the page or alone', async () => {
    const page = await mine('id', { count: 'exact' }).order('id').limit(2)
    assert.equal(done(page).length, 2)
    assert.equal(page.count, 3)
    assert.equal(page.status, 206)
    const head = await mine('id', { count: 'exact', head: true })
    assert.equal(head.error, null)
    assert.equal(head.count, 3)
    assert.equal(head.data, null)
  })

  test('single and maybeSingle insist on one row', async () => {
    assert.equal(done(await mine('id').eq('id', li.id).single()).id, li.id)
    const many = await mine('id').single()
    assert.equal(many.error.code, 'PGRST116')
    assert.equal(many.status, 406)
    assert.equal(done(await mine('id').eq('given_name', 'Nobody').maybeSingle()), null)
    assert.equal((await mine('id').maybeSingle()).error.code, 'PGRST116')
  })

  test('people are found by any spelling of their name', async () => {
    const found = async (words) => done(await mine('id').textSearch('search', words, { type: 'websearch' })).map((row) => row.id)
    for (const words of ['李娜', '娜', 'lina', 'ln']) assert.ok((await found(words)).includes(li.id), words)
    assert.deepEqual(await found(`lovelace${mark}`), [ada.id])
    // What is exactly a number or an address comes first; words that only begin alike may follow.
    assert.equal((await found(`${mark}-1@example.com`))[0], boss.id)
    assert.equal((await found(`${mark}-2`))[0], ada.id)
  })

  test('csv is csv', async () => {
    const text = done(await mine('employee_number,job_title').eq('id', ada.id).csv())
    assert.equal(text.trim(), `employee_number,job_title\n${mark}-2,"Analyst, first"`)
  })
})

describe('writing', () => {
  const number = () => `${mark}-${unique('w')}`
  const someone = (more) => ({ employee_number: number(), given_name: 'New', family_name: 'Comer', display_name: 'New Comer', status: 'active', hired_on: '2020-01-01', ...more })

  test('insert answers nothing unless asked', async () => {
    const silent = await admin.from('employees').insert(someone())
    assert.equal(silent.status, 201)
    assert.equal(silent.data, null)
    const asked = await admin.from('employees').insert(someone({ department_id: other.id })).select('employee_number, department:departments!department_id(code)').single()
    assert.equal(asked.status, 201)
    assert.equal(done(asked).department.code, `${mark}-d2`)
  })

  test('upsert merges or ignores what is already there', async () => {
    const first = someone()
    const on = { onConflict: 'employee_number' }
    const created = await admin.from('employees').upsert(first, on).select().single()
    assert.equal(created.status, 201)
    const merged = await admin.from('employees').upsert({ ...first, job_title: 'Merged' }, on).select().single()
    assert.equal(merged.status, 200)
    assert.equal(done(merged).id, created.data.id)
    assert.equal(merged.data.job_title, 'Merged')
    const ignored = await admin.from('employees').upsert({ ...first, job_title: 'Ignored' }, { ...on, ignoreDuplicates: true }).select()
    assert.deepEqual(done(ignored), [])
    assert.equal(done(await admin.from('employees').select('job_title').eq('id', created.data.id).single()).job_title, 'Merged')
  })

  test('update and delete change what their filters name', async () => {
    const rows = done(await admin.from('employees').insert([someone(), someone(), someone()]).select('id'))
    const ids = rows.map((row) => row.id)
    const updated = done(await admin.from('employees').update({ job_title: 'Moved' }).in('id', ids.slice(0, 2)).select('id, job_title'))
    assert.deepEqual(updated.map((row) => row.job_title), ['Moved', 'Moved'])
    const silent = await admin.from('employees').delete().eq('id', ids[2])
    assert.equal(silent.status, 204)
    const { count } = await admin.from('employees').select('id', { count: 'exact', head: true }).in('id', ids)
    assert.equal(count, 2)
  })

  test('a write that names no rows is refused', async () => {
    for (const write of [admin.from('employees').update({ job_title: 'x' }), admin.from('employees').delete()]) {
      const { error, status } = await write
      assert.equal(status, 400)
      assert.equal(error.code, '21000')
    }
  })
})

describe('reading more', () => {
  const all = () => mine('employee_number').order('employee_number')
  const numbers = async (query) => done(await query).map((row) => row.employee_number.slice(mark.length + 1))

  test('patterns, lists of patterns and JSON find rows', async () => {
    assert.deepEqual(await numbers(all().filter('display_name', 'match', '^(Ada|Grace)')), ['1', '2'])
    assert.deepEqual(await numbers(all().filter('display_name', 'imatch', '^GRACE')), ['1'])
    assert.deepEqual(await numbers(all().likeAnyOf('given_name', ['A%', 'G%'])), ['1', '2'])
    assert.deepEqual(await numbers(all().ilikeAllOf('display_name', ['%a%', '%LOVELACE%'])), ['2'])
    assert.deepEqual(await numbers(all().contains('custom', {})), ['1', '2', '3'])
    assert.deepEqual(await numbers(all().containedBy('custom', { a: 1 })), ['1', '2', '3'])
    assert.deepEqual(await numbers(all().filter('manager_id', 'not.isdistinct', boss.id)), ['2', '3'])
  })

  test('embeds are counted, spread and ordered by', async () => {
    const [counted] = done(await hr.from('departments').select('code, employees(count)').eq('id', department.id))
    assert.deepEqual(counted.employees, [{ count: 3 }])
    const [spread] = done(await mine('given_name, ...departments!employees_department_id_fkey(code)').eq('id', ada.id))
    assert.deepEqual(spread, { given_name: 'Ada', code: `${mark}-d1` })
    const ordered = done(await mine('given_name, manager:manager_id(display_name)').not('manager_id', 'is', null).order('manager(display_name)').order('employee_number'))
    assert.deepEqual(ordered.map((row) => row.given_name), ['Ada', '娜'])
  })

  test('counts are planned, nulls are stripped, aggregates are off', async () => {
    assert.equal((await mine('id', { count: 'planned', head: true })).count, 3)
    assert.equal((await mine('id', { count: 'estimated' }).limit(1)).count, 3)
    const [row] = done(await mine('given_name, manager_id').eq('id', boss.id).stripNulls())
    assert.deepEqual(row, { given_name: 'Grace' })
    assert.equal((await mine('id.count()')).error.code, 'PGRST123')
  })

  test('functions are called by either method', async () => {
    const found = done(await admin.rpc('search_employees', { q: `lovelace${mark}` }).select('id'))
    assert.deepEqual(found, [{ id: ada.id }])
    const tree = done(await admin.rpc('org_tree', { root: boss.id }, { get: true }).select('employee_number').order('employee_number'))
    assert.equal(tree.length, 3)
    assert.equal((await admin.rpc('no_such_function')).error.code, 'PGRST202')
  })

  test('pages follow a cursor, and the form that clients write themselves', async () => {
    const page = () => hr.from('employees').select('employee_number, _cursor').eq('department_id', department.id).order('hired_on').order('employee_number').limit(2)
    const first = done(await page())
    const next = done(await page().filter('after', 'cursor', first.at(-1)._cursor))
    assert.deepEqual([...first, ...next].map((row) => row.employee_number), [1, 2, 3].map((n) => `${mark}-${n}`))
    const written = all().order('hired_on').or(`hired_on.gt.1999-05-01,and(hired_on.eq.1999-05-01,employee_number.gt.${mark}-1)`)
    assert.deepEqual(await numbers(written), ['2', '3'])
  })
})

describe('writing safely', () => {
  const department = async () => done(await admin.from('departments').insert({ code: unique('s'), name: 'x' }).select().single())

  test('a row is changed in the version that was read', async () => {
    const row = await department()
    done(await admin.from('departments').update({ name: 'y' }).eq('id', row.id).eq('version', 1))
    const late = await admin.from('departments').update({ name: 'z' }).eq('id', row.id).eq('version', 1)
    assert.deepEqual([late.status, late.error.code, late.error.details], [412, 'PT412', 'The current version is 2.'])
    const headed = await admin.from('departments').update({ name: 'z' }).eq('id', row.id).setHeader('If-Match', '"2"').select('version').single()
    assert.equal(done(headed).version, 3)
  })

  test('a write with a key is done once', async () => {
    const code = unique('once')
    const write = (name) => admin.from('departments').insert({ code, name }).setHeader('Idempotency-Key', code).select().single()
    const [first, second] = await Promise.all([write('x'), write('x')])
    assert.deepEqual(done(first), done(second))
    assert.equal((await write('y')).status, 422)
  })

  test('no more rows are touched than may be', async () => {
    const [one, two] = [await department(), await department()]
    const refused = await admin.from('departments').update({ name: 'z' }).in('id', [one.id, two.id]).maxAffected(1)
    assert.equal(refused.error.code, 'PGRST124')
    assert.equal(done(await admin.from('departments').select('id').in('id', [one.id, two.id]).eq('name', 'z')).length, 0)
  })

  test('a deleted employee comes back', async () => {
    const row = done(await admin.from('employees').insert({ employee_number: unique('gone'), display_name: 'Gone' }).select().single())
    done(await admin.from('employees').delete().eq('id', row.id))
    assert.equal(done(await admin.rpc('undelete_employee', { id: row.id }).select('display_name').single()).display_name, 'Gone')
    const kept = done(await admin.from('changes').select('action').eq('row_id', row.id).order('id'))
    assert.deepEqual(kept.map((entry) => entry.action), ['insert', 'delete', 'insert'])
  })
})

describe('refusals', () => {
  const refused = async (query, status, code) => {
    const answer = await query
    assert.equal(answer.error?.code, code)
    assert.equal(answer.status, status)
    for (const key of ['code', 'message', 'details', 'hint']) assert.ok(key in answer.error, key)
    return answer.error
  }

  test('have the codes of the wire', async () => {
    await refused(admin.from('employees').insert({ ...ada, id: undefined, version: undefined, created_at: undefined, updated_at: undefined }), 409, '23505')
    await refused(admin.from('compensations').insert({ employee_id: crypto.randomUUID(), effective_from: '2000-01-01', currency: 'USD', pay_basis: 'year', base_minor: 1 }), 409, '23503')
    await refused(admin.from('employees').insert({ given_name: 'No number' }), 400, '23502')
    await refused(admin.from('employees').select('id').eq('hired_on', 'yesterday'), 400, '22007')
    await refused(admin.from('employees').select('id').eq('id', 'not-a-uuid'), 400, '22P02')
    await refused(admin.from('employees').select('shoe_size'), 400, '42703')
    await refused(admin.from('employees').insert({ shoe_size: 44 }), 400, 'PGRST204')
    await refused(admin.from('nowhere').select(), 404, 'PGRST205')
    await refused(admin.from('employees').select('id, payslip_dreams(*)'), 400, 'PGRST200')
    await refused(admin.from('employees').select('id').or('broken'), 400, 'PGRST100')
  })

  test('protect pay from everybody it is not for', async () => {
    const { client: employee } = await signedIn()
    for (const caller of [anonymous(), employee]) {
      const { data, error } = await caller.from('compensations').select('base_minor').eq('employee_id', ada.id)
      assert.ok(error ? error.code === '42501' : data.length === 0, JSON.stringify(data))
      const wrote = await caller.from('departments').insert({ code: unique('d'), name: 'x' })
      assert.equal(wrote.error.code, '42501')
    }
  })

  test('an employee reads the directory but no field beyond it', async () => {
    const { client, user } = await signedIn()
    done(await admin.from('employees').update({ user_id: user.id }).eq('id', li.id))
    const row = done(await client.from('employees').select('display_name, department:departments!department_id(code)').eq('id', ada.id).single())
    assert.equal(row.display_name, `Ada Lovelace${mark}`)
    const filtered = await client.from('compensations').select('id').eq('employee_id', ada.id)
    assert.deepEqual(filtered.data ?? [], [])
    const embedded = await client.from('employees').select('id, compensations(base_minor)').eq('id', ada.id)
    assert.deepEqual(embedded.data?.[0]?.compensations ?? [], [])
  })
})
