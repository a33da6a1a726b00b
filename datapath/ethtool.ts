import { closeSync } from "node:fs";
import koffi from "koffi";
import type { KoffiFunc } from "koffi";
import { describeMissing } from "./capabilities.js";
import { lastError, libc } from "./libc.js";
import { Errno, datapathError } from "./errors.js";

/** Queues of a NIC that can be set apart. A combined queue receives and sends. */
export interface NicChannels {
  readonly rx: number;
  readonly combined: number;
  readonly maxRx: number;
  readonly maxCombined: number;
}

const siocEthtool = 0x8946;
/** `ETHTOOL_…` commands, from <linux/ethtool.h>. */
const Command = {
  getSettings: 0x01,
  getDriver: 0x03,
  getGro: 0x2b,
  setGro: 0x2c,
  getRxFlowIndirection: 0x38,
  getChannels: 0x3c,
} as const;

interface InterfaceRequest {
  readonly name: string;
  readonly data: Buffer;
  readonly rest: readonly number[];
}

type Ioctl = KoffiFunc<(fd: number, request: number, argument: InterfaceRequest) => number>;
let bound: Ioctl | undefined;

function ioctl(): Ioctl {
  if (bound === undefined) {
    const request = koffi.struct({
      name: koffi.array("char", 16, "String"),
      data: "void *",
      rest: koffi.array("uint8", 16),
    });
    bound = koffi
      .load(null)
      .func("ioctl", "int", ["int", "unsigned long", koffi.inout(koffi.pointer(request))]) as Ioctl;
  }
  return bound;
}

const datagram = 2;
const inet = 2;
const closeOnExec = 0o2000000;

/**
 * Asks the driver of an interface of this network namespace; `data` begins with the command and is
 * filled in.
 *
 * @returns false when the driver does not have the command
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_SYSTEM_CALL
 */
function ask(name: string, command: number, data: Buffer): boolean {
  const fd = libc().socket(inet, datagram | closeOnExec, 0);
  if (fd < 0)
    throw datapathError("SLUICE_SYSTEM_CALL", "cannot open a socket", {
      cause: lastError("socket"),
    });
  try {
    data.writeUInt32LE(command, 0);
    if (ioctl()(fd, siocEthtool, { name, data, rest: [] }) === 0) return true;
    const cause = lastError("ioctl");
    if (cause.errno === Errno.EOPNOTSUPP || cause.errno === Errno.EINVAL) return false;
    const missing = cause.errno === Errno.EPERM ? describeMissing(["CAP_NET_ADMIN"]) : undefined;
    if (missing !== undefined) {
      const problem = `cannot change the driver of ${name}: ${missing}`;
      throw datapathError("SLUICE_NO_CAPABILITY", problem, { cause });
    }
    const code = cause.errno === Errno.ENODEV ? "SLUICE_NO_INTERFACE" : "SLUICE_SYSTEM_CALL";
    throw datapathError(code, `cannot ask the driver of ${name}: ${cause.code}`, { cause });
  } finally {
    closeSync(fd);
  }
}

/**
 * Speed of the link in Mbit/s; undefined when the driver does not know it, as with the link down.
 */
export function linkSpeed(name: string): number | undefined {
  const settings = Buffer.alloc(44);
  if (!ask(name, Command.getSettings, settings)) return undefined;
  const speed = settings.readUInt16LE(12) | (settings.readUInt16LE(28) << 16);
  return speed <= 0 || speed === 0xffff ? undefined : speed;
}

/** Name of the driver; undefined when it does not tell. */
export function nicDriver(name: string): string | undefined {
  const info = Buffer.alloc(196);
  if (!ask(name, Command.getDriver, info)) return undefined;
  return info.toString("latin1", 4, 36).split("\0", 1)[0];
}

/** Queues in use and how many there could be; undefined when the driver has no say in it. */
export function nicChannels(name: string): NicChannels | undefined {
  const channels = Buffer.alloc(36);
  if (!ask(name, Command.getChannels, channels)) return undefined;
  return {
    maxRx: channels.readUInt32LE(4),
    maxCombined: channels.readUInt32LE(16),
    rx: channels.readUInt32LE(20),
    combined: channels.readUInt32LE(32),
  };
}

/** Receive queues among which RSS spreads flows; undefined for NICs without RSS. */
export function rssQueues(name: string): number | undefined {
  const head = Buffer.alloc(8);
  if (!ask(name, Command.getRxFlowIndirection, head)) return undefined;
  const size = head.readUInt32LE(4);
  if (size === 0) return undefined;
  const table = Buffer.alloc(8 + 4 * size);
  table.writeUInt32LE(size, 4);
  if (!ask(name, Command.getRxFlowIndirection, table)) return undefined;
  const queues = new Set<number>();
  for (let entry = 0; entry < size; entry++) queues.add(table.readUInt32LE(8 + 4 * entry));
  return queues.size;
}

/** Whether packets of a flow are merged on receipt; undefined when the driver has no say in it. */
export function hasGro(name: string): boolean | undefined {
  const value = Buffer.alloc(8);
  return ask(name, Command.getGro, value) ? value.readUInt32LE(4) !== 0 : undefined;
}

/**
 * Has packets of a flow merged on receipt, or not. On a veth this also makes it receive by NAPI, as
 * packets redirected to it from XDP need.
 *
 * @throws SluiceError SLUICE_NO_INTERFACE, SLUICE_NO_CAPABILITY, SLUICE_SYSTEM_CALL
 */
export function setGro(name: string, isOn: boolean): void {
  const value = Buffer.alloc(8);
  value.writeUInt32LE(isOn ? 1 : 0, 4);
  if (ask(name, Command.setGro, value)) return;
  throw datapathError("SLUICE_SYSTEM_CALL", `the driver of ${name} cannot switch GRO`, {
    remedy: "Leave GRO of this interface as it is",
  });
}
