/** Rules of the server and its page: who may do what, what a plan promises, what a live client gets. */
import type { PutBack } from './put-back.ts'

const GUARD = 'server/plugins/guard.ts'
const GUARD_TEST = 'test/server/guard.test.ts'
const SECURITY = 'test/server/security.test.ts'
const CONTROL = 'test/server/control.test.ts'
const FEED = 'test/server/feed.test.ts'
const LIVE = 'test/server/live.test.ts'
const PLUGIN = 'test/server/plugin.test.ts'
const CLOSING = 'test/server/closing.test.ts'
const COMMAND_LINE = 'test/server/command-line.test.ts'
const STATS = 'test/server/stats.test.ts'
const HISTORY = 'test/server/history.test.ts'
const PAGE = 'test/web/apply-message.test.ts'

export const SERVER: readonly PutBack[] = [
  {
    id: 'role-checked',
    defect: 'a viewer may do what an operator may',
    edits: [
      {
        file: GUARD,
        find: "if (access === 'operator' && role !== 'operator') {",
        replace: "if (access === 'operator' && role === null) {",
      },
    ],
    test: { file: SECURITY, name: 'everybody gets what the rules say' },
  },
  {
    id: 'routes-closed-by-default',
    defect: 'a route that says nothing is open to whoever has a token',
    edits: [
      {
        file: GUARD,
        find: "if (access === undefined || access === 'public') {",
        replace: "if (access === 'public') {",
      },
    ],
    test: { file: GUARD_TEST, name: 'a route that does not say who may use it is closed' },
  },
  {
    id: 'read-only-checked',
    defect: 'a read-only server lets an operator act',
    edits: [
      {
        file: GUARD,
        find: 'if (changes === true && options.readOnly) {',
        replace: 'if (changes === undefined && options.readOnly) {',
      },
    ],
    test: { file: SECURITY, name: 'everybody gets what the rules say' },
  },
  {
    id: 'host-checked',
    defect: 'any Host is answered',
    edits: [{ file: GUARD, find: 'if (!hosts.has(host)) {', replace: 'if (hosts.size === 0) {' }],
    test: { file: GUARD_TEST, name: 'host "' },
  },
  {
    id: 'origin-checked',
    defect: 'pages of any other site are answered',
    edits: [
      {
        file: GUARD,
        find: 'if (origin !== undefined && !origins.has(origin)) {',
        replace: 'if (origin !== undefined && origins.size === 0) {',
      },
    ],
    test: { file: GUARD_TEST, name: 'origin ' },
  },
  {
    id: 'links-resolved',
    defect: 'a link below an allowed root leads out of it',
    edits: [
      {
        file: 'server/allowed-roots.ts',
        find: 'if (!this.#isBelow(real)) throw this.#outside(dir)',
        replace: 'if (!this.#isBelow(path.resolve(dir))) throw this.#outside(dir)',
      },
    ],
    test: { file: CONTROL, name: 'folders outside of the roots, by dots, by links' },
  },
  {
    id: 'links-inside-resolved',
    defect: 'a link inside of a data folder leads out of the allowed roots',
    edits: [
      {
        file: 'server/allowed-roots.ts',
        find: 'if (escaping !== undefined) {',
        replace: 'if (escaping === "") {',
      },
    ],
    test: { file: CONTROL, name: 'folders outside of the roots, by dots, by links' },
  },
  {
    id: 'plan-hash-compared',
    defect: 'a plan is applied to a store that has changed since',
    edits: [
      {
        file: 'server/store/plan-drafts.ts',
        find: 'if (now.inputHash !== inputHash || copies',
        replace: 'if (copies',
      },
    ],
    test: { file: CONTROL, name: 'of a GC is refused once more became dead' },
  },
  {
    id: 'plan-applied-once',
    defect: 'a plan can be applied again and again',
    edits: [
      {
        file: 'server/plans.ts',
        find: "    plan.status = 'applied'\n",
        replace: '',
      },
    ],
    test: { file: CONTROL, name: 'says what it would do, and applying it does exactly that' },
  },
  {
    id: 'missed-range-told',
    defect: 'a slow reader is not told which events it missed',
    edits: [
      {
        file: 'server/live/feed.ts',
        find: 'return fromSeq <= toSeq ? { fromSeq, toSeq } : null',
        replace: 'return fromSeq > toSeq + 2 ** 52 ? { fromSeq, toSeq } : null',
      },
    ],
    test: { file: FEED, name: 'is moved to snapshot mode, told what it missed' },
  },
  {
    id: 'resumed-exactly',
    defect: 'the last event that a reader has is sent again',
    edits: [
      {
        file: 'server/live/feed.ts',
        find: 'let firstSeq = seq + 1\n',
        replace: 'let firstSeq = Math.max(1, seq)\n',
      },
    ],
    test: { file: FEED, name: 'a reader that has ' },
  },
  {
    id: 'slow-reader-not-waited-for',
    defect: 'a reader that is behind loses frames and goes on as if nothing were missing',
    edits: [
      {
        file: 'server/live/feed.ts',
        find: "follower.mode = 'snapshot'\n    follower.reason = 'slow'",
        replace: "follower.mode = 'live'\n    follower.reason = 'slow'",
      },
    ],
    test: { file: FEED, name: 'is moved to snapshot mode, told what it missed' },
  },
  {
    id: 'hole-told',
    defect: 'a hole in the numbers of the events is passed on',
    edits: [
      {
        file: 'server/live/feed.ts',
        find: 'if (events.count > 0 && events.firstSeq !== this.newestSeq + 1) {',
        replace: 'if (events.count > 0 && events.firstSeq <= this.newestSeq) {',
      },
    ],
    test: { file: FEED, name: 'a hole in the worker’s numbers starts a new stream' },
  },
  {
    id: 'token-checked',
    defect: 'any token is good for a viewer',
    edits: [
      {
        file: GUARD,
        find: "return isOperator ? 'operator' : isViewer ? 'viewer' : null",
        replace: "return isOperator ? 'operator' : isViewer || candidate !== '' ? 'viewer' : null",
      },
    ],
    test: { file: SECURITY, name: 'everybody gets what the rules say' },
  },
  {
    id: 'socket-token-checked',
    defect: 'a socket opens without a token',
    edits: [
      {
        file: GUARD,
        find: 'if (offered.includes(LIVE_PROTOCOL) && role !== null) {\n    request.role = role',
        replace: "if (offered.includes(LIVE_PROTOCOL)) {\n    request.role = role ?? 'viewer'",
      },
    ],
    test: { file: LIVE, name: 'is refused without the token, without the protocol' },
  },
  {
    id: 'plan-confirmed',
    defect: 'a plan is applied whatever was confirmed',
    edits: [
      {
        file: 'server/plans.ts',
        find: 'if (confirm.segments !== segments || confirm.bytes !== bytes) {',
        replace: 'if (confirm.segments < 0) {',
      },
    ],
    test: { file: CONTROL, name: 'is refused with another confirmation, after being discarded' },
  },
  {
    id: 'plan-expires',
    defect: 'a plan is applied however old it is',
    edits: [
      {
        file: 'server/plans.ts',
        find: "if (plan.status === 'open' && plan.expiresAtMs <= this.#nowMs()) plan.status = 'expired'",
        replace: "if (plan.expiresAtMs <= 0) plan.status = 'expired'",
      },
    ],
    test: { file: CONTROL, name: 'expires by the clock' },
  },
  {
    id: 'reader-of-nothing-cut-off',
    defect: 'a reader that reads nothing is kept for ever',
    edits: [
      {
        file: 'server/live/feed.ts',
        find: 'if (follower.bytesBehind <= behindBytesMax) return',
        replace: 'if (follower.bytesBehind >= 0) return',
      },
    ],
    test: { file: FEED, name: 'that reads nothing at all is cut off past the byte limit' },
  },
  {
    id: 'page-applies-no-gap',
    defect: 'the page applies events behind a gap',
    edits: [
      {
        file: 'web/lib/sequence.ts',
        find: '} else if (event.seq === last + 1) {',
        replace: '} else if (event.seq > last) {',
      },
    ],
    test: { file: PAGE, name: 'nothing after a gap is applied, and the gap is said once' },
  },
  {
    id: 'page-applies-once',
    defect: 'the page applies an event that it has',
    edits: [
      {
        file: 'web/lib/sequence.ts',
        find: 'if (event.seq <= last) {',
        replace: 'if (event.seq < 0) {',
      },
      {
        file: 'web/lib/sequence.ts',
        find: '} else if (event.seq === last + 1) {',
        replace: '} else if (event.seq <= last + 1) {',
      },
    ],
    test: { file: PAGE, name: 'doubled events are ignored, in the state and in the trace' },
  },
  {
    id: 'requests-limited',
    defect: 'an address may ask as often as it likes',
    edits: [
      {
        file: 'server/core.ts',
        find: '    max,\n    timeWindow',
        replace: '    max: 1e9,\n    timeWindow',
      },
    ],
    test: { file: SECURITY, name: 'are limited a minute' },
  },
  {
    id: 'bodies-limited',
    defect: 'a body of any size is read',
    edits: [
      {
        file: 'server/core.ts',
        find: 'route.bodyLimit ??= BODY_BYTES_MAX',
        replace: 'route.bodyLimit ??= 1024 * BODY_BYTES_MAX',
      },
    ],
    test: { file: GUARD_TEST, name: 'a body past the limit is too large' },
  },
  {
    id: 'bodies-limited',
    defect: 'the program around decides how large a body may be',
    edits: [
      { file: 'server/core.ts', find: '    route.bodyLimit ??= BODY_BYTES_MAX\n', replace: '' },
    ],
    test: { file: PLUGIN, name: 'keeps its own limits where the program around it takes more' },
  },
  {
    id: 'messages-limited',
    defect: 'the socket server buffers a message of any size',
    edits: [
      {
        file: 'server/live/socket.ts',
        find: '      maxPayload: connections.limits.messageBytesMax,\n',
        replace: '',
      },
    ],
    test: { file: LIVE, name: 'refuses what is not a message of the protocol' },
  },
  {
    id: 'messages-limited',
    defect: 'the program around decides how large a message may be',
    edits: [
      {
        file: 'server/live/connection.ts',
        find: 'if (data.length > messageBytesMax) {',
        replace: 'if (data.length > 1024 * messageBytesMax) {',
      },
    ],
    test: { file: PLUGIN, name: 'keeps its own limits where the program around it takes more' },
  },
  {
    id: 'messages-limited',
    defect: 'a flood of messages is answered',
    edits: [
      {
        file: 'server/live/connection.ts',
        find: 'if (!this.#takeTurn()) {',
        replace: 'if (!this.#takeTurn() && data.length < 0) {',
      },
    ],
    test: { file: SECURITY, name: 'a flood of messages is cut off' },
  },
  {
    id: 'audit-survives-floods',
    defect: 'refusals of several kinds push what was done out of the audit',
    edits: [
      {
        file: 'server/audit.ts',
        find: 'this.#entries.slice(-LOOKED_BACK).findLast(',
        replace: 'this.#entries.slice(-1).findLast(',
      },
    ],
    test: { file: SECURITY, name: 'keeps what was done through a flood of refusals' },
  },
  {
    id: 'closing-begins-first',
    defect: 'ending waits for an answer that waits for a pass which stands still',
    edits: [
      {
        file: 'server/core.ts',
        find: '    closing = close()\n    done()',
        replace: '    done()',
      },
    ],
    test: { file: CLOSING, name: 'while a pass stands still does not wait for somebody' },
  },
  {
    id: 'closing-ends-connections',
    defect: 'a connection whose answer was waited for stays open, and the server with it',
    edits: [
      {
        file: 'server/core.ts',
        find: "if (closing !== null) void reply.header('connection', 'close')",
        replace: '',
      },
    ],
    test: { file: CLOSING, name: 'while a pass stands still does not wait for somebody' },
  },
  {
    id: 'unknown-not-zero',
    defect: 'counters of a folder that is only read are told as zeros',
    edits: [
      {
        file: 'server/metrics.ts',
        find: "if (info.mode === 'hosted') workFigures",
        replace: 'workFigures',
      },
    ],
    test: { file: STATS, name: 'of an attached folder are what the folder says' },
  },
  {
    id: 'unknown-not-zero',
    defect: 'the statistics of a folder count what only its writer knows',
    edits: [
      {
        file: 'engine/stats.ts',
        find: "  add(GENERATION, debtStats(state, nowMs))\n  add('treedb.', retainedStats(state))",
        replace:
          "  add(GENERATION, debtStats(state, nowMs))\n  add(GENERATION, { 'gc.runs': state.counters.gcRuns })\n  add('treedb.', retainedStats(state))",
      },
    ],
    test: { file: STATS, name: 'of an attached folder are what the folder says' },
  },
  {
    id: 'lost-moments-told',
    defect: 'history without its newest moments looks whole',
    edits: [
      {
        file: 'engine/recording/reader.ts',
        find: "if (isLast && chunk.end !== 'closed') gaps.push(endGap(chunk, next))",
        replace: "if (isLast && chunk.end === 'closed' && next < 0) gaps.push(endGap(chunk, next))",
      },
    ],
    test: { file: HISTORY, name: 'says what is missing: lost newest moments' },
  },
  {
    id: 'history-pages-join',
    defect: 'a page of passes leaves one out',
    edits: [
      {
        file: 'engine/recording/reader.ts',
        find: 'next: { openingId, seq: event.seq + 1 } }',
        replace: 'next: { openingId, seq: event.seq } }',
      },
    ],
    test: { file: HISTORY, name: 'pages passes newest first' },
  },
  {
    id: 'options-are-told',
    defect: 'changed options are told to who changed them and to nobody else',
    edits: [
      {
        file: 'server/store/engine-store.ts',
        find: "this.#post({ kind: 'info', engine })",
        replace: 'this.#options = engine.options',
      },
    ],
    test: { file: CONTROL, name: 'options change while the store runs, or not at all' },
  },
  {
    id: 'page-residual-is-the-engine-s',
    defect: 'the page calls a byte flow without a residual whatever the engine says',
    edits: [
      {
        file: 'web/state/pass-flow.ts',
        find: 'flow: report.byteFlow,',
        replace: 'flow: report.byteFlow && { ...report.byteFlow, residualBytes: 0 },',
      },
    ],
    test: {
      file: 'test/web/explained.test.ts',
      name: 'a residual is what the engine says, even where the steps would add up',
    },
  },
  {
    id: 'preview-is-the-decision',
    defect: 'a preview of a kick forgets the checkpoint that comes before it',
    edits: [
      {
        file: 'engine/maintenance/previews.ts',
        find: 'foreground.checkpoints + (automatic || foreground.dirty ? 1 : 0)',
        replace: 'foreground.checkpoints',
      },
    ],
    test: {
      file: 'test/engine/maintenance/preview.test.ts',
      name: 'of the real engine is what its checkpoint then does',
    },
  },
  {
    id: 'stops-before-work',
    defect: 'Ctrl-C while a folder is opened is told of, and the work then done in full',
    edits: [
      {
        file: 'server/command-support.ts',
        find: '    signal.throwIfAborted()\n    return await body(engine)',
        replace: '    return await body(engine)',
      },
    ],
    test: { file: COMMAND_LINE, name: 'while the folder is opened does no work' },
  },
  {
    id: 'lost-output-fails',
    defect: 'a report that a full disk did not take counts as given',
    edits: [
      {
        file: 'server/main.ts',
        find: "if (error.code === 'EPIPE') process.exit(EXIT_OK)",
        replace: "if (error.code !== '') process.exit(EXIT_OK)",
      },
    ],
    test: { file: 'test/server/main.test.ts', name: 'that finds no room is a failure' },
  },
  {
    id: 'a-no-forbids-writing',
    defect: 'gc deletes although --rw=false was said',
    edits: [
      {
        file: 'server/go-flags.ts',
        find: 'else if (!option.negate && options.has(opposite)) read.push(opposite)',
        replace: "else if (long === '--workload') read.push(opposite)",
      },
    ],
    test: { file: COMMAND_LINE, name: 'a no allows nothing: --rw=false' },
  },
  {
    id: 'loop-reports-each-pass',
    defect: 'passes run in the exit loop that its report does not have',
    edits: [
      {
        file: 'server/exit-loop-command.ts',
        find: 'disableAutoDeferred: true,',
        replace: 'disableAutoDeferred: false,',
      },
    ],
    test: { file: 'test/server/exit-loop.test.ts', name: 'every pass is in the report' },
  },
]
