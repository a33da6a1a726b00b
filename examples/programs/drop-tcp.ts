import { fileURLToPath } from "node:url";
import { attachXdp, BpfObject, interfaceByName, watchInterfaces } from "sluice/datapath";

/**
 * Drops all TCP that an interface receives, until Ctrl-C.
 *
 *     node dist/examples/programs/drop-tcp.js INTERFACE
 */
const name = process.argv[2];
const device = name === undefined ? undefined : interfaceByName(name);
if (device === undefined) {
  console.error(`usage: drop-tcp INTERFACE (${name ?? "none"} is not an interface here)`);
  process.exit(2);
}

const object = BpfObject.open(fileURLToPath(new URL("../../bpf/drop-tcp.o", import.meta.url)));
await object.load();
const program = object.takeProgram("drop_tcp");
object.close();

const { mode, fallbackReason } = attachXdp(program, device.index, {
  mode: "native",
  fallback: true,
});
console.log(`dropping TCP on ${device.name} in ${mode} mode; Ctrl-C ends it`);
if (fallbackReason !== undefined) console.log(fallbackReason);

// The link is not pinned, so the program is off the interface as soon as this process ends.
watchInterfaces((event) => {
  if (event.type === "removed" && event.interface.index === device.index) process.exit(1);
});
