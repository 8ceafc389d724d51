import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { anonymous, done, service, signedIn, unique, url } from './basalt.js'

const { storage } = service()
const bucket = unique('files')
const open = unique('open')
const files = storage.from(bucket)

before(async () => {
  done(await storage.createBucket(bucket, { public: false, fileSizeLimit: '1MB', allowedMimeTypes: ['text/*', 'application/pdf'] }))
  done(await storage.createBucket(open, { public: true }))
})

after(async () => {
  for (const name of [bucket, open]) {
    done(await storage.emptyBucket(name))
    done(await storage.deleteBucket(name))
  }
})

const text = async (blob) => new TextDecoder().decode(await blob.arrayBuffer())
const put = async (path, words, options = {}) => done(await files.upload(path, Buffer.from(words), { contentType: 'text/plain', ...options }))

test('a bucket can be read, listed and changed', async () => {
  const read = done(await storage.getBucket(bucket))
  assert.equal(read.id, bucket)
  assert.equal(read.public, false)
  assert.equal(read.file_size_limit, 1_000_000)
  assert.deepEqual(read.allowed_mime_types, ['text/*', 'application/pdf'])
  assert.ok(done(await storage.listBuckets()).some(({ id }) => id === bucket))
  const name = unique('brief')
  done(await storage.createBucket(name, { public: false }))
  done(await storage.updateBucket(name, { public: true, fileSizeLimit: 20 }))
  assert.equal(done(await storage.getBucket(name)).public, true)
  done(await storage.deleteBucket(name))
  assert.equal((await storage.getBucket(name)).error.statusCode, '404')
  const twice = await storage.createBucket(bucket)
  assert.equal(twice.error.statusCode, '409')
})

test('what is uploaded is what is downloaded', async () => {
  const made = await put('folder/a b/héllo 李.txt', 'hello')
  assert.equal(made.path, 'folder/a b/héllo 李.txt')
  assert.equal(made.fullPath, `${bucket}/${made.path}`)
  assert.ok(made.id)
  assert.equal(await text(done(await files.download(made.path))), 'hello')
})

test('raw bytes, blobs and forms upload alike', async () => {
  await put('kinds/bytes.txt', 'bytes')
  done(await files.upload('kinds/blob.txt', new Blob(['blob'], { type: 'text/plain' })))
  const form = new FormData()
  form.append('cacheControl', '60')
  form.append('', new Blob(['form'], { type: 'text/plain' }), 'form.txt')
  done(await files.upload('kinds/form.txt', form))
  for (const kind of ['bytes', 'blob', 'form']) assert.equal(await text(done(await files.download(`kinds/${kind}.txt`))), kind)
})

test('a name is taken once, unless upserting or updating', async () => {
  await put('taken.txt', 'one')
  const again = await files.upload('taken.txt', Buffer.from('two'), { contentType: 'text/plain' })
  assert.equal(again.error.statusCode, '409')
  assert.equal(again.error.message, 'The resource already exists')
  await put('taken.txt', 'three', { upsert: true })
  assert.equal(await text(done(await files.download('taken.txt'))), 'three')
  done(await files.update('taken.txt', Buffer.from('four'), { contentType: 'text/plain' }))
  assert.equal(await text(done(await files.download('taken.txt'))), 'four')
})

test('limits of the bucket hold', async () => {
  const large = await files.upload('large.txt', Buffer.alloc(1_000_001), { contentType: 'text/plain' })
  assert.equal(large.error.statusCode, '413')
  const wrong = await files.upload('image.png', Buffer.from('x'), { contentType: 'image/png' })
  assert.equal(wrong.error.statusCode, '415')
  assert.equal(done(await files.list('', { search: 'large' })).length, 0)
})

test('a folder lists its files and folders', async () => {
  for (const name of ['c.txt', 'a.txt', 'b.txt', 'deep/d.txt']) await put(`listing/${name}`, name)
  const rows = done(await files.list('listing', { sortBy: { column: 'name', order: 'desc' } }))
  assert.deepEqual(rows.map(({ name }) => name).sort(), ['a.txt', 'b.txt', 'c.txt', 'deep'])
  const folder = rows.find(({ name }) => name === 'deep')
  assert.equal(folder.id, null)
  const file = rows.find(({ name }) => name === 'a.txt')
  assert.equal(file.metadata.size, 5)
  assert.equal(file.metadata.mimetype, 'text/plain')
  assert.deepEqual(done(await files.list('listing', { limit: 1, offset: 1 })).length, 1)
  assert.deepEqual(done(await files.list('listing', { search: 'B' })).map(({ name }) => name), ['b.txt'])
})

test('a file tells about itself', async () => {
  await put('about.txt', 'hello', { metadata: { colour: 'blue' } })
  const info = done(await files.info('about.txt'))
  assert.equal(info.size, 5)
  assert.equal(info.contentType, 'text/plain')
  assert.deepEqual(info.metadata, { colour: 'blue' })
  assert.equal(done(await files.exists('about.txt')), true)
  assert.equal((await files.exists('nothing.txt')).data, false)
})

