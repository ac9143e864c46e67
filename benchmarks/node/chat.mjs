// Measures openai-node for benchmarks/chat_readers.py: one JSON command per line on standard
// input, one JSON answer per line on standard output.
//
//   {"command": "version"}           -> {node, openai}; openai is null if it is missing
//   {"command": "load", "file", "lengths"}  -> {}; the bytes, and the lengths of the reads
//   {"command": "text"}              -> {text} of one pass over the stream
//   {"command": "sample", "loops"}   -> {seconds} for this many passes
//
// As in Python, the garbage collector is on, and runs before each sample.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const openai = await import('openai').catch(() => null)
const version = openai && (await import('openai/version')).VERSION
let reads = []

function body() {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at < reads.length) controller.enqueue(reads[at++])
      else controller.close()
    },
  })
}

const headers = { 'content-type': 'text/event-stream' }
const client = openai && new openai.OpenAI({
  apiKey: 'k',
  fetch: async () => new Response(body(), { headers }),
})

function chunks() {
  const messages = [{ role: 'user', content: 'x' }]
  return client.chat.completions.create({ model: 'm', messages, stream: true })
}

const commands = {
  version: () => ({ node: process.versions.node, openai: version }),

  load({ file, lengths }) {
    const stream = readFileSync(file)
    let at = 0
    reads = lengths.map((length) => new Uint8Array(stream.subarray(at, (at += length))))
    return {}
  },

  async text() {
    let text = ''
    for await (const { choices: [{ delta }] } of await chunks()) {
      text += delta.tool_calls?.[0].function.arguments ?? delta.content ?? ''
    }
    return { text }
  },

  async sample({ loops }) {
    globalThis.gc?.()
    // Kept, because the optimizing compiler would otherwise skip making chunks.
    let last
    const started = process.hrtime.bigint()
    for (let loop = 0; loop < loops; loop++) {
      for await (const chunk of await chunks()) last = chunk
    }
    return { seconds: Number(process.hrtime.bigint() - started) / 1e9, kept: last !== undefined }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const command = JSON.parse(line)
    answer = await commands[command.command](command)
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
