// Rows as CSV by RFC 4180: fields with a comma, quote or line break are quoted, unknown is empty.

export type CsvRow = Record<string, string | number | null>

export function toCsv(rows: readonly CsvRow[]): string {
  const names = Object.keys(rows[0] ?? {})
  const line = (fields: (string | number | null)[]) => fields.map(field).join(',')
  return [line(names), ...rows.map((row) => line(names.map((name) => row[name] ?? null)))].join(
    '\r\n',
  )
}

function field(value: string | number | null): string {
  if (value === null) return ''
  const text = String(value)
  // A spreadsheet would run a text that begins like a formula; labels of pins come from anybody.
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
