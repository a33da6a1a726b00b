/** A web server as a node would have it: `node web-server.js PORT NAME`. */
import { createServer } from "node:http";

const [, , port, name] = process.argv;

const server = createServer((_request, response) => {
  response.end(`hello from ${name}\n`);
});
// More than the kernel lets wait anyway: a flood that is let through fills the kernel's queue.
server.listen({ port: Number(port), host: "::", backlog: 4096 }, () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
