// The way around: a rail on the left, at phone width a bar at the bottom whose last entry opens the rest.
import {
  ChartNoAxesCombined,
  Database,
  Ellipsis,
  GalleryHorizontalEnd,
  History,
  ListOrdered,
  LayoutGrid,
  Pin,
  ScrollText,
  StepForward,
  Workflow,
  type LucideIcon,
} from 'lucide-react'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { viewNames, type ViewName } from '../lib/route.ts'
import { viewFacts } from '../lib/views.ts'
import { useApp } from '../state/store.ts'
import { goTo, useRoute } from '../state/ui-store.ts'

const icons: Record<ViewName, LucideIcon> = {
  overview: GalleryHorizontalEnd,
  segments: LayoutGrid,
  queue: ListOrdered,
  passes: Workflow,
  step: StepForward,
  trace: ScrollText,
  history: History,
  pins: Pin,
  workload: ChartNoAxesCombined,
  stores: Database,
}

/** The first views, as many as fit a phone with names that can be read; the rest is one press away. */
const IN_BAR: readonly ViewName[] = ['overview', 'segments', 'queue', 'passes']

export function Rail(): ReactNode {
  const view = useRoute((route) => route.view)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const [more, setMore] = useState(false)
  const shown = viewNames.filter((name) => !attached || viewFacts[name].attached)
  const rail = useRef<HTMLElement>(null)
  useEffect(() => {
    if (!more) return
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape') setMore(false)
    }
    const onPointer = (event: PointerEvent) => {
      if (!(event.target instanceof Node) || rail.current?.contains(event.target) !== true) {
        setMore(false)
      }
    }
    document.addEventListener('keydown', onKey)
    document.addEventListener('pointerdown', onPointer)
    return () => {
      document.removeEventListener('keydown', onKey)
      document.removeEventListener('pointerdown', onPointer)
    }
  }, [more])
  const entry = (name: ViewName) => (
    <RailEntry
      key={name}
      name={name}
      current={name === view}
      onGo={() => {
        setMore(false)
        goTo(name)
      }}
    />
  )
  return (
    <nav ref={rail} className={more ? 'rail rail-more' : 'rail'} aria-label="Views">
      <p className="brand rail-brand">Restage</p>
      <ul className="rail-list rail-in-bar">
        {shown.filter((name) => IN_BAR.includes(name)).map(entry)}
        <li className="rail-more-entry">
          <button
            type="button"
            className={IN_BAR.includes(view) ? 'rail-entry' : 'rail-entry rail-current'}
            aria-expanded={more}
            data-testid="rail-more"
            onClick={() => setMore(!more)}
          >
            <Ellipsis className="rail-icon" aria-hidden="true" />
            <span>More</span>
          </button>
        </li>
      </ul>
      <ul className="rail-list rail-beyond" data-testid="rail-beyond">
        {shown.filter((name) => !IN_BAR.includes(name)).map(entry)}
      </ul>
    </nav>
  )
}

interface RailEntryProps {
  name: ViewName
  current: boolean
  onGo: () => void
}

function RailEntry({ name, current, onGo }: RailEntryProps): ReactNode {
  const Icon = icons[name]
  const facts = viewFacts[name]
  return (
    <li>
      <a
        href={`#/${name}`}
        className={current ? 'rail-entry rail-current' : 'rail-entry'}
        aria-current={current ? 'page' : undefined}
        data-testid={`view-${name}`}
        title={`${facts.name}: ${facts.question} (g ${facts.key})`}
        onClick={(event) => {
          // A plain click keeps what is chosen and filtered; a new tab starts with the view alone.
          if (event.ctrlKey || event.metaKey || event.shiftKey) return
          event.preventDefault()
          onGo()
        }}
      >
        <Icon className="rail-icon" aria-hidden="true" />
        <span>{facts.name}</span>
        <kbd className="rail-key" aria-hidden="true">
          {facts.key}
        </kbd>
      </a>
    </li>
  )
}
