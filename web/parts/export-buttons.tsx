// What a chart or a table shows, as a file: the numbers as CSV, the picture as PNG.
import { useContext, useState, type ReactNode, type RefObject } from 'react'
import { toCsv, type CsvRow } from '../lib/csv.ts'
import { exportName } from '../lib/format.ts'
import { AppStoreContext } from '../state/store.ts'
import { pictureOf } from './picture.ts'

interface ExportButtonsProps {
  /** What it is, in the file's name beside the store and the engine's time. */
  name: string
  /** Says which of two tables beside one picture it is; absent: there is one. */
  label?: string
  rows: () => CsvRow[]
  /** The element to be pictured; absent: no PNG. */
  picture?: RefObject<HTMLElement | null>
}

export function ExportButtons({ name, label, rows, picture }: ExportButtonsProps): ReactNode {
  const store = useContext(AppStoreContext)
  /** The engine's time, or the recorded one where the past is shown. */
  const fileName = (extension: string): string => {
    const { store: info, gauges } = store.getState()
    return exportName(info?.name ?? null, name, gauges?.nowMs ?? null) + extension
  }
  const [problem, setProblem] = useState<string | null>(null)
  const png = async () => {
    const element = picture?.current
    if (element == null) return
    try {
      save(await pictureOf(element), fileName('.png'))
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
        onClick={() => save(new Blob([toCsv(rows())], { type: 'text/csv' }), fileName('.csv'))}
      >
        CSV{label !== undefined && `: ${label}`}
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
  link.download = fileName
  link.click()
  // The download has its own hold on the bytes once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
