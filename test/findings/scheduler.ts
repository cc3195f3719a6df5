/** Findings F1-F19 and D1-D13: the scheduler, its state file, its tools; then rules of it that no finding names. */
import type { PutBack } from './put-back.ts'

const PASS = 'test/engine/maintenance/pass.test.ts'
const DECIDE = 'test/engine/maintenance/decide.test.ts'
const SOURCES = 'test/engine/maintenance/sources.test.ts'
const LEDGER = 'test/engine/maintenance/ledger.test.ts'
const SCHEDULER_TEST = 'test/engine/maintenance/scheduler.test.ts'
const SLICES = 'test/engine/maintenance/plan-slices.test.ts'
const KICK = 'test/engine/maintenance/kick-harness.test.ts'
const TOOLS = 'test/server/maint-commands.test.ts'

export const SCHEDULER: readonly PutBack[] = [
  {
    id: 'F1',
    defect: 'setting up is in the time that is measured',
    edits: [
      {
        file: 'test/bench/kick-harness.ts',
        find: "const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-kick-'))",
        replace:
          "const started = performance.now()\n  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-kick-'))",
      },
      {
        file: 'test/bench/kick-harness.ts',
        find: 'const started = performance.now()\n  for (let kicks',
        replace: 'for (let kicks',
      },
    ],
    test: { file: KICK, name: 'F1: a run seeds outside its window and has closed every store' },
  },
  {
    id: 'F1',
    defect: 'a store stays open when the next run begins',
    edits: [
      {
        file: 'test/bench/kick-harness.ts',
        find: 'await engine.close()\n  fs.rmSync(dir',
        replace: 'fs.rmSync(dir',
      },
    ],
    test: { file: KICK, name: 'F1: a run seeds outside its window and has closed every store' },
  },
  {
    id: 'F2',
    defect: 'a helper that nobody calls',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: '/** The queue may be executed at once. */',
        // Its own comment names it, which is no use of it.
        replace:
          '/** mergeLedgers: both. */\nexport function mergeLedgers(a: RewriteDebt, b: RewriteDebt): RewriteDebt {\n  return { ...a, ledger: [...a.ledger, ...b.ledger] }\n}\n\n/** The queue may be executed at once. */',
      },
    ],
    test: {
      file: 'test/engine/maintenance/findings.test.ts',
      name: 'F2: every name that maintenance exports is used in the product',
    },
  },
  {
    id: 'F2',
    defect: 'a method that nobody calls',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: '  /** A crash could go back to a state that names it. */',
        replace:
          '  isForgotten(segment: Segment): boolean {\n    return this.get(segment.id) === undefined\n  }\n\n  /** A crash could go back to a state that names it. */',
      },
    ],
    test: {
      file: 'test/engine/maintenance/findings.test.ts',
      name: 'F2: every method of the engine’s classes is used in the product',
    },
  },
  {
    id: 'F3',
    defect: 'the count cap bounds a named set of segments',
    edits: [
      {
        file: 'engine/maintenance/plan-caps.ts',
        find: 'if (segmentIds !== null) return { maxSegments: 0, maxLiveBytes: 0, maxCopiedBytes }',
        replace: 'if (segmentIds !== null) return { maxSegments, maxLiveBytes: 0, maxCopiedBytes }',
      },
    ],
    test: {
      file: 'test/engine/maintenance/planner.test.ts',
      name: 'B1, F3: caps do not apply to explicit ids',
    },
  },
  {
    id: 'F4',
    defect: 'debt without a ledger is not restaged: every kick goes on with it',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'if (debt.queue.length === 0) return NO_DEBT\n  const { confirmDelayMs',
        replace: 'if (debt.ledger.length === 0) return debt\n  const { confirmDelayMs',
      },
    ],
    test: { file: PASS, name: 'F4: queue-only debt is restaged too' },
  },
  {
    id: 'F5',
    defect: 'what a confirm drops is dropped for its decision only, not from the debt that is run',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: "await this.replaceDebt(debt, 'pruned', word)",
        replace: 'this.emit(word)',
      },
    ],
    test: { file: PASS, name: 'F5: what the confirm dropped is dropped on disk' },
  },
  {
    id: 'F6',
    defect: 'a confirm that finds nothing keeps the stage',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: "drop(decision, { kind: 'quality', ...poor,",
        replace: "if (!isConfirm(input.source)) drop(decision, { kind: 'quality', ...poor,",
      },
    ],
    test: { file: PASS, name: 'F6: a confirm that finds nothing clears the stage' },
  },
  {
    id: 'F7',
    defect: 'the quiet gates are not asked before planning',
    edits: [
      { file: 'engine/maintenance/admission.ts', find: '    ...quietGates(input),\n', replace: '' },
    ],
    test: { file: DECIDE, name: 'F7, M5: nothing is planned while the foreground is busy' },
  },
  {
    id: 'F7',
    defect: 'the plan is made first, and the quiet gates are asked after it',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: 'const block = gates.find(isBlocking)\n  if (block !== undefined) {\n    decision.action',
        replace:
          'decideFresh(settle(input, decision), decision)\n  const block = gates.find(isBlocking)\n  if (block !== undefined) {\n    decision.action',
      },
    ],
    test: { file: DECIDE, name: 'F7, M5: nothing is planned while the foreground is busy' },
  },
  {
    id: 'F8',
    defect: 'quiet periodic passes restage too',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: "const restage = options.policy === 'a_plus_c' && options.restage === 'on' && isHot(source)",
        replace: "const restage = options.policy === 'a_plus_c' && options.restage === 'on'",
      },
    ],
    test: { file: PASS, name: 'F8: drains one segment a pass without restaging' },
  },
  {
    id: 'F9',
    defect: 'the tool takes an observation in the future',
    edits: [
      {
        file: 'server/command-support.ts',
        find: 'if (ms < 0)\n',
        replace: 'if (Number.isNaN(ms))\n',
      },
    ],
    test: { file: TOOLS, name: 'F9: an observation in the future is refused' },
  },
  {
    id: 'F9',
    defect: 'an observation in the future is loaded as it is',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'const observedAtMs = Math.min(found.observedAtMs, nowMs)',
        replace: 'const { observedAtMs } = found',
      },
    ],
    test: {
      file: SCHEDULER_TEST,
      name: 'F9: an observation in the future is taken as made at open',
    },
  },
  {
    id: 'F10',
    defect: 'the state before the pass is the one before seeding',
    edits: [
      {
        file: 'server/maint-once-command.ts',
        find: 'const before = engine.state().debt',
        replace: 'const before = initial',
      },
    ],
    test: { file: TOOLS, name: 'F10: a seeded run has the old debt as initial' },
  },
  {
    id: 'F11',
    defect: 'cleaning up after a rewrite does not ask who pins the segment',
    edits: [
      {
        file: 'engine/maintenance/gc-survey.ts',
        find: "else if (kind === 'snapshot' || kind === 'iterator') retained = true",
        replace: "else if (kind === 'snapshot' || kind === 'iterator') retained = false",
      },
      {
        file: 'engine/value-log/segment-set.ts',
        find: "return this.keepersOf(segment).every((k) => k.kind === 'awaiting_gc' || k.kind === 'error')",
        replace:
          "return this.keepersOf(segment).every((k) => k.kind !== 'rewriting' && k.kind !== 'journal' && k.kind !== 'root')",
      },
    ],
    test: {
      file: 'test/engine/pins-and-gc.test.ts',
      name: 'B4, F11: a snapshot keeps the rewritten segment as a zombie',
    },
  },
  {
    id: 'F12',
    defect: 'sources without economics count as nothing left',
    edits: [
      {
        file: 'engine/maintenance/decide-fresh.ts',
        find: 'return plan.sourceSegmentIds.length === 0\n    ? null',
        replace: 'return plan.selected.length === 0\n    ? null',
      },
    ],
    test: { file: DECIDE, name: 'F12, B15: sources without economics are staged as they are' },
  },
  {
    id: 'F13',
    defect: 'the ledger of a single segment is not loaded',
    edits: [
      {
        file: 'engine/maintenance/state-file.ts',
        find: 'queue.length === 0 ? NO_DEBT : { queue, ledger, stage: null }',
        replace:
          'queue.length === 0 ? NO_DEBT : { queue, ledger: queue.length > 1 ? ledger : [], stage: null }',
      },
    ],
    test: { file: PASS, name: 'F13: one staged segment is loaded, confirmed and consumed' },
  },
  {
    id: 'F14',
    defect: 'after each rewrite all live ids are looked up',
    edits: [
      {
        file: 'engine/engine.ts',
        find: 'this.#guard(() => rewriteSegments(this.#rewriteParts(store), sources, signal, request)),',
        replace:
          'this.#guard(async () => {\n          const report = await rewriteSegments(this.#rewriteParts(store), sources, signal, request)\n          await this.verify()\n          return report\n        }),',
      },
    ],
    test: {
      file: 'test/engine/maintenance/rewrite.test.ts',
      name: 'B3, F14: four passes over four queued segments walk no tree',
    },
  },
  {
    id: 'F15',
    defect: 'the exit hook does not know the switch',
    edits: [
      {
        file: 'engine/maintenance/wakes.ts',
        find: 'return this.#runsByItself && !this.#environment.options.disableAutoDeferred',
        replace: 'return this.#runsByItself',
      },
    ],
    test: { file: SOURCES, name: 'F15, M7: with disableAutoDeferred one pass is one pass' },
  },
  {
    id: 'F16',
    defect: 'staged debt is confirmed at the resume floor, not at the one that staged it',
    edits: [
      {
        file: 'engine/maintenance/floors.ts',
        find: 'const known = debt.stage?.minStaleRatio ?? recorded\n',
        replace:
          'if (debt.stage !== null) return options.resumeMinStaleRatio\n  const known = recorded\n',
      },
    ],
    test: { file: PASS, name: 'F16: a segment staged at 30 % is rewritten by its confirm' },
  },
  {
    id: 'F17',
    defect: 'planning kicks maintenance',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: "const plan = planRewrite(request)\n    this.#host.emit(planEvent('dry_run'",
        replace:
          "void this.#kicks.asked()\n    const plan = planRewrite(request)\n    this.#host.emit(planEvent('dry_run'",
      },
    ],
    test: { file: SOURCES, name: 'F17: planning changes nothing, not the file, the counters' },
  },
  {
    id: 'F18',
    defect: 'a segment size beyond what a pointer reaches is taken',
    edits: [
      {
        file: 'engine/options.ts',
        find: 'segmentBytes: integer(4 * KIB, MAX_SEGMENT_BYTES),',
        replace: 'segmentBytes: integer(4 * KIB, Number.MAX_SAFE_INTEGER),',
      },
    ],
    test: {
      file: 'test/engine/maintenance/findings.test.ts',
      name: 'F18: no writer, foreground or rewrite, can be told to write beyond',
    },
  },
  {
    id: 'F19',
    defect: 'a profile that cannot be written is none, without a word',
    edits: [
      {
        file: 'server/profiling.ts',
        find: 'throw cannotWrite(what, file, error)\n',
        replace: 'return void error\n',
      },
    ],
    test: { file: TOOLS, name: 'F19: a profile that cannot be written is said' },
  },
  {
    id: 'F19',
    defect: 'an action beside the rewrite fails and the pass does not',
    edits: [
      {
        file: 'engine/maintenance/vacuuming.ts',
        find: 'memory.count({ vacuumFailures: 1 }, passId)\n    throw error',
        replace:
          "memory.count({ vacuumFailures: 1 }, passId)\n    return { done: false, text: '', bytesBefore: 0, bytesAfter: 0, elapsedMs: 0 }",
      },
    ],
    test: { file: SOURCES, name: 'F19: an action that fails on the side fails the pass' },
  },
  {
    id: 'D1',
    defect: 'a confirm that could not execute stays due',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'await this.#postponeConfirm()\n    try {',
        replace: 'try {',
      },
    ],
    test: { file: PASS, name: 'D1: a rewrite error postpones the confirm' },
  },
  {
    id: 'D2',
    defect: 'a retry runs with what its first starter asked for',
    edits: [
      {
        file: 'engine/maintenance/wakes.ts',
        find: "else if (this.#isStageDue(now)) this.#startDeferred('rewrite_stage_confirm_exit')",
        replace:
          "else if (this.#isStageDue(now) || memory.facts.deferredPending) this.#startDeferred('rewrite_stage_confirm_exit')",
      },
    ],
    test: { file: SOURCES, name: 'D2: what runs is chosen from what is due then' },
  },
  {
    id: 'D3',
    defect: 'a GC error after the rewrite leaves the rest without a stage',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'if (action.restage) await this.#restage(action)',
        replace:
          "if (action.restage && pass.steps.some((step) => step.kind === 'gc')) await this.#restage(action)",
      },
    ],
    test: { file: PASS, name: 'D3: a GC error after the rewrite still restages the rest' },
  },
  {
    id: 'D4',
    defect: 'the ledger is cut by the number of consumed ids',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: `return checked({
    queue: debt.queue.filter((id) => !gone.has(id)),
    ledger: debt.ledger.filter((entry) => !gone.has(entry.segmentId)),
    stage: debt.stage,
  })`,
        replace: `return {
    queue: debt.queue.filter((id) => !gone.has(id)),
    ledger: debt.ledger.slice(ids.length),
    stage: debt.stage,
  }`,
      },
    ],
    test: {
      file: LEDGER,
      name: 'D4: consumes by id when queue and ledger are ordered differently',
    },
  },
  {
    id: 'D5',
    defect: 'a penalty never ends with its time',
    edits: [
      {
        file: 'engine/maintenance/penalties.ts',
        find: 'if (penalty.cooldownUntilMs <= now.nowMs || segment === undefined) {',
        replace: 'if (segment === undefined) {',
      },
    ],
    test: { file: SOURCES, name: 'D5: they are loaded, and leave the file when they are over' },
  },
  {
    id: 'D6',
    defect: 'staging counts as a rewrite',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'const dueAtMs = debt.stage?.dueAtMs ?? this.startedAtMs',
        replace:
          'this.environment.memory.update({ lastRewriteAtMs: this.startedAtMs }, this.passId)\n    const dueAtMs = debt.stage?.dueAtMs ?? this.startedAtMs',
      },
    ],
    test: { file: PASS, name: 'D6: staging and empty passes do not count as rewrites' },
  },
  {
    id: 'D7',
    defect: 'stale bytes are told in relation to something else than the log',
    edits: [
      {
        file: 'engine/maintenance/pass-input.ts',
        find: 'staleRatio: bytesTotal > 0 ? bytesStale / bytesTotal : 0,',
        replace: 'staleRatio: bytesStale / Math.max(1, input.foreground.bytesPut),',
      },
    ],
    test: { file: SOURCES, name: 'D7: the stale ratio beside a rewrite is that of the log' },
  },
  {
    id: 'D8',
    defect: 'the GC after a rewrite is not counted',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'gcRuns: 1,',
        replace: "gcRuns: phase === 'standalone' ? 1 : 0,",
      },
    ],
    test: { file: SOURCES, name: 'D8: the GC after a rewrite is counted as one' },
  },
  {
    id: 'D9',
    defect: 'pruning clears the stage',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'return { debt: dropped.length === 0 ? debt : consume(debt, dropped), dropped }',
        replace:
          'return { debt: dropped.length === 0 ? debt : clearStage(consume(debt, dropped)), dropped }',
      },
    ],
    test: { file: LEDGER, name: 'D9: pruning keeps the stage while anything is queued' },
  },
  {
    id: 'D10',
    defect: 'a kick on staged debt takes the slot to find that out',
    edits: [
      {
        file: 'engine/maintenance/admission.ts',
        find: 'const gate = [...kickGates(input), ...kickStageGates(input)].find(isBlocking)',
        replace: 'const gate = kickGates(input).find(isBlocking)',
      },
    ],
    test: { file: SOURCES, name: 'D10: a kick on staged debt is refused without taking the slot' },
  },
  {
    id: 'D11',
    defect: 'telling where the sources are looks at the store once more',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'if (!sourceIds.includes(segmentId)) continue\n      const segment = now.get(segmentId)',
        replace:
          'if (!sourceIds.includes(segmentId)) continue\n      await host.reclaim({ dryRun: true, observed: [segmentId] })\n      const segment = now.get(segmentId)',
      },
    ],
    test: {
      file: SOURCES,
      name: 'D11, F14: where the sources ended is known without another look',
    },
  },
  {
    id: 'D12',
    defect: 'a missing segment is not pruned from a debt of one',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'return prune(debt, (id) => {\n    const segment = lookup.get(id)\n    return segment !== undefined &&',
        replace:
          'return prune(debt, (id) => {\n    const segment = lookup.get(id)\n    if (debt.queue.length === 1) return true\n    return segment !== undefined &&',
      },
    ],
    test: { file: LEDGER, name: 'D12: a missing segment is pruned from debt of one entry' },
  },
  {
    id: 'D12',
    defect: 'a pass does not prune a missing segment from a debt of one',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: 'const missing = pruneMissing(input.debt, lookup)',
        replace:
          'const missing = input.debt.queue.length > 1 ? pruneMissing(input.debt, lookup) : { debt: input.debt, dropped: [] }',
      },
    ],
    test: { file: DECIDE, name: 'D12: a lone queued segment that is gone is pruned' },
  },
  {
    id: 'D13',
    defect: 'the GC after a rewrite does not know the switch',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: "if (phase === 'after_rewrite' && isBlocking(gcSwitch(options, false))) {",
        replace: "if (phase !== 'after_rewrite' && isBlocking(gcSwitch(options, true))) {",
      },
    ],
    test: { file: SOURCES, name: 'D13: with GC off a rewrite deletes nothing either' },
  },
  {
    id: 'set-debt-has-the-slot',
    defect: 'whoever starts passes by itself does not see that debt is being set',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: 'isSlotTaken: () => this.#slotHolder() !== null',
        replace: 'isSlotTaken: () => this.#slot !== null',
      },
    ],
    test: { file: SCHEDULER_TEST, name: 'holds the slot: a tick meanwhile starts nothing' },
  },
  {
    id: 'set-debt-has-the-slot',
    defect: 'a kick that waits for debt that could not be saved waits for ever',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: '    } finally {\n      this.#settingDebt = false\n      // Also when it could not be saved: a kick or a timer may have found the slot taken.\n      this.#wakes.debtChanged()\n    }',
        replace:
          '    } finally {\n      this.#settingDebt = false\n    }\n    this.#wakes.debtChanged()',
      },
    ],
    test: {
      file: SCHEDULER_TEST,
      name: 'makes a kick of meanwhile wait for it, which then runs as a delayed one',
    },
  },
  {
    id: 'step-before-the-stepper',
    defect: 'a step that is refused leaves the stepper stepping',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: 'if (holder !== null && !stopped) throw',
        replace: 'if (this.#slot !== null && holder !== null && !stopped) throw',
      },
    ],
    test: { file: SCHEDULER_TEST, name: 'a debugger that asks to step is refused' },
  },
  {
    id: 'close-waits-for-debt',
    defect: 'a store closes while its state file is being written',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: 'await this.#underWay.idle()',
        replace: '',
      },
    ],
    test: {
      file: 'test/engine/lifecycle.test.ts',
      name: 'waits for debt that is being set: the next opening finds what was saved',
    },
  },
  {
    id: 'budget-of-the-moment',
    defect: 'a pass remembers the bucket from before its plan',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'const decision = await this.#plans.decide(input)',
        replace:
          'const { budget: old } = input\n    const decision = await this.#plans.decide(input)\n    this.environment.memory.update({ budget: old }, this.passId)',
      },
    ],
    test: {
      file: 'test/engine/maintenance/stepper.test.ts',
      name: 'a budget that changes while a pass plans is the one that counts after it',
    },
  },
  {
    id: 'rests-by-options-of-now',
    defect: 'a pass leaves the state that its own options ask for',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'memory.rest(this.passId, this.#scheduler.options)',
        replace: 'memory.rest(this.passId, { ...this.#scheduler, ...this.environment }.options)',
      },
    ],
    test: {
      file: 'test/engine/maintenance/stepper.test.ts',
      name: 'a loop that is switched off while a pass rewrites is off when it ends',
    },
  },
  {
    id: 'own-checkpoints-kick-nothing',
    defect: 'a checkpoint that swaps asked for kicks maintenance',
    edits: [
      {
        file: 'engine/engine.ts',
        find: "relieve: () => this.#checkpointBySize(store, 'maintenance')",
        replace: "relieve: () => this.#checkpointBySize(store, 'size')",
      },
    ],
    test: {
      file: 'test/engine/maintenance/upstream-slot.test.ts',
      name: 'that the swaps of a rewrite made necessary kicks nothing',
    },
  },
  {
    id: 'staged-debt-is-not-kicked',
    defect: 'a cancelled confirm leaves a kick behind',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'if (!bounded || memory.debt.stage !== null) return',
        replace: 'if (!bounded) return',
      },
    ],
    test: { file: SOURCES, name: 'a confirm that is cancelled comes again after its delay' },
  },
  {
    id: 'one-kick-a-checkpoint',
    defect: 'a kick that is asked for is asked again after its checkpoint was refused one',
    edits: [
      {
        file: 'engine/maintenance/kicks.ts',
        find: 'if (refusal === null || !OF_AUTOMATIC.includes(refusal)) this',
        replace: 'if (refusal === null && !OF_AUTOMATIC.includes("closing")) this',
      },
    ],
    test: { file: SCHEDULER_TEST, name: 'one checkpoint that is asked for with its kick is one' },
  },
  {
    id: 'plans-of-ticks-counted',
    defect: 'the plan of a tick that no pass follows is not counted',
    edits: [
      {
        file: 'engine/maintenance/wakes.ts',
        find: '    for (const run of plans) countPlan(memory, run, null)\n',
        replace: '    if (plans.length > 99) countPlan(memory, plans[0] as never, null)\n',
      },
    ],
    test: { file: SLICES, name: 'counts its plan once, whether a pass follows or not' },
  },
  {
    id: 'plans-of-ticks-counted',
    defect: 'the plan of a tick that was ended has no backoff',
    edits: [
      {
        file: 'engine/maintenance/wakes.ts',
        find: '    if (ended !== null) planCancelled(this.#environment, ended, null)\n',
        replace:
          '    const { lastPlanCanceledAtMs } = memory.facts\n    if (ended !== null) planCancelled(this.#environment, ended, null)\n    memory.update({ lastPlanCanceledAtMs }, null)\n',
      },
    ],
    test: { file: SLICES, name: 'whose plan is ended counts and tells that' },
  },
  {
    id: 'attempts-hold-their-skips',
    defect: 'attempts leave out what never took the slot',
    edits: [
      {
        file: 'engine/stats.ts',
        find: 'return passes + passCollisions + passSkipsPhase + passSkipsPauseFile + passesNotMade',
        replace:
          'return passes + passCollisions + 0 * (passSkipsPhase + passSkipsPauseFile + passesNotMade)',
      },
    ],
    test: {
      file: 'test/engine/stats.test.ts',
      name: 'attempts are whatever wanted the slot: nothing that is skipped is missing from them',
    },
  },
  {
    id: 'each-plan-has-its-time',
    defect: 'two slow plans of one look end each other, and no tick ever plans to its end',
    edits: [
      {
        file: 'engine/maintenance/tick-look.ts',
        find: 'const bounds = bound(host, signal, { timeoutMs, foregroundGraceMs })',
        replace:
          'const bounds = bound(host, signal, { timeoutMs: timeoutMs / (plans.length + 1), foregroundGraceMs })',
      },
    ],
    test: { file: SLICES, name: 'that needs two plans gives each of them its time' },
  },
  {
    id: 'look-keeps-the-wait-for-age',
    defect: 'the plan of a tick that was ended drops the retry that waits for age',
    edits: [
      {
        file: 'engine/maintenance/pass-plans.ts',
        find: 'passId === null ? { lastPlanCanceledAtMs }',
        replace: 'passId === -1 ? { lastPlanCanceledAtMs }',
      },
    ],
    test: { file: SLICES, name: 'whose plan is ended leaves the wait for age as it is' },
  },
  {
    id: 'counted-under-its-pass',
    defect: 'what a pass counts is told as of no pass when something else is counted beside it',
    edits: [
      {
        file: 'engine/maintenance/memory.ts',
        find: 'if (this.#untold !== null && this.#untold.passId !== passId) this.tellCounters()',
        replace: 'if (this.#untold?.passId === -1) this.tellCounters()',
      },
    ],
    test: {
      file: SCHEDULER_TEST,
      name: 'what is counted beside a pass is told apart from what the pass counts',
    },
  },
]
