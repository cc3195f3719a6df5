/**
 * Upstream's two test lists, whole: each scenario is in the title of a test of ours, or test/README.md says which
 * test has it under another name, or why it is left out. So neither can go without being missed.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '..')
const README = fs.readFileSync(path.join(ROOT, 'test/README.md'), 'utf8')

/** Tests of the scheduler, by what their names have in common. */
const SCHEDULER: Record<string, string> = {
  ShouldRunVlogGenerationRewrite_: 'TotalBytes StaleRatio Churn NoTrigger',
  ObserveVlogGenerationRewritePlanOutcome_:
    'SelectedTracksBytes SelectedTracksSegmentFallbackBytes',
  MinStaleRatioForGenericPass_:
    'UsesQualityFloor UsesHigherConfiguredRatio PreservesHigherConfiguredRatio DisabledBelowEfficacyFloor',
  MinStaleRatioForQueuedDebt_: 'UsesGenericFloorForTotalBytes PreservesResumeFloor',
  MinStaleRatioForStaleRatioTrigger_:
    'UsesQualityFloor UsesHigherConfiguredRatio PreservesConfiguredRatioBelowEfficacyFloor',
  ShouldRunVlogGenerationGC_: 'ReclaimableBytes HotSegmentPressure ChurnDriven',
  ShouldRunVlogGenerationIndexVacuum_: 'Threshold Cooldown TracksSkipReasons',
  RewriteBudget: 'AccruesAtConfiguredRate',
  RewriteQueue_:
    'DoesNotRunWhenBudgetEmpty LedgerOrdersByStaleRatio PrunesZeroLiveLedgerBeforeResume ' +
    'PrunesLowQualityLedgerBeforeResume ResumesWithoutReplanning DebtDrainProcessesMultipleSegments ' +
    'CheckpointKickDebtDrainCapsSingleSegment SurvivesReopen PreservedOnRewriteError',
  Maintenance_:
    'SerializesConcurrentRuns QueuesPendingCheckpointKickOnActiveCollision ' +
    'DoesNotQueuePendingWhenCollisionIsNotCheckpointKick DrainsPendingCheckpointKickAfterPass ' +
    'PrioritizesPendingCheckpointKickOverPeriodicPass PrioritizesDeferredWakeOverPeriodicPass ' +
    'SchedulesDueStageConfirmationOnExit CheckpointKickWaitsForCheckpointing ' +
    'PeriodicPassReturnsDuringCheckpointing PeriodicPassSkipsWhileRewriteStagePending ' +
    'CheckpointPendingYieldsToDueStageConfirm CheckpointPendingYieldsToDueAgeBlockedRetry ' +
    'PeriodicGCSkipsWhileRewriteAgeBlocked PeriodicGCSkipsInWALOnMode ' +
    'PeriodicSkipsWhenMaintenancePhaseNonSteady PeriodicPreflightSkipsHotNoPending ' +
    'BypassQuietPlannerNotCanceledByForegroundActivity SkipsBeforeFirstCheckpointInWALOffMode ' +
    'SkipsDuringRecentForegroundWrites SkipsDuringRecentForegroundReads ' +
    'SkipsDuringActiveForegroundIterator',
  MaintenanceWithOptions_: 'TracksWalOnPeriodicSkip TracksCollision',
  DeferredMaintenanceRetry_:
    'StopsAfterAcquiredRunEvenWhenCheckpointPending RetriesWithoutCheckpointPendingUntilAcquired',
  Rewrite_:
    'QueuedExecIgnoresForegroundCancelUntilBoundedCompletion CanceledFreshPlanQueuesPendingResume ' +
    'UsesAndConsumesBudgetedBytes ConsumesLedgerLiveBytesWhenAvailable SkipsZeroLivePlannedLedger ' +
    'ConsumesBudgetToZeroWhenRewriteExceedsBudgetCap DoesNotRunWithZeroBudgetTokens ' +
    'TracksIneffectiveRuns CoolsProcessedDebtAfterMaterialIneffectiveGrowth ' +
    'DoesNotCoolProcessedDebtWhenLocalStaleWasRewritten KeepsDebtWhenGCOffsetsMaterialGrowth ' +
    'KeepsRemainingDebtForSmallIneffectiveGrowth CoolsProcessedDebtAfterNoProgressResume ' +
    'IneffectiveBackoffSkipsImmediateGenericRetry IneffectiveBackoffCheckpointKickBypasses ' +
    'IneffectiveBackoffExpires',
  RewriteResume_: 'CancelBackoffSkipsImmediateRetry CancelBackoffExpires',
  RewritePlan_:
    'DoesNotRunWithZeroBudgetTokens TracksEmptyPlanOutcome FiltersPenalizedSegments ' +
    'StagesFreshStaleRatioDebtBeforeRewrite StageConfirmationExecutesConfirmedSubset ' +
    'StageConfirmationReplansEvenWhenOtherTriggersFire StageConfirmationClearsStagedDebtWhenPlanEmpties ' +
    'StagePendingStillConfirmsWhenBudgetEmpty AgeBlockedRetryRunsWhenDue AgeBlockedRetrySchedulesWakeup ' +
    'AgeBlockedRetryReschedulesEarlierDeadline RunsOutsideMaintenanceBarrier ' +
    'CancelsWhenForegroundWritesResume CancelsWhenForegroundReadsResume ' +
    'GraceAllowsShortPlanDuringForegroundResume CancelBackoffSkipsImmediateRetry ' +
    'DeadlineBackoffSkipsImmediateRetry CancelBackoffCheckpointKickBypasses CancelBackoffExpires ' +
    'CancelStillRunsForcedGC',
  Checkpoint_:
    'KicksVlogGenerationRewriteDespiteRecentForegroundActivity KicksQueuedRewriteDebtBelowTriggerFloor ' +
    'KickSelfDrainsMaintenanceCollision KicksVlogGenerationGCDespiteRecentForegroundActivity ' +
    'DoesNotKickVlogGenerationRewrite_WALOn KickSkipsWhenMaintenancePhaseNonSteady ' +
    'DeletesRetainedValueLogWhenBackendManagerForgotSegment',
  GC_:
    'DryRunEligibleBytesTriggersRealGC DryRunNoEligibleBytesReturnsSchedulerIdle ' +
    'SkipsDuringRecentForegroundWrites',
  '':
    'FilterVlogGenerationRewriteLedgerByQuality MaybeRunVlogGenerationIndexVacuum_TracksDisabledSkip ' +
    'CapEnforcedOnLargeElapsed IgnoresBackwardClock CapSaturatesTargets AddClampInt64_SaturatesAndClamps ' +
    'MulDivClampInt64_ClampsOverflowAndCap RewriteMaxSegmentsForRun_ClampsDebtDrainQueue ' +
    'ShouldDeferVlogGenerationRewritePlanForAge SkipsZeroFileID PreservesPenaltiesWithoutQueue ' +
    'PreservesHistoryWithoutQueue LoadsChunkLedger ConsumeQueueChunkPreservesMismatchedLedger ' +
    'RunVlogGenerationMaintenanceRetries_CoalescesPendingCollisionRetries ' +
    'StartVlogGenerationDeferredMaintenance_PreservesPendingWhenRunnerActive ' +
    'SchedulePendingVlogGenerationCheckpointKick_PrioritizesDueDeferredWake ' +
    'RunGCPassSkipsRewriteWhenForegroundHot Stats_ReportRewriteBacklogAndDurations ' +
    'MaintenancePhaseSuppressionPreservesQueuedCheckpointKickRetry ' +
    'CheckpointKickRestagesRemainingRealBackendDebt RefreshesCurrentEconomicsBeforePeriodicResume ' +
    'RefreshClearsPeriodicQueueWhenNoSegmentsRemain CheckpointKickResumeDoesNotRefreshQueue ' +
    'StageConfirmPrunesMissingPersistedSegments StageConfirmRefreshesStagedLedgerEconomics ' +
    'StageConfirmCanceledRefreshDoesNotFallbackToSparsePlan TestDebugValueLogGenerationStateRoundTrip ' +
    'CleanupProcessedRetainedRewriteSources_RemovesBackendDeadRetainedSegment ' +
    'DebtDrainSelectsMultipleSegmentsAndBoundsExecution ChunkDebtCarriesPartialFileRemainder ' +
    'ConsumesMissingBoundedSourceIDs BoundedSegmentEventuallyDrainsWithoutReplanning ' +
    'ReadmitsPenalizedSegmentWhenStaleBytesImprove StageConfirmationDebtDrainProcessesMultipleSegments ' +
    'ReleasesActiveBeforeQueueProgressSnapshot',
}

