// When the page draws what came in over the feed: in the next animation frame, unless that frame
// answers an input. An answer drawn together with hundreds of events would come that much later.

/** Inputs that a person waits for; a pointer that moves and a wheel that turns go on for long. */
const INPUTS = ['keydown', 'pointerdown', 'pointerup', 'click'] as const
/** Somebody who types without a pause still sees the numbers move. */
const PUT_OFF_MAX = 3
/** In a hidden tab there are no frames. */
const HIDDEN_MS = 1000

/** An input has come whose frame has not. */
let awaited = false
/** Time of the newest frame that answered an input. */
let answeredAt = -1

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

/** Runs `draw` once: in the next frame that answers no input, or a second later in a hidden tab. */
export function nextFrame(draw: () => void): void {
  let done = false
  const once = () => {
    if (done) return
    done = true
    draw()
  }
  const wait = (left: number) => {
    requestAnimationFrame((at) => {
      if (left > 0 && (awaited || answeredAt === at)) wait(left - 1)
      else once()
    })
  }
  wait(PUT_OFF_MAX)
  setTimeout(once, HIDDEN_MS)
}
