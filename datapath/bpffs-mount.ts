import { statfsSync } from "node:fs";
import { describeMissing } from "./capabilities.js";
import { datapathError, Errno } from "./errors.js";
import { lastError, libc } from "./libc.js";
import { bpffsMagic } from "./pin.js";

/** From <sys/mount.h>: what systemd mounts a bpffs with. */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;

/**
 * Mounts a bpffs on a folder, unless the folder is one already.
 *
 * @returns whether it had to be mounted
 * @throws SluiceError SLUICE_NO_BPFFS when there is no such folder or the kernel has no bpffs;
 *   SLUICE_NO_CAPABILITY
 */
export function mountBpffs(folder: string): boolean {
  if (fileSystemType(folder) === bpffsMagic) return false;
  const options = "mode=0700";
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (libc().mount("bpf", folder, "bpf", flags, options) === 0) return true;
  const cause = lastError("mount");
  const problem = `cannot mount a BPF file system on ${folder}`;
  const missing = cause.errno === Errno.EPERM ? describeMissing(["CAP_SYS_ADMIN"]) : undefined;
  if (missing !== undefined) {
    throw datapathError("SLUICE_NO_CAPABILITY", `${problem}: ${missing}`, {
      remedy: "Run as root; in a container, as a privileged one",
      cause,
    });
  }
  throw datapathError("SLUICE_NO_BPFFS", `${problem}: ${cause.code}`, {
    remedy: "Check that the kernel has CONFIG_BPF_SYSCALL, and mount one by hand",
    cause,
  });
}

function fileSystemType(folder: string): number {
  try {
    return statfsSync(folder).type;
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code;
    throw datapathError("SLUICE_NO_BPFFS", `${folder} cannot be looked at: ${why}`, {
      remedy: "Make the folder, or name the one where the BPF file system belongs",
      cause,
    });
  }
}
