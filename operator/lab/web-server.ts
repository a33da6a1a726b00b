/** A web server as a node would have it: `web-server.js PORT NAME`. */
import { createServer } from "node:http";

const [, , port, name] = process.argv;

/**
 * Connections that are half open at a time. Those beyond get SYN cookies, whose answers the kernel
 * does not send again: many answers repeated at once, to the forged sources of a flood, would
 * overrun the ring of the veth and take legitimate ones with them.
 */
const backlog = 128;

const server = createServer((_request, response) => {
  response.end(`hello from ${name}\n`);
});
server.listen({ port: Number(port), host: "::", backlog }, () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
