/** Times as upstream prints them, for any millisecond: without the calendar of the machine. */

const DAY_MS = 86_400_000

/** UTC, trailing zeros of the fraction left out. */
export function rfc3339(atMs: number): string {
  const day = Math.floor(atMs / DAY_MS)
  // Days to a date, counting years from March so that a leap day is the last of its year.
  const shifted = day + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const dayOfMonth = dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1
  const inDay = Math.floor(atMs) - day * DAY_MS
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  const fraction = (inDay % 1000).toString().padStart(3, '0').replace(/0+$/, '')
  const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(dayOfMonth)}`
  const time = `${two(inDay / 3_600_000)}:${two((inDay / 60_000) % 60)}:${two((inDay / 1000) % 60)}`
  return `${date}T${time}${fraction === '' ? '' : `.${fraction}`}Z`
}
