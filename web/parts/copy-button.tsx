// Copies a text and says so for a moment; where the browser refuses, it says that instead.
import { useEffect, useState, type ReactNode } from 'react'

interface CopyButtonProps {
  text: () => string
  children: ReactNode
  testId?: string
  title?: string
}

export function CopyButton({ text, children, testId, title }: CopyButtonProps): ReactNode {
  const [said, setSaid] = useState<'copied' | 'not allowed' | null>(null)
  useEffect(() => {
    if (said === null) return
    const timer = setTimeout(() => setSaid(null), 1500)
    return () => clearTimeout(timer)
  }, [said])
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text())
      setSaid('copied')
    } catch {
      setSaid('not allowed')
    }
  }
  return (
    <button
      type="button"
      className="button-small"
      data-testid={testId}
      title={title}
      onClick={() => void copy()}
    >
      {said ?? children}
      <span className="sr-only" role="status">
        {said ?? ''}
      </span>
    </button>
  )
}
