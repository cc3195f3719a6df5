// When the page draws what came in over the feed: in the next animation frame, unless that frame
// answers an input, or the rest of an answer is still being drawn. An answer drawn together with
// hundreds of events would come that much later, and one begun anew with each of them as late.

/** Inputs that a person waits for; a pointer that moves and a wheel that turns go on for long. */
const INPUTS = ['keydown', 'pointerdown', 'pointerup', 'click'] as const
/** Somebody who types without a pause still sees the numbers move. */
const PUT_OFF_MAX = 3
/** The rest of an answer takes less on a machine that keeps up; on another one the numbers go on. */
const HELD_MAX_MS = 200
/** In a hidden tab there are no frames. */
const HIDDEN_MS = 1000

/** An input has come whose frame has not. */
let awaited = false
/** Time of the newest frame that answered an input. */
let answeredAt = -1
/** Answers of which a part is still to come. */
let unfinished = 0

/** Called once. */
export function watchInputs(target: EventTarget = window): void {
  const note = () => {
    if (awaited) return
    awaited = true
    requestAnimationFrame((at) => {
      awaited = false
      answeredAt = at
    })
  }
  for (const input of INPUTS) {
    target.addEventListener(input, note, { capture: true, passive: true })
  }
}

/** Until the function returned is called, the feed is put off, by `HELD_MAX_MS` at most. */
export function holdFeed(): () => void {
  unfinished += 1
  let held = true
  return () => {
    if (held) unfinished -= 1
    held = false
  }
}

/** Runs `then` once, after the frame that answers the present input; in a hidden tab soon. */
export function afterFrame(then: () => void): void {
  let done = false
  const once = () => {
    if (done) return
    done = true
    then()
  }
  requestAnimationFrame(() => setTimeout(once))
  setTimeout(once, HIDDEN_MS)
}

/** Runs `draw` once: in the next frame that is free for it, or a second later in a hidden tab. */
export function nextFrame(draw: () => void): void {
  let askedAt: number | null = null
  let done = false
  const once = () => {
    if (done) return
    done = true
    draw()
  }
  const wait = (left: number) => {
    requestAnimationFrame((at) => {
      askedAt ??= at
      if (left > 0 && (awaited || answeredAt === at)) wait(left - 1)
      else if (unfinished > 0 && at - askedAt < HELD_MAX_MS) wait(left)
      else once()
    })
  }
  wait(PUT_OFF_MAX)
  setTimeout(once, HIDDEN_MS)
}
