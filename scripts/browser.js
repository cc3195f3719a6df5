/**
 * Finds a Chrome or Chromium for the end-to-end tests and screenshots; installs Debian's where that is
 * possible (Debian or Ubuntu, as root), otherwise says what to do.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

/** Path of the browser, or undefined. CHROME_PATH wins. */
export function findBrowser() {
  const named = process.env.CHROME_PATH
  if (named !== undefined && named !== '') return named
  return PLACES.find((place) => existsSync(place))
}

/** Path of the browser; throws with instructions when there is none and none can be installed. */
export function needBrowser() {
  const found = findBrowser()
  if (found !== undefined) return found
  if (process.getuid?.() === 0 && hasAptGet()) {
    process.stdout.write('no browser found: installing Debian’s chromium\n')
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' })
    execFileSync(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-liberation'],
      { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
    )
    const installed = findBrowser()
    if (installed !== undefined) return installed
  }
  throw new Error(
    'The end-to-end tests need Chrome or Chromium. Install one (Debian: apt-get install chromium) ' +
      'or set CHROME_PATH to its program file.',
  )
}

function hasAptGet() {
  return spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0
}
