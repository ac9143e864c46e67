// Measures JavaScript parsers for benchmarks/foreign.py: one JSON command per line on
// standard input, one JSON answer per line on standard output.
//
//   {"command": "parsers"}                          -> {version, missing: [name], parsers: [
//                           {name, version, tellsRetry, takesLastEventId}]}; version: of node
//   {"command": "load", "file", "lengths"}          -> {}; the bytes, and the lengths of the reads
//   {"command": "events", "parser", "lastEventId", "limit"}
//                          -> {events: [[event, data, id]], retry}, or {tooSlow: true} if it
//                             takes longer than the limit in seconds; none of these does
//   {"command": "sample", "parser", "loops"}        -> {seconds} for this many passes
//
// As in Python, the garbage collector is on, and runs before each sample.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { StringDecoder } from 'node:string_decoder'

const require = createRequire(import.meta.url)
const parsers = new Map()
let reads = []

// Read as a file, because not every package exports its package.json.
function version(entry, name) {
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    try {
      const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      if (found.name === name) return found.version
    } catch {}
    if (folder === dirname(folder)) return 'unknown'
  }
}

// The parser takes strings. `decoder` makes them: its documentation shows TextDecoder;
// node's own StringDecoder does the same for UTF-8 in a quarter of the time.
async function eventsourceParser(name, decoder) {
  const { createParser } = await import('eventsource-parser')
  parsers.set(name, {
    version: version(require.resolve('eventsource-parser'), 'eventsource-parser'),
    parse(chunks, onEvent, state) {
      const decode = decoder()
      const parser = createParser({
        onEvent,
        onId: (id) => { state.lastEventId = id },
        onRetry: (retry) => { state.reconnectionTime = retry },
      })
      for (const chunk of chunks) parser.feed(decode(chunk))
    },
    view: (event, state) => [event.event ?? 'message', event.data, state.lastEventId],
  })
}

// undici's parser is a Transform. Its method is called as the stream would call it, without
// the queues around it. It pushes the values that its EventSource turns into MessageEvents.
async function undici() {
  const path = require.resolve('undici/lib/web/eventsource/eventsource-stream.js')
  const { EventSourceStream } = require(path)
  parsers.set('undici', {
    version: version(path, 'undici'),
    parse(chunks, push, state) {
      const stream = new EventSourceStream({ eventSourceSettings: state, push })
      const done = (error) => { if (error) throw error }
      for (const chunk of chunks) stream._transform(chunk, 'buffer', done)
    },
    view: (event) => [event.type, event.options.data, event.options.lastEventId],
  })
}

const commands = {
  // All report `retry`, and leave the last event ID to their caller or take it from there.
  parsers: () => ({
    version: process.versions.node,
    missing: ['eventsource-parser', 'undici'].filter((name) => !parsers.has(name)),
    parsers: [...parsers].map(([name, { version }]) => (
      { name, version, tellsRetry: true, takesLastEventId: true }
    )),
  }),

  load({ file, lengths }) {
    const stream = readFileSync(file)
    let at = 0
    reads = lengths.map((length) => Buffer.from(stream.subarray(at, (at += length))))
    return {}
  },

  events({ parser, lastEventId }) {
    const { parse, view } = parsers.get(parser)
    const state = { lastEventId, reconnectionTime: null }
    const events = []
    parse(reads, (event) => events.push(view(event, state)), state)
    const retry = state.reconnectionTime
    return { events, retry: retry && Math.min(retry, Number.MAX_SAFE_INTEGER + 1) }
  },

  sample({ parser, loops }) {
    const { parse } = parsers.get(parser)
    globalThis.gc?.()
    // Kept, because the optimizing compiler would otherwise skip making events.
    let last
    const started = process.hrtime.bigint()
    for (let loop = 0; loop < loops; loop++) {
      parse(reads, (event) => { last = event }, { lastEventId: '', reconnectionTime: null })
    }
    return { seconds: Number(process.hrtime.bigint() - started) / 1e9, kept: last !== undefined }
  },
}

await eventsourceParser('eventsource-parser', () => {
  const decoder = new StringDecoder('utf8')
  return (chunk) => decoder.write(chunk)
}).catch(() => {})
await eventsourceParser('eventsource-parser (TextDecoder)', () => {
  const decoder = new TextDecoder()
  return (chunk) => decoder.decode(chunk, { stream: true })
}).catch(() => {})
await undici().catch(() => {})

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const command = JSON.parse(line)
    answer = commands[command.command](command)
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
