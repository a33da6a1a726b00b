import type { ProgramFd } from "./handles.js";
import { libbpf } from "./libbpf.js";
import { attachError } from "./links.js";
import { ProgramType } from "./probe.js";
import { Program } from "./programs.js";

const name = "next";

/**
 * Loads a tc program that leaves every packet to the programs after it: it holds a link's place until the right one is
 * put there, which takes the kernel no time.
 *
 * @throws SluiceError SLUICE_NO_CAPABILITY, SLUICE_ATTACH_FAILED
 */
export function loadNextProgram(): Program {
  const instructions = Buffer.from(
    [
      "b7000000ffffffff", // r0 = TC_ACT_UNSPEC
      "9500000000000000", // exit
    ].join(""),
    "hex",
  );
  const count = instructions.length / 8;
  const fd = libbpf().bpf_prog_load(ProgramType.tc, name, "GPL", instructions, count, null);
  if (fd < 0) throw attachError(`cannot load tc program ${name}`, "bpf_prog_load", fd);
  return new Program(fd as ProgramFd, name);
}
