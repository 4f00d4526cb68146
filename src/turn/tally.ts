/** How many of something each owner has; holds no more owners than have any. */
export class Tally<Owner> {
  readonly #counts = new Map<Owner, number>();

  of(owner: Owner): number {
    return this.#counts.get(owner) ?? 0;
  }

  /** Who has most, undefined when nobody has any. Looks at all owners. */
  get largest(): Owner | undefined {
    let largest: Owner | undefined;
    let most = 0;
    for (const [owner, count] of this.#counts) {
      if (count <= most) continue;
      most = count;
      largest = owner;
    }
    return largest;
  }

  add(owner: Owner): void {
    this.#counts.set(owner, this.of(owner) + 1);
  }

  /** One less; of an owner that has none nothing changes. */
  drop(owner: Owner): void {
    const left = this.of(owner) - 1;
    if (left > 0) this.#counts.set(owner, left);
    else this.#counts.delete(owner);
  }
}
