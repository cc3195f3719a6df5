/**
 * One seed for everything random in a run: RESTAGE_SEED, or a fixed one on a build machine, where a red
 * run must mean that the change is at fault. Elsewhere each run takes a new one and prints it.
 */
import fc from 'fast-check'

const BUILD_MACHINE_SEED = '20261123'

if (process.env['CI'] === 'true') process.env['RESTAGE_SEED'] ??= BUILD_MACHINE_SEED
const seed = process.env['RESTAGE_SEED']
if (seed !== undefined && seed !== '') fc.configureGlobal({ seed: Number(seed) })
