import { describeMissing } from "./capabilities.js";
import type { SluiceError } from "./errors.js";
import { datapathError, Errno } from "./errors.js";
import type { LinkFd, LinkId } from "./handles.js";
import { closeFd } from "./handles.js";
import type { LinkInfo } from "./kernel-info.js";
import { linkInfo } from "./kernel-info.js";
import { linkFdById } from "./kernel-objects.js";
import { isErrno, isPermission, libbpf, libbpfError, resultName } from "./libbpf.js";
import { encodeOpts } from "./libbpf-opts.js";
import { openPin, pinObject } from "./pin.js";
import type { Program } from "./programs.js";

/** `BPF_…` attach types, from <linux/bpf.h>. */
export const AttachType = {
  cgroupInetIngress: 0,
  cgroupInetEgress: 1,
  cgroupConnect4: 10,
  cgroupConnect6: 11,
  cgroupSendmsg4: 14,
  cgroupSendmsg6: 15,
  cgroupRecvmsg4: 19,
  cgroupRecvmsg6: 20,
  cgroupGetpeername4: 29,
  cgroupGetpeername6: 30,
  xdp: 37,
  tcxIngress: 46,
  tcxEgress: 47,
} as const;

/** Flag of a link update that names the program expected to be in place. */
const replaceFlag = 1 << 2;

/**
 * Something attached to a hook, owned by whoever holds it: without a pin it detaches when the last
 * descriptor closes, so a crash leaves nothing behind.
 */
export class Link {
  readonly fd: LinkFd;

  /** Takes the descriptor over. */
  constructor(fd: LinkFd) {
    this.fd = fd;
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS */
  static openPinned(path: string): Link {
    return new Link(openPin(path, "link"));
  }

  /** Opens a link of any owner; undefined when there is none of this number. */
  static openById(id: LinkId): Link | undefined {
    const fd = linkFdById(id);
    return fd === undefined ? undefined : new Link(fd);
  }

  info(): LinkInfo {
    return linkInfo(this.fd);
  }

  /**
   * Puts another program in the place of the present one. No packet goes without a program.
   *
   * @param expected the program that must be in place now
   * @throws SluiceError SLUICE_LINK_STALE when another one is; SLUICE_LINK_FAILED
   */
  update(program: Program, expected?: Program): void {
    const opts =
      expected === undefined
        ? null
        : encodeOpts("linkUpdate", { flags: replaceFlag, old_prog_fd: expected.fd });
    const result = libbpf().bpf_link_update(this.fd, program.fd, opts);
    if (result >= 0) return;
    const cause = libbpfError("bpf_link_update", result);
    const tried = `cannot put program ${program.name} on the link`;
    if (expected !== undefined && isErrno(result, Errno.EPERM)) {
      const message = `${tried}: ${expected.name} is not the program in place`;
      throw datapathError("SLUICE_LINK_STALE", message, { cause });
    }
    throw datapathError("SLUICE_LINK_FAILED", `${tried}: ${cause.code}`, { cause });
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS */
  pin(path: string): void {
    pinObject(this.fd, path);
  }

  /**
   * Takes the program off its hook now, whoever else holds the link or pins it.
   *
   * @throws SluiceError SLUICE_LINK_FAILED
   */
  detach(): void {
    const result = libbpf().bpf_link_detach(this.fd);
    if (result >= 0) return;
    throw datapathError("SLUICE_LINK_FAILED", `cannot detach the link: ${resultName(result)}`, {
      cause: libbpfError("bpf_link_detach", result),
    });
  }

  /** Gives the descriptor up; an unpinned link detaches with its last one. */
  close(): void {
    closeFd(this.fd);
  }
}

/** Result of a link creation: the link, or −errno. */
export function createLink(
  program: Program,
  target: number,
  attachType: number,
  flags = 0,
): Link | number {
  const opts = encodeOpts("linkCreate", { flags });
  const fd = libbpf().bpf_link_create(program.fd, target, attachType, opts);
  return fd >= 0 ? new Link(fd as LinkFd) : fd;
}

/** As {@link createLink}, on a thread of the pool: in the network namespace that the process began in. */
export async function createLinkAside(
  program: Program,
  target: number,
  attachType: number,
): Promise<Link | number> {
  const opts = encodeOpts("linkCreate");
  const fd = await new Promise<number>((resolve, reject) => {
    const done = (error: unknown, result: number) => (error ? reject(error) : resolve(result));
    libbpf().bpf_link_create.async(program.fd, target, attachType, opts, done);
  });
  return fd >= 0 ? new Link(fd as LinkFd) : fd;
}

/** Error of an attachment for the reasons that all hooks have in common. */
export function attachError(tried: string, call: string, result: number): SluiceError {
  const cause = libbpfError(call, result);
  const missing = isPermission(result) ? describeMissing(["CAP_BPF", "CAP_NET_ADMIN"]) : undefined;
  if (missing !== undefined) {
    return datapathError("SLUICE_NO_CAPABILITY", `${tried}: ${missing}`, { cause });
  }
  if (isErrno(result, Errno.ENODEV)) {
    return datapathError("SLUICE_NO_INTERFACE", `${tried}: there is no such interface here`, {
      cause,
    });
  }
  return datapathError("SLUICE_ATTACH_FAILED", `${tried}: ${cause.message}`, { cause });
}