/** Of the list of tests for planning, rewrite, GC, segment manager and retained logs. */
const BACKEND_LAST = 88
const BACKEND_FILES = [
  'maintenance/planner-upstream.test.ts',
  'maintenance/rewrite.test.ts',
  'gc-report.test.ts',
  'offline-rewrite.test.ts',
  'upstream-backend.test.ts',
]

/** Of a file below test/engine. */
function titlesIn(name: string): string[] {
  return titlesOf(fs.readFileSync(path.join(ROOT, 'test/engine', name), 'utf8'))
}

/** Titles of tests and of their groups; what a table fills into one belongs to it. */
function titlesOf(text: string): string[] {
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const [title] = node.arguments
      const made = madeBy(node.expression)
      if (made !== null && title !== undefined && ts.isStringLiteralLike(title)) {
        const rows = /%s|\$/.test(title.text) ? made.map((row) => `${title.text} ${row}`) : []
        titles.push(title.text, ...rows)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('test.ts', text, ts.ScriptTarget.ES2023, true))
  return titles
}

/** Of `test`, `describe` and `it`, alone or with what they have: the first words of the rows; null = of something else. */
function madeBy(callee: ts.Expression): string[] | null {
  if (ts.isIdentifier(callee)) return ['test', 'describe', 'it'].includes(callee.text) ? [] : null
  if (ts.isPropertyAccessExpression(callee)) {
    return callee.name.text === 'skip' || callee.name.text === 'todo'
      ? null
      : madeBy(callee.expression)
  }
  if (!ts.isCallExpression(callee) || madeBy(callee.expression) === null) return null
  const [table] = callee.arguments
  if (table === undefined || !ts.isArrayLiteralExpression(table)) return []
  return table.elements
    .map((row) => (ts.isArrayLiteralExpression(row) ? row.elements[0] : row))
    .flatMap((first) => (first !== undefined && ts.isStringLiteralLike(first) ? [first.text] : []))
}

