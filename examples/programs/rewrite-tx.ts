import { fileURLToPath } from "node:url";
import { attachXdp, BpfObject, interfaceByName, watchInterfaces } from "sluice/datapath";

/**
 * Sends UDP packets to port 9090 back to where they came from, until Ctrl-C.
 *
 *     node dist/examples/programs/rewrite-tx.js INTERFACE
 */
const name = process.argv[2];
const device = name === undefined ? undefined : interfaceByName(name);
if (device === undefined) {
  console.error(`usage: rewrite-tx INTERFACE (${name ?? "none"} is not an interface here)`);
  process.exit(2);
}

const object = BpfObject.open(fileURLToPath(new URL("../../bpf/rewrite-tx.o", import.meta.url)));
await object.load();
const program = object.takeProgram("rewrite_tx");
object.close();

const { mode, fallbackReason } = attachXdp(program, device.index, {
  mode: "native",
  fallback: true,
});
console.log(`mirroring UDP port 9090 on ${device.name} in ${mode} mode; Ctrl-C ends it`);
if (fallbackReason !== undefined) console.log(fallbackReason);

watchInterfaces((event) => {
  if (event.type === "removed" && event.interface.index === device.index) process.exit(1);
});
