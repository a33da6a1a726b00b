import { readFileSync } from "node:fs";

/** One number of /proc/net: pairs of lines, names and then values. */
export function netstat(file: string, prefix: string, name: string): number {
  const lines = readFileSync(`/proc/thread-self/net/${file}`, "utf8").split("\n");
  const [names, values] = lines.filter((line) => line.startsWith(prefix));
  const index = names?.split(" ").indexOf(name) ?? -1;
  return Number(values?.split(" ")[index] ?? 0);
}
