// What each number means, one definition a term, for the help and for whoever points at the number.

export const glossary = {
  'live bytes':
    'Bytes of records that a key still points to, counted whole with their checksum. A grouped frame counts once, as long as one value in it lives.',
  'stale bytes': 'Bytes that no key points to. Live + stale = total, for every segment, always.',
  total:
    'Size of the value-log files, torn tails included. The index and the journal are not in it.',
  'rewrite debt':
    'The queue of segments worth rewriting, in order, with what each was worth when it was planned (the ledger).',
  queue: 'Segments waiting to be rewritten, first one first.',
  ledger: 'What a queued segment was worth when it was planned: its total, live and stale bytes.',
  staged:
    'Queued, but waiting for the confirm delay, so that segments about to die anyway are not copied.',
  restage:
    'After one segment was rewritten, the rest of the queue is staged again with a new delay.',
  'checkpoint kick': 'The pass that a checkpoint wakes; it rewrites one segment at most.',
  zombie:
    'A segment without a live byte whose file something still keeps: a snapshot, an iterator, a root, the journal.',
  gate: 'A condition a pass has to meet. The first one that blocks ends the pass, or its rewrite.',
  'age-blocked': 'Stale enough to be rewritten, but sealed too short a time ago.',
  'write amplification':
    '(bytes the foreground wrote + bytes rewrites wrote) / bytes the foreground wrote, since the store was opened. 1 = nothing was copied.',
  'space amplification':
    'Value-log bytes on disk without the pinned ones / live bytes, now: what maintenance leaves. 1 = no stale byte.',
  'space on disk':
    'Bytes of value log, index and journal / live bytes, now: what the store takes of the disk, pinned segments included.',
  'pinned space':
    'Bytes of dead segments that a snapshot or an iterator keeps / live bytes: no pass could delete them before their readers end.',
  'debt by threshold':
    'Stale bytes of sealed segments that are at least this stale: what a plan with that floor could take at most, age and size filters aside.',
  'write budget':
    'A bucket of bytes that rewrites draw the live bytes they copy from. It fills at a steady rate up to its cap; empty means wait.',
  penalty:
    'A segment whose rewrite did not pay: plans leave it out until its cool-down is over, or until much more of it is stale.',
  'time to drain':
    'An estimate: the stale bytes there are, divided by how fast they fell over the last minute.',
  pinned: 'Dead segments that a snapshot or an iterator keeps on disk.',
  residual:
    'What the byte flow of a pass cannot account for. Anything but 0 is a defect of the accounting.',
  'byte flow':
    'Where the bytes of the selected segments went: left unreferenced, still referenced, deleted, or kept by somebody.',
  rewrite: 'Copying a segment’s live records elsewhere, so that its file can be deleted.',
} as const

export type Term = keyof typeof glossary
