import { readFileSync } from "node:fs";

/** Capabilities that BPF work asks for, by bit, from <linux/capability.h>. */
const bits = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

export type CapabilityName = keyof typeof bits;
export const capabilityNames = Object.keys(bits) as readonly CapabilityName[];

/** Decodes the effective set of `/proc/PID/status`. */
export function parseCapabilities(status: string): ReadonlySet<CapabilityName> {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set(capabilityNames.filter((name) => ((mask >> BigInt(bits[name])) & 1n) === 1n));
}

/** Capabilities in effect for this process, of those that BPF work asks for. */
export function effectiveCapabilities(): ReadonlySet<CapabilityName> {
  return parseCapabilities(readFileSync("/proc/self/status", "utf8"));
}

/**
 * Which of the wanted capabilities this process lacks. CAP_SYS_ADMIN stands for CAP_BPF and
 * CAP_PERFMON, as in the kernel's `bpf_capable()`.
 */
export function missingCapabilities(wanted: readonly CapabilityName[]): readonly CapabilityName[] {
  const held = effectiveCapabilities();
  return wanted.filter((name) => {
    if (held.has(name)) return false;
    return !(held.has("CAP_SYS_ADMIN") && (name === "CAP_BPF" || name === "CAP_PERFMON"));
  });
}

/** `it lacks CAP_BPF` or nothing when the capabilities are there and the reason is another one. */
export function describeMissing(wanted: readonly CapabilityName[]): string | undefined {
  const missing = missingCapabilities(wanted);
  return missing.length === 0 ? undefined : `this process lacks ${missing.join(" and ")}`;
}