test('a signed address opens one file, for a while', async () => {
  await put('signed/one.txt', 'one')
  const { signedUrl } = done(await files.createSignedUrl('signed/one.txt', 60, { download: 'mine.txt' }))
  const answer = await fetch(signedUrl)
  assert.equal(answer.status, 200)
  assert.equal(await answer.text(), 'one')
  assert.match(answer.headers.get('content-disposition'), /^attachment;.*mine\.txt/)
  const forged = await fetch(signedUrl.replace('one.txt', 'two.txt'))
  assert.equal(forged.status, 400)
})

test('a signed address takes one file', async () => {
  const { path, token } = done(await files.createSignedUploadUrl('signed/up.txt'))
  const theirs = anonymous().storage.from(bucket)
  const sent = done(await theirs.uploadToSignedUrl(path, token, Buffer.from('up'), { contentType: 'text/plain', metadata: { colour: 'red' } }))
  assert.equal(sent.path, 'signed/up.txt')
  assert.equal(await text(done(await files.download('signed/up.txt'))), 'up')
  assert.deepEqual(done(await files.info('signed/up.txt')).metadata, { colour: 'red' })
  const again = await theirs.uploadToSignedUrl(path, token, Buffer.from('again'), { contentType: 'text/plain' })
  assert.equal(again.error.statusCode, '409')
  const other = await theirs.uploadToSignedUrl('signed/other.txt', token, Buffer.from('other'), { contentType: 'text/plain' })
  assert.equal(other.error.statusCode, '400')
})

test('pages go on by their cursors', async () => {
  for (const name of ['b.txt', 'deep/1.txt', 'deep/2.txt', 'a.txt']) await put(`pages/${name}`, name)
  const seen = []
  let cursor
  do {
    const page = done(await files.listV2({ prefix: 'pages/', limit: 2, with_delimiter: true, ...(cursor && { cursor }) }))
    seen.push(...page.objects.map(({ name }) => name), ...page.folders.map(({ name }) => name))
    cursor = page.nextCursor
    assert.equal(page.hasNext, cursor !== undefined)
  } while (cursor)
  assert.deepEqual(seen, ['pages/a.txt', 'pages/b.txt', 'pages/deep/'])
  const newest = done(await files.listV2({ prefix: 'pages/', limit: 1, sortBy: { column: 'created_at', order: 'desc' } }))
  assert.equal(newest.objects[0].name, 'pages/a.txt')
})

test('many files are signed in one call, and the missing are named', async () => {
  await put('many/a.txt', 'a')
  const [there, missing] = done(await files.createSignedUrls(['many/a.txt', 'many/none.txt'], 60))
  assert.equal(await (await fetch(there.signedUrl)).text(), 'a')
  assert.equal(missing.path, 'many/none.txt')
  assert.ok(missing.error)
  assert.equal(missing.signedURL ?? null, null)
})

test('files move and copy', async () => {
  await put('from.txt', 'moving')
  done(await files.move('from.txt', 'to.txt'))
  assert.equal((await files.download('from.txt')).data, null)
  done(await files.copy('to.txt', 'copied.txt'))
  for (const path of ['to.txt', 'copied.txt']) assert.equal(await text(done(await files.download(path))), 'moving')
  assert.equal((await files.move('to.txt', 'copied.txt')).error.statusCode, '409')
  assert.equal((await files.move('none.txt', 'x.txt')).error.statusCode, '404')
})

test('removing names what was removed', async () => {
  await put('gone/a.txt', 'a')
  await put('gone/b.txt', 'b')
  const removed = done(await files.remove(['gone/a.txt', 'gone/b.txt', 'gone/c.txt']))
  assert.deepEqual(removed.map(({ name }) => name).sort(), ['gone/a.txt', 'gone/b.txt'])
  assert.deepEqual(done(await files.list('gone')), [])
})

test('a public bucket is open to read, a private one is not', async () => {
  done(await storage.from(open).upload('hello.txt', Buffer.from('hello'), { contentType: 'text/plain' }))
  const { publicUrl } = storage.from(open).getPublicUrl('hello.txt').data
  assert.ok(publicUrl.startsWith(url))
  const answer = await fetch(publicUrl)
  assert.equal(await answer.text(), 'hello')
  const etag = answer.headers.get('etag')
  assert.equal((await fetch(publicUrl, { headers: { 'if-none-match': etag } })).status, 304)
  const part = await fetch(publicUrl, { headers: { range: 'bytes=1-3' } })
  assert.equal(part.status, 206)
  assert.equal(part.headers.get('content-range'), 'bytes 1-3/5')
  assert.equal(await part.text(), 'ell')

  await put('secret.txt', 'secret')
  assert.equal((await fetch(storage.from(bucket).getPublicUrl('secret.txt').data.publicUrl)).status, 400)
  const { client } = await signedIn()
  for (const caller of [anonymous(), client]) {
    const theirs = caller.storage.from(bucket)
    assert.equal((await theirs.download('secret.txt')).data, null)
    assert.equal((await theirs.createSignedUrl('secret.txt', 60)).data, null)
    assert.deepEqual((await theirs.list()).data ?? [], [])
    assert.ok((await theirs.upload(unique('x'), Buffer.from('x'), { contentType: 'text/plain' })).error)
    assert.deepEqual((await theirs.remove(['secret.txt'])).data ?? [], [])
  }
  assert.equal(await text(done(await files.download('secret.txt'))), 'secret')
})
