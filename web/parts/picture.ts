// An element of the page as a PNG. The library that draws it copies SVG as markup alone, without what
// the stylesheet says of the shapes in it; so a copy is pictured in which every shape carries that itself.

/** What the stylesheet may say of a shape or a text; anything else is geometry and stands in the markup. */
const SHAPE_STYLES = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-opacity',
  'stroke-dasharray',
  'opacity',
  'display',
  'visibility',
  'font-family',
  'font-size',
  'font-weight',
] as const

/** Twice its size on screen, on the ground of its panel; rejects when the browser gives no picture. */
export async function pictureOf(element: HTMLElement): Promise<Blob> {
  const { toBlob } = await import('html-to-image')
  const copy = selfContained(element)
  // Beside the original, so that the same rules hold for it; out of sight and of every reader.
  element.after(copy)
  try {
    const blob = await toBlob(copy, {
      backgroundColor: getComputedStyle(element).getPropertyValue('--surface').trim(),
      pixelRatio: 2,
      skipFonts: true,
      width: element.offsetWidth,
      height: element.offsetHeight,
      style: { position: 'static' },
    })
    if (blob === null) throw new Error('the browser gave no picture')
    return blob
  } finally {
    copy.remove()
  }
}

function selfContained(element: HTMLElement): HTMLElement {
  const copy = element.cloneNode(true) as HTMLElement
  const shapes = element.querySelectorAll<SVGElement>('svg, svg *')
  copy.querySelectorAll<SVGElement>('svg, svg *').forEach((target, index) => {
    const source = shapes[index]
    if (source === undefined) return
    const style = getComputedStyle(source)
    for (const name of SHAPE_STYLES) target.style.setProperty(name, style.getPropertyValue(name))
  })
  for (const one of copy.querySelectorAll('[data-testid], [id]')) {
    // A clip path is found by its id, so those of shapes stay.
    one.removeAttribute('data-testid')
    if (!(one instanceof SVGElement)) one.removeAttribute('id')
  }
  copy.inert = true
  copy.setAttribute('aria-hidden', 'true')
  Object.assign(copy.style, {
    position: 'fixed',
    left: '-100000px',
    top: '0',
    width: `${String(element.offsetWidth)}px`,
  })
  return copy
}
