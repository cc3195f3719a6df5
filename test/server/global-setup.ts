/** Store workers are threads of their own and run as JavaScript: the tests use the built ones. */
import { execFileSync } from 'node:child_process'
import * as path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')

export function setup(): void {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' })
}
