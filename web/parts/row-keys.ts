// Which element draws which row of a list that rushes by.

/**
 * A row keeps its element for as long as it is drawn, wherever it moves. Where none of the rows drawn
 * before is left, as when hundreds come at once, the new ones take over the elements in their order:
 * making new ones is most of what drawing such a list costs. Never a part of them, because then the
 * others would have to move, and the browser takes the focus from an element that is moved.
 */
export class RowKeys {
  /** Of the rows drawn last, in their order: what each is, and the key of its element. */
  private held = new Map<string, string>()
  private made = 0

  /**
   * Keys for `rows`, which are named uniquely, in their order. `isHeld` is asked before elements are
   * taken over: true when one of them has to stay with its row or go, because the focus is in it.
   */
  of(rows: readonly string[], isHeld: () => boolean): string[] {
    const before = this.held
    const free =
      before.size === 0 || rows.some((row) => before.has(row)) || isHeld()
        ? []
        : [...before.values()]
    this.held = new Map(
      rows.map((row, place) => [row, before.get(row) ?? free[place] ?? this.newKey()]),
    )
    return [...this.held.values()]
  }

  private newKey(): string {
    this.made += 1
    return String(this.made)
  }
}
