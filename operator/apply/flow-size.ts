/** What one flow takes of the kernel's memory: element, hash bucket and place in the order of use. */
const FLOW_BYTES = 240;
/** Below this even a small node is short of flows; above, a table takes long to look through. */
const FEWEST_FLOWS = 32_768;
const MOST_FLOWS = 1_048_576;

/**
 * Flows that a node should have room for: 1/256 of its memory, but at most 1/8 of what its agent may have, to
 * which the kernel counts the table; rounded down to a power of two.
 *
 * @param limitBytes memory limit of the agent's control group; 0 or undefined: none
 */
export function flowsForMemory(totalBytes: number, limitBytes: number | undefined): number {
  const limit = limitBytes === undefined || limitBytes === 0 ? Infinity : limitBytes;
  const room = Math.min(totalBytes / 256, limit / 8) / FLOW_BYTES;
  const rounded = room < 1 ? 0 : 2 ** Math.floor(Math.log2(room));
  return Math.min(MOST_FLOWS, Math.max(FEWEST_FLOWS, rounded));
}
