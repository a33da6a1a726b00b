import type { MapFd } from "./handles.js";
import { closeFd } from "./handles.js";
import { datapathError } from "./errors.js";
import { libbpf, libbpfError } from "./libbpf.js";
import { createMap, MapType } from "./map-create.js";

/**
 * Waits until every program run that was under way has ended. What was made unreachable before may be written anew
 * after it.
 *
 * The kernel promises this for one operation: replacing an element of a map of maps returns after all programs that may
 * still see the old one are done (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
 */
export class GracePeriod {
  readonly #inner: MapFd;
  readonly #outer: MapFd;
  readonly #key = Buffer.alloc(4);
  readonly #value = Buffer.alloc(4);

  /** @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_SYSTEM_CALL */
  constructor() {
    const element = { keySize: 4, valueSize: 4, maxEntries: 1 };
    this.#inner = createMap({ name: "grace_element", type: MapType.array, ...element });
    this.#outer = createMap(
      { name: "grace_period", type: MapType.arrayOfMaps, ...element },
      this.#inner,
    );
    this.#value.writeUInt32LE(this.#inner);
  }

  /** Some milliseconds, on another thread. */
  async wait(): Promise<void> {
    const result = await new Promise<number>((resolve, reject) => {
      libbpf().bpf_map_update_elem.async(
        this.#outer,
        this.#key,
        this.#value,
        0,
        (error: unknown, result: number) => {
          if (error) reject(error);
          else resolve(result);
        },
      );
    });
    if (result < 0) {
      throw datapathError("SLUICE_MAP_OPERATION", "cannot wait for running programs to end", {
        cause: libbpfError("bpf_map_update_elem", result),
      });
    }
  }

  close(): void {
    closeFd(this.#outer);
    closeFd(this.#inner);
  }
}
