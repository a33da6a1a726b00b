import { nearest } from "./nearest.js";

const MOST_NAMES = 5;

/**
 * Pods that a name most likely meant: of another namespace, of a workload of this name, or mistyped; each as
 * `NAMESPACE/NAME`, at most five.
 */
export function nearPods(key: string, keys: Iterable<string>): readonly string[] {
  const all = [...keys];
  const name = nameOf(key);
  const mistyped = nearest(key, all);
  const near = [
    ...all.filter((one) => nameOf(one) === name),
    ...(mistyped === undefined ? [] : [mistyped]),
    ...all.filter((one) => one.startsWith(`${key}-`)),
    ...all.filter((one) => nameOf(one).startsWith(`${name}-`)),
  ];
  return [...new Set(near)].slice(0, MOST_NAMES);
}

/** `Did you mean web/server-1 or db/server?`; undefined when nothing is near. */
export function nearPodsQuestion(key: string, keys: Iterable<string>): string | undefined {
  const near = nearPods(key, keys);
  return near.length === 0 ? undefined : `Did you mean ${near.join(" or ")}?`;
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}
