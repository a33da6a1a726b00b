import { readFileSync, writeFileSync } from "node:fs";
import { datapathError } from "./errors.js";

/**
 * Sets a kernel parameter of the network namespace of this thread.
 *
 * @param name `net.ipv4.conf.eth0.rp_filter`; a dot within an interface's name is written as a
 *   slash, `net.ipv4.conf.eth0/100.rp_filter`, as sysctl(8) takes it
 * @param folder /proc/sys, or where it is mounted besides: in a container it is mostly read-only
 * @throws SluiceError SLUICE_BAD_VALUE for what is not below `net`; SLUICE_SYSCTL_FAILED
 */
export function setSysctl(name: string, value: number | string, folder = "/proc/sys"): void {
  const path = sysctlPath(name, folder);
  try {
    // Without O_CREAT and O_TRUNC, which mean nothing to these files.
    writeFileSync(path, `${value}\n`, { flag: "r+" });
  } catch (cause) {
    throw failed(`cannot set ${name} to ${value}`, cause);
  }
}

/**
 * Reads a kernel parameter of the network namespace of this thread.
 *
 * @throws SluiceError SLUICE_BAD_VALUE, SLUICE_SYSCTL_FAILED
 */
export function getSysctl(name: string): string {
  const path = sysctlPath(name, "/proc/sys");
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch (cause) {
    throw failed(`cannot read ${name}`, cause);
  }
}

function sysctlPath(name: string, folder: string): string {
  const parts = name.split(".").map((part) => part.replaceAll("/", "."));
  const isGood = parts.every((part) => /^[^\0]+$/.test(part) && part !== "." && part !== "..");
  if (parts[0] === "net" && parts.length > 2 && isGood) return `${folder}/${parts.join("/")}`;
  throw datapathError("SLUICE_BAD_VALUE", `${JSON.stringify(name)} is no network parameter`, {
    remedy: "Write it like net.ipv4.conf.eth0.rp_filter",
  });
}

function failed(tried: string, cause: unknown) {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const why = reason === "ENOENT" ? "there is no such parameter here" : reason;
  return datapathError("SLUICE_SYSCTL_FAILED", `${tried}: ${why}`, { cause });
}
