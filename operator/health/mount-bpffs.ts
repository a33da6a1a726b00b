#!/usr/bin/env node
import { mountBpffs } from "../../datapath/bpffs-mount.js";
import { defaultBpffs } from "../../datapath/pin.js";
import { SluiceError } from "../errors.js";

/*
 * For the init container of charts/sluice: mounts a bpffs on the folder named, if there is none. The
 * image has neither a shell nor mount(8).
 */
const folder = process.argv[2] ?? defaultBpffs;
try {
  const isNew = mountBpffs(folder);
  process.stdout.write(
    `${folder} ${isNew ? "is a BPF file system now" : "was a BPF file system already"}\n`,
  );
} catch (error) {
  if (!(error instanceof SluiceError)) throw error;
  process.stderr.write(`error: ${error.problem}\n       ${error.remedy}\n       ${error.code}\n`);
  process.exitCode = 1;
}