test('a name that stands somewhere in a file is the title of no test', () => {
  const text = `
    const NAMES = [
      'InAList',
    ]
    describe('InAGroup', () => {
      test.each([
        ['InATable', 1],
        ['InIt', 2],
      ])('of a table: %s', () => expect(NAMES).toContain(
        'InAnArgument',
      ))
      test.each([['NotSaid']])('whose rows are not said', () => undefined)
      test
        .skip('Skipped', () => undefined)
      test(
        'OnALineOfItsOwn',
        () => undefined,
      )
    })`
  expect(titlesOf(text)).toEqual([
    'InAGroup',
    'of a table: %s',
    'of a table: %s InATable',
    'of a table: %s InIt',
    'whose rows are not said',
    'OnALineOfItsOwn',
  ])
})

const TITLES = fs
  .readdirSync(path.join(ROOT, 'test/engine'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .flatMap(titlesIn)

/** In full, or behind another one with the same beginning as `, _Rest`. */
function isInTitle(name: string): boolean {
  const [, family = '', rest = ''] = /^(.*?_)(.+)$/.exec(name) ?? []
  const short = new RegExp(`, _${rest}\\b`)
  return TITLES.some((title) => {
    if (new RegExp(`\\b${name}\\b`).test(title)) return true
    return rest !== '' && title.includes(family) && short.test(title)
  })
}

/** `2, 5-7` as numbers. */
function numbersOf(text: string): number[] {
  return [...text.matchAll(/(\d+)(?:-(\d+))?/g)].flatMap(([, from, to]) => {
    const first = Number(from)
    return Array.from({ length: Number(to ?? from) - first + 1 }, (_, i) => first + i)
  })
}

test('each scenario of the scheduler is a test here, or test/README.md says what became of it', () => {
  const names = Object.entries(SCHEDULER).flatMap(([family, rests]) =>
    rests.split(' ').map((rest) => family + rest),
  )
  expect(new Set(names).size).toBe(names.length)
  const [, tables = ''] = README.split("### Upstream's scenarios under another name")
  const told = (name: string): boolean => tables.includes(`\`${name}\``)
  expect(names.filter((name) => !isInTitle(name) && !told(name))).toEqual([])
  // A reason for what is there would be wrong.
  const [, leftOut = ''] = tables.split("### Upstream's scenarios that are not here")
  expect(names.filter((name) => isInTitle(name) && leftOut.includes(`\`${name}\``))).toEqual([])
})

test('each number of the other list is in a title here, or test/README.md says what became of it', () => {
  const inTitles = BACKEND_FILES.flatMap(titlesIn).flatMap((title) => {
    const [, brackets, plain] = /^(?:\[([\d, -]+)\]|(\d+(?:[,-] ?\d+)*)(?=[:, ]))/.exec(title) ?? []
    return numbersOf(brackets ?? plain ?? '')
  })
  const [lists = ''] = README.split('## Scheduler')
  const inReadme = [...lists.matchAll(/^\| (\d[\d, -]*)/gm)].flatMap(([, text = '']) =>
    numbersOf(text),
  )
  const found = new Set([...inTitles, ...inReadme])
  const all = Array.from({ length: BACKEND_LAST }, (_, i) => i + 1)
  expect(all.filter((number) => !found.has(number))).toEqual([])
})

test('the tests that test/README.md names for upstream scenarios are there', () => {
  const [, table = ''] = README.split("### Upstream's scenarios under another name")
  const named = [...table.matchAll(/^\| `.*\| `(\S+\.test\.ts)`: (.+?) +\|$/gm)]
  expect(named.length).toBeGreaterThan(3)
  const absent = named.filter(([, file = '', title = '']) => {
    const text = fs.readFileSync(path.join(ROOT, 'test/engine', file), 'utf8')
    return !text.includes(`test('${title}'`)
  })
  expect(absent.map(([row]) => row)).toEqual([])
})
