import { ANY_CIDR, isFault, readCidr } from "../model/cidr.js";
import type { Cidr } from "../model/records.js";
import { type Bandwidth, readBandwidth } from "./bandwidth.js";
import { cniError } from "./errors.js";
import { type PortMapping, readPortMappings } from "./port-mappings.js";
import { readPreviousResult } from "./previous-result.js";
import type { AttachmentId } from "./request.js";
import type { CniDns, CniResult } from "./result.js";
import { type CniVersion, readVersion } from "./versions.js";

/** What is used of a network configuration of type `sluice`. */
export interface NetworkConfig {
  readonly version: CniVersion;
  /** Of the network. */
  readonly name: string;
  /** Bytes of payload; undefined: as the uplink. */
  readonly mtu: number | undefined;
  /** Addresses that the runtime wants (capability `ips`), at most one of each family. */
  readonly wantedAddresses: readonly Cidr[];
  /** Of the interface in the container, if the runtime wants one (capability `mac`). */
  readonly wantedMac: string | undefined;
  /** Undefined: without limit (capability `bandwidth`). */
  readonly bandwidth: Bandwidth | undefined;
  /** Ports of the node that stand for the container's (capability `portMappings`). */
  readonly ports: readonly PortMapping[];
  readonly previous: CniResult | undefined;
  readonly dns: CniDns | undefined;
  /** Of GC: every other attachment of the network goes. Undefined: not given. */
  readonly valid: readonly AttachmentId[] | undefined;
}

/** What a link may have: IPv6 needs 1,280. */
const leastMtu = 1280;
const mostMtu = 65535;
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
/** Keys of `runtimeConfig` that would change how packets are treated. */
const unsupported = ["ipRanges", "infinibandGUID", "deviceID"];

type Json = Readonly<Record<string, unknown>>;

/**
 * Only the version of a configuration, for an error that is written before the rest is understood.
 *
 * @throws SluiceError SLUICE_CNI_DECODE, SLUICE_CNI_VERSION
 */
export function readConfigVersion(text: string): CniVersion {
  return readVersion(parseObject(text).cniVersion);
}

/**
 * @throws SluiceError SLUICE_CNI_DECODE, SLUICE_CNI_VERSION, SLUICE_CNI_CONFIG, SLUICE_CNI_UNSUPPORTED
 */
export function readNetworkConfig(text: string): NetworkConfig {
  const config = parseObject(text);
  const version = readVersion(config.cniVersion);
  const { name, type, mtu, dns } = config;
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw bad("name", name, 'letters, digits, "_", "." and "-"');
  }
  if (type !== undefined && type !== "sluice") throw bad("type", type, "sluice");
  if (mtu !== undefined && mtu !== 0 && !isMtu(mtu)) {
    throw bad("mtu", mtu, `a whole number from ${leastMtu} to ${mostMtu}`);
  }
  const ipam = optionalObject(config.ipam, "ipam");
  if (Object.keys(ipam).length > 0) {
    throw cniError("SLUICE_CNI_UNSUPPORTED", "the network configuration has the field ipam", {
      remedy: "Remove it: addresses are from the podCIDRs of the node",
    });
  }
  const runtime = optionalObject(config.runtimeConfig, "runtimeConfig");
  for (const key of unsupported) {
    if (isEmpty(runtime[key])) continue;
    throw cniError("SLUICE_CNI_UNSUPPORTED", `Sluice does not implement runtimeConfig.${key}`, {
      remedy: `Remove ${key} from the capabilities of the network configuration and from the pod`,
    });
  }
  return {
    version,
    name,
    mtu: mtu === 0 ? undefined : (mtu as number | undefined),
    wantedAddresses: readAddresses(runtime.ips),
    wantedMac: readMac(runtime.mac),
    bandwidth: readBandwidth(runtime.bandwidth),
    ports: readPortMappings(runtime.portMappings),
    previous: config.prevResult === undefined ? undefined : readPreviousResult(config.prevResult),
    dns: isEmpty(dns) ? undefined : optionalObject(dns, "dns"),
    valid: readValid(config),
  };
}

function parseObject(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw cniError("SLUICE_CNI_DECODE", `the network configuration is no JSON: ${why}`, { cause });
  }
  if (isObject(value)) return value;
  throw cniError("SLUICE_CNI_DECODE", "the network configuration is no JSON object");
}

function isMtu(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= leastMtu && (value as number) <= mostMtu;
}

function readAddresses(value: unknown): readonly Cidr[] {
  if (value === undefined || value === null) return [];
  const field = "runtimeConfig.ips";
  if (!Array.isArray(value)) throw bad(field, value, "a list of addresses");
  const addresses = value.map((entry: unknown) => {
    // The prefix length says how large the network is; pods here have single addresses.
    const text = typeof entry === "string" ? entry.replace(/\/\d+$/, "") : "";
    const read = readCidr(text, ANY_CIDR);
    if (isFault(read)) throw bad(field, entry, "an address such as 10.0.0.5");
    return read;
  });
  for (const family of [4, 6]) {
    if (addresses.filter((address) => address.family === family).length > 1) {
      throw bad(field, value, `at most one IPv${family} address`);
    }
  }
  return addresses;
}

function readMac(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const mac = typeof value === "string" ? value.toLowerCase() : "";
  const isGroup = (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
  if (macPattern.test(mac) && !isGroup && mac !== "00:00:00:00:00:00") return mac;
  throw bad("runtimeConfig.mac", value, "the address of one station, such as 02:00:00:00:00:05");
}

function readValid(config: Json): readonly AttachmentId[] | undefined {
  const field = "cni.dev/valid-attachments";
  const value = config[field];
  if (value === undefined) return undefined;
  // How libcni writes an empty list.
  if (value === null) return [];
  if (!Array.isArray(value)) throw bad(field, value, "a list of attachments");
  return value.map((entry: unknown) => {
    const { containerID, ifname } = isObject(entry) ? entry : {};
    if (typeof containerID === "string" && typeof ifname === "string") {
      return { containerId: containerID, ifName: ifname };
    }
    throw bad(field, entry, "an object with containerID and ifname");
  });
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every((part) => part === 0 || isEmpty(part));
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function optionalObject(value: unknown, field: string): Json {
  if (value === undefined || value === null) return {};
  if (isObject(value)) return value;
  throw bad(field, value, "an object");
}

function bad(field: string, value: unknown, rule: string) {
  const found = value === undefined ? "is missing" : `is ${JSON.stringify(value).slice(0, 200)}`;
  return cniError("SLUICE_CNI_CONFIG", `the field ${field} ${found}: it must be ${rule}`);
}
