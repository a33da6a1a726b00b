import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** For commander: `k=v,k=v`; a Kubernetes label value may be empty. */
export function readLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const pair of splitList(text)) {
    const at = pair.indexOf("=");
    const key = pair.slice(0, Math.max(0, at));
    const value = pair.slice(at + 1);
    if (!/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(key)) {
      throw new InvalidArgumentError(`${pair} is no label. Write key=value,key=value.`);
    }
    if (!/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(value)) {
      throw new InvalidArgumentError(`${value} is no label value.`);
    }
    labels[key] = value;
  }
  return labels;
}

/** For commander: globs of interface names, each with `*` and `?` only. */
export function readGlobs(text: string): readonly string[] {
  const globs = splitList(text);
  const wrong = globs.find((glob) => !/^[^\s/[\](){}|^$+\\]{1,32}$/.test(glob));
  if (wrong !== undefined) {
    throw new InvalidArgumentError(`${wrong} is no glob: only * and ? have a meaning.`);
  }
  return globs;
}

/** For commander: `ADDRESS:PORT,…`, given once or several times. Names are not resolved. */
export function collectEndpoints(
  text: string,
  before: readonly string[] | undefined,
): readonly string[] {
  const endpoints = splitList(text).map((part) => {
    const { host, port } = readEndpoint(part);
    if (isIP(host) === 0) throw new InvalidArgumentError(`${host || part} is no IP address.`);
    if (port === 0) throw new InvalidArgumentError(`${part} has port 0.`);
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  });
  return [...(before ?? []), ...endpoints];
}

/** For commander: `HOST:PORT`, `[IPV6]:PORT`. */
export function readEndpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 0 && port <= 65_535)) {
    throw new InvalidArgumentError(`${text} is no HOST:PORT.`);
  }
  return { host, port };
}

/** For commander: an address to listen on; `none` for none, an empty host for all addresses. */
export function readListenAddress(text: string): Endpoint | "none" {
  return text === "none" ? text : readEndpoint(text);
}

/** For commander: a whole number within limits. */
export function readNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
  };
}

/** For commander. */
export function readBoolean(text: string): boolean {
  if (/^(true|yes|1)$/i.test(text)) return true;
  if (/^(false|no|0)$/i.test(text)) return false;
  throw new InvalidArgumentError("Write true or false.");
}

export function splitList(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
