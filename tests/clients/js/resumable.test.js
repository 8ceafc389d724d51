import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Upload } from 'tus-js-client'
import { done, publishableKey, secretKey, service, signedIn, unique, url } from './basalt.js'

const { storage } = service()
const bucket = unique('resumable')
const files = storage.from(bucket)
const endpoint = `${url}/storage/v1/upload/resumable`

before(async () => done(await storage.createBucket(bucket, { public: false, fileSizeLimit: '30MB' })))

after(async () => {
  done(await storage.emptyBucket(bucket))
  done(await storage.deleteBucket(bucket))
})

const bytes = (size) => Buffer.from(Uint8Array.from({ length: size }, (_, n) => (n * 31) % 251))
const hash = (buffer) => createHash('sha256').update(buffer).digest('hex')
const downloaded = async (path) => hash(Buffer.from(await done(await files.download(path)).arrayBuffer()))

/** The upload, and a promise of how it ends. */
function uploading(whole, objectName, options = {}) {
  let upload
  const ended = new Promise((resolve, reject) => {
    upload = new Upload(whole, {
      endpoint,
      retryDelays: [0, 1000, 3000, 5000],
      headers: { apikey: secretKey, 'x-upsert': 'false' },
      metadata: { bucketName: bucket, objectName, contentType: 'application/pdf', cacheControl: '3600', metadata: JSON.stringify({ colour: 'blue' }) },
      onError: reject,
      onSuccess: resolve,
      ...options,
    })
  })
  return { upload, ended }
}

test('a file goes up in chunks, or in one piece', async () => {
  const whole = bytes(7_000_000)
  for (const [name, options] of Object.entries({
    chunks: { chunkSize: 1024 * 1024 },
    odd: { chunkSize: 999_983 },
    piece: {},
    created: { uploadDataDuringCreation: true, chunkSize: 2 * 1024 * 1024 },
    deferred: { uploadLengthDeferred: true, chunkSize: 3_000_000 },
  })) {
    const { upload, ended } = uploading(whole, `whole/${name} 李.pdf`, options)
    upload.start()
    await ended
    assert.ok(upload.url.startsWith(`${url}/`), upload.url)
    assert.equal(await downloaded(`whole/${name} 李.pdf`), hash(whole), name)
  }
  const info = done(await files.info('whole/chunks 李.pdf'))
  assert.equal(info.contentType, 'application/pdf')
  assert.equal(info.cacheControl, 'max-age=3600')
  assert.deepEqual(info.metadata, { colour: 'blue' })
  const again = uploading(whole, 'whole/piece 李.pdf', { retryDelays: [] })
  again.upload.start()
  await assert.rejects(again.ended, (error) => error.originalResponse.getStatus() === 409)
})

test('an upload that was stopped goes on where it was', async () => {
  const whole = bytes(5_000_000)
  const first = uploading(whole, 'stopped.pdf', { chunkSize: 500_000 })
  const halfway = new Promise((resolve) => {
    first.upload.options.onChunkComplete = (_, accepted) => accepted >= 1_500_000 && resolve(first.upload.abort())
  })
  first.upload.start()
  await halfway
  const second = uploading(whole, 'stopped.pdf', { uploadUrl: first.upload.url, chunkSize: 500_000 })
  let begun
  second.upload.options.onChunkComplete = (size, accepted) => (begun ??= accepted - size)
  second.upload.start()
  await second.ended
  assert.ok(begun >= 1_500_000, `it went on at ${begun}`)
  assert.equal(await downloaded('stopped.pdf'), hash(whole))
})

test('an upload that is terminated is gone', async () => {
  const { upload } = uploading(bytes(2_000_000), 'gone.pdf', { chunkSize: 500_000 })
  const halfway = new Promise((resolve) => {
    upload.options.onChunkComplete = (_, accepted) => accepted >= 500_000 && resolve(upload.abort(true))
  })
  upload.start()
  await halfway
  const head = await fetch(upload.url, { method: 'HEAD', headers: { apikey: secretKey, 'tus-resumable': '1.0.0' } })
  assert.equal(head.status, 404)
  assert.equal((await files.exists('gone.pdf')).data, false)
})

test('a user uploads to its own folder, and by a signed address anybody', async () => {
  const { session, user } = await signedIn()
  const headers = { apikey: publishableKey, authorization: `Bearer ${session.access_token}` }
  const own = uploading(bytes(100_000), `${user.id}/own.pdf`, { headers })
  own.upload.start()
  await own.ended
  const stranger = uploading(bytes(10), 'strangers.pdf', { headers, retryDelays: [] })
  stranger.upload.start()
  await assert.rejects(stranger.ended, (error) => error.originalResponse.getStatus() === 403)

  const { token } = done(await files.createSignedUploadUrl('signed.pdf'))
  const signed = uploading(bytes(100_000), 'signed.pdf', { endpoint: `${endpoint}/sign`, headers: { 'x-signature': token }, chunkSize: 40_000 })
  signed.upload.start()
  await signed.ended
  assert.equal(await downloaded('signed.pdf'), hash(bytes(100_000)))
})

test('limits of the bucket hold', async () => {
  const { upload, ended } = uploading(bytes(30_000_001), 'large.pdf', { retryDelays: [] })
  upload.start()
  await assert.rejects(ended, (error) => error.originalResponse.getStatus() === 413)
})
