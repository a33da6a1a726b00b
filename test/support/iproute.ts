import type { Namespace } from "./netns.js";

/** What `ip -j ARGS` lists in a namespace: what the kernel holds, read by another program. */
export function ipJson(namespace: Namespace, ...args: readonly string[]): readonly IpObject[] {
  const text = namespace.run("ip", "-j", "-d", ...args);
  return (text.trim() === "" ? [] : JSON.parse(text)) as IpObject[];
}

/** The first object that `ip -j ARGS` lists. */
export function ipObject(namespace: Namespace, ...args: readonly string[]): IpObject {
  const [first] = ipJson(namespace, ...args);
  if (first === undefined) throw new Error(`ip ${args.join(" ")} lists nothing`);
  return first;
}

/** One object of a list; which members it has depends on the list. */
export type IpObject = Readonly<Record<string, unknown>>;

/** Members of an object by name, to compare with. */
export function pick(object: IpObject, ...names: readonly string[]): IpObject {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}
