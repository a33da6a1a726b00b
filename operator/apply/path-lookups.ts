import { lookUpRoute } from "../../datapath/index.js";
import type { WayOut } from "../compile/route-rows.js";

/** So many are looked at again each time. */
const AT_ONCE = 100;

/** How packets of this node leave it, by address: what the kernel says, remembered, since it is asked about thousands. */
export class PathLookups {
  readonly #ways = new Map<string, WayOut | undefined>();
  #next = 0;

  wayTo(address: string): WayOut | undefined {
    if (!this.#ways.has(address)) this.#ways.set(address, lookUp(address));
    return this.#ways.get(address);
  }

  /** When routes may have changed. */
  clear(): void {
    this.#ways.clear();
  }

  /**
   * Looks at some again: routers tell of the MTU of paths, and nobody tells that they did. On a shared wire there is no
   * router.
   *
   * @returns whether one has another MTU now
   */
  refresh(): boolean {
    const routed = [...this.#ways].filter(([, way]) => way?.gateway !== undefined);
    if (this.#next >= routed.length) this.#next = 0;
    const changed = routed.slice(this.#next, this.#next + AT_ONCE).filter(([address, way]) => {
      const now = lookUp(address);
      this.#ways.set(address, now);
      return now?.mtu !== way?.mtu;
    });
    this.#next += AT_ONCE;
    return changed.length > 0;
  }
}

function lookUp(address: string): WayOut | undefined {
  const found = lookUpRoute(address);
  return found?.isUnicast === true ? found : undefined;
}
