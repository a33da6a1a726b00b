import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createKubeClient } from "./http-client.js";

test("requests that are over leave nothing at a signal that outlives them", async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/refused" ? 403 : 200;
    response.end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = createKubeClient(
    {
      servers: [`http://127.0.0.1:${port}`],
      namespace: "default",
      tls: () => Promise.resolve({}),
      credentials: () => Promise.resolve({ headers: {} }),
    },
    { userAgent: "test" },
  );
  try {
    const { signal } = new AbortController();
    for (let count = 0; count < 3; count++) {
      await client.call({ path: "/called", signal });
      await assert.rejects(client.call({ path: "/refused", signal }));
      await assert.rejects(client.stream({ path: "/refused", signal }));
      const { response } = await client.stream({ path: "/streamed", signal });
      response.resume();
      await once(response, "close");
    }
    assert.equal(getEventListeners(signal, "abort").length, 0);
  } finally {
    client.close();
    server.close();
  }
});
