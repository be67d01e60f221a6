// Solves what standard input asks for, {channels, platforms, specs}, with rattler, fetches every package of the solution and
// prints {packages} or {error}, with CHANNEL instead of a channel's URL.
const { createHash, webcrypto } = require('node:crypto')
globalThis.crypto ??= webcrypto // before Node 20 it is not there
const { simpleSolve } = require('@conda-org/rattler')

const hex = v => typeof v === 'string' ? v : v ? Buffer.from(v).toString('hex') : ''
const digest = (kind, bytes) => createHash(kind).update(bytes).digest('hex')
const without = (text, channels) => channels.reduce((t, c) => t.replaceAll(c, 'CHANNEL'), text)

async function fetched (p) {
  const answer = await fetch(p.url)
  const bytes = Buffer.from(await answer.arrayBuffer())
  const differs = []
  if (answer.status !== 200) differs.push(`status ${answer.status}`)
  if (p.size != null && Number(p.size) !== bytes.length) differs.push(`size ${bytes.length}`)
  for (const kind of ['md5', 'sha256']) {
    if (hex(p[kind]) && hex(p[kind]) !== digest(kind, bytes)) differs.push(kind)
  }
  return { got: digest('sha256', bytes), differs: differs.join(', ') }
}

async function main () {
  const ask = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
  let solution
  try {
    solution = await simpleSolve(ask.specs, ask.channels, ask.platforms, [])
  } catch (e) {
    return { error: without(String(e), ask.channels) }
  }
  const packages = []
  for (const p of solution) {
    packages.push({
      name: p.packageName, version: p.version, build: p.build, subdir: p.subdir, depends: p.depends, size: Number(p.size),
      md5: hex(p.md5), sha256: hex(p.sha256), url: without(p.url, ask.channels), ...await fetched(p)
    })
  }
  packages.sort((a, b) => a.url < b.url ? -1 : 1)
  return { packages }
}

main().then(answer => console.log(JSON.stringify(answer)))
