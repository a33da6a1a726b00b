import { closeSync } from "node:fs";
import { describeMissing } from "./capabilities.js";
import type { SluiceError } from "./errors.js";
import { datapathError, Errno } from "./errors.js";
import type { BpfFd, LinkFd, MapFd, ProgramFd } from "./handles.js";
import { closeFd } from "./handles.js";
import type { LinkInfo, MapInfo, ProgramInfo } from "./kernel-info.js";
import { linkInfo, mapInfo, programInfo } from "./kernel-info.js";
import { isErrno, isPermission, libbpf, libbpfError } from "./libbpf.js";

type NextId = "bpf_prog_get_next_id" | "bpf_map_get_next_id" | "bpf_link_get_next_id";

function* ids(call: NextId): Generator<number> {
  const next = Buffer.alloc(4);
  for (let id = 0; ; ) {
    const result = libbpf()[call](id, next);
    if (isErrno(result, Errno.ENOENT)) return;
    if (result < 0) {
      throw failed("cannot list what the kernel holds", call, result);
    }
    id = next.readUInt32LE();
    yield id;
  }
}

function failed(tried: string, call: string, result: number): SluiceError {
  const cause = libbpfError(call, result);
  const missing = isPermission(result) ? describeMissing(["CAP_SYS_ADMIN"]) : undefined;
  if (missing === undefined) return datapathError("SLUICE_SYSTEM_CALL", tried, { cause });
  return datapathError("SLUICE_NO_CAPABILITY", `${tried}: ${missing}`, {
    cause,
    remedy: "Run as root with CAP_SYS_ADMIN: what others loaded is not shown without it",
  });
}

type FdById = "bpf_prog_get_fd_by_id" | "bpf_map_get_fd_by_id" | "bpf_link_get_fd_by_id";

/** Descriptor of what has this number; undefined when it ended meanwhile. */
function fdById(call: FdById, id: number): number | undefined {
  const fd = libbpf()[call](id);
  if (fd >= 0) return fd;
  if (isErrno(fd, Errno.ENOENT)) return undefined;
  throw failed(`cannot open number ${id} of the kernel`, call, fd);
}

/** Opens a program by number; undefined when there is none. The caller closes it. */
export function programFdById(id: number): ProgramFd | undefined {
  return fdById("bpf_prog_get_fd_by_id", id) as ProgramFd | undefined;
}

/** Opens a map by number; undefined when there is none. The caller closes it. */
export function mapFdById(id: number): MapFd | undefined {
  return fdById("bpf_map_get_fd_by_id", id) as MapFd | undefined;
}

/** Opens a link by number; undefined when there is none. The caller closes it. */
export function linkFdById(id: number): LinkFd | undefined {
  return fdById("bpf_link_get_fd_by_id", id) as LinkFd | undefined;
}

function* each<Fd extends BpfFd, Info>(
  next: NextId,
  open: (id: number) => Fd | undefined,
  read: (fd: Fd) => Info,
): Generator<Info> {
  for (const id of ids(next)) {
    const fd = open(id);
    if (fd === undefined) continue;
    try {
      yield read(fd);
    } finally {
      closeFd(fd);
    }
  }
}

/**
 * Makes the kernel count the runs of all programs and the time in them ({@link ProgramInfo}), at a
 * cost of tens of nanoseconds per run, until the given function is called.
 *
 * @throws SluiceError SLUICE_SYSTEM_CALL
 */
export function countRuns(): () => void {
  const fd = libbpf().bpf_enable_stats(0);
  if (fd >= 0) return () => closeSync(fd);
  throw failed("cannot switch the statistics of programs on", "bpf_enable_stats", fd);
}

/** All programs of this kernel, of whatever owner. */
export function listPrograms(): readonly ProgramInfo[] {
  return [...each("bpf_prog_get_next_id", programFdById, programInfo)];
}

/** All maps of this kernel, of whatever owner. */
export function listMaps(): readonly MapInfo[] {
  return [...each("bpf_map_get_next_id", mapFdById, mapInfo)];
}

/** All links of this kernel, of whatever owner. */
export function listLinks(): readonly LinkInfo[] {
  return [...each("bpf_link_get_next_id", linkFdById, linkInfo)];
}
