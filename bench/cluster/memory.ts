/** Of a process, MiB. */
export interface Memory {
  /** The most that was resident at any time. */
  readonly peakMiB: number;
  readonly residentMiB: number;
  /** Of its own: heap, buffers, stacks. */
  readonly anonMiB: number;
  /** Of files: the program, libraries, and mapped tables. */
  readonly fileMiB: number;
  /** BPF tables that are mapped: the kernel's, whether they are mapped or not. */
  readonly tablesMiB: number;
}

/**
 * @param status text of /proc/PID/status
 * @param smaps text of /proc/PID/smaps
 */
export function readMemory(status: string, smaps: string): Memory {
  const mebibytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  const tables = smaps.matchAll(/ anon_inode:bpf-map\n(?:\w+:.*\n)*?Rss: +(\d+) kB/g);
  return {
    peakMiB: mebibytes("VmHWM"),
    residentMiB: mebibytes("VmRSS"),
    anonMiB: mebibytes("RssAnon"),
    fileMiB: mebibytes("RssFile"),
    tablesMiB: [...tables].reduce((sum, [, kibibytes]) => sum + Number(kibibytes), 0) / 1024,
  };
}
