// What a chart or a table shows, as a file: the numbers as CSV, the picture as PNG.
import { useState, type ReactNode, type RefObject } from 'react'
import { toCsv, type CsvRow } from '../lib/csv.ts'

interface ExportButtonsProps {
  /** Becomes the file's name. */
  name: string
  rows: () => CsvRow[]
  /** The element to be pictured; absent: no PNG. */
  picture?: RefObject<HTMLElement | null>
}

export function ExportButtons({ name, rows, picture }: ExportButtonsProps): ReactNode {
  const [problem, setProblem] = useState<string | null>(null)
  const png = async () => {
    const element = picture?.current
    if (element == null) return
    try {
      const { toBlob } = await import('html-to-image')
      const blob = await toBlob(element, {
        backgroundColor: getComputedStyle(element).getPropertyValue('--surface').trim(),
        pixelRatio: 2,
        skipFonts: true,
      })
      if (blob === null) throw new Error('the browser gave no picture')
      save(blob, `${name}.png`)
      setProblem(null)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'the browser refused')
    }
  }
  return (
    <span className="row tight exports">
      <button
        type="button"
        className="button-small"
        data-testid={`csv-${name}`}
        title="Save the exact numbers as a CSV file"
        onClick={() => save(new Blob([toCsv(rows())], { type: 'text/csv' }), `${name}.csv`)}
      >
        CSV
      </button>
      {picture !== undefined && (
        <button
          type="button"
          className="button-small"
          data-testid={`png-${name}`}
          title="Save the picture as a PNG file"
          onClick={() => void png()}
        >
          PNG
        </button>
      )}
      {problem !== null && (
        <span className="bad" role="alert">
          No picture: {problem}
        </span>
      )}
    </span>
  )
}

function save(blob: Blob, fileName: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = `restage-${fileName}`
  link.click()
  // The download has its own hold on the bytes once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
