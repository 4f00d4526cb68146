/** Who has something: `attached` is false once it is gone, and what it had is wanted least. */
export interface ShareOwner {
  readonly attached: boolean;
}

/** Something of an owner's, in that owner's order of use. */
export interface Shared<Owner, Item> {
  /** Set by `Shares`. */
  owner: Owner;
  /** How much it is wanted, from 0 (least) to RANKS − 1; set by `Shares`. */
  rank: Rank;
  /** Neighbours in the order, owned by `Shares`. */
  older: Item | undefined;
  newer: Item | undefined;
}

/**
 * 0: nobody answered, or it has done what it was for. 1: it was answered. 2: a conversation, where an answer led to
 * more.
 */
export type Rank = 0 | 1 | 2;
const RANKS = 3;
/**
 * A rank gives way while it has more than a quarter of what its owner has: so what is new always finds some room beside
 * what is wanted more.
 */
const KEPT_SHIFT = 2;

interface List<Item> {
  oldest: Item | undefined;
  newest: Item | undefined;
  count: number;
}

/** What one owner has. */
class Share<Item> {
  readonly ranks: readonly List<Item>[] = Array.from({ length: RANKS }, () => ({
    oldest: undefined,
    newest: undefined,
    count: 0,
  }));
  count = 0;

  /** Of three ranks one always has more than a quarter. */
  leastWanted(): Item | undefined {
    for (const list of this.ranks) if (list.count > this.count >> KEPT_SHIFT) return list.oldest;
    return undefined;
  }
}

/**
 * What owners have of a thing that is scarce, and which of it goes when there is no more: of those that are gone first,
 * then of the owner that has most. So nobody takes from one who has less. Of one owner goes what is wanted least and
 * was not used for longest: a flood of questions ends no conversation, neither its own sender's nor another's.
 *
 * `Places` is the rule for connections, whose tables know themselves what is wanted least (its header says why they are
 * two).
 *
 * It keeps books only, in O(1) but for a look at each owner when one must go. Whoever adds bounds it.
 */
export class Shares<Owner extends ShareOwner, Item extends Shared<Owner, Item>> {
  readonly #owners = new Map<Owner, Share<Item>>();

  /** How many `owner` has. */
  of(owner: Owner): number {
    return this.#owners.get(owner)?.count ?? 0;
  }

  add(item: Item): void {
    let share = this.#owners.get(item.owner);
    if (share === undefined) {
      share = new Share();
      this.#owners.set(item.owner, share);
    }
    share.count++;
    append(share.ranks[item.rank]!, item);
  }

  remove(item: Item): void {
    const share = this.#owners.get(item.owner);
    if (share === undefined) return;
    unlink(share.ranks[item.rank]!, item);
    if (--share.count === 0) this.#owners.delete(item.owner);
  }

  /** It was used just now, by `owner`, and is wanted as much as `rank` says. */
  used(item: Item, owner: Owner, rank: Rank): void {
    if (item.newer === undefined && item.owner === owner && item.rank === rank) return;
    this.remove(item);
    item.owner = owner;
    item.rank = rank;
    this.add(item);
  }

  /** What goes when `owner` may have no more. */
  leastWantedOf(owner: Owner): Item | undefined {
    return this.#owners.get(owner)?.leastWanted();
  }

  /** What goes when there is no more for `owner`: its own, unless another has more or is gone. */
  leastWantedFor(owner: Owner): Item | undefined {
    let fullest = this.#owners.get(owner);
    for (const [other, share] of this.#owners) {
      if (!other.attached) return share.leastWanted();
      if (fullest === undefined || share.count > fullest.count) fullest = share;
    }
    return fullest?.leastWanted();
  }
}

function append<Item extends Shared<unknown, Item>>(list: List<Item>, item: Item): void {
  item.older = list.newest;
  item.newer = undefined;
  if (list.newest === undefined) list.oldest = item;
  else list.newest.newer = item;
  list.newest = item;
  list.count++;
}

function unlink<Item extends Shared<unknown, Item>>(list: List<Item>, item: Item): void {
  if (item.older === undefined) list.oldest = item.newer;
  else item.older.newer = item.newer;
  if (item.newer === undefined) list.newest = item.older;
  else item.newer.older = item.older;
  item.older = undefined;
  item.newer = undefined;
  list.count--;
}
