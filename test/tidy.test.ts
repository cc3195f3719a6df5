/**
 * Rules that the compiler cannot hold: which folder may import which, what is banned where and what
 * to use instead, how long a file may be, that error codes are documented.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { ENGINE_ERRORS } from '../engine/errors.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const FOLDERS = ['engine', 'server', 'web', 'test', 'scripts']

interface Import {
  file: string
  /** Path inside the repository for relative imports, the bare name otherwise. */
  target: string
  typeOnly: boolean
}

function sourceFiles(): string[] {
  const found: string[] = []
  const visit = (folder: string): void => {
    for (const entry of fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true })) {
      const name = `${folder}/${entry.name}`
      if (entry.isDirectory() && name !== 'test/data' && entry.name !== 'node_modules') visit(name)
      else if (/\.(ts|tsx|js)$/.test(entry.name)) found.push(name)
    }
  }
  FOLDERS.forEach(visit)
  return found
}

function importsOf(file: string): Import[] {
  const text = fs.readFileSync(path.join(ROOT, file), 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
  const imports: Import[] = []
  const add = (specifier: ts.Expression, typeOnly: boolean): void => {
    if (!ts.isStringLiteral(specifier)) return
    const name = specifier.text
    const target = name.startsWith('.')
      ? path.posix.normalize(path.posix.join(path.posix.dirname(file), name))
      : name
    imports.push({ file, target, typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      add(node.moduleSpecifier, clause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      add(node.moduleSpecifier, node.isTypeOnly)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments
      if (specifier !== undefined) add(specifier, false)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return imports
}

const FILES = sourceFiles()
const IMPORTS = FILES.flatMap(importsOf)

function under(folder: string): (i: { file: string }) => boolean {
  return ({ file }) => file.startsWith(`${folder}/`)
}

function show(imports: Import[]): string[] {
  return imports.map((i) => `${i.file} imports ${i.target}`)
}

/** What the engine may import from outside: node's own modules and these. */
const ENGINE_PACKAGES = ['lz4-napi', 'snappy', '@node-rs/crc32', '@bokuweb/zstd-wasm']

describe('import directions', () => {
  test('the engine imports only itself, node and its few packages', () => {
    const strangers = IMPORTS.filter(under('engine')).filter(
      ({ target }) =>
        !target.startsWith('engine/') &&
        !target.startsWith('node:') &&
        !ENGINE_PACKAGES.includes(target),
    )
    expect(show(strangers)).toEqual([])
  })

  test('maintenance sees the engine through its narrow host, never the engine itself', () => {
    const forbidden = [
      'engine/engine.ts',
      'engine/store.ts',
      'engine/index.ts',
      'engine/inspect.ts',
    ]
    const strangers = IMPORTS.filter(under('engine/maintenance')).filter(({ target }) =>
      forbidden.includes(target),
    )
    expect(show(strangers)).toEqual([])
  })

  test('the decision modules import nothing that does I/O', () => {
    const pure = [
      'planner',
      'plan-candidates',
      'plan-caps',
      'plan-flips',
      'gc-survey',
      'ledger',
      'decide',
      'gates',
      'floors',
      'state-file',
    ].map((name) => `engine/maintenance/${name}.ts`)
    const strangers = IMPORTS.filter(({ file }) => pure.includes(file)).filter(
      ({ target, typeOnly }) =>
        !typeOnly && (target.startsWith('node:') || target === 'engine/file-system.ts'),
    )
    expect(show(strangers)).toEqual([])
  })

  test('the offline rewrite works on a closed folder and knows no open store', () => {
    const forbidden =
      /^engine\/(engine|store|key-space|checkpoint|group-commit)\.ts$|^engine\/maintenance\//
    const strangers = IMPORTS.filter(under('engine/offline-rewrite')).filter(({ target }) =>
      forbidden.test(target),
    )
    expect(show(strangers)).toEqual([])
  })

  test('the vocabulary, its reducer and the wire contract import types only', () => {
    const contracts = [
      'engine/types.ts',
      'engine/event-types.ts',
      'engine/apply-event.ts',
      'server/protocol.ts',
      'server/protocol-control.ts',
      'server/protocol-history.ts',
      'engine/recording/types.ts',
      'engine/info-types.ts',
    ]
    const strangers = IMPORTS.filter(({ file }) => contracts.includes(file)).filter(
      ({ typeOnly }) => !typeOnly,
    )
    expect(show(strangers)).toEqual([])
  })

  test('the server enters the engine by its front door', () => {
    const strangers = IMPORTS.filter(under('server')).filter(
      ({ target }) =>
        target.startsWith('engine/') &&
        target !== 'engine/index.ts' &&
        target !== 'engine/types.ts',
    )
    expect(show(strangers)).toEqual([])
  })

  test('nothing in engine or server imports the web', () => {
    const strangers = IMPORTS.filter((i) => under('engine')(i) || under('server')(i)).filter(
      ({ target }) => target.startsWith('web/'),
    )
    expect(show(strangers)).toEqual([])
  })

  test('the web knows the wire contract, the reducer and the printer of its events, and nothing else of the tree', () => {
    const strangers = IMPORTS.filter(under('web')).filter(
      ({ file, target }) =>
        /^(engine|server|test|scripts)\//.test(target) &&
        target !== 'server/protocol.ts' &&
        // A second reducer or printer beside the recording's would drift from it.
        !(file === 'web/state/apply-event.ts' && target === 'engine/apply-event.ts') &&
        !(file === 'web/lib/trace-line.ts' && target === 'engine/trace-line.ts'),
    )
    expect(show(strangers)).toEqual([])
  })
})

interface Ban {
  text: RegExp
  instead: string
  where: (file: string) => boolean
}

const inEngine = (file: string): boolean => file.startsWith('engine/')
const inProduct = (file: string): boolean => /^(engine|server|web)\//.test(file)

const BANS: Ban[] = [
  { text: /\bDate\.now\(/, instead: 'the injected Clock', where: inEngine },
  { text: /\bnew Date\(/, instead: 'the injected Clock', where: inEngine },
  {
    text: /\bset(Timeout|Interval|Immediate)\(/,
    instead: 'Clock.setTimer or yieldNow',
    where: inEngine,
  },
  { text: /\bMath\.random\(/, instead: 'a seeded generator', where: inEngine },
  { text: /\bperformance\.now\(/, instead: 'Clock.monotonic', where: inEngine },
  {
    text: /\bprocess\.env\b/,
    instead: 'server/config.ts',
    where: (file) => inProduct(file) && file !== 'server/config.ts',
  },
  {
    text: /['"]node:fs['"]/,
    instead: 'the FileSystem of engine/file-system.ts',
    where: (file) => inEngine(file) && file !== 'engine/file-system.ts',
  },
  {
    text: /\bprocess\.exit\(/,
    instead: 'a return to server/main.ts',
    where: (file) => inProduct(file) && file !== 'server/main.ts',
  },
  {
    text: /\bas any\b|@ts-ignore|@ts-expect-error|@ts-nocheck/,
    instead: 'a type',
    where: () => true,
  },
  { text: /\bFIXME\b|\bXXX\b/, instead: 'doing it, or an issue', where: () => true },
  { text: /\b(test|it|describe)\.(only|skip)\(/, instead: 'the whole suite', where: () => true },
]

describe('banned text', () => {
  // This file names what it bans.
  const files = FILES.filter((file) => file !== 'test/tidy.test.ts')
  for (const ban of BANS) {
    test(`${String(ban.text)}: use ${ban.instead}`, () => {
      const found = files
        .filter(ban.where)
        .filter((file) => ban.text.test(fs.readFileSync(path.join(ROOT, file), 'utf8')))
      expect(found).toEqual([])
    })
  }
})

describe('files', () => {
  test('have kebab-case names', () => {
    const odd = FILES.filter((file) => !/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(path.basename(file)))
    expect(odd).toEqual([])
  })

  test('open with a comment that says what they are', () => {
    const bare = FILES.filter(inProduct)
      .filter((file) => !file.endsWith('vite.config.ts') && !file.endsWith('vite-env.d.ts'))
      .filter(
        (file) =>
          !/^(#!.*\n)?\s*(\/\*\*|\/\/)/.test(fs.readFileSync(path.join(ROOT, file), 'utf8')),
      )
    expect(bare).toEqual([])
  })

  test('stay below 650 lines, tests below 900', () => {
    const long = FILES.filter((file) => {
      const lines = fs.readFileSync(path.join(ROOT, file), 'utf8').split('\n').length
      return lines > limitOf(file)
    })
    expect(long).toEqual([])
  })
})

/** The vocabulary is one list of all words, however many there are. */
function limitOf(file: string): number {
  if (file === 'engine/types.ts') return 1200
  return file.startsWith('test/') ? 900 : 650
}

describe('documentation', () => {
  test('engine/README.md lists every error code and no other', () => {
    const readme = fs.readFileSync(path.join(ROOT, 'engine/README.md'), 'utf8')
    const documented = new Set(readme.match(/\bENGINE_[A-Z_]+\b/g) ?? [])
    expect([...documented].sort()).toEqual(Object.keys(ENGINE_ERRORS).sort())
  })

  test('each product folder says what lives where', () => {
    for (const folder of ['engine', 'server', 'web', 'engine/maintenance']) {
      expect(fs.existsSync(path.join(ROOT, folder, 'README.md')), folder).toBe(true)
    }
  })
})
